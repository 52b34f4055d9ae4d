# SPDX-License-Identifier: Apache-2.0
"""From the float graph to layers: which sums of maps become populations.

A value on the way is a list of parts, concatenated along the channels. A part is either `Coded`, the words of a
population, or a `Form`, a sum of maps that no neuron has computed yet. Linear operators act on coded values, or on
forms that move each value to its own place, with which they compose; any other form becomes a signed population first.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import Any, ClassVar

import numpy as np

from spikerun.converters import forward
from spikerun.converters.activations import Activation, Positive, Readout, Rectifier, Signed
from spikerun.converters.encoding import Encoding
from spikerun.converters.graph import (
    Add,
    Affine,
    Array,
    AvgPool,
    Concat,
    Conv,
    Flatten,
    Graph,
    Input,
    Linear,
    MaxPool,
    Node,
    Origin,
    Output,
    Relu,
    Shape,
)
from spikerun.converters.layers import InputLayer, Layer, Layers, PoolLayer
from spikerun.converters.maps import ChannelMap, ConvMap, DenseMap, Map, PlaceMap, PoolMap, Term, identity

__all__ = ["Coded", "Form", "Lowering", "Parts", "lower", "merged"]

NAME_LENGTH = 80  # of a population; a number may follow


@dataclass(frozen=True)
class Coded:
    """The words of a population, read as `shape`."""

    name: str
    own: Shape
    shape: Shape
    signed: bool

    @property
    def light(self) -> bool:
        """Return whether it is at its own place: as words are."""
        return True

    def form(self) -> "Form":
        """Return the words as a sum of one identity."""
        return Form(self.shape, (identity(self.name, self.own, self.shape),), np.zeros(self.shape), not self.signed)

    def traced(self, node: Node) -> "Part":
        """Return the part: words stay those of their population."""
        return self


@dataclass(frozen=True, eq=False)
class Form:
    """A sum of maps and a bias that no population holds yet."""

    shape: Shape
    terms: tuple[Term, ...]
    bias: Array
    positive: bool  # can never be negative
    origins: tuple[Origin, ...] = ()
    name: str = ""  # of the last operator in it

    @property
    def light(self) -> bool:
        """Return whether it only rescales and adds values, each at its own place."""
        return all(term.map.light for term in self.terms)

    @property
    def keeps_order(self) -> bool:
        """Return whether max pooling may go before it: one source at its own place, positive gains, even bias."""
        term = self.terms[0]
        whole = len(self.terms) == 1 and self.light and (term.first, term.end) == (0, self.shape[0])
        even = bool((self.bias == self.bias[:, :1, :1]).all())
        return whole and even and bool((term.map.weight > 0).all())

    def form(self) -> "Form":
        """Return itself."""
        return self

    def traced(self, node: Node) -> "Part":
        """Return the form, which remembers that it went through `node`."""
        origins = self.origins if node.origin in self.origins else (*self.origins, node.origin)
        return replace(self, origins=origins, name=self.name if isinstance(node.op, Flatten) else node.name)

    def affine(self, scale: Array, shift: Array) -> "Form":
        """Return scale * form + shift, for each channel."""
        bias = self.bias * forward.spread(scale, self.shape) + forward.spread(shift, self.shape)
        return replace(self, terms=tuple(term.scaled_out(scale) for term in self.terms), bias=bias, positive=False)


Part = Coded | Form
Parts = tuple[Part, ...]


def lower(graph: Graph, encodings: Mapping[str, Encoding]) -> Layers:
    """Return the layers of a simplified graph, whose inputs are integers in these encodings."""
    return Lowering(graph, encodings).run()


def merged(parts: Parts) -> Form:
    """Return the parts as one form of all channels."""
    if len(parts) == 1:
        return parts[0].form()
    forms, terms, first = [part.form() for part in parts], [], 0
    for form in forms:
        terms += [term.moved(first) for term in form.terms]
        first += form.shape[0]
    bias = np.concatenate([form.bias for form in forms])
    origins = tuple(origin for form in forms for origin in form.origins)
    return Form((first, *forms[0].shape[1:]), tuple(terms), bias, all(form.positive for form in forms), origins)


def _sum(forms: list[Form]) -> Form:
    terms = tuple(term for form in forms for term in form.terms)
    origins = tuple(dict.fromkeys(origin for form in forms for origin in form.origins))
    bias = sum((form.bias for form in forms), np.zeros(forms[0].shape))
    return Form(forms[0].shape, terms, bias, all(form.positive for form in forms), origins)


def _pooled_shape(shape: Shape, node: Node) -> Shape:
    return (shape[0], *node.shape[1:])


class Lowering:
    """Walks a graph; `table` holds a method for each operator."""

    table: ClassVar[Mapping[type, Callable[[Any, Node, Any, list[Parts]], Parts]]]

    def __init__(self, graph: Graph, encodings: Mapping[str, Encoding]) -> None:
        self.graph, self.encodings = graph, encodings
        self.layers: list[InputLayer | PoolLayer | Layer] = []
        self.taken = {*graph.inputs, *graph.outputs}
        self.values: dict[str, Parts] = {}
        self.signed: dict[str, bool] = {}

    def run(self) -> Layers:
        shared = self._shared()
        for node in self.graph.nodes.values():
            lowered = self.table[type(node.op)](self, node, node.op, [self.values[name] for name in node.inputs])
            parts = tuple(part.traced(node) for part in lowered)
            if node.name in shared:  # computed once, not once for every reader
                parts = tuple(p if p.light else self._coded(p, node) for p in parts)
            self.values[node.name] = parts
        return Layers(tuple(self.layers))

    def _shared(self) -> set[str]:
        """Return the nodes whose value several operators compute with; readouts cost no more than they do anyway."""
        nodes = self.graph.nodes
        readers = {
            name: [r for r in found if not isinstance(nodes[r].op, Output)]
            for name, found in self.graph.consumers().items()
        }
        return {name for name, found in readers.items() if len(found) > 1}

    @staticmethod
    def _each(parts: Parts, function: Callable[[Part, int, int], Part]) -> Parts:
        """Apply an operator that treats channels alike to each part; it is told the part's channels."""
        results, first = [], 0
        for part in parts:
            end = first + part.shape[0]
            results.append(function(part, first, end))
            first = end
        return tuple(results)

    def _name(self, origins: tuple[Origin, ...], fallback: str) -> str:
        """Return a name of a population that is free: the module's, in letters that names may have."""
        modules = [o.module for o in origins if o.module and any(w in o.operator for w in ("conv", "linear", "addmm"))]
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", modules[-1] if modules else fallback)[-NAME_LENGTH:]
        name = name if re.match("[A-Za-z_]", name) else f"m{name}"
        unique, count = name, 2
        while unique in self.taken:
            unique, count = f"{name}_{count}", count + 1
        self.taken.add(unique)
        return unique

    def _add(self, name: str, form: Form, activation: Activation) -> Coded:
        shape, terms = form.shape, form.terms
        if len(shape) == 1 and any(term.image for term in terms):  # one pixel was flattened
            if any(term.map.light and not term.image for term in terms):  # beside single neurons at their places
                terms = tuple(term.flat() for term in terms)
            else:
                shape = (shape[0], 1, 1)  # its neurons are still those of an image
        self.layers.append(Layer(name, shape, terms, form.bias.reshape(shape), activation, form.origins))
        self.signed[name] = activation.signed
        return Coded(name, shape, form.shape, activation.signed)

    def _coded(self, part: Part, node: Node) -> Coded:
        """Return the part as words of a population, which is made where there is none."""
        if isinstance(part, Coded):
            return part
        name = self._name(part.origins, part.name or node.name)
        return self._add(name, part, Positive() if part.positive else Signed())

    def input(self, node: Node, op: Input, inputs: list[Parts]) -> Parts:
        shape, encoding = node.shape, self.encodings[op.name]
        self.layers.append(InputLayer(op.name, shape, encoding))
        self.signed[op.name] = encoding.signed
        gain, shift = encoding.gain(shape[0]), encoding.shift(shape[0])
        bias = np.zeros(shape) + forward.spread(shift, shape)
        term = Term(op.name, shape, shape, ChannelMap(gain), 0, shape[0])
        return (Form(shape, (term,), bias, bool((bias >= 0).all()) and not encoding.signed),)

    def output(self, node: Node, op: Output, inputs: list[Parts]) -> Parts:
        return (self._add(op.name, merged(inputs[0]), Readout()),)

    def relu(self, node: Node, op: Relu, inputs: list[Parts]) -> Parts:
        def rectified(part: Part, first: int, end: int) -> Part:
            form = part.form()
            if form.positive and op.bound == inf:
                return part
            form = replace(form, origins=(*form.origins, node.origin))
            return self._add(self._name(form.origins, node.name), form, Rectifier(op.bound))

        return self._each(inputs[0], rectified)

    def affine(self, node: Node, op: Affine, inputs: list[Parts]) -> Parts:
        scale, shift = (np.broadcast_to(values, node.shape[:1]) for values in (op.scale, op.shift))
        return self._each(inputs[0], lambda p, a, b: p.form().affine(scale[a:b], shift[a:b]))

    def add(self, node: Node, op: Add, inputs: list[Parts]) -> Parts:
        return (_sum([merged(parts) for parts in inputs]),)

    def concat(self, node: Node, op: Concat, inputs: list[Parts]) -> Parts:
        return tuple(part for parts in inputs for part in parts)

    def flatten(self, node: Node, op: Flatten, inputs: list[Parts]) -> Parts:
        return self._each(inputs[0], lambda part, first, end: self._flat(part, node))

    def _flat(self, part: Part, node: Node) -> Part:
        size = (int(np.prod(part.shape)),)
        if part.shape == size:
            return part
        if isinstance(part, Form) and size[0] == part.shape[0]:  # one pixel: channels are neurons
            return replace(part, shape=size, bias=part.bias.reshape(size))
        if isinstance(part, Form) and part.light and all(t.end - t.first == part.shape[0] for t in part.terms):
            area = size[0] // part.shape[0]
            terms = tuple(
                replace(t, shape=size, map=PlaceMap(np.repeat(t.map.weight, area)), first=0, end=size[0])
                for t in part.terms
            )
            return replace(part, shape=size, terms=terms, bias=part.bias.reshape(size))
        return replace(self._coded(part, node), shape=size)

    def average(self, node: Node, op: AvgPool, inputs: list[Parts]) -> Parts:
        def averaged(part: Part, first: int, end: int) -> Part:
            form = (part if part.light else self._coded(part, node)).form()
            shape = _pooled_shape(part.shape, node)
            unit = PoolMap(np.full(shape[0], 1 / op.divisor), op.kernel, op.stride, op.padding)
            terms = tuple(replace(t, map=replace(unit, weight=t.map.weight / op.divisor)) for t in form.terms)
            bias = unit.apply(form.bias[None])[0].reshape(shape)
            return Form(shape, terms, bias, form.positive, form.origins)

        return self._each(inputs[0], averaged)

    def largest(self, node: Node, op: MaxPool, inputs: list[Parts]) -> Parts:
        return self._each(inputs[0], lambda part, first, end: self._largest(part, op, node))

    def _largest(self, part: Part, op: MaxPool, node: Node) -> Part:
        """Max pooling; through a rescaling with positive gains of one source, which keeps the order of words."""
        shape = _pooled_shape(part.shape, node)
        through = part if isinstance(part, Form) and part.keeps_order else None
        source = through.terms[0].source if through else self._coded(part, node).name
        name = self._name((), f"{source}_{node.name}")
        self.layers.append(PoolLayer(name, shape, source, op.kernel, op.stride, op.padding, op.dilation))
        self.signed[name] = self.signed[source]
        if through is None:
            return Coded(name, shape, shape, self.signed[source])
        bias = np.broadcast_to(through.bias[:, :1, :1], shape)
        return replace(
            through, shape=shape, terms=(replace(through.terms[0], source=name, own=shape, shape=shape),), bias=bias
        )

    def linear(self, node: Node, op: Linear, inputs: list[Parts]) -> Parts:
        return (self._linear(node, DenseMap(op.weight), op.bias, inputs[0]),)

    def conv(self, node: Node, op: Conv, inputs: list[Parts]) -> Parts:
        whole = ConvMap(op.weight, op.stride, op.padding, op.dilation, op.groups)
        return (self._linear(node, whole, op.bias, inputs[0]),)

    def _linear(self, node: Node, whole: Map, bias: Array, parts: Parts) -> Form:
        """Return the form of a linear operator on parts that are coded, or made so."""
        bias = np.zeros(node.shape) + forward.spread(bias, node.shape)
        terms: list[Term] = []
        first, origins = 0, [node.origin]
        for part in parts:
            form = (part if part.light else self._coded(part, node)).form()
            end = first + form.shape[0]
            sliced, low, high = whole.sliced(first, end)
            terms += [_composed(sliced, low, term) for term in form.terms]
            if form.bias.any():
                bias[low:high] += sliced.apply(form.bias[None])[0]
            origins = [*(o for o in form.origins if o.operator != "input"), *origins]
            first = end
        return Form(node.shape, tuple(terms), bias, False, tuple(dict.fromkeys(origins)))


def _composed(outer: Map, first: int, term: Term) -> Term:
    """Return `outer`, whose results begin at the channel `first`, after the rescaling `term`."""
    part, low, high = outer.sliced(term.first, term.end)  # it may feed only some of the channels
    return replace(term, map=part.scaled_in(term.map.weight), first=first + low, end=first + high)


LOWER: Mapping[type, Callable[[Any, Node, Any, list[Parts]], Parts]] = {
    Input: Lowering.input,
    Output: Lowering.output,
    Linear: Lowering.linear,
    Conv: Lowering.conv,
    Affine: Lowering.affine,
    Relu: Lowering.relu,
    AvgPool: Lowering.average,
    MaxPool: Lowering.largest,
    Flatten: Lowering.flatten,
    Add: Lowering.add,
    Concat: Lowering.concat,
}
Lowering.table = LOWER

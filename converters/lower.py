"""From the float graph to layers: which sums of maps become populations.

A value on the way is a list of parts, concatenated along the channels. A part is either `Coded`, the words of a
population, or a `Form`, a sum of maps that no neuron has computed yet. Linear operators act on coded values, or on
forms that move each value to its own place, with which they compose; any other form becomes a signed population first.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from spikerun.converters import forward
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
    Relu,
    Shape,
)
from spikerun.converters.layers import InputLayer, Layer, Layers, PoolLayer
from spikerun.converters.maps import ConvMap, DenseMap, DiagMap, Map, PoolMap, Term, channel_gains, grouped_slice

__all__ = ["lower"]


@dataclass(frozen=True)
class Coded:
    """The words of a population, read as `shape`."""

    name: str
    own: Shape
    shape: Shape
    signed: bool


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
        return all(term.light for term in self.terms)


Part = Coded | Form
Parts = tuple[Part, ...]


def lower(graph: Graph, gain: Array, shift: Array) -> Layers:
    """Return the layers of a simplified graph, whose input is `gain * integer + shift` for each channel."""
    return _Lowering(graph, gain, shift).run()


def _form(part: Part) -> Form:
    if isinstance(part, Form):
        return part
    term = Term(part.name, part.own, part.shape, DiagMap(np.ones(part.shape[0])), 0, part.shape[0])
    return Form(part.shape, (term,), np.zeros(part.shape), not part.signed)


def _merged(parts: Parts) -> Form:
    """Return the parts as one form of all channels."""
    if len(parts) == 1:
        return _form(parts[0])
    forms, terms, first = [_form(part) for part in parts], [], 0
    for form in forms:
        terms += [term.moved(first) for term in form.terms]
        first += form.shape[0]
    bias = np.concatenate([form.bias for form in forms])
    origins = tuple(origin for form in forms for origin in form.origins)
    return Form((first, *forms[0].shape[1:]), tuple(terms), bias, all(form.positive for form in forms), origins)


class _Lowering:
    def __init__(self, graph: Graph, gain: Array, shift: Array) -> None:
        self.graph, self.gain, self.shift = graph, gain, shift
        self.layers: list[InputLayer | PoolLayer | Layer] = []
        self.values: dict[str, Parts] = {}
        self.readers = {name: len(found) for name, found in graph.consumers().items()}
        self.signed: dict[str, bool] = {"input": False}

    def run(self) -> Layers:
        for node in self.graph.nodes.values():
            inputs = [self.values[name] for name in node.inputs]
            parts = tuple(self._traced(part, node) for part in self._value(node, inputs))
            if self.readers[node.name] > 1:
                # computed once, not once for every reader
                parts = tuple(self._coded(p, node) if isinstance(p, Form) and not p.light else p for p in parts)
            self.values[node.name] = parts
        form = _merged(self.values[self.graph.output])
        self._add("output", form, "readout", inf, form.origins)
        return Layers(tuple(self.layers))

    @staticmethod
    def _traced(part: Part, node: Node) -> Part:
        if isinstance(part, Form):
            origins = part.origins if node.origin in part.origins else (*part.origins, node.origin)
            moved = isinstance(node.op, Flatten)
            return replace(part, origins=origins, name=part.name if moved else node.name)
        return part

    def _value(self, node: Node, inputs: list[Parts]) -> Parts:
        match node.op:
            case Input():
                return (self._input(node),)
            case Linear() | Conv():
                return (self._linear(node, inputs[0]),)
            case Affine(scale=scale, shift=shift):
                return self._each(inputs[0], lambda p, a, b: _affine(_form(p), scale[a:b], shift[a:b]))
            case Relu(bound=bound):
                return self._each(inputs[0], lambda p, a, b: self._relu(p, bound, node))
            case AvgPool() as average:
                return self._each(inputs[0], lambda p, a, b: self._average(p, average, node))
            case MaxPool() as largest:
                return self._each(inputs[0], lambda p, a, b: self._largest(p, largest, node))
            case Flatten():
                return self._each(inputs[0], lambda p, a, b: self._flat(p, node))
            case Add():
                return (_sum([_merged(parts) for parts in inputs]),)
            case Concat():
                return tuple(part for parts in inputs for part in parts)
        raise TypeError(f"no lowering of {type(node.op).__name__}")

    @staticmethod
    def _each(parts: Parts, function: Callable[[Part, int, int], Part]) -> Parts:
        """Apply an operator that treats channels alike to each part; it is told the part's channels."""
        results, first = [], 0
        for part in parts:
            end = first + part.shape[0]
            results.append(function(part, first, end))
            first = end
        return tuple(results)

    def _input(self, node: Node) -> Part:
        shape = node.shape
        self.layers.append(InputLayer("input", shape))
        gain = np.broadcast_to(self.gain, shape[:1]).astype(np.float64)
        bias = np.broadcast_to(forward.spread(np.broadcast_to(self.shift, shape[:1]), shape), shape).astype(np.float64)
        term = Term("input", shape, shape, DiagMap(gain), 0, shape[0])
        return Form(shape, (term,), bias, bool((gain >= 0).all() and (bias >= 0).all()))

    def _name(self, origins: tuple[Origin, ...], fallback: str) -> str:
        modules = [o.module for o in origins if o.module and any(w in o.operator for w in ("conv", "linear", "addmm"))]
        name = modules[-1] if modules else fallback
        name = name if name[0].isalpha() or name[0] == "_" else f"m{name}"
        taken, count = {layer.name for layer in self.layers} | {"output"}, 2
        unique = name
        while unique in taken:
            unique, count = f"{name}_{count}", count + 1
        return unique

    def _add(self, name: str, form: Form, kind: str, bound: float, origins: tuple[Origin, ...]) -> Coded:
        shape = form.shape
        if len(shape) == 1 and any(isinstance(term.map, (ConvMap, PoolMap)) for term in form.terms):
            shape = (shape[0], 1, 1)  # one pixel was flattened: its neurons are still those of an image
        self.layers.append(Layer(name, shape, form.terms, form.bias.reshape(shape), kind, bound, origins))
        self.signed[name] = kind == "signed"
        return Coded(name, shape, form.shape, kind == "signed")

    def _coded(self, part: Part, node: Node) -> Coded:
        """Return the part as words of a population, which is made where there is none."""
        if isinstance(part, Coded):
            return part
        kind = "positive" if part.positive else "signed"
        return self._add(self._name(part.origins, part.name or node.name), part, kind, inf, part.origins)

    def _relu(self, part: Part, bound: float, node: Node) -> Part:
        form = _form(part)
        if form.positive and bound == inf:
            return part
        origins = (*form.origins, node.origin)
        return self._add(self._name(origins, node.name), form, "relu", bound, origins)

    def _flat(self, part: Part, node: Node) -> Part:
        size = (int(np.prod(part.shape)),)
        if part.shape == size:
            return part
        if isinstance(part, Form) and size[0] == part.shape[0]:  # one pixel: channels are neurons
            return replace(part, shape=size, bias=part.bias.reshape(size))
        if isinstance(part, Form) and part.light and all(t.end - t.first == part.shape[0] for t in part.terms):
            area = size[0] // part.shape[0]
            terms = tuple(
                replace(t, shape=size, map=DiagMap(np.repeat(t.weight, area)), first=0, end=size[0]) for t in part.terms
            )
            return replace(part, shape=size, terms=terms, bias=part.bias.reshape(size))
        return replace(self._coded(part, node), shape=size)

    def _average(self, part: Part, op: AvgPool, node: Node) -> Part:
        form = _form(part if isinstance(part, Coded) or part.light else self._coded(part, node))
        shape = _pooled_shape(part.shape, node)
        unit = PoolMap(op.kernel, op.stride, op.padding, np.full(shape[0], 1 / op.divisor))
        terms = tuple(replace(t, map=replace(unit, gain=t.weight / op.divisor)) for t in form.terms)
        bias = forward.apply(unit, form.bias[None])[0].reshape(shape)
        return Form(shape, terms, bias, form.positive, form.origins)

    def _largest(self, part: Part, op: MaxPool, node: Node) -> Part:
        """Max pooling; through a rescaling with positive gains of one source, which keeps the order of words."""
        shape = _pooled_shape(part.shape, node)
        through = isinstance(part, Form) and _keeps_order(part)
        source = part.terms[0].source if isinstance(part, Form) and through else self._coded(part, node).name
        name = self._name((), f"{source}_{node.name}")
        self.layers.append(PoolLayer(name, shape, source, op.kernel, op.stride, op.padding, op.dilation))
        self.signed[name] = self.signed[source]
        pooled = Coded(name, shape, shape, self.signed[source])
        if not (isinstance(part, Form) and through):
            return pooled
        bias = np.broadcast_to(part.bias[:, :1, :1], shape).copy()
        return replace(
            part, shape=shape, terms=(replace(part.terms[0], source=name, own=shape, shape=shape),), bias=bias
        )

    def _linear(self, node: Node, parts: Parts) -> Form:
        """Return the form of a linear operator on parts that are coded, or made so."""
        op = node.op
        assert isinstance(op, (Linear, Conv))
        bias = np.zeros(node.shape) + forward.spread(op.bias, node.shape)
        terms: list[Term] = []
        first, origins = 0, [node.origin]
        for part in parts:
            form = part if isinstance(part, Form) and part.light else _form(self._coded(part, node))
            end = first + form.shape[0]
            map, low, high = _slice_of(op, first, end)
            for term in form.terms:
                terms.append(_composed(map, low, high, term, form.shape))
            if form.bias.any():
                bias[low:high] += forward.apply(map, form.bias[None])[0]
            origins = [*(o for o in form.origins if o.operator != "input"), *origins]
            first = end
        return Form(node.shape, tuple(terms), bias, False, tuple(dict.fromkeys(origins)))


def _affine(form: Form, scale: Array, shift: Array) -> Form:
    bias = form.bias * forward.spread(scale, form.shape) + forward.spread(shift, form.shape)
    return replace(form, terms=tuple(term.scaled(scale) for term in form.terms), bias=bias, positive=False)


def _sum(forms: list[Form]) -> Form:
    terms = tuple(term for form in forms for term in form.terms)
    origins = tuple(dict.fromkeys(origin for form in forms for origin in form.origins))
    bias = sum((form.bias for form in forms), np.zeros(forms[0].shape))
    return Form(forms[0].shape, terms, bias, all(form.positive for form in forms), origins)


def _keeps_order(form: Form) -> bool:
    """Return whether max pooling may go before the form: one source at its own place, positive gains, even bias."""
    term = form.terms[0]
    whole = len(form.terms) == 1 and isinstance(term.map, DiagMap) and (term.first, term.end) == (0, form.shape[0])
    even = bool((form.bias == form.bias[:, :1, :1]).all())
    return whole and even and bool((term.weight > 0).all())


def _pooled_shape(shape: Shape, node: Node) -> Shape:
    return (shape[0], *node.shape[1:])


def _slice_of(op: Linear | Conv, first: int, end: int) -> tuple[Map, int, int]:
    """Return the map restricted to its input channels `first` to `end`, and the output channels that it reaches."""
    if isinstance(op, Linear):
        return DenseMap(op.weight[:, first:end]), 0, len(op.weight)
    return grouped_slice(ConvMap(op.weight, op.stride, op.padding, op.dilation, op.groups), first, end)


def _composed(map: Map, low: int, high: int, term: Term, shape: Shape) -> Term:
    """Return `map` after the rescaling `term`, which may feed only some of the map's input channels."""
    assert isinstance(map, (DenseMap, ConvMap))
    if isinstance(map, DenseMap):
        weight = map.weight[:, term.first : term.end] * term.weight
        return replace(term, map=DenseMap(weight), first=low, end=high)
    if (term.first, term.end) != (0, shape[0]):
        map, a, b = grouped_slice(map, term.first, term.end)
        low, high = low + a, low + b
    weight = channel_gains(map.weight, term.weight, map.groups)
    return replace(term, map=replace(map, weight=weight), first=low, end=high)

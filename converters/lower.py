# SPDX-License-Identifier: Apache-2.0
"""From the float graph to layers: which sums of maps become populations.

A value on the way is a list of parts, concatenated along the channels. A part is either `Coded`, the words of a
population, or a `Form`, a sum of maps that no neuron has computed yet. Linear operators act on coded values, or on
forms that move each value to its own place, with which they compose; any other form becomes a signed population first.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import inf
from typing import Any, ClassVar

import numpy as np

from spikerun.converters import forward
from spikerun.converters.activations import Given, Readout, Rectifier
from spikerun.converters.curved import Curved
from spikerun.converters.encoding import Encoding
from spikerun.converters.fuse import check_products
from spikerun.converters.graph import (
    Add,
    Affine,
    Array,
    AvgPool,
    Concat,
    Conv,
    Curve,
    Final,
    Flatten,
    Graph,
    Input,
    Linear,
    MaxPool,
    Node,
    Output,
    Rearrange,
    Relu,
    Shape,
)
from spikerun.converters.layers import Layers
from spikerun.converters.maps import ConvMap, DenseMap, Map, PlaceMap, PoolMap, Term
from spikerun.converters.parts import Coded, Form, Part, Parts, merged, summed
from spikerun.converters.populations import Populations
from spikerun.converters.rules import not_converted
from spikerun.converters.sparse_map import channels_of, folded
from spikerun.errors import ConversionError

__all__ = ["LOWER", "Lowering", "lower"]

ADVICE: Mapping[type, str] = {
    Final: "it is left out only where it is the last operator: return what is before it (the logits) from forward",
}
UNKNOWN = "no neuron computes it: replace it by operators that docs/operators.md lists"
COMPOSED = 2**22  # values that the windows of a pool take at most, to be one map with what moves them


def lower(graph: Graph, encodings: Mapping[str, Encoding]) -> Layers:
    """Return the layers of a simplified graph, whose inputs are integers in these encodings.

    Raises ConversionError where the graph multiplies two values.
    """
    check_products(graph)
    return Lowering(graph, encodings, Populations({*graph.inputs, *graph.outputs})).run()


def _pooled_shape(shape: Shape, node: Node) -> Shape:
    return (shape[0], *node.shape[1:])


class Lowering:
    """Walks a graph; `table` holds a method for each operator, `made` takes the populations."""

    table: ClassVar[Mapping[type, Callable[[Any, Node, Any, list[Parts]], Parts]]]

    def __init__(self, graph: Graph, encodings: Mapping[str, Encoding], made: Populations) -> None:
        self.graph, self.encodings, self.made = graph, encodings, made
        self.values: dict[str, Parts] = {}

    def run(self) -> Layers:
        self._check()
        shared = self._shared()
        for node in self.graph.nodes.values():
            lowered = self.table[type(node.op)](self, node, node.op, [self.values[name] for name in node.inputs])
            parts = tuple(part.traced(node) for part in lowered)
            if node.name in shared:  # computed once, not once for every reader
                parts = tuple(p if p.light else self.made.ready(p, node) for p in parts)
            self.values[node.name] = parts
        return self.made.layers()

    def _check(self) -> None:
        """Refuse, all at once, operators that no neuron and no synapse can compute."""
        wrong = [node for node in self.graph.nodes.values() if type(node.op) not in self.table]
        if wrong:
            raise not_converted([f"{n.origin or n.name}\n    {ADVICE.get(type(n.op), UNKNOWN)}" for n in wrong])

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

    def input(self, node: Node, op: Input, inputs: list[Parts]) -> Parts:
        return (self.made.input(op.name, node.shape, self.encodings[op.name]),)

    def output(self, node: Node, op: Output, inputs: list[Parts]) -> Parts:
        return (self.made.add(op.name, merged(inputs[0]), Readout()),)

    def relu(self, node: Node, op: Relu, inputs: list[Parts]) -> Parts:
        def rectified(part: Part, first: int, end: int) -> Part:
            form = part.form()
            if form.positive and op.bound == inf:
                return part
            form = replace(form, origins=(*form.origins, node.origin))
            activation = Given(op.bound) if op.given else Rectifier(op.bound)
            return self.made.add(self.made.named(form.origins, node.name), form, activation)

        return self._each(inputs[0], rectified)

    def curve(self, node: Node, op: Curve, inputs: list[Parts]) -> Parts:
        def bent(part: Part, first: int, end: int) -> Part:
            form = part.form()
            form = replace(form, origins=(*form.origins, node.origin))
            activation = Curved.of(op, first, end, node.shape[0], node.origin)
            return self.made.add(self.made.named(form.origins, node.name), form, activation)

        return self._each(inputs[0], bent)

    def affine(self, node: Node, op: Affine, inputs: list[Parts]) -> Parts:
        scale, shift = (_collapsed(values, node.shape) for values in (op.scale, op.shift))

        def scaled(part: Part, first: int, end: int) -> Part:
            form = part.form()
            if scale.ndim > 1 and not form.scalable:
                form = self.made.coded(part, node).form()
            return form.affine(scale[first:end], shift[first:end])

        return self._each(inputs[0], scaled)

    def rearrange(self, node: Node, op: Rearrange, inputs: list[Parts]) -> Parts:
        parts = inputs[0]
        if op.fill == -inf and (op.index < 0).any():
            return (self._lowest(node, op.index, parts),)
        rest = parts[0].shape[1:]
        taken = channels_of(op.index, math.prod(rest)) if op.index.shape[1:] == rest else None
        if taken is not None:
            return self._selected(node, taken, op.fill, parts)
        form = merged(tuple(p if p.form().placed else self.made.ready(p, node) for p in parts))
        return (form.rearranged(op.index, op.fill),)

    def _selected(self, node: Node, taken: Array, fill: float, parts: Parts) -> Parts:
        """Return the channels `taken`; parts that are taken as a whole stay as they are."""
        ends = np.cumsum([part.shape[0] for part in parts])
        starts = dict(zip((ends - [part.shape[0] for part in parts]).tolist(), parts, strict=True))
        results: list[Part] = []
        pending: list[int] = []

        def flush() -> None:
            if pending:
                chosen = np.array(pending)
                form = merged(parts).selected(chosen, fill)
                if form is None:
                    form = merged(tuple(self.made.ready(part, node) for part in parts)).selected(chosen, fill)
                assert form is not None, "words can be taken by channels"
                results.append(form)
                pending.clear()

        at = 0
        while at < len(taken):
            part = starts.get(int(taken[at]))
            end = at + (part.shape[0] if part is not None else 0)
            whole = np.arange(taken[at], taken[at] + end - at)
            if part is not None and (taken >= 0).all() and np.array_equal(taken[at:end], whole):
                flush()
                results.append(part)
                at = end
            else:
                pending.append(int(taken[at]))
                at += 1
        flush()
        return tuple(results)

    def _lowest(self, node: Node, index: Array, parts: Parts) -> Form:
        """Return values with places, those of -1 in `index`, that no max pool ever takes."""
        whole = merged(tuple(p if isinstance(p, Coded) or p.keeps_order else self.made.coded(p, node) for p in parts))
        for form in (whole, None):
            form = form or self.made.coded(whole, node).form()
            first = form.bias.reshape(form.shape[0], -1)[:, 0]
            moved = form.rearranged(index, 0.0)
            source = np.where(index < 0, -1, index // math.prod(form.shape[1:]))
            shift = first[source.reshape(len(source), -1).max(axis=1)]
            even = bool((np.where(index < 0, 0, moved.bias - forward.spread(shift, index.shape)) == 0).all())
            plain = replace(moved, bias=np.zeros(index.shape))
            relay = self.made.relay(plain, node.name, index < 0) if even else None
            if relay is not None:
                return replace(relay.form(), bias=np.zeros(index.shape) + forward.spread(shift, index.shape))
        raise ConversionError(
            f"{node.origin or node.name}: a max pool that looks beyond its image is not converted here"
        )

    def add(self, node: Node, op: Add, inputs: list[Parts]) -> Parts:
        return (summed([merged(parts) for parts in inputs]),)

    def concat(self, node: Node, op: Concat, inputs: list[Parts]) -> Parts:
        return tuple(part for parts in inputs for part in parts)

    def flatten(self, node: Node, op: Flatten, inputs: list[Parts]) -> Parts:
        return self._each(inputs[0], lambda part, first, end: self._flat(part, node))

    def _flat(self, part: Part, node: Node) -> Part:
        size = (int(np.prod(part.shape)),)
        if part.shape == size:
            return part
        if isinstance(part, Form) and part.placed and not part.light:
            return part.rearranged(np.arange(size[0]), 0.0)
        if isinstance(part, Form) and size[0] == part.shape[0]:  # one pixel: channels are neurons
            return replace(part, shape=size, bias=part.bias.reshape(size))
        if isinstance(part, Form) and part.light and all(t.end - t.first == part.shape[0] for t in part.terms):
            area = size[0] // part.shape[0]
            terms = tuple(
                replace(t, shape=size, map=PlaceMap(np.repeat(t.map.weight, area)), first=0, end=size[0])
                for t in part.terms
            )
            return replace(part, shape=size, terms=terms, bias=part.bias.reshape(size))
        return replace(self.made.coded(part, node), shape=size)

    def average(self, node: Node, op: AvgPool, inputs: list[Parts]) -> Parts:
        def averaged(part: Part, first: int, end: int) -> Part:
            form, shape = part.form(), _pooled_shape(part.shape, node)
            unit = PoolMap(np.full(shape[0], 1 / op.divisor), op.kernel, op.stride, op.padding)
            if form.placed and not form.light and math.prod((*shape, *op.kernel)) <= COMPOSED:
                return form.averaged(unit, op.divisor, shape)
            form = form if form.light else self.made.ready(part, node).form()
            terms = tuple(replace(t, map=replace(unit, weight=t.map.weight / op.divisor)) for t in form.terms)
            bias = unit.apply(form.bias[None])[0].reshape(shape)
            return Form(shape, terms, bias, form.positive, form.origins)

        return self._each(inputs[0], averaged)

    def largest(self, node: Node, op: MaxPool, inputs: list[Parts]) -> Parts:
        return self._each(inputs[0], lambda part, first, end: self._largest(part, op, node))

    def _largest(self, part: Part, op: MaxPool, node: Node) -> Part:
        """Max pooling; through a rescaling with positive gains of one source, which keeps the order of words."""
        shape = _pooled_shape(part.shape, node)
        if isinstance(part, Form) and not part.keeps_order:
            part = self.made.ready(part, node)
        through = part if isinstance(part, Form) and part.keeps_order else None
        source = through.terms[0].source if through else self.made.coded(part, node).name
        pooled = self.made.pool(source, shape, op, node)
        if through is None:
            return pooled
        bias = np.broadcast_to(through.bias[:, :1, :1], shape)
        return replace(
            through,
            shape=shape,
            terms=(replace(through.terms[0], source=pooled.name, own=shape, shape=shape),),
            bias=bias,
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
            end = first + part.shape[0]
            sliced, low, high = whole.sliced(first, end)
            form = part.form()
            found = [_composed(sliced, low, term) for term in form.terms] if form.placed else [None]
            if None in found:
                form = self.made.ready(part, node).form()
                found = [_composed(sliced, low, term) for term in form.terms]
            terms += [term for term in found if term is not None]
            if form.bias.any():
                bias[low:high] += sliced.apply(form.bias[None])[0]
            origins = [*(o for o in form.origins if o.operator != "input"), *origins]
            first = end
        return Form(node.shape, tuple(terms), bias, False, tuple(dict.fromkeys(origins)))


def _composed(outer: Map, first: int, term: Term) -> Term | None:
    """Return `outer`, whose results begin at the channel `first`, after `term`; None where it cannot be one map."""
    part, low, high = outer.sliced(term.first, term.end)  # it may feed only some of the channels
    map_ = folded(part, term)
    return None if map_ is None else replace(term, map=map_, first=first + low, end=first + high)


def _collapsed(values: Array, shape: Shape) -> Array:
    """Return numbers for channels or places as (C,) where they are the same at all places of a channel."""
    whole = np.broadcast_to(forward.spread(values, shape), shape)
    rows = whole.reshape(shape[0], -1)
    return rows[:, 0] if (rows == rows[:, :1]).all() else whole


LOWER: Mapping[type, Callable[[Any, Node, Any, list[Parts]], Parts]] = {
    Input: Lowering.input,
    Output: Lowering.output,
    Linear: Lowering.linear,
    Conv: Lowering.conv,
    Affine: Lowering.affine,
    Relu: Lowering.relu,
    Curve: Lowering.curve,
    AvgPool: Lowering.average,
    MaxPool: Lowering.largest,
    Flatten: Lowering.flatten,
    Rearrange: Lowering.rearrange,
    Add: Lowering.add,
    Concat: Lowering.concat,
}
Lowering.table = LOWER

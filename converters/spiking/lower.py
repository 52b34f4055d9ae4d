# SPDX-License-Identifier: Apache-2.0
"""From one step to layers: each cell is a population, and what lies between cells becomes its maps."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from dataclasses import fields as dataclass_fields
from typing import Any, ClassVar

import numpy as np

from spikerun.converters import forward
from spikerun.converters.activations import Activation, Readout
from spikerun.converters.encoding import Encoding
from spikerun.converters.fuse import check_products
from spikerun.converters.graph import Array, Curve, Flatten, Graph, MaxPool, Node, Output, Relu, Shape
from spikerun.converters.layers import Layers
from spikerun.converters.lower import LOWER, Lowering
from spikerun.converters.maps import ConvMap, DenseMap, Map, PooledConvMap, PoolMap, Term
from spikerun.converters.parts import Coded, Form, Part, Parts, merged
from spikerun.converters.populations import Populations
from spikerun.converters.spiking.cell import Cell, Membrane, Previous
from spikerun.converters.spiking.step import result
from spikerun.errors import ConversionError

__all__ = ["Spiking", "Wired", "lower_step"]

MAX_SYNAPSES = 2**26  # of two linear operators that are put together


class Spiking(Activation):
    """What a cell makes of its currents: spikes."""

    kind = "spiking"

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        object.__setattr__(self, "cell", cell)

    cell: Cell


@dataclass(frozen=True, eq=False)
class Wired:
    """The layers of a step, and which population an output reads."""

    layers: Layers
    outputs: Mapping[str, str]


def lower_step(graph: Graph, encodings: Mapping[str, Encoding]) -> Wired:
    """Return the layers of a simplified graph of cells, whose inputs are integers in these encodings.

    Raises ConversionError where something between cells is no linear map.
    """
    check_products(graph)
    lowering = _StepLowering(graph, encodings)
    layers = lowering.run()
    return Wired(layers, lowering.outputs)


@dataclass(frozen=True)
class _Late(Coded):
    """The spikes of some steps before."""

    steps: int

    def form(self) -> Form:
        form = super().form()
        return replace(form, terms=tuple(replace(term, delay=self.steps) for term in form.terms))


class _Sending(Populations):
    """Populations of neurons that spike: there are no others between them."""

    def coded(self, part: Part, node: Node) -> Coded:
        if isinstance(part, Coded):
            return part
        raise ConversionError(
            f"{node.origin or node.name} reads what no neuron has computed yet ({part.name or 'a sum'}), which a "
            "spiking network cannot hold: put a spiking neuron between them"
        )

    def relay(self, form: Form, fallback: str, lowest: Array | None = None) -> None:
        """Return None: no population copies spikes, for they would come a step later."""


@dataclass
class _StepLowering(Lowering):
    graph: Graph
    encodings: Mapping[str, Encoding]
    outputs: dict[str, str] = field(default_factory=dict)
    table: ClassVar[Mapping[type, Callable[[Any, Node, Any, list[Parts]], Parts]]]

    def __post_init__(self) -> None:
        super().__init__(self.graph, self.encodings, _Sending(set(self.graph.inputs)))
        found = [node.op.name for node in self.graph.nodes.values() if isinstance(node.op, Cell)]
        self.names = {name: self.made.named((), re.sub(r"[^A-Za-z0-9_.-]", "_", name)) for name in found}

    def _shared(self) -> set[str]:
        """Return nothing: between cells there is no population that could keep a value."""
        return set()

    def relu(self, node: Node, op: Relu, inputs: list[Parts]) -> Parts:
        if op.bound == math.inf and all(part.form().positive for part in inputs[0]):
            return inputs[0]  # spikes are never negative
        raise ConversionError(
            f"{node.origin or node.name}: currents go through a ReLU before they reach a neuron, which a projection "
            "cannot do: leave it out and train again (the neuron's threshold is non-linear enough)"
        )

    def curve(self, node: Node, op: Curve, inputs: list[Parts]) -> Parts:
        raise ConversionError(
            f"{node.origin or node.name}: currents go through the activation '{op.name}' before they reach a neuron, "
            "which a projection cannot do: leave it out and train again"
        )

    def cell(self, node: Node, op: Cell, inputs: list[Parts]) -> Parts:
        coded = self.made.add(self.names[op.name], merged(inputs[0]), Spiking(op))
        return (_weighed(coded, op.factor),)

    def previous(self, node: Node, op: Previous, inputs: list[Parts]) -> Parts:
        sender = next(n.op for n in self.graph.nodes.values() if isinstance(n.op, Cell) and n.op.name == op.cell)
        assert isinstance(sender, Cell)
        return (_weighed(_Late(self.names[op.cell], node.shape, node.shape, False, op.steps), sender.factor),)

    def membrane(self, node: Node, op: Membrane, inputs: list[Parts]) -> Parts:
        readers = list(self.graph.consumers()[node.name])
        for reader in (self.graph.nodes[name] for name in readers):
            if isinstance(reader.op, Flatten):
                readers += self.graph.consumers()[reader.name]
            elif not isinstance(reader.op, Output):
                raise ConversionError(
                    f"{reader.origin or reader.name} takes the membrane of '{node.inputs[0]}', and projections carry "
                    "spikes: let those neurons fire, or make their membrane the result"
                )
        return inputs[0]

    def output(self, node: Node, op: Output, inputs: list[Parts]) -> Parts:
        read = result(self.graph, node)
        if isinstance(read.op, Membrane):
            read = self.graph.nodes[read.inputs[0]]
        if isinstance(read.op, Cell):
            self.outputs[op.name] = self.names[read.op.name]
            return inputs[0]
        self.outputs[op.name] = self.made.named((), op.name)
        return (self.made.add(self.outputs[op.name], merged(inputs[0]), Readout()),)

    def _flat(self, part: Part, node: Node) -> Part:
        if isinstance(part, Coded) or part.light or part.shape[1:] in ((), (1, 1)):
            return super()._flat(part, node)
        size = (math.prod(part.shape),)
        terms = tuple(replace(term, map=_dense(term, part.shape, node), first=0, end=size[0]) for term in part.terms)
        return replace(part, shape=size, terms=terms, bias=part.bias.reshape(size))

    def _largest(self, part: Part, op: MaxPool, node: Node) -> Part:
        if any(term.delay for term in part.form().terms):
            raise ConversionError(f"{node.origin}: a max pool of the spikes of steps before is not converted")
        if isinstance(part, Form) and not part.keeps_order:
            return self._pooled(part, op, node)
        return super()._largest(part, op, node)

    def _pooled(self, form: Form, op: MaxPool, node: Node) -> Form:
        """Return the largest sums of a convolution that no neuron has taken yet."""
        term = form.terms[0]
        even = bool((form.bias == form.bias[:, :1, :1]).all())
        if len(form.terms) != 1 or type(term.map) is not ConvMap or not even or term.end - term.first != form.shape[0]:
            raise ConversionError(
                f"{node.origin or node.name}: a max pool takes the spikes of neurons, or the currents of one "
                "convolution; this one takes other sums: put a neuron before it"
            )
        fields = {f.name: getattr(term.map, f.name) for f in dataclass_fields(term.map)}
        pooled = PooledConvMap(
            **fields, pool_kernel=op.kernel, pool_stride=op.stride, pool_padding=op.padding, pool_dilation=op.dilation
        )
        bias = np.broadcast_to(form.bias[:, :1, :1], node.shape)
        return replace(form, shape=node.shape, terms=(replace(term, map=pooled),), bias=bias)

    def _linear(self, node: Node, whole: Map, bias: Array, parts: Parts) -> Form:
        if all(part.light for part in parts):
            return super()._linear(node, whole, bias, parts)
        form = merged(parts)
        if len(node.shape) != 1:
            return self._convolved(node, whole, bias, form)
        outer = _matrix(whole, form.shape, math.prod(node.shape), node)
        terms = []
        for term in form.terms:
            inner = _dense(term, form.shape, node)
            terms.append(replace(term, map=DenseMap(outer @ inner.weight), first=0, end=node.shape[0]))
        total = np.zeros(node.shape) + forward.spread(bias, node.shape)
        total += (outer @ form.bias.reshape(-1)).reshape(node.shape)
        return Form(node.shape, tuple(terms), total, False, (*form.origins, node.origin))

    def _convolved(self, node: Node, whole: Map, bias: Array, form: Form) -> Form:
        """Return a convolution of sums of windows as one with a larger kernel."""
        term = form.terms[0]
        if (
            len(form.terms) == 1
            and isinstance(term.map, PoolMap)
            and isinstance(whole, ConvMap)
            and not form.bias.any()
        ):
            conv = _through_pool(whole, term.map, term.shape)
            places = conv.apply(np.zeros((1, *term.shape))).shape[1:] if conv else ()
            if conv is not None and places == node.shape:
                total = np.zeros(node.shape) + forward.spread(bias, node.shape)
                return Form(
                    node.shape, (replace(term, map=conv, first=0, end=node.shape[0]),), total, False, form.origins
                )
        raise ConversionError(
            f"{node.origin or node.name}: this convolution of averages is not converted (only windows side by side, of "
            "one layer, that cover its image), nor one of values that come to other places: put a neuron between"
        )


def _through_pool(conv: ConvMap, pool: PoolMap, shape: Shape) -> ConvMap | None:
    """Return the convolution of a sum pool's source that equals `conv` behind it; None if no one convolution does."""
    if pool.padding != (0, 0) or any(k > s for k, s in zip(pool.kernel, pool.stride, strict=True)):
        return None  # windows that overlap, or see outside
    if any(n % s and p for n, s, p in zip(shape[1:], pool.stride, conv.padding, strict=True)):
        return None  # what the pool leaves out at the end would be seen where the padding is
    weight = conv.scaled_in(pool.weight).weight
    (high, wide), (dy, dx) = pool.stride, conv.dilation
    taps = weight.shape[2:]
    sizes = tuple(s * d * (n - 1) + k for s, d, n, k in zip(pool.stride, conv.dilation, taps, pool.kernel, strict=True))
    spread = np.zeros((*weight.shape[:2], *sizes))
    for y in range(taps[0]):
        for x in range(taps[1]):
            top, left = high * dy * y, wide * dx * x
            spread[:, :, top : top + pool.kernel[0], left : left + pool.kernel[1]] += weight[:, :, y : y + 1, x : x + 1]
    stride = (conv.stride[0] * high, conv.stride[1] * wide)
    padding = (conv.padding[0] * high, conv.padding[1] * wide)
    return ConvMap(spread, stride, padding, (1, 1), conv.groups)


def _weighed(coded: Coded, factor: Array) -> Part:
    """Return spikes as their readers take them."""
    if (factor == 1).all():
        return coded
    return coded.form().affine(np.broadcast_to(factor, coded.shape[:1]), np.zeros(coded.shape[0]))


def _dense(term: Term, shape: Shape, node: Node) -> DenseMap:
    """Return the matrix of a term into a target of `shape`, the channels that it does not reach included."""
    if isinstance(term.map, PooledConvMap):
        raise ConversionError(f"{node.origin or node.name}: a max pool of currents must lead to spiking neurons")
    inner = _matrix(term.map, term.shape, math.prod(shape), node)
    whole = np.zeros((math.prod(shape), inner.shape[1]))
    place = math.prod(shape[1:])
    whole[term.first * place : term.end * place] = inner
    return DenseMap(whole)


def _matrix(map_: Map, shape: Shape, size: int, node: Node) -> Array:
    """Return the matrix of a map of `shape`; refuse to make one that leads to `size` neurons if it is too large."""
    if size * math.prod(shape) > MAX_SYNAPSES:
        raise ConversionError(
            f"{node.origin or node.name}: two linear operators follow each other without a neuron between them, and "
            f"together they have {size * math.prod(shape):,} synapses, more than {MAX_SYNAPSES:,}: put a neuron between"
        )
    matrix: Array = Map.flat(map_, shape).weight
    return matrix


_StepLowering.table = {
    **LOWER,
    Cell: _StepLowering.cell,
    Curve: _StepLowering.curve,
    Relu: _StepLowering.relu,
    Previous: _StepLowering.previous,
    Membrane: _StepLowering.membrane,
    Output: _StepLowering.output,
}

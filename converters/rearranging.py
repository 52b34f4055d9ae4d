# SPDX-License-Identifier: Apache-2.0
"""Rewrites of the float graph about values that move: rearrangements meet, and go behind what acts on values alone.

Each is exact. Together they leave few of them: transposes cancel, and what an activation computes is computed before it
is repeated.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from spikerun.converters import forward
from spikerun.converters.graph import (
    Add,
    Affine,
    Array,
    AvgPool,
    Concat,
    Conv,
    ConvTranspose,
    Curve,
    Flatten,
    Graph,
    MaxPool,
    Node,
    Op,
    Rearrange,
    Relu,
    Shape,
)
from spikerun.converters.padding import evenly_padded
from spikerun.converters.transposed import as_conv

__all__ = ["moved_back", "settled", "uniform"]


def uniform(graph: Graph) -> Graph:
    """Return an equal graph of vectors and images: signals (C, L) are images of height 1, other axes are joined.

    Transposed convolutions are convolutions, and flattenings rearrangements.
    """
    nodes: dict[str, Node] = {}
    for node in graph.nodes.values():
        shape = _as_image(node.shape)
        op = _reshaped(node.op, node.shape, shape)
        if isinstance(op, Flatten):
            op = Rearrange(np.arange(math.prod(shape)))
        if isinstance(op, ConvTranspose):
            conv, inner, order = as_conv(op, nodes[node.inputs[0]].shape, shape)
            if order is not None:
                before = f"{node.name}.phases"
                nodes[before] = replace(node, name=before, op=conv, shape=inner)
                nodes[node.name] = replace(node, op=order, inputs=(before,), shape=shape)
                continue
            op = conv
        nodes[node.name] = replace(node, op=op, shape=shape)
    return Graph(nodes)


def _as_image(shape: Shape) -> Shape:
    if len(shape) == 2:
        return (shape[0], 1, shape[1])
    return (*shape[:2], math.prod(shape[2:])) if len(shape) > 3 else shape or (1,)


def _reshaped(op: Op, own: Shape, shape: Shape) -> Op:
    """Return an operator whose result is read as `shape`."""
    if own == shape:
        return op
    if isinstance(op, Rearrange):
        return replace(op, index=op.index.reshape(shape))
    if isinstance(op, Affine):
        scale, shift = (v.reshape(shape) if v.shape == own and v.ndim > 1 else v for v in (op.scale, op.shift))
        return Affine(scale.reshape(-1) if shape == (1,) else scale, shift.reshape(-1) if shape == (1,) else shift)
    return op


def moved_back(graph: Graph) -> Graph:
    """Return an equal graph in which no rearrangement follows another, or stands before what acts on single values."""
    while (changed := next(filter(None, _rewrites(graph)), None)) is not None:
        graph = changed
    return graph


def _rewrites(graph: Graph) -> Iterator[Graph | None]:
    """Yield for each node what REWRITE makes of the graph where a rearrangement stands before it; None: nothing."""
    consumers = graph.consumers()
    for node in graph.nodes.values():
        moved = all(isinstance(graph.nodes[name].op, Rearrange) for name in node.inputs)
        alone = all(len(consumers[name]) == 1 for name in node.inputs)
        if type(node.op) in REWRITE and moved and (alone or isinstance(node.op, SHARING)):
            yield REWRITE[type(node.op)](graph, node)


def settled(graph: Graph) -> Graph:
    """Return an equal graph in which rearrangements that only flatten are `Flatten`, and those of nothing are gone."""
    nodes: dict[str, Node] = {}
    alias: dict[str, str] = {}
    for node in graph.nodes.values():
        node = replace(node, inputs=tuple(alias.get(name, name) for name in node.inputs))
        if isinstance(node.op, Rearrange):
            source = nodes[node.inputs[0]].shape
            size = math.prod(source)
            if node.op.index.size == size and (node.op.index.reshape(-1) == np.arange(size)).all():
                if node.shape == source:
                    alias[node.name] = node.inputs[0]
                    continue
                if len(node.shape) == 1:
                    node = replace(node, op=Flatten())
        nodes[node.name] = node
    return Graph(nodes)


def _composed(graph: Graph, node: Node) -> Graph | None:
    """Return the graph with two rearrangements that follow each other as one."""
    before = graph.nodes[node.inputs[0]]
    outer, inner = node.op, before.op
    assert isinstance(outer, Rearrange) and isinstance(inner, Rearrange)
    index = np.where(outer.index < 0, -1, inner.index.reshape(-1)[outer.index])
    fills = {op.fill for op in (outer, inner) if (op.index < 0).any()}
    if len(fills) > 1:
        return None
    one = Rearrange(index, fills.pop() if fills else 0.0)
    nodes = {**graph.nodes, node.name: replace(node, op=one, inputs=before.inputs)}
    return _without(Graph(nodes), before.name)


def _joined(graph: Graph, node: Node) -> Graph | None:
    """Return the graph with a concatenation of rearrangements of one value as one."""
    before = [graph.nodes[name] for name in node.inputs]
    orders = [found.op for found in before if isinstance(found.op, Rearrange)]
    sources = {found.inputs for found in before}
    fills = {op.fill for op in orders if (op.index < 0).any()}
    if len(sources) > 1 or len(fills) > 1:
        return None
    one = Rearrange(np.concatenate([op.index for op in orders]), fills.pop() if fills else 0.0)
    graph = Graph({**graph.nodes, node.name: replace(node, op=one, inputs=sources.pop())})
    for name in {found.name for found in before}:
        graph = _without(graph, name)
    return graph


def _without(graph: Graph, name: str) -> Graph:
    """Return the graph without a node, if nothing reads it."""
    if graph.consumers()[name]:
        return graph
    return Graph({key: node for key, node in graph.nodes.items() if key != name})


def _hoisted(graph: Graph, node: Node) -> Graph | None:
    """Return the graph with `f(rearranged(x))` written as `rearranged(f(x))`."""
    before = graph.nodes[node.inputs[0]]
    source = graph.nodes[before.inputs[0]]
    found = _before(node.op, before.op, source.shape)
    if found is None:
        return None
    op, order = found
    first = replace(node, name=before.name, op=op, inputs=before.inputs, shape=source.shape)
    then = replace(before, name=node.name, op=order, inputs=(before.name,))
    return Graph({**graph.nodes, before.name: first, node.name: then})


def _before(op: Op, order: Op, source: Shape) -> tuple[Op, Op] | None:
    """Return (operator, rearrangement) in this order that equal `op` behind `order`; None where there are none."""
    assert isinstance(order, Rearrange)
    outside = order.index < 0
    if isinstance(op, Affine):
        scale, shift = (_along(values, order.index, source) for values in (op.scale, op.shift))
        if scale is None or shift is None:
            return None
        filled = np.broadcast_to(op.apply(np.full((1, *order.index.shape), order.fill))[0], order.index.shape)[outside]
        if len(filled) and not np.isfinite(order.fill):
            return None
        op = Affine(scale, shift)
    elif isinstance(op, Curve) and not op.alike:
        return None
    else:
        filled = op.apply(np.full((1, 1), order.fill))[0] if outside.any() else np.zeros(0)
    if len(filled) and not (filled == filled[0]).all():
        return None
    return op, replace(order, fill=float(filled[0]) if len(filled) else 0.0)


def _along(values: Array, index: Array, source: Shape) -> Array | None:
    """Return numbers of channels or places (C,) before a rearrangement, for those behind it; None if there are none."""
    whole = np.broadcast_to(forward.spread(values, index.shape), index.shape)
    inside = index >= 0
    taken, wanted = index[inside], whole[inside]
    if len(wanted) and (wanted == wanted[0]).all():
        return np.full(source[0], wanted[0])
    channel = taken // math.prod(source[1:])
    found = np.ones(source[0])
    found[channel] = wanted
    return found if (found[channel] == wanted).all() else None


def _hoisted_sum(graph: Graph, node: Node) -> Graph | None:
    """Return the graph with a sum of values that are rearranged alike as one that is rearranged."""
    left, right = (graph.nodes[name] for name in node.inputs)
    a, b = left.op, right.op
    assert isinstance(a, Rearrange) and isinstance(b, Rearrange)
    shapes = {graph.nodes[n.inputs[0]].shape for n in (left, right)}
    if len(shapes) > 1 or not np.array_equal(a.index, b.index):
        return None
    first = replace(node, name=right.name, inputs=(left.inputs[0], right.inputs[0]), shape=shapes.pop())
    then = replace(right, name=node.name, op=Rearrange(a.index, a.fill + b.fill), inputs=(right.name,))
    nodes = {**graph.nodes, right.name: first, node.name: then}
    del nodes[left.name]
    return Graph(_ordered(nodes))


def _ordered(nodes: dict[str, Node]) -> dict[str, Node]:
    """Return nodes with each behind its inputs, else in the order that they have."""
    done: dict[str, Node] = {}

    def visit(name: str) -> None:
        if name not in done:
            for source in nodes[name].inputs:
                visit(source)
            done[name] = nodes[name]

    for name in nodes:
        visit(name)
    return done


def _into_padding(graph: Graph, node: Node) -> Graph | None:
    """Return the graph with zeros around an image as the padding of what reads it."""
    before = graph.nodes[node.inputs[0]]
    assert isinstance(before.op, Rearrange)
    source = graph.nodes[before.inputs[0]].shape
    fill = -math.inf if isinstance(node.op, MaxPool) else 0.0
    pads = _zeros_around(before.op, source, fill)
    op = _padded(node.op, pads) if pads is not None else None
    if op is None:
        return None
    return _without(Graph({**graph.nodes, node.name: replace(node, op=op, inputs=before.inputs)}), before.name)


def _zeros_around(op: Rearrange, source: Shape, fill: float) -> tuple[int, int, int, int] | None:
    """Return (top, bottom, left, right) of a rearrangement that only puts `fill` around an image; else None."""
    shape = op.index.shape
    if len(shape) != 3 or len(source) != 3 or shape[0] != source[0] or op.fill != fill:
        return None
    found = np.argwhere(op.index[0] >= 0)
    if not len(found):
        return None
    (top, left), (bottom, right) = found.min(axis=0), found.max(axis=0) + 1
    if (bottom - top, right - left) != source[1:]:
        return None
    pads = (int(top), int(shape[1] - bottom), int(left), int(shape[2] - right))
    image = np.arange(math.prod(source)).reshape(source)
    whole = np.pad(image, ((0, 0), pads[:2], pads[2:]), constant_values=-1)
    return pads if np.array_equal(whole, op.index) else None


def _padded(op: Op, pads: tuple[int, int, int, int]) -> Op | None:
    """Return an operator of images that pads by so much more; None where it has no such padding."""
    if isinstance(op, Conv):
        return evenly_padded(op, pads)
    assert isinstance(op, AvgPool | MaxPool)
    if pads[0] != pads[1] or pads[2] != pads[3]:
        return None
    padding = (op.padding[0] + pads[0], op.padding[1] + pads[2])
    fits = all(2 * p <= k for p, k in zip(padding, op.kernel, strict=True))
    return replace(op, padding=padding) if fits else None


SHARING = (Rearrange, Concat)  # which need not be the only reader of the rearrangements before them
# What becomes of an operator that reads nothing but rearranged values; None where nothing can.
REWRITE: Mapping[type[Op], Callable[[Graph, Node], Graph | None]] = {
    Rearrange: _composed,
    Concat: _joined,
    Relu: _hoisted,
    Affine: _hoisted,
    Curve: _hoisted,
    Add: _hoisted_sum,
    Conv: _into_padding,
    AvgPool: _into_padding,
    MaxPool: _into_padding,
}

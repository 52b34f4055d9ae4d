# SPDX-License-Identifier: Apache-2.0
"""Rewrites of the float graph that change no value: what does nothing goes, functions that are written out become one
operator, and activations move before what moves.
"""

from dataclasses import replace

from spikerun.converters.curved import increases
from spikerun.converters.fuse import fused, without_identities
from spikerun.converters.graph import Curve, Flatten, Graph, MaxPool, Node, Relu
from spikerun.converters.ranges import as_curves, needed
from spikerun.converters.rearranging import moved_back, settled, uniform

__all__ = ["simplify"]


def simplify(graph: Graph) -> Graph:
    """Return an equal graph of vectors and images, without identities, in which activations come early.

    What is computed of one value alone is one operator. No rectifier follows a max pool or a flattening, and no
    rearrangement another; signals (C, L) are images (C, 1, L), those of the inputs too.
    """
    graph = moved_back(uniform(as_curves(fused(needed(without_identities(graph))))))
    while (pair := _late_rectifier(graph)) is not None:
        graph = moved_back(_swapped(graph, *pair))
    graph = fused(settled(graph))
    while (pair := _late_rectifier(graph)) is not None:
        graph = _swapped(graph, *pair)
    return graph


def _late_rectifier(graph: Graph) -> tuple[Node, Node] | None:
    """Return (mover, activation): a max pool or flattening whose only reader is an activation that commutes with it."""
    consumers = graph.consumers()
    for node in graph.nodes.values():
        if not isinstance(node.op, (Relu, Curve)):
            continue
        before = graph.nodes[node.inputs[0]]
        if isinstance(before.op, (MaxPool, Flatten)) and len(consumers[before.name]) == 1 and _commute(before, node):
            return before, node
    return None


def _commute(mover: Node, activation: Node) -> bool:
    """Return whether an activation may move before what it reads."""
    op = activation.op
    if not isinstance(op, Curve):
        return True
    return op.alike if isinstance(mover.op, Flatten) else increases(op, activation.shape[0])


def _swapped(graph: Graph, mover: Node, rectifier: Node) -> Graph:
    """Return the graph with `rectifier(mover(x))` written as `mover(rectifier(x))`; the names keep their places."""
    source = graph.nodes[mover.inputs[0]]
    nodes: dict[str, Node] = {}
    for node in graph.nodes.values():
        if node.name == mover.name:
            nodes[node.name] = replace(rectifier, name=mover.name, inputs=mover.inputs, shape=source.shape)
        elif node.name == rectifier.name:
            nodes[node.name] = replace(mover, name=rectifier.name, inputs=(mover.name,), shape=rectifier.shape)
        else:
            nodes[node.name] = node
    return Graph(nodes)

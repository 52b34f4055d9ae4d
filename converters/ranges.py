# SPDX-License-Identifier: Apache-2.0
"""Ranges that begin below 0, as quantised models give them: what words of the populations stand for that send them.

A range is needed where a value must become words: where a layer with weights or a pool reads a sum, or a function of
one. Sums that are added, and those that an activation takes, need no words, and so no range.
"""

from collections.abc import Sequence
from dataclasses import replace

from spikerun.converters.graph import (
    Add,
    Affine,
    AvgPool,
    Concat,
    Conv,
    ConvTranspose,
    Curve,
    Flatten,
    Graph,
    Identity,
    Linear,
    MaxPool,
    Multiply,
    Node,
    Ranged,
    Rearrange,
)
from spikerun.text import listed, plural

__all__ = ["RANGE", "as_curves", "needed", "said", "without"]

RANGE = "range"  # the name of the curve that is a range alone
WEIGHTED = (Conv, ConvTranspose, Linear)


def needed(graph: Graph) -> Graph:
    """Return the graph with those ranges only that say what words stand for, each of them once."""
    consumers = graph.consumers()

    def sends(name: str) -> bool:
        """Return whether a value must become words."""
        readers = [graph.nodes[reader] for reader in consumers[name]]
        return any(
            isinstance(r.op, (*WEIGHTED, MaxPool, AvgPool))
            or (isinstance(r.op, Ranged | Flatten | Rearrange | Concat) and sends(r.name))
            for r in readers
        )

    nodes: dict[str, Node] = {}
    alias: dict[str, str] = {}
    known: dict[tuple[str, Ranged], str] = {}
    for node in graph.nodes.values():
        node = replace(node, inputs=tuple(alias.get(name, name) for name in node.inputs))
        if isinstance(node.op, Ranged):
            key = node.inputs[0], node.op
            if key in known or not (sends(node.name) and _summed(nodes, node.inputs[0])):
                alias[node.name] = known.get(key, node.inputs[0])
                continue
            known[key] = node.name
        nodes[node.name] = node
    return replace(graph, nodes=nodes)


def _summed(nodes: dict[str, Node], name: str) -> bool:
    """Return whether a value is a sum, or an activation, which has no words of its own yet."""
    node = nodes[name]
    return isinstance(node.op, (*WEIGHTED, Add, Curve, Multiply)) or (
        isinstance(node.op, Affine) and _summed(nodes, node.inputs[0])
    )


def as_curves(graph: Graph) -> Graph:
    """Return the graph with the ranges in the activations before them, or as curves that change nothing."""
    consumers = graph.consumers()
    nodes: dict[str, Node] = {}
    alias: dict[str, str] = {}
    for node in graph.nodes.values():
        node = replace(node, inputs=tuple(alias.get(name, name) for name in node.inputs))
        if isinstance(node.op, Ranged):
            before = nodes[node.inputs[0]]
            if isinstance(before.op, Curve) and len(consumers[before.name]) == 1:
                nodes[before.name] = replace(before, op=replace(before.op, given=node.op))
                alias[node.name] = before.name
                continue
            node = replace(node, op=Curve(RANGE, lambda x: x, given=node.op))
        nodes[node.name] = node
    return replace(graph, nodes=nodes)


def without(graph: Graph) -> Graph:
    """Return the graph without ranges, for networks that have no words."""
    nodes = {n.name: replace(n, op=Identity()) if isinstance(n.op, Ranged) else n for n in graph.nodes.values()}
    return replace(graph, nodes=nodes)


def said(graph: Graph, taken: Sequence[str]) -> list[str]:
    """Return what is to be said of the ranges of a graph as it was read, and of the populations that take theirs."""
    count = len({(node.inputs, node.op) for node in graph.nodes.values() if isinstance(node.op, Ranged)})
    if not count:
        return []
    text = f"{plural(count, 'range')} of the quantised model {'begins' if count == 1 else 'begin'} below 0: "
    parts = []
    if taken:
        parts.append(f"for {listed(taken)} taken as given, step and zero point, where words have 8 bits")
    if (left := count - len(taken)) > 0:
        parts.append(f"{left} not needed, what reads those values taking sums, or words that are there already")
    return [f"{text}{'; '.join(parts)}."]

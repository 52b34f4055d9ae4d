# SPDX-License-Identifier: Apache-2.0
"""Ranges that begin below 0, as quantised models give them: what words of the populations stand for that send them.

A range is needed where a value must become words: where a layer with weights or a pool reads a sum, or a function of
one. Sums that are added, and those that an activation takes, need no words, and so no range. What moves values, and max
pools, leave words as they are: a range behind them is that of what they move.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from spikerun.converters.curved import increases
from spikerun.converters.fuse import without_identities
from spikerun.converters.graph import (
    RANGE,
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
    Relu,
)
from spikerun.text import listed, plural

__all__ = ["as_curves", "needed", "said", "without"]

WEIGHTED = (Conv, ConvTranspose, Linear)
SUMS = (*WEIGHTED, Add, AvgPool, Curve, Multiply)  # what has no words of its own yet
MOVERS = (Flatten, Rearrange, Concat, MaxPool)  # what passes words on


def needed(graph: Graph) -> Graph:
    """Return the graph with those ranges only that say what words stand for, each of them once, right behind sums.

    One behind values that are moved, and of which others are read too, stands for no population, and goes.
    """
    graph = _wanted(graph)
    while (found := next(_behind_movers(graph), None)) is not None:
        graph = _before(graph, found) if _whole(graph, found) else _without(graph, [found.name])
    return graph


def _wanted(graph: Graph) -> Graph:
    """Return the graph without the ranges of values that never become words, or are words already."""
    graph = _once(graph)
    consumers = graph.consumers()
    needless = {n.name for n in _ranges(graph) if not (_sends(graph, consumers, n) and _summed(graph, n.inputs[0]))}
    return _without(graph, needless)


def _ranges(graph: Graph) -> Iterator[Node]:
    return (node for node in graph.nodes.values() if isinstance(node.op, Ranged))


def _once(graph: Graph) -> Graph:
    """Return the graph in which each range of a value stands once, under its name."""
    nodes: dict[str, Node] = {}
    alias: dict[str, str] = {}
    known: dict[tuple[str, Ranged], str] = {}
    for node in graph.nodes.values():
        node = replace(node, inputs=tuple(alias.get(name, name) for name in node.inputs))
        if isinstance(node.op, Ranged):
            key = node.inputs[0], node.op
            if key in known:
                alias[node.name] = known[key]
                continue
            known[key] = node.name
            node = replace(node, op=replace(node.op, name=node.name))
        nodes[node.name] = node
    return replace(graph, nodes=nodes)


def _without(graph: Graph, names: Iterable[str]) -> Graph:
    """Return the graph without these ranges."""
    gone = set(names)
    nodes = {n.name: replace(n, op=Identity()) if n.name in gone else n for n in graph.nodes.values()}
    return replace(without_identities(replace(graph, nodes=nodes)), notes=graph.notes)


def _sends(graph: Graph, consumers: Mapping[str, list[str]], node: Node) -> bool:
    """Return whether a value must become words."""
    readers = [graph.nodes[name] for name in consumers[node.name]]
    return any(
        isinstance(reader.op, (*WEIGHTED, AvgPool))
        or (isinstance(reader.op, MaxPool) and not _activated(graph, consumers, reader))
        or (isinstance(reader.op, Ranged | Flatten | Rearrange | Concat | Affine) and _sends(graph, consumers, reader))
        for reader in readers
    )


def _activated(graph: Graph, consumers: Mapping[str, list[str]], node: Node) -> bool:
    """Return whether an activation alone reads what a max pool gives, and so goes before it."""
    if len(consumers[node.name]) != 1:
        return False
    reader = graph.nodes[consumers[node.name][0]]
    if isinstance(reader.op, Curve):
        return increases(reader.op, reader.shape[0])
    passed = isinstance(reader.op, Ranged | Flatten | MaxPool)
    return isinstance(reader.op, Relu) or (passed and _activated(graph, consumers, reader))


def _summed(graph: Graph, name: str) -> bool:
    """Return whether a value is a sum, or an activation, or moved from such, which has no words of its own yet."""
    node = graph.nodes[name]
    passed = isinstance(node.op, (*MOVERS, Affine))
    return isinstance(node.op, SUMS) or (passed and any(_summed(graph, source) for source in node.inputs))


def _behind_movers(graph: Graph) -> Iterator[Node]:
    return (node for node in _ranges(graph) if isinstance(graph.nodes[node.inputs[0]].op, MOVERS))


def _whole(graph: Graph, ranged: Node) -> bool:
    """Return whether a range is that of all values that were moved before it: no others of them are read."""
    mover, consumers = graph.nodes[ranged.inputs[0]], graph.consumers()
    if len(consumers[mover.name]) > 1:
        return False
    if not isinstance(mover.op, Rearrange) or len(consumers[mover.inputs[0]]) == 1:
        return True
    taken = np.unique(mover.op.index[mover.op.index >= 0])
    return len(taken) == math.prod(graph.nodes[mover.inputs[0]].shape)


def _before(graph: Graph, ranged: Node) -> Graph:
    """Return the graph with a range of moved values as one of each value that is moved, where that has no words yet."""
    mover = graph.nodes[ranged.inputs[0]]
    nodes: dict[str, Node] = {}
    for node in graph.nodes.values():
        if node.name == ranged.name:
            continue
        if node.name == mover.name:
            inputs = []
            for place, source in enumerate(node.inputs):
                if _summed(graph, source):
                    name = ranged.name if len(node.inputs) == 1 else f"{ranged.name}.{place}"
                    nodes[name] = replace(ranged, name=name, inputs=(source,), shape=graph.nodes[source].shape)
                    source = name
                inputs.append(source)
            node = replace(node, inputs=tuple(inputs))
        else:
            node = replace(node, inputs=tuple(mover.name if n == ranged.name else n for n in node.inputs))
        nodes[node.name] = node
    return replace(graph, nodes=nodes)


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


def said(graph: Graph, taken: Mapping[str, str]) -> list[str]:
    """Return what is to be said of the ranges of a graph as it was read; taken: those of populations, by their names.

    A range that is needed and that no population has was lost on the way: its values are sent otherwise.
    """
    graph = without_identities(graph)
    count = len(list(_ranges(_once(graph))))
    if not count:
        return []
    wanted = {node.name for node in _ranges(_wanted(graph))}
    lost = len(wanted - set(taken.values()))
    text = f"{plural(count, 'range')} of the quantised model {'begins' if count == 1 else 'begin'} below 0: "
    parts = []
    if taken:
        parts.append(f"for {listed(list(taken))} taken as given, step and zero point, where words have 8 bits")
    if left := count - len(wanted):
        parts.append(f"{left} not needed, what reads those values taking sums, or words that are there already")
    if lost:
        parts.append(f"{lost} calibrated anew, no population sending just those values")
    return [f"{text}{'; '.join(parts)}."]

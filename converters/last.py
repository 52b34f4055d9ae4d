# SPDX-License-Identifier: Apache-2.0
"""What a network ends with and a spiking one need not compute: softmax, sigmoid, argmax go, and it is said."""

import math
from collections.abc import Mapping

from spikerun.converters.graph import Array, Curve, Final, Flatten, Graph, Identity, Node, Output, Rearrange, Shape
from spikerun.converters.source import Source

__all__ = ["Shortened", "shortened"]

PASSING = (Identity, Flatten, Rearrange)  # may stand between it and the result


class Shortened(Source):
    """A source that ends before what was left out; its results are those of its graph there."""

    def __init__(self, name: str, shorter: Graph) -> None:
        self._name, self.shorter = name, shorter

    @property
    def name(self) -> str:
        return self._name

    def graph(self, shapes: Mapping[str, Shape]) -> Graph:
        return self.shorter

    def logits(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        return self.shorter.evaluate(batch)


def shortened(graph: Graph) -> tuple[Graph, tuple[str, ...]]:
    """Return the graph without what is not needed at the ends of its results, and what to say about it."""
    nodes, notes = dict(graph.nodes), []
    for node in graph.nodes.values():
        if not isinstance(node.op, Output):
            continue
        last = nodes[node.inputs[0]]
        while isinstance(last.op, PASSING) and not _final(last):
            last = nodes[last.inputs[0]]
        if not _final(last):
            continue
        source = nodes[last.inputs[0]]
        nodes[node.name] = _end(node, source)
        notes.append(_said(last, node, source))
    return Graph(nodes).live() if notes else graph, tuple(notes)


def _final(node: Node) -> bool:
    return isinstance(node.op, Final) or (isinstance(node.op, Curve) and node.op.name == "sigmoid")


def _end(node: Node, source: Node) -> Node:
    return Node(node.name, node.op, (source.name,), source.shape, node.origin)


def _said(last: Node, output: Node, source: Node) -> str:
    name = last.op.name if isinstance(last.op, Final | Curve) else ""
    result = output.op.name if isinstance(output.op, Output) else output.name
    what = f"the {name} at the end of '{result}' was left out ({last.origin}): its results are the logits before it"
    if name != "sigmoid":
        return f"{what}, of which the largest is the same."
    if math.prod(source.shape) == 1:
        return f"{what}, which are above 0 where the sigmoid is above 0.5: 0 is the threshold."
    return f"{what}, each above 0 where its sigmoid is above 0.5."

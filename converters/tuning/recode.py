# SPDX-License-Identifier: Apache-2.0
"""Inputs coded anew: a population behind the samples that sends them in fewer bits, in steps that training chooses.

The bits of samples are often the dearest spikes of a small network. Behind such a population, whose synapses are one a
value, all that reads them pays for few-bit words instead.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from spikerun.codes import word_range
from spikerun.converters.encoding import Encoding
from spikerun.converters.graph import Affine, Array, Graph, Input, Node, Op, Relu, Shape
from spikerun.errors import unknown_name

__all__ = ["RECODED", "offsets", "recoded"]

RECODED = "{}_words"  # the name of the node


def recoded(graph: Graph, encodings: Mapping[str, Encoding], bits: Mapping[str, int]) -> Graph:
    """Return the simplified graph in which the inputs that `bits` names are coded anew; no value changes."""
    for name in bits:
        if name not in graph.inputs:
            raise unknown_name("input", name, list(graph.inputs))
    nodes: dict[str, Node] = {}
    alias: dict[str, str] = {}
    for node in graph.nodes.values():
        nodes[node.name] = replace(node, inputs=tuple(alias.get(name, name) for name in node.inputs))
        if isinstance(node.op, Input) and node.op.name in bits:
            alias[node.name] = _behind(nodes, node, encodings[node.op.name])
    return Graph(nodes, graph.notes)


def offsets(
    shapes: Mapping[str, Shape], encodings: Mapping[str, Encoding], bits: Mapping[str, int]
) -> dict[str, Array]:
    """Return by how much values are above those that words stand for, (C,), by the name of the population: of inputs of
    these shapes, and of those behind them.
    """
    found = {}
    for name, shape in shapes.items():
        shift = encodings[name].shift(shape[0])
        found[name] = shift
        if name in bits:
            low = word_range(encodings[name].bits, encodings[name].signed)[0]
            found[RECODED.format(name)] = encodings[name].gain(shape[0]) * low + shift
    return {name: values for name, values in found.items() if values.any()}


def _behind(nodes: dict[str, Node], node: Node, encoding: Encoding) -> str:
    """Add the operators behind an input, and return the last of them."""
    channels = node.shape[0]
    low, high = word_range(encoding.bits, encoding.signed)
    gain, shift = encoding.gain(channels), encoding.shift(channels)
    least = gain * low + shift
    bound = float((gain * (high - low)).max())
    assert isinstance(node.op, Input)
    ops: list[Op] = [Affine(np.ones(channels), -least), Relu(bound), Affine(np.ones(channels), least)]
    if not least.any():
        ops = [Relu(bound)]
    last = node.name
    for place, op in enumerate(ops):
        name = RECODED.format(node.op.name) + (f".{place}" if len(ops) > 1 and not isinstance(op, Relu) else "")
        nodes[name] = Node(name, op, (last,), node.shape)
        last = name
    return last

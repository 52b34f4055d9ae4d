# SPDX-License-Identifier: Apache-2.0
"""An ANN as a network of integrate-and-fire neurons whose rates stand for its activations.

Every rectifier becomes a `Cell` without leak, of threshold 1 after a gain and a shift of each channel; what is between
them stays linear. Layer by layer, on calibration samples that really run through the time steps, gains and shifts are
chosen and weights fitted anew (`refit.py`), so that each layer makes up for what the rates of those before get wrong.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spikerun.converters.forward import spread
from spikerun.converters.fuse import check_products
from spikerun.converters.graph import (
    Add,
    Affine,
    Array,
    AvgPool,
    Conv,
    Curve,
    Flatten,
    Graph,
    Input,
    Linear,
    MaxPool,
    Node,
    Op,
    Relu,
)
from spikerun.converters.spiking.cell import Cell
from spikerun.converters.spiking.refit import refitted
from spikerun.converters.spiking.thresholds import BIASES, KEEPS, Firing, chosen, evened, largest, spikes, worth
from spikerun.errors import ConversionError

__all__ = ["RESETS", "RateLayer", "rates"]

RESETS = {"zero": "value", "subtract": "subtract"}  # the names of --reset, and those of `Cell`
TRIED = 1 << 19  # values at most of a layer, of the samples on which thresholds are chosen
CHUNK = 256  # samples that run at once


@dataclass(frozen=True)
class RateLayer:
    """How the rates of a population stand for the ANN's activations, on the calibration samples.

    threshold: what of the ANN's activation its threshold is worth, the least and the largest channel; keep: the share
    of the current that a step keeps; rate: spikes a neuron and step; signal_to_noise: of the rates, each channel
    scaled, in dB, before any pool.
    """

    name: str
    threshold: tuple[float, float]
    keep: float
    rate: float
    signal_to_noise: float


def rates(
    graph: Graph, real: Mapping[str, Array], steps: int, reset: str, timed: frozenset[str] = frozenset()
) -> tuple[Graph, tuple[RateLayer, ...]]:
    """Return a simplified graph with cells in the place of rectifiers, fitted to real samples by input, and figures.

    The means over `steps` steps of its results are near the results of the ANN. reset: `zero` or `subtract`; timed:
    the inputs whose samples are (N, steps, *shape). Raises ConversionError for max pools, curves and products.
    """
    check_products(graph)
    fitting = _Fitting(folded(graph), real, steps, RESETS[reset], timed)
    return fitting.run(), tuple(fitting.layers)


def folded(graph: Graph) -> Graph:
    """Return an equal graph in which no batch norm follows a convolution or linear layer that nothing else reads."""
    nodes = dict(graph.nodes)
    readers = graph.consumers()
    alias: dict[str, str] = {}
    for node in graph.nodes.values():
        node = nodes[node.name] = replace(node, inputs=tuple(alias.get(name, name) for name in node.inputs))
        before = nodes[node.inputs[0]] if node.inputs else node
        if isinstance(node.op, Affine) and isinstance(before.op, (Conv, Linear)) and len(readers[before.name]) == 1:
            op, channels = before.op, len(before.op.weight)
            if node.op.scale.size not in (1, channels):
                continue
            scale, shift = (np.broadcast_to(values.reshape(-1), channels) for values in (node.op.scale, node.op.shift))
            weight = op.weight * scale.reshape(-1, *(1,) * (op.weight.ndim - 1))
            nodes[before.name] = replace(before, op=replace(op, weight=weight, bias=op.bias * scale + shift))
            alias[node.name] = before.name
            del nodes[node.name]
    return Graph(nodes)


class _Fitting:
    """The network that is being made: nodes so far, and what they have on the samples."""

    def __init__(self, graph: Graph, real: Mapping[str, Array], steps: int, reset: str, timed: frozenset[str]) -> None:
        self.graph, self.steps, self.reset, self.timed = graph, steps, reset, timed
        self.real = {name: values.astype(np.float32) for name, values in real.items()}
        self.count = len(next(iter(real.values())))
        self.readers = graph.consumers()
        self.ann: dict[str, Array] = {}  # what the ANN computes (N, *shape)
        self.means: dict[str, Array] = {}  # what the spikes come to, the mean of all steps
        self.trains: dict[str, Array] = {}  # spikes of cells (steps / 8, N, *shape), a bit each
        self.still: set[str] = set()  # nodes that are the same in every step
        self.positive: set[str] = set()
        self.nodes: dict[str, Node] = {}
        self.layers: list[RateLayer] = []

    def run(self) -> Graph:
        """Return the graph of cells."""
        left = {name: len(readers) for name, readers in self.readers.items()}
        for node in self.graph.nodes.values():
            self._made(node)
            for name in node.inputs:
                left[name] -= 1
                if not left[name]:  # what no node needs any more
                    self.ann.pop(name), self.means.pop(name) if name not in self.still else None
        return Graph(self.nodes)

    def _made(self, node: Node) -> None:
        name, given = node.name, [self.ann[name] for name in node.inputs]
        self.nodes[name] = node
        if isinstance(node.op, Input):
            values = self.real[node.op.name]
            over_time = node.op.name in self.timed
            self.ann[name] = self.means[name] = values.mean(axis=1) if over_time else values
            self.still |= set() if over_time else {name}
            return
        self.ann[name] = _single(node.op).apply(*given)
        if all(one in self.still for one in node.inputs) and not isinstance(node.op, Relu):
            self.still.add(name)
        match node.op:
            case MaxPool():
                raise ConversionError(
                    f"{node.origin or name}: a max pool of rates is not what the ANN computes, and no chip of spiking "
                    "neurons has it: train with average pools or strided convolutions, or leave --neuron out"
                )
            case Curve(name=curve):
                raise ConversionError(
                    f"{node.origin or name}: the activation '{curve}' is no rate of an integrate-and-fire neuron, "
                    "which is a ReLU: train with ReLU, or leave --neuron out"
                )
            case Relu() if node.inputs[0] in self.positive and node.op.bound == np.inf:
                self._kept(node)
            case Relu():
                self._fired(node, node.op)
            case Conv() | Linear() if name not in self.still:
                rectified = all(isinstance(self.graph.nodes[one].op, Relu) for one in self.readers[name])
                op = refitted(node.op, self.means[node.inputs[0]], self.ann[name], rectified)
                self.nodes[name] = replace(node, op=op)
                self._kept(self.nodes[name])
            case _:
                self._kept(node)

    def _kept(self, node: Node) -> None:
        """Keep the means of a linear operator: it is applied to those of its inputs."""
        self.means[node.name] = _single(node.op).apply(*(self.means[name] for name in node.inputs))
        if isinstance(node.op, (AvgPool, Flatten, Relu)) and node.inputs[0] in self.positive:
            self.positive.add(node.name)

    def _at(self, name: str, t: int, part: slice) -> Array:
        """Return what a node has in one step, for some samples."""
        node = self.nodes[name]
        if name in self.still:
            return self.means[name][part]
        if isinstance(node.op, Input):
            return self.real[node.op.name][part, t]
        if isinstance(node.op, Cell):
            sent: Array = (self.trains[name][t // 8, part] >> (7 - t % 8)) & 1
            return sent * spread(node.op.factor, node.shape).astype(np.float32)
        found: Array = _single(node.op).apply(*(self._at(one, t, part) for one in node.inputs))
        return found

    def _fired(self, node: Node, op: Relu) -> None:
        """Put a cell in the place of a rectifier: choose its gain and shift, and let it fire on all samples."""
        (source,) = node.inputs
        pools = [self.graph.nodes[name].op for name in self.readers[node.name]]
        pool = pools[0] if len(pools) == 1 and isinstance(pools[0], AvgPool) else None
        size = int(np.prod(node.shape))
        few = slice(0, max(1, min(self.count, TRIED // size)))
        top = largest(self.ann[node.name])
        bias = self._taken(source, np.zeros(node.shape[0]))
        still = source in self.still
        currents = (
            [self.means[source][few]] * self.steps if still else [self._at(source, t, few) for t in range(self.steps)]
        )
        target = self.ann[node.name][few]
        late = {keep: keep / (1 - keep) * (1 - keep**self.steps) / self.steps for keep in KEEPS}
        tried = {
            keep: chosen(currents, bias * (1 - late[keep]), target, top, Firing(self.reset, keep), pool)
            for keep in KEEPS[: 1 if still else None]
        }
        keep = min(tried, key=lambda one: tried[one][0])
        _, gain, shift = tried[keep]
        gain = evened(gain, self.nodes[source].op, bias, BIASES[still])
        bias = bias * (1 - late[keep]) * gain + shift
        name = f"{node.name}_scaled"
        self.nodes.pop(node.name)
        self.nodes[name] = Node(name, Affine(gain, np.zeros(len(gain))), node.inputs, node.shape, node.origin)
        if source in self.still:
            self.still.add(name)
            self.means[name] = _single(self.nodes[name].op).apply(self.means[source])
        counts = self._sent(node, name, bias, Firing(self.reset, keep))
        factor, noise = worth(counts, self.ann[node.name], self.steps)
        cell = Cell.of(
            node.name, reset=self.reset, threshold=1.0, factor=factor, keep_u=keep, gain=1 - keep, bias=bias, sinks=True
        )
        self.nodes[node.name] = Node(node.name, cell, (name,), node.shape, node.origin)
        self.means[node.name] = counts / self.steps * spread(factor, node.shape).astype(np.float32)
        self.positive.add(node.name)
        thresholds = (float((1 / gain).min()), float((1 / gain).max()))
        self.layers.append(RateLayer(node.name, thresholds, keep, float(counts.mean()) / self.steps, noise))

    def _taken(self, name: str, total: Array) -> Array:
        """Return `total` and the biases (C,) of what leads to a cell alone, which are taken from there.

        So they go into the membrane: chips have none in currents that are kept.
        """
        node = self.nodes[name]
        if len(self.readers[name]) > 1:
            return total
        if isinstance(node.op, Add):
            for one in node.inputs:
                total = self._taken(one, total)
            if name in self.still:
                self._kept(node)
        elif isinstance(node.op, (Conv, Linear)):
            total = total + node.op.bias
            self.nodes[name] = replace(node, op=replace(node.op, bias=np.zeros_like(node.op.bias)))
            if name in self.still:
                self._kept(self.nodes[name])
        return total

    def _sent(self, node: Node, currents: str, bias: Array, firing: Firing) -> Array:
        """Return the spikes of each neuron (N, *shape) in all steps, and keep their trains."""
        counts = np.empty((self.count, *node.shape), np.float32)
        trains = self.trains[node.name] = np.empty((-(-self.steps // 8), *counts.shape), np.uint8)
        for first in range(0, self.count, CHUNK):
            part = slice(first, first + CHUNK)
            given = (self._at(currents, t, part) for t in range(self.steps))
            fired = np.stack(list(spikes(given, spread(bias.astype(np.float32), node.shape), firing)))
            trains[:, part] = np.packbits(fired, axis=0)
            counts[part] = fired.sum(axis=0, dtype=np.float32)
        return counts


def _single(op: Op) -> Any:
    """Return an operator whose numbers are float32."""
    numbers = {
        k: v.astype(np.float32) for k, v in vars(op).items() if isinstance(v, np.ndarray) and v.dtype.kind == "f"
    }
    return replace(op, **numbers) if numbers else op  # type: ignore[type-var]

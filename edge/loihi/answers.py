# SPDX-License-Identifier: Apache-2.0
"""From what populations did on the chip to what a run of the network reports, in integers, outside of the chip."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.edge.loihi.graph import Graph, IntArray
from spikerun.edge.loihi.layout import lava_order
from spikerun.edge.loihi.models import FRACTION_BITS
from spikerun.network import Network
from spikerun.neurons import LIF
from spikerun.neurons.answer import shift

__all__ = ["answers", "flat", "probed"]

Events = Mapping[str, npt.NDArray[Any]]


def probed(net: Network) -> tuple[str, ...]:
    """Return the outputs whose membranes make the result."""
    named = ((name, net.populations[name].neuron) for name in net.outputs)
    return tuple(name for name, n in named if n.reported and getattr(n, "answer", "") != "first_spike")


def answers(net: Network, graph: Graph, events: Events, membranes: Events) -> dict[str, IntArray]:
    """Return what each output reports, int64 (N, *shape), of events and membranes (N, W, *shape) in Lava's order."""
    models = {neurons.name: neurons.model for neurons in graph.neurons}
    return {name: _answer(net, name, models.get(name, ""), events, membranes) for name in net.outputs}


def _answer(net: Network, name: str, model: str, events: Events, membranes: Events) -> IntArray:
    population = net.populations[name]
    neuron, axes = population.neuron, len(population.shape)
    sent: IntArray = lava_order(np.asarray(events[name], np.int64), axes)
    bias = population.spread(neuron.offset).astype(np.int64)
    if model == "sigma":
        last: IntArray = bias + sent[:, -1]
        return last
    if name not in probed(net):
        g = net.significance(name)
        if getattr(neuron, "answer", "") == "first_spike":
            left = net.window - np.arange(net.window)
            found: IntArray = (sent * left.reshape(-1, *[1] * axes)).max(axis=1)
        elif len(g) != sent.shape[1]:  # sigma-delta: one event is the whole word
            found = sent.sum(axis=1)
        else:
            found = np.tensordot(sent, g, axes=(1, 0))
        return found
    v: IntArray = lava_order(np.asarray(membranes[name], np.int64), axes)
    if model.startswith("lif") and not isinstance(neuron, LIF):
        v = v >> FRACTION_BITS
    if not hasattr(neuron, "answer"):  # a readout, whose bias is not on the chip unless it is a model of our own
        found = v[:, -1] + (bias if model == "lif" else 0)
    elif neuron.answer == "mean":
        found = (v >> shift(net.window)).sum(axis=1)
    else:
        found = v[:, -1] if neuron.answer == "last" else v.max(axis=1)
    return found


def flat(net: Network, found: Mapping[str, IntArray]) -> npt.NDArray[np.int32]:
    """Return results as int32 (N, outputs), as the network orders its outputs, each in C order."""
    rows = [found[name].reshape(len(found[name]), -1) for name in net.outputs]
    return np.concatenate(rows, axis=1).astype(np.int32)

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
from spikerun.neurons import Now
from spikerun.population import Population

__all__ = ["answers", "described", "flat", "probed"]

Events = Mapping[str, npt.NDArray[Any]]


# By how many bits a membrane on the chip is finer than in the network; none there: input, max_pool, few_spikes, levels,
# poisson.
FINER = {"lif": 0, "if": FRACTION_BITS, "readout": FRACTION_BITS}


def probed(net: Network) -> tuple[str, ...]:
    """Return the outputs whose membranes make the result."""
    return tuple(name for name in net.outputs if net.populations[name].neuron.reported)


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
        found: IntArray = bias + sent[:, -1]
    elif model.startswith("sigma"):  # one event is the whole word
        found = sent.sum(axis=1)
    elif not neuron.reported:
        found = np.tensordot(sent, net.significance(name), axes=(1, 0))
    else:
        v: IntArray = lava_order(np.asarray(membranes[name], np.int64), axes)
        v = v >> FINER[neuron.kind] if model.startswith("lif") else v
        if neuron.integrates == "window":  # a readout, whose bias is not on the chip but in a model of our own
            found = v[:, -1] + (bias if model == "lif" else 0)
        else:
            found = _collected(neuron, sent, v)
    return found


def _collected(neuron: Any, sent: IntArray, v: IntArray) -> IntArray:
    """Return what the law makes of all steps of a window."""
    window, state = sent.shape[1], {"answer": np.zeros_like(v[:, 0])}
    for r in range(window):
        state["v"] = v[:, r]
        neuron.collect(state, sent[:, r], Now(r, r, 1, window))
    return state[neuron.reported]


def described(net: Network, graph: Graph) -> dict[str, Any]:
    """Return how the result of each output is made, as JSON.

    read: its `events` or its `membrane`, of which `bits` are shifted off first; rule: the `sum` of all steps, each
    times its `weights`, or an answer of `Answering`; then `scale * (that + bias)`, in the network's order.
    """
    models = {neurons.name: neurons.model for neurons in graph.neurons}
    return {name: _described(net.populations[name], net, name, models.get(name, "")) for name in net.outputs}


def _described(population: Population, net: Network, name: str, model: str) -> dict[str, Any]:
    neuron, delta = population.neuron, model.startswith("sigma")
    of_membrane = bool(neuron.reported) and neuron.rule != "first_spike" and not delta
    outside = model in ("lif", "sigma") and neuron.integrates == "window"  # else the bias is on the chip
    bias = population.spread(neuron.offset) if outside else np.zeros(population.shape, np.int32)
    return {
        "read": "membrane" if of_membrane else "events",
        "rule": "last" if model == "sigma" else neuron.rule if neuron.reported and not delta else "sum",
        "weights": net.significance(name).tolist() if not (of_membrane or delta) else [1],
        "bits": FINER[neuron.kind] if of_membrane and model.startswith("lif") else 0,
        "bias": bias.ravel().tolist(),
        "scale": population.spread(neuron.real_scale).astype(float).ravel().tolist(),
    }


def flat(net: Network, found: Mapping[str, IntArray]) -> npt.NDArray[np.int32]:
    """Return results as int32 (N, outputs), as the network orders its outputs, each in C order."""
    rows = [found[name].reshape(len(found[name]), -1) for name in net.outputs]
    return np.concatenate(rows, axis=1).astype(np.int32)

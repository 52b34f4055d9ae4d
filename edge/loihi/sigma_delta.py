# SPDX-License-Identifier: Apache-2.0
"""From a network of few-spikes neurons to a sigma-delta network: populations send changes of their words.

A word is floor(v / 2^k) for a sum v that is not negative, else 0: the shift and the ReLU of Lava's SigmaDelta. Its
floors do not add up, so each population must go from 0 to its word in one step. Therefore all paths to a population
are made equally long by delays, and its bias comes from a population of its own, which sends it once, at the step in
which the sample arrives. Then every word is exact for one sample a run; with the model `sigma_delta_exact`, for every
sample of a sequence, one a step. A chip's neuron has no largest word: it differs where a word is cut at 255.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.chip import CHIPS
from spikerun.codes import MAX_BITS
from spikerun.edge.loihi.emulate import emulate
from spikerun.edge.loihi.graph import Graph, IntArray, Neurons, Source, Synapses
from spikerun.edge.loihi.layout import lava_order, lava_shape, synapses_of
from spikerun.edge.loihi.synapses import EXCITATORY
from spikerun.errors import UnsupportedError
from spikerun.network import Network
from spikerun.neurons import FewSpikes, Readout
from spikerun.population import Population

__all__ = ["sequence", "sigma_delta_graph"]

MAX_SUM = 2**23 - 1
MAX_DELAY = CHIPS["loihi2"].delay
MESSAGE_BITS = 16
PART = 255  # the largest weight: a bias is sent as payloads of 16 bits, some of them times PART
CONVERT = "convert the trained network with `--coding sdnn`"


def sigma_delta_graph(net: Network, exact: bool = False) -> Graph:
    """Return the graph of a network. Raises UnsupportedError, which names what cannot be mapped.

    Sources send the changes of a sample, which is the sample itself where it is the first. exact: with our own model.
    Readouts are Sigma processes, whose bias is added outside.
    """
    if not net.feedforward or net.window != 1:
        raise UnsupportedError("a sigma-delta network has no delays, no cycles, and a window of one step: " + CONVERT)
    for name in net.populations:
        if wrong := _wrong(net, name):
            raise UnsupportedError(f"population '{name}' {wrong}, which no sigma-delta network has: {CONVERT}")
    begins = _begins(net)
    sources, neurons, synapses = [], [], []
    for name, population in net.populations.items():
        shape, begin = lava_shape(population.shape), begins[name]
        if population.neuron.is_input:
            sources.append(Source(name, shape, MESSAGE_BITS, begin))
            continue
        model, parameters = NEURONS[population.neuron.kind](population.neuron)
        own = model + "_exact" if exact and model == "sigma_delta" else model
        neurons.append(Neurons(name, shape, own, parameters, begin))
        if population.neuron.fires and population.neuron.offset.any():
            biased = _bias(name, population, begin)
            neurons.append(biased[0])
            synapses.append(biased[1])
    for link in net.links:
        delay = _delay(link.target, begins[link.target] - begins[link.source] - 1)
        synapses.append(synapses_of(net, link, delay, MESSAGE_BITS, on_chip=True))
    return Graph(1, tuple(sources), tuple(neurons), tuple(synapses), False, {"probes": ""})


def sequence(graph: Graph, frames: Mapping[str, npt.NDArray[Any]]) -> dict[str, IntArray]:
    """Run frames (F, *shape) by source, one a step, in one run; return the words of all populations, (F, *shape).

    Of readouts, the sums. They are those of the network where the graph is exact, or F is 1.
    """
    changes = {name: np.diff(values.astype(np.int64), axis=0, prepend=0)[:, None] for name, values in frames.items()}
    trace = emulate(graph, graph.streams(changes))
    sums = {n.name for n in graph.neurons if n.model == "sigma"}
    words = {name: graph.samples(name, sent)[:, 0].astype(np.int64) for name, sent in trace.events.items()}
    return {name: values if name in sums else values.cumsum(axis=0) for name, values in words.items()}


def _wrong(net: Network, name: str) -> str:
    """Return what a sigma-delta network cannot take of a population, or nothing."""
    neuron, word = net.populations[name].neuron, net.sender_of(name)
    if neuron.is_input:
        plain = word is not None and word.code == "graded" and not word.signed
        return "" if plain else "sends no unsigned payloads, one a sample"
    if neuron.kind not in NEURONS:
        return f"is of kind {neuron.kind}"
    if net.bounds.get(name, 0) > MAX_SUM:
        return f"has sums of up to {net.bounds[name]}, more than 24 bits"
    return WRONG.get(neuron.kind, lambda _: "")(neuron)


def _wrong_word(neuron: FewSpikes) -> str:
    if neuron.signed or neuron.kept_bits != MAX_BITS or neuron.code != "graded":
        return f"sends other words than whole, unsigned ones of {MAX_BITS} bits in code 'graded'"
    low, high = int(neuron.threshold.min()), int(neuron.threshold.max())
    return "" if low == high and low.bit_count() == 1 else f"has thresholds of {low}..{high}, not one power of two"


def _word(neuron: FewSpikes) -> tuple[str, dict[str, Any]]:
    return "sigma_delta", _parameters(0, 1, int(neuron.threshold.min()).bit_length() - 1)


def _sum(neuron: Readout) -> tuple[str, dict[str, Any]]:
    return "sigma", {}


# What populations become, by kind; all others are refused.
NEURONS: Mapping[str, Callable[[Any], tuple[str, dict[str, Any]]]] = MappingProxyType(
    {"few_spikes": _word, "readout": _sum}
)
WRONG: Mapping[str, Callable[[Any], str]] = MappingProxyType({"few_spikes": _wrong_word})


def _parameters(bias: Any, act_mode: int, state_exp: int) -> dict[str, Any]:
    return {"vth": 0, "bias": bias, "act_mode": act_mode, "spike_exp": 0, "state_exp": state_exp}


def _begins(net: Network) -> dict[str, int]:
    """Return the step in which each population does its sample: inputs the first, others one after their sources."""
    begins: dict[str, int] = {}
    for name in net.order:
        begins[name] = 1 + max((begins[link.source] for link in net.into(name)), default=0)
    return begins


def _delay(name: str, delay: int) -> int:
    if delay > MAX_DELAY:
        raise UnsupportedError(f"population '{name}' needs a delay of {delay} steps, and Loihi has {MAX_DELAY}")
    return delay


def _payloads(values: IntArray) -> tuple[list[int], IntArray]:
    """Return weights, and payloads of 16 bits (weights * n,) that times the weights add up to values (n,)."""
    weights: list[int] = []
    payloads, most = [], 2 ** (MESSAGE_BITS - 1)
    while values.any() or not weights:
        weights.append(1 if values.min() >= -most and values.max() < most else PART)
        payloads.append(np.clip(values // weights[-1], -most, most - 1))
        values = values - weights[-1] * payloads[-1]
    return weights, np.concatenate(payloads)


def _bias(name: str, population: Population, begin: int) -> tuple[Neurons, Synapses]:
    """Return a population that sends the biases (), (C,) or of full shape once, in step 1, and its synapses."""
    bias = population.neuron.offset.astype(np.int64)
    places = np.broadcast_to(population.spread(np.arange(bias.size).reshape(bias.shape)), population.shape)
    weights, values = _payloads(bias.ravel())
    sender = Neurons(f"{name}:bias", values.shape, "sigma_delta", _parameters(values.astype(np.int32), 0, 0), 1)
    parts = len(weights)
    own = lava_order(places, places.ndim).ravel()
    indices = (own[:, None] + bias.size * np.arange(parts)).ravel()
    indptr = np.arange(own.size + 1, dtype=np.int64) * parts
    synapses = Synapses(
        sender.name, name, "sparse", np.tile(np.array(weights, np.int32), own.size), sign_mode=EXCITATORY,
        message_bits=MESSAGE_BITS, delay=_delay(name, begin - 2), indices=indices.astype(np.int32), indptr=indptr,
    )  # fmt: skip
    return sender, synapses

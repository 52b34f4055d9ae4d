# SPDX-License-Identifier: Apache-2.0
"""From a network to the graph that the chip runs, one population and one projection at a time; nothing is rounded.

A network has no delay between layers and a graph one step for each synapse: populations run behind (`levels`), and what
they do in a sample is the same, bit for bit.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.chip import CHIPS
from spikerun.codes import CODES
from spikerun.edge.loihi.answers import probed
from spikerun.edge.loihi.emulate import emulate
from spikerun.edge.loihi.graph import Graph, Neurons, Parameter, Source
from spikerun.edge.loihi.layout import lava_order, lava_shape, synapses_of
from spikerun.edge.loihi.levels import levels
from spikerun.edge.loihi.models import FRACTION_BITS, MODELS
from spikerun.edge.loihi.sigma_delta import sigma_delta_graph
from spikerun.errors import UnsupportedError
from spikerun.network import Link, Network
from spikerun.neurons.base import V_LIMIT
from spikerun.population import Population

__all__ = ["MAX_DELAY", "to_graph"]

CHIP = CHIPS["loihi2"]  # whose neurons those of Loihi 1 are
MAX_DELAY, MAX_THRESHOLD = CHIP.delay, CHIP.threshold
MAX_BIAS, MAX_BIAS_EXPONENT = 2 ** (CHIP.mantissa - 1), CHIP.shift
CONVERT = "convert the trained network with `--limits loihi2` (or loihi1)"


def to_graph(net: Network) -> Graph:
    """Return the graph of a network. Raises UnsupportedError, which names the population or projection that has none.

    Its meta says which populations' membranes are part of the result (`probes`).
    """
    if net.meta.get("coding") == "sdnn":
        return sigma_delta_graph(net)
    behind = levels(net)
    phased = net.feedforward
    begins = {name: net.latency[name] * net.window + behind[name] + 1 for name in net.populations}
    interval = net.window if phased else net.window + max(begins.values())
    sources, neurons = [], []
    for name, population in net.populations.items():
        if population.neuron.is_input:
            sources.append(_source(net, name, population, begins[name]))
        else:
            neurons.append(_neurons(net, name, population, begins[name], interval))
    models = {part.name: part.model for part in neurons}
    synapses = []
    for link in net.links:
        if link.connection.delay_range != (0, 0):
            raise UnsupportedError(
                f"{link}: its synapses have delays of their own, and here Loihi has one for a projection: make a "
                "projection of the synapses of each delay"
            )
        delay = link.lag + behind[link.target] - behind[link.source] - 1
        if delay > MAX_DELAY:
            raise UnsupportedError(
                f"{link}: arrives {delay} steps later, and Loihi delays by {MAX_DELAY} at most: shorten the path "
                "beside it, or its own delay, or put a relaying population between"
            )
        on_chip = "window" not in MODELS[models[link.target]].parameters
        if not on_chip:
            _check_wrap(net, link)
        synapses.append(synapses_of(net, link, delay, _message_bits(net, link.source), on_chip))
    graph = Graph(
        net.window, tuple(sources), tuple(neurons), tuple(synapses), phased, {"probes": ",".join(probed(net))}
    )
    if not phased:
        _check_rest(graph)
    return graph


def _message_bits(net: Network, name: str) -> int:
    """Return how many bits a message of a population has; 0: it is a spike."""
    word = net.sender_of(name)
    return 0 if word is None or word.event_range == (0, 1) else word.bits


def _source(net: Network, name: str, population: Population, begin: int) -> Source:
    word = net.sender_of(name)
    assert word is not None
    return Source(name, lava_shape(population.shape), _message_bits(net, name), begin)


def _neurons(net: Network, name: str, population: Population, begin: int, interval: int) -> Neurons:
    neuron = population.neuron
    make = NEURONS.get(neuron.kind)
    if make is None:
        raise UnsupportedError(
            f"population '{name}': Loihi has no {neuron.kind} neurons. {ADVICE.get(neuron.kind, '')}"
        )
    model, parameters = make(net, name, population)
    answers = neuron.answers_after
    given = {key: _laid_out(value, population) for key, value in parameters.items()}
    if "window" in MODELS[model].parameters:
        return Neurons(
            name, lava_shape(population.shape), model, {**given, "first": begin - answers * net.window}, begin
        )
    first = 0 if net.feedforward else 1 - 2**23  # too low to fire before the reset at its first step, biases or not
    resets = {"v_first": first, "reset_interval": interval, "reset_offset": begin % interval}
    return Neurons(name, lava_shape(population.shape), model, {**given, **resets}, begin)


ADVICE: Mapping[str, str] = MappingProxyType(
    {
        "levels": "Chips have thresholds and no tables: train with ReLU instead, and convert again",
        "max_pool": "Train with average pools or strided convolutions, and convert again",
    }
)


def _laid_out(value: Any, population: Population) -> Parameter:
    """Return a parameter as one number or one for each neuron, in Lava's order."""
    array = np.asarray(value)
    if array.size == 1 or bool(np.all(array == array.flat[0])):
        return int(array.flat[0])
    spread: npt.NDArray[np.int32] = population.spread(array)
    return np.ascontiguousarray(lava_order(spread, len(population.shape)), np.int32)


def _one(name: str, what: str, values: npt.NDArray[Any]) -> int:
    """Return the one value of a parameter that a population has once on the chip."""
    if np.any(values != values.flat[0]):
        raise UnsupportedError(
            f"population '{name}': its {what} is {values.min()}..{values.max()}, and a population of Loihi has one: "
            f"{CONVERT}, which equalises thresholds; or split the population"
        )
    return int(values.flat[0])


def _bias(name: str, values: npt.NDArray[Any]) -> dict[str, Any]:
    """Return biases in units of v as mantissas and exponents, exactly."""
    mant, exp = values.astype(np.int64), np.zeros(values.shape, np.int64)
    for _ in range(MAX_BIAS_EXPONENT):
        halve = ((mant >= MAX_BIAS) | (mant < -MAX_BIAS)) & (mant % 2 == 0)
        mant, exp = np.where(halve, mant // 2, mant), exp + halve
    if ((mant >= MAX_BIAS) | (mant < -MAX_BIAS)).any():
        worst = values.flat[np.argmax(np.abs(mant))]
        raise UnsupportedError(
            f"population '{name}': a bias of {worst} is not 13 bits times 2^0..2^{MAX_BIAS_EXPONENT}: {CONVERT}"
        )
    return {"bias_mant": mant, "bias_exp": exp}


def _lif(net: Network, name: str, population: Population) -> tuple[str, dict[str, Any]]:
    neuron: Any = population.neuron
    wrong = {
        f"limits '{neuron.limits}' instead of 'chip'": neuron.limits != "chip",
        f"{neuron.fraction_bits} fractional bits instead of 6": neuron.fraction_bits != FRACTION_BITS,
        "a floor v_min": bool((neuron.v_min > -V_LIMIT).any()),
        "an initial membrane v_init": bool(neuron.v_init.any()),
        "a bias of its current": bool(neuron.bias_u.any()),
        "a refractory period": neuron.refractory > 0,
        "a reset to v_reset": neuron.reset == "value" and bool(neuron.v_reset.any()),
        "a reset_interval of its own": neuron.reset_interval > 0,
        "decays finer than 12 bits": bool((neuron.keep_u % 16).any() or (neuron.keep_v % 16).any()),
    }
    _refuse(name, [what for what, has in wrong.items() if has])
    threshold = _one(name, "threshold", neuron.threshold) - neuron.inclusive
    if neuron.inclusive and not _whole(net, name, neuron):
        _refuse(name, ["spikes at the threshold itself, with membranes that need not be multiples of 64"])
    if threshold < 0 or (threshold % 64 and not neuron.inclusive):
        _refuse(name, [f"a threshold of {threshold}, no multiple of 64"])
    vth = threshold >> FRACTION_BITS  # inclusive: all membranes are multiples of 64
    model = {"value": "lif", "none": "lif"}.get(neuron.reset, "lif_" + neuron.reset)
    if vth > MAX_THRESHOLD or (neuron.reset == "none" and vth < MAX_THRESHOLD):
        _refuse(name, [f"a threshold of {vth} and reset '{neuron.reset}'"])
    taken = {} if model == "lif" else {"taken": _one(name, "threshold", neuron.threshold)}
    du, dv = (4096 - (_one(name, key, getattr(neuron, key)) >> 4) for key in ("keep_u", "keep_v"))
    if dv > 4095:
        _refuse(name, ["membranes that keep nothing (dv = 4096)"])
    return model, {"du": du - 1, "dv": dv, "vth": vth, **_bias(name, neuron.bias), **taken}


def _whole(net: Network, name: str, neuron: Any) -> bool:
    """Return whether all membranes are multiples of 64: what adds up is, and no end of the range is reached."""
    added = [neuron.bias] if neuron.reset == "value" else [neuron.bias, neuron.threshold]
    keeps = [bool(np.isin(keep, (0, 2**16)).all()) for keep in (neuron.keep_u, neuron.keep_v)]
    if not all(keeps) or any((values % 64).any() for values in added):
        return False
    return bool(neuron.keep_u.max() == 0) and _reach(net, name, neuron.bias) <= MAX_THRESHOLD


def _reach(net: Network, name: str, bias: npt.NDArray[Any]) -> int:
    """Return how far a membrane without memory of its current can get in a window, in units of the currents."""
    return net.window * (net.bounds[name] + (int(np.abs(bias).max()) >> FRACTION_BITS) + 1)


def _if(net: Network, name: str, population: Population) -> tuple[str, dict[str, Any]]:
    neuron: Any = population.neuron
    reach = net.bounds[name] * net.window
    wrong = {
        "a floor v_min above the lowest membrane": bool((neuron.v_min > -min(reach, V_LIMIT)).any()),
        "an initial membrane v_init": bool(neuron.v_init.any()),
        f"membranes that may reach {reach}, and the chip's end at {MAX_THRESHOLD}": reach > MAX_THRESHOLD,
    }
    _refuse(name, [what for what, has in wrong.items() if has])
    threshold = _one(name, "threshold", neuron.threshold)
    model, taken = ("lif", {}) if neuron.reset == "zero" else ("lif_subtract", {"taken": threshold << FRACTION_BITS})
    bias = _bias(name, neuron.bias.astype(np.int64) << FRACTION_BITS)
    return model, {"du": 4095, "dv": 0, "vth": min(threshold - 1, MAX_THRESHOLD), **bias, **taken}


def _readout(net: Network, name: str, population: Population) -> tuple[str, dict[str, Any]]:
    """Return a population that never fires: its membrane is the sum; the bias of the result is added outside."""
    if any((link.significance != 1).any() for link in net.into(name)):
        return "summing", {"bias": population.neuron.offset, **_weighing(net, name)}
    return "lif", {"du": 4095, "dv": 0, "vth": MAX_THRESHOLD, "bias_mant": 0, "bias_exp": 0}


def _few_spikes(net: Network, name: str, population: Population) -> tuple[str, dict[str, Any]]:
    neuron: Any = population.neuron
    return "words", {
        "bits": neuron.bits, "threshold": neuron.threshold, "bias": neuron.bias, "signed": neuron.signed,
        "kept": neuron.kept_bits, "code": CODES.index(neuron.code), **_weighing(net, name),
    }  # fmt: skip


def _weighing(net: Network, name: str) -> dict[str, Any]:
    """Return how a population weighs what comes at each step of its window."""
    links = net.into(name)
    if len({tuple(link.significance.tolist()) for link in links}) > 1:
        raise UnsupportedError(
            f"population '{name}' has sources whose words are weighed differently, which its currents do not tell "
            "apart on Loihi: give it sources of one code and one number of bits, or convert with "
            "--neuron if or --coding sdnn"
        )
    given: dict[str, Any] = {"window": net.window, "in_lag": 0, "in_code": -1, "in_bits": 1, "in_signed": 0}
    word = net.sender_of(links[0].source) if links else None
    if word is not None and word.coded:
        given |= {"in_code": CODES.index(word.code), "in_bits": word.bits, "in_signed": word.signed}
    return given | ({"in_lag": links[0].lag % net.window} if links else {})


# The model and the parameters of each kind; none: input, levels and max_pool.
NEURONS: Mapping[str, Callable[[Network, str, Population], tuple[str, dict[str, Any]]]] = MappingProxyType(
    {"lif": _lif, "if": _if, "readout": _readout, "few_spikes": _few_spikes}
)


def _refuse(name: str, wrong: list[str]) -> None:
    if wrong:
        raise UnsupportedError(
            f"population '{name}' has {', '.join(wrong)}, which Loihi cannot: {CONVERT}, or build it of LIF.loihi(...)"
        )


def _check_wrap(net: Network, link: Link) -> None:
    """Refuse what Lava's convolutions would wrap to 24 bits, where a model of our own has more."""
    channels = link.channels[1] - link.channels[0]
    largest = link.connection.largest_sum(net.populations[link.source].shape, channels)
    most = float(largest.max()) * net.largest_event(link.source) * 2**link.projection.exponent
    if most >= V_LIMIT:
        raise UnsupportedError(
            f"{link}: brings up to {most:,.0f} in one step, and sums in Lava end at {V_LIMIT:,}: make its weights or "
            "its words smaller"
        )


def _check_rest(graph: Graph) -> None:
    """Refuse populations that fire before their first step, of biases alone, where delays would bring that on.

    Those of words integrate from their parameter `first` on, which is before they begin to send.
    """
    starts = {n.name: int(n.parameters.get("first", n.begin)) for n in graph.neurons}
    steps = max(graph.begins.values())
    silent = {source.name: np.zeros((steps, *source.shape), np.int32) for source in graph.sources}
    events = emulate(graph, silent).events
    for s in graph.synapses:
        before = events[s.source][: graph.begins[s.source] - 1]
        early = np.unique(np.nonzero(before)[0]) + 1
        if early.size and early.max() + 1 + s.largest_delay >= starts[s.target]:
            raise UnsupportedError(
                f"population '{s.source}' fires of biases alone before the first sample reaches it, and the delay to "
                f"'{s.target}' brings that into the sample: make the biases or the delay smaller"
            )

# SPDX-License-Identifier: Apache-2.0
"""Does a graph fit the public limits of a chip? A function for each limit: it returns sentences, none if it is kept.

What fits them may still not compile: the complete limits are not public.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from spikerun.edge.loihi.graph import Graph, Neurons, Synapses
from spikerun.edge.loihi.limits import Limit
from spikerun.edge.loihi.models import FRACTION_BITS, MODELS
from spikerun.edge.loihi.partition import Partition
from spikerun.edge.loihi.synapses import MIXED, holds, in_parts

__all__ = ["REMARKS", "VALIDATORS", "complaints", "remarks"]

HELP_MODELS = {
    "lif_subtract": "; neurons that reset to zero are on the chip",
    "lif_subtract_after_leak": "; neurons that reset to zero are on the chip",
    "words": "; convert with --neuron if or --coding sdnn for the chip",
}
Validator = Callable[[Graph, Partition], list[str]]
HELP = {
    "neurons": "make the population smaller",
    "input_axons": "give its neurons fewer sources: a smaller kernel, fewer channels, or a pool or a layer before it",
    "output_axons": "let its neurons reach fewer cores: make the populations that it feeds smaller",
    "synapse_bits": "give its neurons fewer sources, or its weights fewer bits",
}


def complaints(graph: Graph, parts: Partition) -> list[str]:
    """Return what does not fit the public limits, in sentences that name it and say what helps."""
    return [sentence for validator in VALIDATORS for sentence in validator(graph, parts)]


def remarks(graph: Graph, parts: Partition) -> list[str]:
    """Return what fits, and should be known all the same."""
    return [sentence for remark in REMARKS for sentence in remark(graph, parts)]


def _share(resource: str, graph: Graph, parts: Partition) -> list[str]:
    """Return who takes more of a resource of a core than there is, in one neuron; assumed limits refuse none."""
    return [] if parts.chip.limits[resource].confidence == "assumed" else _alone(resource, parts, "has")


def _alone(resource: str, parts: Partition, has: str) -> list[str]:
    return [
        f"population '{name}': one neuron alone takes {need:,} {resource.replace('_', ' ')}, and a core of "
        f"{parts.chip.name} {has} {parts.chip.most(resource):,}: {HELP[resource]}."
        for (name, of), need in parts.broken.items()
        if of == resource
    ]


def _beyond_assumed(graph: Graph, parts: Partition) -> list[str]:
    """Return who takes more of a resource of a core than is assumed to be there."""
    assumed = [name for name in HELP if parts.chip.limits[name].confidence == "assumed"]
    return [text for name in assumed for text in _alone(name, parts, "is assumed to have")]


def _models(graph: Graph, parts: Partition) -> list[str]:
    """A chip has Lava's neurons only."""
    return [
        f"population '{n.name}': no chip has the model '{n.model}', so that this bundle runs in simulation only"
        f"{HELP_MODELS.get(n.model, '')}."
        for n in graph.neurons
        if not MODELS[n.model].stock
    ]


def _parameter(key: str, limit: str, advice: str, graph: Graph, parts: Partition) -> list[str]:
    """Return the populations with a parameter beyond its limit."""
    return [
        _beyond(f"population '{n.name}'", key, n.parameters[key], parts.chip.limits[limit], advice)
        for n in graph.neurons
        if key in n.parameters and _outside(n.parameters[key], parts.chip.limits[limit])
    ]


def _of_synapses(key: str, limit: str, advice: str, graph: Graph, parts: Partition) -> list[str]:
    """Return the synapses with a value beyond its limit."""
    return [
        _beyond(str(s), key, getattr(s, key), parts.chip.limits[limit], advice)
        for s in graph.synapses
        if _outside(getattr(s, key), parts.chip.limits[limit])
    ]


def _outside(value: object, limit: Limit) -> bool:
    given = np.asarray(value)
    return bool(given.size) and not limit.least <= given.min() <= given.max() <= limit.most


def _beyond(what: str, key: str, value: object, limit: Limit, advice: str) -> str:
    low, high = np.min(np.asarray(value)), np.max(np.asarray(value))
    got = f"{low}" if low == high else f"{low}..{high}"
    return f"{what}: {key} is {got}, and the limits are {limit.least}..{limit.most}: {advice}."


def _weights(graph: Graph, parts: Partition) -> list[str]:
    """Weights are what synapses of so many bits and such signs can hold; in Lava, convolutions do not see to it."""
    return [
        f"{s}: its weights {s.weight.min()}..{s.weight.max()} are not what {s.weight_bits} bits hold, "
        f"{'even numbers in -256..254' if s.sign_mode == MIXED else 'numbers of one sign, up to 255'} if they are 8: "
        "round them before."
        for s in graph.synapses
        if s.weight.size and not holds(s.weight, s.weight_bits, s.sign_mode)
    ]


def _payloads(graph: Graph, parts: Partition) -> list[str]:
    """Spikes have no payload, or one of so many bits."""
    most = parts.chip.most("payload_bits")
    help_ = f"at most {most} bits are" if most else "graded spikes are not: send plain spikes, or take loihi2"
    bits = {str(s): s.message_bits for s in graph.synapses}
    bits |= {f"source '{source.name}'": source.message_bits for source in graph.sources}
    return [f"{what}: payloads of {n} bits, on {parts.chip.name} {help_}." for what, n in bits.items() if n > most]


def _wraps(graph: Graph, parts: Partition) -> list[str]:
    """Currents have so many bits, and wrap beyond them: the most that one step can bring, whatever comes."""
    most = 2 ** (parts.chip.most("state_bits") - 1)
    return [
        f"population '{n.name}': its synapses can bring {reach:,} in one step, and a current beyond {most:,} wraps: "
        "if that happens with your data, make the weights smaller."
        for n in graph.neurons
        if "du" in n.parameters and (reach := _reach(graph, n)) >= most
    ]


def _overflows(graph: Graph, parts: Partition) -> list[str]:
    """A current wraps once in Lava; beyond three times its range that is not modulo any more."""
    most = 3 * 2 ** (parts.chip.most("state_bits") - 1)
    return [
        f"population '{n.name}': its synapses can bring {reach:,} in one step, more than three times what a current "
        "holds: make the weights, the exponents or the payloads smaller."
        for n in graph.neurons
        if "du" in n.parameters and (reach := _reach(graph, n)) >= most
    ]


def _reach(graph: Graph, neurons: Neurons) -> int:
    largest = sum(
        int(_largest_sum(s, int(np.prod(neurons.shape))) * 2.0**s.exponent) * (2**s.message_bits - 1 or 1)
        for s in graph.synapses
        if s.target == neurons.name
    )
    return largest << FRACTION_BITS


def _largest_sum(s: Synapses, targets: int) -> int:
    if s.form == "sparse":
        rows = np.repeat(np.arange(targets), np.diff(s.indptr))
        return int(np.bincount(rows, np.abs(s.weight), targets).max(initial=0))
    sums = (np.abs(part).reshape(len(part), -1).sum(axis=1, dtype=np.int64) for part in in_parts(s.weight))
    return max((int(part.max()) for part in sums), default=0)


def _assumptions(graph: Graph, parts: Partition) -> Iterator[str]:
    assumed = [name.replace("_", " ") for name, limit in parts.chip.limits.items() if limit.confidence == "assumed"]
    if assumed:
        yield f"of {parts.chip.name} nothing public says these limits, which are assumed: {', '.join(assumed)}."


VALIDATORS: tuple[Validator, ...] = (
    *(partial(_share, resource) for resource in HELP),
    _weights,
    partial(_of_synapses, "weight_bits", "weight_bits", "take weights of at most 8 bits"),
    partial(_of_synapses, "exponent", "weight_exponent", "scale the weights and the threshold alike"),
    partial(_of_synapses, "delay", "delay", "shorten it, or put a relaying population between"),
    partial(_parameter, "vth", "threshold", "scale the weights and the threshold down"),
    partial(_parameter, "bias_mant", "bias_mantissa", "give it a larger exponent"),
    partial(_parameter, "bias_exp", "bias_exponent", "scale the weights, the threshold and the bias down"),
    partial(_parameter, "du", "current_decay", "current leaks by at least 1/4096 a step there"),
    partial(_parameter, "dv", "membrane_decay", "a membrane without memory is not there: 4095 is nearest"),
    _payloads,
    _overflows,
)
REMARKS: tuple[Validator, ...] = (
    _models,
    _beyond_assumed,
    _wraps,
    lambda graph, parts: list(_assumptions(graph, parts)),
)

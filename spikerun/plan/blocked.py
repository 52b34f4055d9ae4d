# SPDX-License-Identifier: Apache-2.0
"""The blocked schedule: one pass, words as operands, the membranes of a window at a time."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from spikerun.kernels.operations import Fill, Fire, FireLevels, MaxPool, Operation
from spikerun.kernels.program import Program, Register
from spikerun.network import Network
from spikerun.plan.common import (
    STATE_HOLDS,
    apply,
    count,
    counted,
    geometry,
    of,
    part_register,
    reported,
    row,
    words_register,
)

__all__ = ["blockable", "lower_blocked"]


def blockable(net: Network) -> bool:
    """Return whether whole windows can go through the network at once: words everywhere, and no delays."""
    words = (net.sender_of(name) for name, p in net.populations.items() if p.neuron.fires)
    return net.feedforward and all(word is not None and word.coded for word in words)


def lower_blocked(net: Network) -> Program:
    """Return the program of the blocked schedule."""
    integrating = [name for name, p in net.populations.items() if p.neuron.integrates]
    registers = [words_register(net, name) for name in counted(net)]
    registers += [Register(of(n, "v"), "int32", net.populations[n].shape, STATE_HOLDS["v"]) for n in integrating]
    registers += [part_register(net, n) for n in integrating if any(k.projection.exponent for k in net.into(n))]
    slots = {name: slot for slot, name in enumerate(counted(net))}
    operations: list[Operation] = []
    for name in net.order:
        operations += row(_LOWER, net.populations[name].neuron.kind, net, name, "spikerun/plan/blocked.py")(net, name)
        word = net.sender_of(name)
        if word is not None:
            mode = "popcount" if word.code == "bits" else "nonzero"
            operations.append(count(net, name, slots[name], mode, word.bits))
    return Program(
        tuple(registers),
        tuple(operations),
        steps=1,
        inputs=tuple((name, name) for name in net.inputs),
        outputs=tuple((n, reported(net, n)) for n in net.outputs),
        traces=tuple((n, "word", n) for n in slots) + tuple((n, "v", of(n, "v")) for n in integrating),
        counters=tuple(slots),
    )


def _input(net: Network, name: str) -> Iterator[Operation]:
    """Nothing happens to an input: its words are put into its register from outside."""
    yield from ()


def _integrate(net: Network, name: str) -> Iterator[Operation]:
    v = of(name, "v")
    yield Fill(v, net.populations[name].neuron.offset)
    for link in net.into(name):
        yield from apply(net, link, link.source, v)


def _few_spikes(net: Network, name: str) -> Iterator[Operation]:
    neuron: Any = net.populations[name].neuron
    yield from _integrate(net, name)
    yield Fire(of(name, "v"), name, neuron.threshold, neuron.bits, neuron.signed, neuron.kept_bits)


def _levels(net: Network, name: str) -> Iterator[Operation]:
    neuron: Any = net.populations[name].neuron
    yield from _integrate(net, name)
    yield FireLevels(of(name, "v"), name, neuron.levels, neuron.words)


def _max_pool(net: Network, name: str) -> Iterator[Operation]:
    (link,) = net.into(name)
    yield MaxPool(link.source, name, geometry(link.connection, net.populations[link.source].shape))


# All others integrate step by step, as if and lif do: networks that have them are not blockable.
_LOWER: Mapping[str, Callable[[Network, str], Iterator[Operation]]] = {
    "input": _input,
    "few_spikes": _few_spikes,
    "levels": _levels,
    "readout": _integrate,
    "max_pool": _max_pool,
}

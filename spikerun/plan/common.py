# SPDX-License-Identifier: Apache-2.0
"""What the schedules share: registers of populations, the maps of projections, and counting."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from spikerun.codes import MAX_BITS
from spikerun.errors import UnsupportedError
from spikerun.kernels.operations import ALWAYS, AddShifted, Apply, Count, Dtype, Fill, Geometry, Map, Operation, When
from spikerun.kernels.program import Register
from spikerun.network import Link, Network, Population
from spikerun.values import locked

__all__ = [
    "STATE_HOLDS",
    "ZERO",
    "apply",
    "count",
    "counted",
    "geometry",
    "mapping",
    "of",
    "part_register",
    "reported",
    "row",
    "words_register",
]

T = TypeVar("T")
ZERO = locked(np.zeros((), np.int32))

STATE_HOLDS: Mapping[str, str] = {
    "v": "membranes",
    "u": "what is left to send, or the currents of the synapses",
    "left": "spikes that may still be sent",
    "wait": "refractory steps left",
    "pending": "spikes not yet subtracted",
    "alive": "candidates that have not lost yet",
    "answer": "what this window has come to",
}


def row(table: Mapping[str, T], key: str, net: Network, name: str, where: str) -> T:
    """Return the row of a table that a population needs. Raises UnsupportedError that names it where there is none."""
    if key not in table:
        raise UnsupportedError(
            f"population '{name}' ({net.populations[name].neuron.kind}): there is no row '{key}' in {where}; "
            "spikerun.reference runs it"
        )
    return table[key]


def of(name: str, key: str) -> str:
    """Return the name of a population's register `key`."""
    return f"{name}:{key}"


def words_register(net: Network, name: str) -> Register:
    """Return the register of the words or spikes that a population sends."""
    word = net.sender_of(name)
    holds = "spikes" if word is None else "words"
    return Register(name, dtype_of(net, name), net.populations[name].shape, holds, largest=net.largest_event(name))


def dtype_of(net: Network, name: str) -> Dtype:
    """Return the type of what a population sends; only words of inputs, and of pools of them, have more than 8 bits."""
    word = net.sender_of(name)
    if word is not None and word.bits > MAX_BITS:
        return "int16" if word.signed else "uint16"
    return "int8" if word is not None and word.signed else "uint8"


def reported(net: Network, name: str) -> str:
    """Return the register that holds at the end of a window what a run reports of a population."""
    key = net.populations[name].neuron.reported
    return of(name, key) if key else name


def mapping(net: Network, link: Link) -> Map:
    """Return the linear map of a projection, without its exponent."""
    source, target = net.populations[link.source].shape, net.populations[link.target].shape
    return Map(link.connection.kind, source, target, link.channels, link.connection.parameters())


def part_register(net: Network, name: str) -> Register:
    """Return the register of what a projection with an exponent adds to a population's currents or membranes."""
    return Register(of(name, "part"), "int32", net.populations[name].shape, "currents of one projection")


def apply(net: Network, link: Link, x: str, acc: str, when: When = ALWAYS) -> Iterator[Operation]:
    """Yield what adds the currents of a projection, which its source's events `x` cause, to register `acc`."""
    exponent, part = link.projection.exponent, of(link.target, "part")
    if not exponent:
        yield Apply(x, acc, mapping(net, link), when)
        return
    yield Fill(part, ZERO, when)
    yield Apply(x, part, mapping(net, link), when)
    yield AddShifted(part, acc, exponent, when)


def geometry(window: Any, source: tuple[int, ...]) -> Geometry:
    """Return windows over an image of this shape, no larger than what they see of it."""
    kernel, padding = window.touching(source)
    return Geometry(source, window.target_shape(source), kernel, window.stride, padding, window.dilation)


def counted(net: Network) -> tuple[str, ...]:
    """Return the populations whose spikes are counted, in the order of the counters."""
    return tuple(name for name, p in net.populations.items() if p.neuron.fires)


def count(net: Network, name: str, slot: int, mode: str, bits: int, when: When = ALWAYS) -> Operation:
    """Return the counting of a population's spikes, and of the synaptic operations that they cause."""
    population = net.populations[name]
    fans = (link.connection.fan_out(population.shape) for link in net.out_of(name))
    total = sum(fans, np.zeros((), np.int64))
    return Count(name, compressed(population, np.broadcast_to(total, population.shape)), mode, bits, slot, when)


def compressed(population: Population, values: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """Return one value for each neuron as int32 of shape () or (C,) where these say as much."""
    per_channel = values.reshape(population.shape[0], -1)
    if (per_channel == per_channel[:, :1]).all():
        first = per_channel[:, 0]
        values = first[:1].reshape(()) if (first == first[0]).all() else first
    return locked(values.astype(np.int32))

# SPDX-License-Identifier: Apache-2.0
"""What a model keeps from one step to the next, and how that lies in a snapshot: the layout, for C and for Python.

A snapshot is MAGIC, the version (four bytes), the first bytes of the network's digest (`spikerun.snapshot.digest`), the
number of steps done (eight bytes), the registers of `kept` one behind the other as they lie in memory, and the CRC-32
of all that (four bytes). Numbers have their least significant byte first.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spikerun.edge.mcu.kernels import bytes_of
from spikerun.edge.mcu.maps import filled
from spikerun.edge.mcu.model import Model
from spikerun.edge.mcu.table import Table
from spikerun.kernels.program import Program, Register
from spikerun.network import Network
from spikerun.plan.common import of
from spikerun.plan.past import past, ring_steps
from spikerun.snapshot import digest

__all__ = ["CRC_BYTES", "HEADER", "MAGIC", "VERSION", "Kept", "kept", "network", "size", "table"]

MAGIC = b"SPKS"
VERSION = 1
HEADER = struct.Struct("<4sI8sQ")  # MAGIC, VERSION, the network, steps
CRC_BYTES = 4


@dataclass(frozen=True)
class Kept:
    """A register that is kept, with the smallest and the largest value that it can have.

    order: its axes as they lie in memory, where a step, and each candidate of a pool, has its channels last.
    """

    register: Register
    low: int
    high: int
    order: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """Return how many bytes it takes."""
        return self.register.size * bytes_of(self.register)


def kept(net: Network, program: Program) -> list[Kept]:
    """Return what the `stream` program of a network keeps, in the order in which it lies in a snapshot."""
    registers = {register.name: register for register in program.registers}
    found: dict[str, Kept] = {}
    for name in net.populations:
        for key in net.kept(name):
            register = registers[of(name, key)]
            low, high = net.state_range(name, key, room=True)
            found[register.name] = Kept(register, low, high, _order(register, apart=key == "alive"))
    for link in net.links:
        if link.lag:
            word, ring = net.sender_of(link.source), ring_steps(net, link)
            low, high = (0, 1) if word is None else word.event_range
            names = [*([past(link)] if ring else []), *([link.source] if ring < link.lag else [])]
            for name in names:
                found[name] = Kept(registers[name], low, high, _order(registers[name], ring=name == past(link)))
    return list(found.values())


def _order(register: Register, ring: bool = False, apart: bool = False) -> tuple[int, ...]:
    """Return the axes as they lie in memory: those of an image channels last; those of taps before the channels."""
    axes = len(register.shape)
    if apart:
        return (2, 3, 0, 1)
    first = (0,) if ring else ()
    image = axes - len(first) == 3
    begin = len(first)
    return (*first, begin + 1, begin + 2, begin) if image else tuple(range(axes))


def network(net: Network) -> npt.NDArray[np.uint8]:
    """Return what tells a network from others, uint8 (8,)."""
    return digest(net)[:8]


def size(found: list[Kept]) -> int:
    """Return the bytes of a snapshot."""
    return HEADER.size + sum(one.bytes for one in found) + CRC_BYTES


def table(model: Model) -> Table:
    """Return the constants of a snapshot: five numbers for each register, as `spikerun_snapshot` has them."""
    assert model.step is not None
    found = kept(model.net, model.step.program)
    rows = np.array(list(_rows(model, found)), np.int32).reshape(-1)
    arrays = {"kept": filled(rows), "network": network(model.net).view("<u4").astype(np.uint32)}
    return Table("spikerun_snapshot", {"count": len(found), "size": size(found)}, arrays)


def _rows(model: Model, found: list[Kept]) -> Iterator[tuple[int, ...]]:
    assert model.step is not None
    for one in found:
        yield model.step.places[one.register.name], one.register.size, bytes_of(one.register), one.low, one.high

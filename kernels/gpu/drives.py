# SPDX-License-Identifier: Apache-2.0
"""Poisson sources on the device: tables of thresholds, which neuron has which source, and what a source sent."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from spikerun.errors import UnsupportedError
from spikerun.kernels.gpu.circuit import Drive
from spikerun.kernels.operations import Poisson, Shape
from spikerun.kernels.philox import POISSON, looked_up, philox

__all__ = ["Table", "Tables", "drives", "on_device", "sent", "sources"]

DRIVE = np.dtype([("seed", "<u8"), ("thresholds", "<u8"), ("guide", "<u8"), ("first", "<u4"), ("gain", "<i4"),
                  ("delay", "<i4"), ("pad", "<u4")])  # fmt: skip
Source = tuple[slice, npt.NDArray[Any]]  # of so many neurons, in C order, and their thresholds


def on_device(values: npt.NDArray[Any], device: torch.device) -> torch.Tensor:
    """Return an array on the device; torch counts in signed integers, the bits are the same."""
    signed = {"uint16": np.int16, "uint32": np.int32, "uint64": np.int64}.get(values.dtype.name)
    plain = np.array(values, order="C")
    return torch.from_numpy(plain.view(np.uint8 if plain.dtype.fields else signed or plain.dtype)).to(device)


@dataclass(frozen=True)
class Table:
    """Thresholds on the device, with one more of 2^32 - 1, and how many of them are below each multiple of 2^24."""

    thresholds: torch.Tensor
    guide: torch.Tensor

    @property
    def addresses(self) -> tuple[int, int]:
        """Return where they are."""
        return self.thresholds.data_ptr(), self.guide.data_ptr()


@dataclass
class Tables:
    """All tables of a circuit, which stay where they are; equal ones are one."""

    device: torch.device
    known: dict[bytes, Table] = field(default_factory=dict)

    def __call__(self, thresholds: npt.NDArray[np.uint32]) -> Table:
        """Return a table of thresholds (E,)."""
        key = thresholds.tobytes()
        if key not in self.known:
            ended = np.append(thresholds, np.uint32(2**32 - 1)).astype(np.uint32)
            guide = np.searchsorted(ended, (np.arange(256) << 24).astype(np.uint32), side="left").astype(np.uint8)
            self.known[key] = Table(on_device(ended, self.device), on_device(guide, self.device))
        return self.known[key]


def sources(op: Poisson, shape: Shape) -> list[Source]:
    """Return the neurons of a source that have the same thresholds."""
    size = int(np.prod(shape))
    if op.thresholds.ndim == 1:
        return [(slice(0, size), op.thresholds)]
    each = size // shape[0]
    return [(slice(c * each, (c + 1) * each), row) for c, row in enumerate(op.thresholds)]


def sent(op: Poisson, shape: Shape, t: int) -> npt.NDArray[np.int64]:
    """Return what a source sends at pass t, of its shape; zeros before the first pass."""
    found = np.zeros(int(np.prod(shape)), np.int64)
    if t >= 0:
        for span, row in sources(op, shape):
            n = np.arange(span.start, span.stop)
            found[span] = looked_up(row, philox(op.seed, n, t >> 2 & 0xFFFFFFFF, t >> 34, POISSON)[t & 3])
    return found.reshape(shape)


def entry(op: Poisson, table: Table, first: int, gain: int, delay: int) -> tuple[int, ...]:
    """Return a Drive of `cuda/recurrent.cu`; first: the neuron that is number 0 of the source."""
    return op.seed, *table.addresses, first, gain, delay, 0


def drives(
    all_: Sequence[Drive], neurons: int, most: int, tables: Tables
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[Any]]:
    """Return which drives each neuron has, (neurons, most), and what they are; number 0 is none."""
    entries: list[tuple[int, ...]] = [(0, *tables(np.zeros(0, np.uint32)).addresses, 0, 0, 0, 0)]
    which, used = np.zeros((neurons, max(1, most)), np.uint16), np.zeros(neurons, np.int64)
    for drive in all_:
        shape, first = drive.map.source, drive.first_target
        gains = np.broadcast_to(drive.map["gain"].reshape(-1, *(1,) * (len(shape) - 1)), shape).ravel()
        for span, row in sources(drive.poisson, shape):
            for gain in np.unique(gains[span]):
                own = first + span.start + np.flatnonzero(gains[span] == gain)
                which[own, used[own]] = len(entries)
                used[own] += 1
                entries.append(entry(drive.poisson, tables(row), first, int(gain), drive.delay))
                if len(entries) > 2**16:
                    raise UnsupportedError("a network with more than 65,535 rates of Poisson sources has no GPU kernel")
    return which, np.array(entries, DRIVE)

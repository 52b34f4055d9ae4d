# SPDX-License-Identifier: Apache-2.0
"""The .bin files of N-MNIST and N-Caltech101: 5 bytes an event: x, y, then 24 bits, p and t, the highest first.

An event of row 240 is none: the clock went round, and all times from there on are 8192 us later (Orchard et al.,
arXiv:1507.07629, and the code that comes with the set). Origin top left; files do not say their size.
"""

import functools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikerun.events import EVENT, EventArray
from spikerun.sources.format import Chunks, Opened
from spikerun.sources.records import records, whole_records

__all__ = ["decoded", "opened"]

RECORD = np.dtype(("u1", 5))
OVERFLOW, INCREMENT = 240, 2**13


def opened(path: Path) -> Opened:
    """Return the file; it has no header. Raises DataError where its last event is cut off."""
    whole_records(path, 0, RECORD.itemsize)
    return Opened(None, functools.partial(_chunks, path))


def decoded(raw: NDArray[np.uint8], rounds: int = 0) -> tuple[EventArray, NDArray[np.bool_]]:
    """Return the events of records uint8 (n, 5), and which records say that the clock went round.

    rounds: how often it had before
    """
    turned = raw[:, 1] == OVERFLOW
    t = raw[:, 2].astype(np.int64) & 127
    for byte in (3, 4):
        t <<= 8
        t |= raw[:, byte]
    t += INCREMENT * (rounds + np.cumsum(turned) if turned.any() else rounds)
    found = np.zeros(len(raw), EVENT)
    found["t"], found["x"], found["y"], found["p"] = t, raw[:, 0], raw[:, 1], raw[:, 2] >> 7
    return found[~turned] if turned.any() else found, turned


def _chunks(path: Path, chunk: int) -> Chunks:
    rounds = 0
    for raw, at in records(path, 0, RECORD, chunk):
        found, turned = decoded(raw, rounds)
        rounds += int(turned.sum())
        yield found, functools.partial(_where, at, turned)


def _where(at: int, turned: NDArray[np.bool_], k: int) -> str:
    return f"byte {at + int(np.flatnonzero(~turned)[k]) * RECORD.itemsize}"

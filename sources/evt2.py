# SPDX-License-Identifier: Apache-2.0
"""Prophesee RAW files of EVT 2.0: words of 32 bits, the highest 4 of which say what a word is.

0 and 1, a change of that polarity: 6 bits of t, 11 of x, 11 of y. 8: the 28 bits of t above those 6, for all that
follow. All else (triggers, vendors' data) is passed over. After Prophesee's description of EVT 2.0.

Not through faery: release 0.7.1 takes any step back of the high bits for a turn of the clock, 4.8 hours. Here it is one
where it is more than half of the range, and else events are out of order. Changes before the first word of time have no
time, and are left out.
"""

import functools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikerun.events import EVENT
from spikerun.sources.evt_header import header, unrolled
from spikerun.sources.format import Chunks, Opened
from spikerun.sources.records import records, whole_records

__all__ = ["opened"]

WORD = np.dtype("<u4")
BLOCK = 1 << 15  # words that are decoded at a time
HIGH = 8  # what a word of time says in its 4 highest bits
ROUND = 1 << 28


def opened(path: Path) -> Opened:
    """Return what the header says. Raises DataError where it is no header of EVT 2.0."""
    shape, at = header(path, "2.0")
    whole_records(path, at, WORD.itemsize)
    return Opened(shape, functools.partial(_chunks, path, at))


def _chunks(path: Path, begin: int, chunk: int) -> Chunks:
    high = -1  # bits of t above the lowest 6; -1: none seen
    for words, at in records(path, begin, WORD, min(chunk, BLOCK)):
        kind = words >> 28
        timed = np.flatnonzero(kind == HIGH)
        highs = unrolled(words[timed] & ROUND - 1, high, ROUND)
        change = np.flatnonzero(kind <= 1)
        above = np.repeat(highs, np.diff(timed, prepend=0, append=len(words)))[change]
        if high < 0:
            change, above = change[above >= 0], above[above >= 0]
        high = int(highs[-1])
        words = words[change]
        found = np.zeros(len(change), EVENT)
        found["t"] = above << 6 | words >> 22 & 63
        found["x"] = words >> 11 & 2047
        found["y"] = words & 2047
        found["p"] = words >> 28
        yield found, functools.partial(_where, at, change)


def _where(at: int, change: NDArray[np.int64], k: int) -> str:
    return f"byte {at + int(change[k]) * WORD.itemsize}"

# SPDX-License-Identifier: Apache-2.0
"""Prophesee RAW files of EVT 3.0: words of 16 bits, the highest 4 of which say what a word is.

0: the row of the changes that follow. 2: a change, its column and polarity. 3: the column and polarity where vectors
begin; 4 and 5: a vector, 12 or 8 bits of which each that is set is a change; the next one begins behind it. 8: the high
12 bits of t, which set the low ones to 0 unless they are as before; 6: the low 12 bits. All else (triggers, vendors'
data) is passed over. After Prophesee's description of EVT 3.0.

Where the high bits step back by half of their range or more, the clock went round. Sensors send changes whose time
steps back by some microseconds: up to JITTER these take the time of the one before. Changes before the first high bits
have no time, and are left out.

Not through faery: where a word of time lies ahead and has no changes, release 0.7.1 gives its time to the changes that
follow, of a recording of Prophesee's to 1,455 of 219,596, up to 11 us late.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikerun.errors import DataError
from spikerun.events import EVENT, EventArray
from spikerun.sources.evt_header import header, unrolled
from spikerun.sources.format import Chunks, Opened
from spikerun.sources.records import records, whole_records

__all__ = ["opened"]

WORD = np.dtype("<u2")
ROW, COLUMN, BASE, VECTOR_12, VECTOR_8, LOW, HIGH = 0, 2, 3, 4, 5, 6, 8
BLOCK = 1 << 16  # words that are decoded at a time
JITTER = 100  # microseconds
COLUMNS = 2048

IntArray = NDArray[np.int64]
Kinds = NDArray[np.integer]


WIDTH = np.zeros(16, np.int64)  # columns of a vector
WIDTH[[VECTOR_12, VECTOR_8]] = 12, 8


def _tables() -> tuple[NDArray[np.int8], NDArray[np.int32], NDArray[np.int8]]:
    """Return for each word how many changes it says, and where in the third their columns lie, behind the first."""
    word, bit = np.arange(1 << 16)[:, None], np.arange(12)
    kind = word >> 12
    said = (word >> bit & 1 > 0) & ((kind == VECTOR_12) | (kind == VECTOR_8) & (bit < 8)) | (kind == COLUMN) & (bit < 1)
    count = said.sum(1)
    return count.astype(np.int8), (np.cumsum(count) - count).astype(np.int32), np.nonzero(said)[1].astype(np.int8)


COUNT, START, BITS = _tables()


@dataclass
class State:
    """What words say of those that follow."""

    high: int = -1  # bits of time; -1: none yet
    low: int = 0
    row: int = 0
    base: int = 0  # where a vector begins, and above 32 bits its polarity
    last: int = 0  # the time of the last change
    widest: int = 0  # the last column of all vectors


def opened(path: Path) -> Opened:
    """Return what the header says. Raises DataError where it is no header of EVT 3.0."""
    shape, at = header(path, "3.0")
    whole_records(path, at, WORD.itemsize)
    return Opened(shape, functools.partial(_chunks, path, at))


def _chunks(path: Path, begin: int, chunk: int) -> Chunks:
    state = State()
    for words, at in records(path, begin, WORD, min(chunk, BLOCK)):
        for part in _parts(words, chunk):
            found, unknown = _changes(part, state)
            if state.widest >= COLUMNS and (beyond := found["x"] >= COLUMNS).any():
                k = int(np.argmax(beyond))
                raise DataError(f"'{path}': {_where(at, part, unknown, k)}: a vector goes on beyond {COLUMNS} columns")
            for k in range(0, len(found), chunk):
                yield found[k : k + chunk], functools.partial(_where, at, part, unknown + k)
            at += part.nbytes


def _parts(words: NDArray[np.uint16], chunk: int) -> list[NDArray[np.uint16]]:
    """Return words in parts that say about a chunk of changes each: a vector can say 12."""
    count = COUNT.take(words)
    if count.sum() <= chunk:
        return [words]
    said = np.cumsum(count, dtype=np.int64)
    cuts = np.searchsorted(said, np.arange(chunk, said[-1], chunk), side="right")
    return [part for part in np.split(words, cuts) if len(part)]


def _where(at: int, words: NDArray[np.uint16], first: int, k: int) -> str:
    said = np.cumsum(COUNT[words])
    return f"byte {at + int(np.searchsorted(said, first + k, side='right')) * WORD.itemsize}"


def _changes(words: NDArray[np.uint16], state: State) -> tuple[EventArray, int]:
    """Return the changes that words say, and how many before them have no time."""
    kind = words >> 12
    count = COUNT.take(words)
    before = np.cumsum(count, dtype=np.int64)  # changes that are said up to a word
    t = _times(words, kind, before, state)
    row = np.flatnonzero(kind == ROW)
    rows = np.append(state.row, words[row] & 2047)
    state.row = int(rows[-1])
    column = _columns(words, kind, count, before, state)
    column |= _held(rows << 16, before[row], len(t))
    unknown = int(np.searchsorted(t, 0)) if len(t) and t[0] < 0 else 0
    return _events(t[unknown:], column[unknown:], state), unknown


def _events(t: IntArray, rest: IntArray, state: State) -> EventArray:
    """Return changes as events. rest: all but the time, as it lies in an event."""
    if len(t):
        if t[0] < state.last or (t[1:] < t[:-1]).any():
            ahead = np.maximum.accumulate(np.maximum(t, state.last))
            t = np.where(ahead - t <= JITTER, ahead, t)
        state.last = int(t[-1])
    found = np.empty((len(t), 2), "<i8")
    found[:, 0], found[:, 1] = t, rest
    return found.view(EVENT)[:, 0]


def _held(values: IntArray, at: IntArray, count: int) -> IntArray:
    """Return for each change the last value said before it: the first of them before change at[0], and so on."""
    return np.repeat(values, np.diff(at, prepend=0, append=count))


def _times(words: NDArray[np.uint16], kind: Kinds, before: IntArray, state: State) -> IntArray:
    """Return the time of each change, -1 before any high bits."""
    timed = np.flatnonzero((kind == LOW) | (kind == HIGH))
    is_high, said = kind[timed] == HIGH, words[timed] & 4095
    high = unrolled(said[is_high], state.high, 1 << 12)[np.cumsum(np.append(False, is_high))]
    low = np.append(state.low, np.where(is_high, 0, said))
    kept = np.append(False, is_high & (high[1:] == high[:-1]))
    low = low[np.maximum.accumulate(np.where(kept, 0, np.arange(len(low))))]
    state.high, state.low = int(high[-1]), int(low[-1])
    return _held(np.where(high < 0, -1, high << 12 | low), before[timed], int(before[-1]))


def _columns(
    words: NDArray[np.uint16], kind: Kinds, count: NDArray[np.int8], before: IntArray, state: State
) -> IntArray:
    """Return the column and the polarity of each change, as they lie in an event."""
    found = np.empty(int(before[-1]), np.int64)
    single = np.flatnonzero(kind == COLUMN)
    found[before[single] - 1] = _placed(words[single])
    part = np.flatnonzero((kind >= BASE) & (kind <= VECTOR_8))  # what vectors are made of
    if len(part):
        kind, said = kind[part], _placed(words[part])
        is_base = kind == BASE
        behind = np.cumsum(WIDTH[kind])
        begin = np.append(state.base, said[is_base] - behind[is_base])[np.cumsum(is_base)] + behind - WIDTH[kind]
        state.base = int(begin[-1] + WIDTH[kind[-1]])
        many = count[part]
        first = before[part] - many
        which = np.repeat(np.arange(len(part)), many)
        within = np.arange(len(which)) - np.repeat(np.cumsum(many, dtype=np.int64) - many, many)
        column = begin[which] + BITS[START[words[part]][which] + within]
        if len(column):
            state.widest = int((column & 2**32 - 1).max())
            if state.widest >= COLUMNS:
                column = np.minimum(column & 2**32 - 1, 2**16 - 1) | column >> 32 << 32
        found[first[which] + within] = column
    return found


def _placed(words: NDArray[np.uint16]) -> IntArray:
    """Return the column and the polarity that words say, as they lie in an event."""
    found = words.astype(np.int64)
    return found & 2047 | (found & 2048) << 21

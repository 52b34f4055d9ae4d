# SPDX-License-Identifier: Apache-2.0
"""Where the word of an integer changes: any function of accumulators as levels and, where it falls too, a table.

A grid of the whole of int32, fine where functions bend, is searched for places where the word differs; the extremes of
the function between its points join it, and bisection finds the exact integers. So no word is approximated: what lies
between two points of the grid is one rise or one fall.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spikerun.errors import ConversionError

__all__ = ["Steps", "steps"]

Integers = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]

LOW, HIGH = -(2**31), 2**31 - 1
BENDS = 48.0  # real values up to this are looked at one by one, at a distance of 1 / FINE
FINE = 32
PER_OCTAVE = 32  # beyond it, and towards 0
MOST = 4096  # changes of a channel between points of the grid
ROWS = 2**20  # values at once


@dataclass(frozen=True, eq=False)
class Steps:
    """Words as integers rise: of each channel the integers (C, M) at which a new word begins, and words (C, M + 1).

    Where a channel has fewer than others, its last levels are HIGH, and the last word is repeated.
    """

    levels: Integers
    words: Integers

    @property
    def rising(self) -> bool:
        """Return whether no word is less than one before it."""
        return bool((np.diff(self.words, axis=1) >= 0).all())

    def of_each_word(self, low: int, high: int) -> Integers:
        """Return, of words that rise, the least integer of each word above `low` up to `high`, (C, high - low)."""
        reached = np.full((len(self.words), high - low), HIGH, np.int64)
        for channel, (levels, words) in enumerate(zip(self.levels, self.words, strict=True)):
            starts = np.concatenate([[LOW], levels])
            jumps = np.diff(words, prepend=low)
            found = np.repeat(starts, jumps)
            reached[channel, : len(found)] = found
        return reached


def steps(real: Callable[[Reals], Reals], word: Callable[[Reals], Reals], scale: Reals) -> Steps:
    """Return where the words of accumulators change.

    real, word: of accumulators (N, C) float64, the function and the word of it. scale: (C,), the real value of 1.
    Raises ConversionError where there are too many.
    """
    v = _grid(scale)
    v = _with_extremes(real, v)
    words = _in_rows(word, v)
    return _bisected(word, v, words)


def _grid(scale: Reals) -> Integers:
    """Return integers (N, C), ascending in each channel."""
    octaves = np.exp2(np.arange(-10 * PER_OCTAVE, 50 * PER_OCTAVE) / PER_OCTAVE)
    fine = np.arange(1, BENDS * FINE + 1) / FINE
    x = np.unique(np.concatenate([fine, octaves[(octaves < 1) | (octaves > BENDS)]]))
    v = np.rint(np.concatenate([-x[::-1], [0.0], x])[:, None] / scale)
    ends = np.full((1, len(scale)), float(LOW)), np.full((1, len(scale)), float(HIGH))
    return np.concatenate([ends[0], np.clip(v, LOW, HIGH), ends[1]]).astype(np.int64)


def _in_rows(function: Callable[[Reals], Reals], v: Integers) -> Reals:
    rows = max(1, ROWS // v.shape[1])
    return np.concatenate([function(v[k : k + rows].astype(np.float64)) for k in range(0, len(v), rows)])


def _at(function: Callable[[Reals], Reals], channels: int, c: Integers, v: Integers) -> Reals:
    """Return the function of single integers `v` of the channels `c`."""
    place, counts = _places(c, channels)
    packed = np.zeros((max(int(counts.max(initial=0)), 1), channels), np.int64)
    packed[place, c] = v
    return _in_rows(function, packed)[place, c]


def _places(c: Integers, channels: int) -> tuple[Integers, Integers]:
    """Return which of its channel each is, and how many each channel has."""
    counts = np.bincount(c, minlength=channels)
    place = np.empty(len(c), np.int64)
    place[np.argsort(c, kind="stable")] = np.arange(len(c)) - np.repeat(np.cumsum(counts) - counts, counts)
    return place, counts


def _with_extremes(real: Callable[[Reals], Reals], v: Integers) -> Integers:
    """Return the grid with the integers around the largest and the least values that lie between its points."""
    channels = v.shape[1]
    rises = np.diff(np.nan_to_num(_in_rows(real, v)), axis=0)
    turns = (np.sign(rises[:-1]) * np.sign(rises[1:]) <= 0) & (rises[:-1] != rises[1:])
    row, c = np.nonzero(turns)
    if not len(row):
        return v
    low, high = v[row, c], v[row + 2, c]
    sign = np.where((rises[row, c] > 0) | (rises[row + 1, c] < 0), 1.0, -1.0)  # a largest value, or a least
    while (wide := high - low > 2).any():
        third = np.maximum((high - low) // 3, 1)
        a, b = low + third, high - third
        better = sign * _at(real, channels, c, a) >= sign * _at(real, channels, c, b)
        low, high = np.where(wide & ~better, a, low), np.where(wide & better, b, high)
    place, counts = _places(c, channels)
    more = np.repeat(v[-1:], 3 * int(counts.max()), axis=0)  # of channels with fewer turns: the end once more
    for k, found in enumerate((low, low + 1, high)):
        more[3 * place + k, c] = found
    return np.sort(np.concatenate([v, more]), axis=0)


def _bisected(word: Callable[[Reals], Reals], v: Integers, words: Reals) -> Steps:
    channels = v.shape[1]
    row, c = np.nonzero(words[1:] != words[:-1])
    if np.bincount(c, minlength=1).max() > MOST:
        raise ConversionError(f"its words change at more than {MOST} values")
    spans = np.array([c, v[row, c], v[row + 1, c], words[row, c], words[row + 1, c]], np.int64)  # word, to other word
    done = spans[:, :0]
    while spans.size:
        near = spans[2] - spans[1] == 1
        done, spans = np.concatenate([done, spans[:, near]], axis=1), spans[:, ~near]
        c, low, high, before, after = spans
        middle = low + (high - low) // 2
        between = _at(word, channels, c, middle).astype(np.int64)
        halves = np.array([c, low, middle, before, between]), np.array([c, middle, high, between, after])
        spans = np.concatenate([half[:, half[3] != half[4]] for half in halves], axis=1)
    c, _, high, _, after = done[:, np.lexsort((done[2], done[0]))]
    place, counts = _places(c, channels)
    most = max(int(counts.max(initial=0)), 1)
    levels = np.full((channels, most), HIGH, np.int64)
    found = np.repeat(words[-1:].T.astype(np.int64), most + 1, axis=1)  # of channels with fewer steps: the last word
    found[:, 0] = words[0]
    levels[c, place], found[c, place + 1] = high, after
    return Steps(levels, found)

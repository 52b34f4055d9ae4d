# SPDX-License-Identifier: Apache-2.0
"""Tables by which integers are drawn from words of 32 random bits; made once, in float64, and integers ever after.

A table of E thresholds (uint32, not decreasing) draws number n of E + 1 things where n thresholds are smaller than the
word. So threshold k is the nearest integer to 2^32 P(number <= k), ties to even, less 1, and at least 0; those from the
first on that would be 2^32 - 1 are left out: nothing passes them.
"""

import math

import numpy as np
import numpy.typing as npt

from spikerun.errors import NetworkError, UsageError
from spikerun.values import as_array, integer, require

__all__ = ["normal", "poisson"]

MAX_RATE = 100.0  # events in a step
WORDS = 2.0**32

Reals = npt.NDArray[np.float64]
Thresholds = npt.NDArray[np.uint32]


def poisson(rate: npt.ArrayLike) -> Thresholds:
    """Return the thresholds of Poisson's distribution, (E,) for one rate, or (C, E) for rates (C,), filled up with
    2^32 - 1. P(0) = exp(-rate), P(k) = P(k - 1) rate / k, summed in this order.
    """
    rates = as_array("rate", rate)
    if rates.dtype.kind not in "iuf" or rates.ndim > 1 or not rates.size:
        raise NetworkError(f"rate must be a number, or one for each channel, got {rate!r:.80}")
    inside = bool(((rates >= 0) & (rates <= MAX_RATE)).all())
    require(inside, f"rate must be in 0..{MAX_RATE:g} events a step, got {rates.min()}..{rates.max()}")
    rows = [_row(_sums(float(one))) for one in rates.ravel()]
    table = np.full((len(rows), max(map(len, rows))), 2**32 - 1, np.uint32)
    for own, row in zip(table, rows, strict=True):
        own[: len(row)] = row
    return table if rates.ndim else table[0]


def normal(mean: float, sd: float, low: int, high: int) -> tuple[npt.NDArray[np.int64], Thresholds]:
    """Return the integers low..high and the thresholds that draw them: normal numbers, rounded, drawn again if beyond.

    The share of v is that of the numbers from v - 1/2 to v + 1/2 in all from low - 1/2 to high + 1/2. Integers at the
    ends that no word of 32 bits draws are left out. sd 0: the integer nearest to the mean alone.
    """
    low, high = integer("low", low, -(2**31), 2**31 - 1), integer("high", high, -(2**31), 2**31 - 1)
    for name, value in (("mean", mean), ("sd", sd)):
        if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
            raise UsageError(f"{name} must be a number, got {value!r:.80}")
    known = math.isfinite(mean) and math.isfinite(sd) and sd >= 0 and low <= high and high - low < 2**16
    require(known, f"mean and sd >= 0 must be finite, and low <= high, got {mean}, {sd}, {low}, {high}")
    if sd == 0:
        return np.array([min(max(round(mean), low), high)]), np.zeros(0, np.uint32)
    ends = [0.5 * math.erfc((mean - v - 0.5) / (sd * math.sqrt(2))) for v in range(low - 1, high + 1)]
    require(ends[-1] > ends[0], f"no normal number with mean {mean} and sd {sd} lies near {low}..{high}")
    sums = np.array([(end - ends[0]) / (ends[-1] - ends[0]) for end in ends[1:]])
    first = int((np.rint(sums * WORDS) < 1).sum())
    table = _row(sums[first:])
    return np.arange(low + first, low + first + len(table) + 1), table


def _sums(rate: float) -> Reals:
    """Return P(number <= k) of Poisson's distribution, for all k where it matters, in float64."""
    share = total = math.exp(-rate)
    sums = [total]
    while round(total * WORDS) < WORDS:
        share *= rate / len(sums)
        total += share
        sums.append(total)
    return np.array(sums)


def _row(sums: Reals) -> Thresholds:
    """Return the thresholds of what has these cumulative shares, without those that nothing passes."""
    near = np.rint(sums * WORDS)
    kept: Thresholds = (np.maximum(near[near < WORDS], 1) - 1).astype(np.uint32)
    return kept

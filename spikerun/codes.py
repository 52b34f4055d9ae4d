# SPDX-License-Identifier: Apache-2.0
"""How an integer travels as spikes: the few-spikes codes `bits`, `ttfs` and `graded`, and the significance of a spike.

Windows of different length end together: a code that needs fewer steps than the window uses its last ones.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = [
    "CODES",
    "MAX_BITS",
    "MAX_INPUT_BITS",
    "Word",
    "decode",
    "encode",
    "keep_most_significant",
    "significance",
    "spike_count",
    "word_range",
    "word_steps",
]

IntArray = npt.NDArray[np.int64]
CODES = ("bits", "ttfs", "graded")
MAX_BITS = 8  # of a word that neurons send
MAX_INPUT_BITS = 16  # of one that comes from outside


@dataclass(frozen=True)
class Word:
    """How a population sends: its code (CODES, `current`, `frames` or `spikes`), how many bits, signed or not."""

    code: str
    bits: int
    signed: bool = False

    @property
    def coded(self) -> bool:
        """Return whether the spikes of a window together stand for one integer."""
        return self.code in CODES

    @property
    def stepwise(self) -> bool:
        """Return whether a run is given what is sent at each step of a window, not one integer."""
        return self.code in ("frames", "spikes")

    @property
    def plain(self) -> bool:
        """Return whether every event is worth its payload: kinds that integrate step by step can take it."""
        return self.code not in ("bits", "ttfs") or (self.bits == 1 and not self.signed)

    @property
    def steps(self) -> int:
        """Return how many steps a word takes."""
        return word_steps(self.code, self.bits)

    @property
    def range(self) -> tuple[int, int]:
        """Return the smallest and the largest integer."""
        return word_range(self.bits, self.signed)

    @property
    def event_range(self) -> tuple[int, int]:
        """Return the smallest and the largest value of one event."""
        return (0, 1) if self.code in ("bits", "ttfs") else self.range

    def significance(self, window: int) -> IntArray:
        """Return g, int64 (window,): what a spike at each step of the window is worth."""
        return significance(self.code, self.bits, self.signed, window)

    def encode(self, q: npt.ArrayLike, window: int) -> IntArray:
        """Return the events (window, *shape) of integers `q`."""
        return encode(q, self.code, self.bits, self.signed, window)


def word_range(bits: int, signed: bool) -> tuple[int, int]:
    """Return the smallest and the largest integer of a word of `bits` bits."""
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)


def word_steps(code: str, bits: int) -> int:
    """Return the steps that one word takes in `code`: `bits` T, `ttfs` 2^T - 1, others 1."""
    if code == "bits":
        return bits
    return (1 << bits) - 1 if code == "ttfs" else 1


def significance(code: str, bits: int, signed: bool, window: int) -> IntArray:
    """Return g, int64 of shape (window,): what a spike sent at each step of the window is worth; 0 = none is sent."""
    left = window - np.arange(window, dtype=np.int64)  # steps to the end, this one included
    if code in ("current", "frames", "spikes"):
        return np.ones(window, dtype=np.int64)
    if code == "graded":
        return np.where(left == 1, 1, 0)
    if code == "ttfs":
        return np.where(left < 1 << bits, left, 0)
    g: IntArray = np.where(left <= bits, 1 << np.minimum(left - 1, 62), 0)
    return np.where(left == bits, -g, g) if signed else g


def encode(q: npt.ArrayLike, code: str, bits: int, signed: bool, window: int) -> IntArray:
    """Return the events of the integers `q` (any shape) as an array (window, *shape): 0/1, or payloads if graded."""
    q = np.asarray(q, dtype=np.int64)
    g = significance(code, bits, signed, window).reshape((window,) + (1,) * q.ndim)
    if code == "current":
        return np.broadcast_to(q, (window, *q.shape)).copy()
    if code == "graded":
        payloads: IntArray = g * q
        return payloads
    # in code bits, the bit of weight |g| of the two's complement word; the sign step has negative g
    fires: npt.NDArray[np.bool_] = (g == q) & (g > 0) if code == "ttfs" else (q & np.abs(g)) != 0
    return fires.astype(np.int64)


def decode(events: npt.ArrayLike, code: str, bits: int, signed: bool) -> IntArray:
    """Return the integers that the `events` (window, *shape) carry: the sum of significance times event."""
    events = np.asarray(events, dtype=np.int64)
    carried: IntArray = np.tensordot(significance(code, bits, signed, len(events)), events, axes=1)
    return carried


def keep_most_significant(q: IntArray, bits: int, signed: bool, spikes: int) -> IntArray:
    """Return `q` with only the `spikes` most significant set bits of its two's complement word kept."""
    if spikes >= bits:
        return q
    kept, left = np.zeros_like(q), np.full(q.shape, spikes)
    for weight in significance("bits", bits, signed, bits):
        bit = ((q & abs(weight)) != 0) & (left > 0)
        kept, left = kept + weight * bit, left - bit
    return kept


def spike_count(q: npt.ArrayLike, code: str, bits: int) -> IntArray:
    """Return the number of events that each integer of `q` costs in `code`: its set bits, or 1 unless it is zero."""
    q = np.asarray(q, dtype=np.int64)
    count: IntArray = (q != 0).astype(np.int64)
    if code == "bits":
        count = sum(((q >> k) & 1 for k in range(bits)), np.zeros_like(q))
    return count

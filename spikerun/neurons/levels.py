# SPDX-License-Identifier: Apache-2.0
"""The neuron that looks its word up: any function of one value that has few steps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from spikerun.codes import CODES, MAX_BITS, Word
from spikerun.neurons.base import INT32_MAX, Int32Array, IntArray, Neuron, Now, Shape, State, wide
from spikerun.neurons.input import check_word
from spikerun.values import all_alike, choice, int32_array, integer, require, truth

__all__ = ["MAX_LEVELS", "Levels"]

MAX_LEVELS = 1023


@dataclass(frozen=True, eq=False)
class Levels(Neuron):
    """Integrates one window, looks an integer up, sends it in the next window.

    `v = b + sum_t g(t) i[t]`, `k` = how many of the levels are <= v, `q = table[k]`. A search bit by bit finds k in as
    many comparisons as M has bits.
    levels: int32, not decreasing, of shape (M,) for all neurons or (C, M) for each channel, M in 1..1023. table: M + 1
    words, (M + 1,) or (C, M + 1); without one they are all words of T bits, ascending, and M is 2^T - 1: a monotone
    activation. With one, q is any function of v, exact wherever the levels are. Words of few set bits cost few spikes.
    code: how q travels, as `FewSpikes` sends: `bits`, `ttfs` or `graded`.

    state: v what is integrated in this window; u the integer of the last one, which is being sent.
    """

    kind: ClassVar[str] = "levels"
    integrates = "window"
    answers_after = 1
    state = MappingProxyType({"v": "int32", "u": "uint8"})
    tables = frozenset({"levels", "table"})
    bits: int
    levels: Int32Array
    table: Int32Array | None = None
    bias: Int32Array = field(default_factory=all_alike(0))
    signed: bool = False
    code: str = "bits"

    def __post_init__(self) -> None:
        object.__setattr__(self, "bits", integer("bits", self.bits, 1, MAX_BITS))
        object.__setattr__(self, "levels", int32_array("levels", self.levels))
        object.__setattr__(self, "bias", int32_array("bias", self.bias))
        object.__setattr__(self, "signed", truth("signed", self.signed))
        choice("code", self.code, CODES)
        check_word(self.word)
        self._check_levels()
        if self.table is not None:
            object.__setattr__(self, "table", int32_array("table", self.table))
            self._check_table(self.table)

    def _check_levels(self) -> None:
        shape, words = self.levels.shape, 2**self.bits
        require(
            len(shape) in (1, 2) and shape[-1] <= MAX_LEVELS,
            f"levels must have shape (M,) for all neurons or (C, M) for each channel, M in 1..{MAX_LEVELS}, "
            f"got {shape}",
        )
        falls = self.levels[..., 1:] < self.levels[..., :-1]
        if falls.any():
            *channel, k = (int(n) for n in np.unravel_index(falls.argmax(), falls.shape))
            before, after = (int(self.levels[(*channel, n)]) for n in (k, k + 1))
            where = f" of channel {channel[0]}" if channel else ""
            require(
                False, f"levels must not decrease, but those{where} go from {before} to {after} at {k + 1}: sort them"
            )
        require(
            self.table is not None or shape[-1] == words - 1,
            f"{self.bits} bits without a table need {words - 1} levels, one below each word but the lowest, got "
            f"{shape[-1]}: give so many, or a table of {shape[-1] + 1} words",
        )

    def _check_table(self, table: Int32Array) -> None:
        count, (low, high) = self.levels.shape[-1] + 1, self.word.range
        require(
            table.ndim in (1, 2) and table.shape[-1] == count,
            f"table must have shape ({count},) or (C, {count}), one word more than there are levels, got {table.shape}",
        )
        require(
            table.ndim + self.levels.ndim < 4 or len(table) == len(self.levels),
            f"levels are of {len(self.levels)} channels, table of {len(table)}: give both as many",
        )
        require(
            bool(((table >= low) & (table <= high)).all()),
            f"table must hold words of {self.bits} bits, {low}..{high}, got {table.min()}..{table.max()}",
        )

    @property
    def word(self) -> Word:
        return Word(self.code, self.bits, self.signed)

    @property
    def offset(self) -> Int32Array:
        return self.bias

    @property
    def words(self) -> Int32Array:
        """Return the words that are looked up, (M + 1,) or (C, M + 1), the lowest range of v first."""
        if self.table is not None:
            return self.table
        low, high = self.word.range
        return np.arange(low, high + 1, dtype=np.int32)

    def kept(self, taps: int = 0) -> Mapping[str, str]:
        return {**self.state, "u": "int8"} if self.signed else self.state

    def state_range(self, key: str, bound: int = INT32_MAX, window: int = 1) -> tuple[int, int]:
        return self.word.range if key == "u" else (-bound, bound)

    def look_up(self, v: IntArray) -> IntArray:
        """Return the integers q of neurons with membranes `v`, (C, ...)."""
        channels = len(v)
        levels, words = (np.broadcast_to(a, (channels, a.shape[-1])) for a in (self.levels, self.words))
        found = [words[c][np.searchsorted(levels[c], v[c], side="right")] for c in range(channels)]
        return np.stack(found).astype(np.int64)

    def between(self, shape: Shape, low: IntArray, high: IntArray) -> tuple[IntArray, IntArray]:
        count = self.levels.shape[-1] + 1
        levels = np.broadcast_to(self.levels, (shape[0], count - 1))
        words = np.broadcast_to(self.words, (shape[0], count)).astype(np.int64)
        found = []
        for c in range(shape[0]):
            first, last = (np.searchsorted(levels[c], v[c].ravel() + 1) for v in (low, high))
            ends, row = np.stack([first, last + 1], axis=1).ravel(), np.append(words[c], words[c, -1])
            found.append([bound.reduceat(row, ends)[::2].reshape(shape[1:]) for bound in (np.minimum, np.maximum)])
        least, largest = (np.stack(part) for part in zip(*found, strict=True))
        return least, largest

    def window(self, shape: Shape, i: IntArray) -> tuple[IntArray, IntArray]:
        v = wide(self.bias, shape) + i
        return v, self.look_up(v)

    def step(self, shape: Shape, state: State, i: IntArray, now: Now) -> IntArray:
        if now.r == 0:  # a window ends and the next begins: what was integrated is now sent
            if now.t > 0:
                state["u"] = self.look_up(state["v"])
            state["v"] = wide(self.bias, shape)
        state["v"] = state["v"] + i
        return self._send(state["u"], now.g)

    def _send(self, q: IntArray, g: int) -> IntArray:
        """Return the events of one step: those of `codes.encode`."""
        if self.code == "graded":
            payloads: IntArray = g * q
            return payloads
        fires: npt.NDArray[np.bool_] = (q == g) & (g > 0) if self.code == "ttfs" else (q & abs(g)) != 0
        return fires.astype(np.int64)

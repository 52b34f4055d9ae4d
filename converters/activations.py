# SPDX-License-Identifier: Apache-2.0
"""What becomes of a sum: the activations that populations compute, in real numbers, in words, and as neurons."""

from dataclasses import dataclass
from math import inf
from typing import ClassVar

import numpy as np

from spikerun.codes import MAX_BITS, word_range
from spikerun.converters.forward import spread
from spikerun.converters.graph import Array
from spikerun.neurons import FewSpikes, Neuron
from spikerun.neurons import Readout as ReadoutNeuron

__all__ = ["Activation", "Given", "Grid", "Positive", "Readout", "Rectifier", "Signed", "one"]

SPIKES_WEIGH = 4  # against error; docs/measured.md compares it with others, on training images
FACTORS = np.geomspace(0.15, 1.05, 32)  # of the largest value: candidates for the range that words cover


@dataclass(frozen=True, eq=False)
class Grid:
    """The real values that words stand for: step * (word - zero); step (C,) float64, zero (C,) int64."""

    step: Array
    zero: Array

    @classmethod
    def of(cls, step: Array) -> "Grid":
        """Return the grid of these steps on which word 0 is 0."""
        return cls(step, np.zeros(len(step), np.int64))

    def same(self, other: "Grid") -> bool:
        """Return whether all words stand for the same values."""
        return bool((self.step == other.step).all() and (self.zero == other.zero).all())

    def centred(self, words: Array) -> Array:
        """Return a batch of words (batch, C, ...) less the word of 0."""
        return words - spread(self.zero, words.shape[1:]).astype(words.dtype) if self.zero.any() else words

    def real(self, words: Array) -> Array:
        """Return the values of a batch of words (batch, C, ...): float32 of float32, else float64."""
        step = spread(self.step, words.shape[1:])
        real: Array = self.centred(words) * (step.astype(np.float32) if words.dtype == np.float32 else step)
        return real


@dataclass(frozen=True)
class Activation:
    """Base of all; `kind` is the name in reports.

    Traits: fires: it sends words; signed: they are two's complement; counts: where all gains are alike, plain counting
    computes it; divides: a word counts how often a threshold fits the accumulator.
    """

    kind: ClassVar[str]
    fires: ClassVar[bool] = True
    signed: ClassVar[bool] = False
    counts: ClassVar[bool] = False
    divides: ClassVar[bool] = True
    bound: float = inf  # the largest value

    @property
    def name(self) -> str:
        """Return what reports call it."""
        return self.kind

    @property
    def negative(self) -> bool:
        """Return whether its values may be below 0."""
        return self.signed

    @property
    def range_name(self) -> str:
        """Return the name of the range below 0 that a quantised model gives its words; empty: none."""
        return ""

    @property
    def elastic(self) -> bool:
        """Return whether steps may be wider than those of least error: not where the largest word is to be a bound."""
        return False

    @property
    def zoned(self) -> bool:
        """Return whether small words may become 0: they stand for values near 0, and none for one below."""
        return self.divides and self.fires and not self.signed

    def stretched(self, grid: Grid, scale: Array, bits: int, factor: float) -> Grid:
        """Return the grid with steps `factor` times as wide, multiples of `scale` again; only where it is `elastic`."""
        if factor == 1.0:
            return grid
        return Grid(np.clip(np.rint(grid.step * factor / scale), 1, (2**31 - 1) >> bits) * scale, grid.zero)

    def real(self, z: Array) -> Array:
        """Return what the ANN computes of a sum."""
        return np.clip(z, 0, self.bound)

    def told(self, channels: int) -> tuple[object, ...]:
        """Return what tells it, of so many channels, from others: plain values and arrays."""
        return type(self).__name__, self.bound

    def holding_zero(self) -> "Activation":
        """Return it with a word of 0, whatever its values are: most have one."""
        return self

    def word(self, bits: int, code: str, room: int) -> tuple[int, str]:
        """Return (bits, code) of the words, where activations have `bits` and code `bits` has room for more.

        The bits must not depend on the code: integers are chosen once, however they travel.
        """
        return bits, code

    def word_range(self, bits: int) -> tuple[int, int]:
        """Return the smallest and the largest word."""
        return word_range(bits, self.signed)

    def threshold(self, scale: Array, grid: Grid) -> Array | None:
        """Return the thresholds (C,) int64 of which words count how many fit the accumulator; None where they do not.

        scale: of the accumulator, of which the grid's steps are multiples.
        """
        return np.rint(grid.step / scale).astype(np.int64)

    def rounding(self, scale: Array, grid: Grid) -> Array:
        """Return what is added to accumulators so that words are rounded to nearest: half thresholds, (C,) int64."""
        threshold = self.threshold(scale, grid)
        return np.zeros(len(scale), np.int64) if threshold is None else threshold // 2

    def words(self, v: Array, scale: Array, grid: Grid, bits: int) -> Array:
        """Return the words of accumulators `v` (batch, C, ...), which hold what is added for rounding."""
        threshold = self.threshold(scale, grid)
        assert threshold is not None
        words: Array = np.clip(np.floor(v / spread(threshold, v.shape[1:]).astype(v.dtype)), *self.word_range(bits))
        return words

    def neuron(self, bits: int, code: str, bias: Array, scale: Array, grid: Grid) -> Neuron:
        """Return the kind of neuron that computes it in integers."""
        threshold = self.threshold(scale, grid)
        assert threshold is not None
        return FewSpikes(bits, one(threshold), one(bias), self.signed, None, code)

    def fit(self, v: Array, target: Array, top: Array, scale: Array, bits: int, *, together: bool) -> Grid:
        """Return the grid by which words stand for `target` (C, M) with the least squared error.

        v: accumulators (C, M) in units of `scale` (C,); top: the largest target of each channel. together: one range
        for all channels.
        """
        low, high = self.word_range(bits)
        reach = np.full_like(top, top.max()) if together else np.where(top > 0, top, top.max())
        reach = np.where(reach > 0, reach, scale * high)  # a population that never fires
        limit = np.minimum((2**31 - 1) >> bits, np.maximum(np.floor(self.bound / (high * scale)), 1))
        best = np.full(len(top), np.inf)
        chosen = np.ones(len(top), dtype=np.int64)
        for factor in FACTORS:
            threshold = np.clip(np.rint(reach * factor / high / scale), 1, limit).astype(np.int64)
            th = threshold[:, None].astype(np.float32)
            value = np.clip(np.floor((v + th // 2) / th), low, high) * (th * scale[:, None].astype(np.float32))
            error = np.square(value - target).sum(axis=1, dtype=np.float64)
            if together:
                error = np.full_like(error, error.sum())
            better = error < best
            best, chosen = np.where(better, error, best), np.where(better, threshold, chosen)
        return Grid.of(chosen * scale)


def one(values: Array) -> Array:
    """Return one number for all channels where they agree."""
    return values.reshape(-1)[0] if (values == values.reshape(-1)[0]).all() else values


class Rectifier(Activation):
    """ReLU, or with a bound ReLU6 and Hardtanh(0, b): clip(z, 0, bound) in as many bits as are asked for."""

    kind = "relu"

    @property
    def elastic(self) -> bool:
        return self.bound == inf


class Given(Rectifier):
    """A rectifier of a model that is quantised already: words of 8 bits stand for the range that it gives, 0..bound."""

    def fit(self, v: Array, target: Array, top: Array, scale: Array, bits: int, *, together: bool) -> Grid:
        """Return the grid of the model itself, where words have as many bits; else the best within its range."""
        if bits < MAX_BITS:
            return super().fit(v, target, top, scale, bits, together=together)
        threshold = np.rint(self.bound / self.word_range(bits)[1] / scale)
        return Grid.of(np.clip(threshold, 1, (2**31 - 1) >> bits) * scale)


class Positive(Activation):
    """A sum that cannot be negative, with no activation to hide behind: all bits that there is room for."""

    kind = "positive"
    counts = True

    @property
    def elastic(self) -> bool:
        return True

    def word(self, bits: int, code: str, room: int) -> tuple[int, str]:
        return room, "bits" if code == "ttfs" and room > bits else code


class Signed(Activation):
    """A sum of either sign, in two's complement: all bits that there is room for."""

    kind = "signed"
    signed = True

    @property
    def elastic(self) -> bool:
        return True

    def real(self, z: Array) -> Array:
        return z

    def word(self, bits: int, code: str, room: int) -> tuple[int, str]:
        return max(room, 2), "graded" if code == "graded" else "bits"


class Readout(Activation):
    """The result: the sum itself, which is read and never sent."""

    kind = "readout"
    fires = False

    def real(self, z: Array) -> Array:
        return z

    def word(self, bits: int, code: str, room: int) -> tuple[int, str]:
        return 0, ""

    def threshold(self, scale: Array, grid: Grid) -> Array | None:
        return None

    def words(self, v: Array, scale: Array, grid: Grid, bits: int) -> Array:
        return v

    def neuron(self, bits: int, code: str, bias: Array, scale: Array, grid: Grid) -> Neuron:
        return ReadoutNeuron(scale.astype(np.float32), bias)

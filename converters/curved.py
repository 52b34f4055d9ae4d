# SPDX-License-Identifier: Apache-2.0
"""Any function of a sum: populations whose neurons look their words up.

Words are integers on a grid that need not begin at 0: a word z stands for 0, the words below it for negative values.
So a negative branch costs few spikes, which two's complement (-1 is all ones) would not. Steps and z are fitted to what
the ANN computes; the levels are then the exact integers at which the rounded function changes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from spikerun.codes import MAX_BITS, spike_count
from spikerun.converters.activations import FACTORS, SPIKES_WEIGH, Activation, Grid, one
from spikerun.converters.breakpoints import steps
from spikerun.converters.forward import spread
from spikerun.converters.graph import RANGE, Array, Curve, Origin
from spikerun.errors import ConversionError
from spikerun.neurons import Levels, Neuron
from spikerun.neurons.levels import MAX_LEVELS

__all__ = ["Curved", "increases", "samples_of"]

LOW_FACTORS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1)  # of the least value
BARGAIN = 2.0  # times the error that rounding adds: what cheaper words may cost
NOWHERE = Origin()  # of a curve that no model has


def samples_of(curve: Curve, channels: int) -> Array:
    """Return the function at values (N, C) from far below 0 to far above it, which tell its form."""
    x = np.concatenate([np.linspace(-40, 40, 5121), np.geomspace(40, 1e6, 400), -np.geomspace(40, 1e6, 400)])
    x = np.concatenate([x, np.geomspace(1e-6, 0.1, 200), -np.geomspace(1e-6, 0.1, 200)])
    return curve.apply(np.repeat(np.unique(x)[:, None], 1 if curve.alike else channels, axis=1))


def increases(curve: Curve, channels: int) -> bool:
    """Return whether larger values never give smaller ones, so that the largest may be taken before or after."""
    y = samples_of(curve, channels)
    return bool(np.isfinite(y).all() and (np.diff(y, axis=0) >= 0).all())


def _part(curve: Curve, first: int, end: int, channels: int) -> Curve:
    """Return the curve for the channels `first` to `end` of `channels`."""
    if curve.alike or (first, end) == (0, channels):
        return curve

    def function(x: Array) -> Array:
        whole = np.zeros((len(x), channels, *x.shape[2:]), x.dtype)
        whole[:, first:end] = x
        return curve.apply(whole)[:, first:end]

    return replace(curve, function=function)


@dataclass(frozen=True)
class Curved(Activation):
    """A function of the sum, rounded to words that a table holds: Levels.

    zeros: one of its words stands for 0, though all its values be far above.
    """

    kind = "curve"
    divides = False
    curve: Curve = field(kw_only=True)
    least: float = field(kw_only=True)  # of all its values
    zeros: bool = False
    origin: Origin = field(default=NOWHERE, compare=False, repr=False)

    @classmethod
    def of(cls, curve: Curve, first: int, end: int, channels: int, origin: Origin = NOWHERE) -> "Curved":
        """Return a curve of `channels` for those from `first` to `end`."""
        part = _part(curve, first, end, channels)
        return cls(curve=part, least=float(np.nan_to_num(samples_of(part, end - first), nan=-1).min()), origin=origin)

    @property
    def name(self) -> str:
        return self.curve.name

    @property
    def range_name(self) -> str:
        return "" if self.curve.given is None else self.curve.given.name

    @property
    def negative(self) -> bool:
        return self.least < 0

    def word(self, bits: int, code: str, room: int) -> tuple[int, str]:
        if self.name == RANGE:  # a sum, not an activation: all bits that there is room for
            return max(room, 2), "graded" if code == "graded" else "bits"
        return bits, code

    def told(self, channels: int) -> tuple[object, ...]:
        """Return what tells it from others: of the function, which says nothing of itself, its values."""
        curve = self.curve
        values = samples_of(curve, channels)
        return *super().told(channels), curve.name, curve.alike, curve.given, self.least, self.zeros, values

    def holding_zero(self) -> "Curved":
        return replace(self, zeros=True)

    def real(self, z: Array) -> Array:
        return self.curve.apply(z)

    def threshold(self, scale: Array, grid: Grid) -> Array | None:
        return None

    def words(self, v: Array, scale: Array, grid: Grid, bits: int) -> Array:
        scale, step, zero = (spread(n, v.shape[1:]).astype(v.dtype) for n in (scale, grid.step, grid.zero))
        with np.errstate(over="ignore"):
            words: Array = np.clip(np.rint(np.nan_to_num(self.real(v * scale)) / step) + zero, *self.word_range(bits))
        return words

    def neuron(self, bits: int, code: str, bias: Array, scale: Array, grid: Grid) -> Neuron:
        word = partial(self.words, scale=scale, grid=grid, bits=bits)
        try:
            found = steps(lambda v: self.real(v * scale), word, scale)
        except ConversionError as error:
            raise self._refusal(bits, str(error)) from None
        if found.rising:
            return Levels(bits, _rows(found.of_each_word(*self.word_range(bits))), None, one(bias), False, code)
        count = found.levels.shape[1]
        if count > MAX_LEVELS:
            raise self._refusal(bits, f"its words change at {count} values")
        levels, words = _rows(found.levels), _rows(found.words)
        return Levels(bits, levels, words, one(bias), False, code)

    def _refusal(self, bits: int, what: str) -> ConversionError:
        place = f" ({self.origin})" if self.origin else ""
        return ConversionError(
            f"the activation '{self.name}'{place} goes up and down too often for words of {bits} bits: {what}, "
            f"and neurons hold {MAX_LEVELS}. Take fewer bits, or train with another activation."
        )

    def fit(self, v: Array, target: Array, top: Array, scale: Array, bits: int, *, together: bool) -> Grid:
        """Return the steps, and the words of 0, of the least squared error; for little more of it, of fewer spikes.

        First the largest value that words reach is chosen, with the least one as it comes; then how far they reach
        below 0. Where a quantised model gives words of 8 bits, they are those. More error is allowed in proportion to
        what rounding adds here, not to what layers before left: a share of that would grow with each layer.
        """
        if self.curve.given is not None and bits == MAX_BITS:
            step, zero = self.curve.given.step, self.curve.given.zero
            return Grid(np.full(len(scale), step), np.full(len(scale), zero, np.int64))
        y = np.nan_to_num(self.real((v * scale[:, None].astype(v.dtype)).T).T)
        low, high = target.min(axis=1).astype(np.float64), target.max(axis=1).astype(np.float64)
        flat = high <= low
        low, high = np.where(flat, low.min(), low), np.where(flat, high.max(), high)
        if together:
            low, high = np.full_like(low, low.min()), np.full_like(high, high.max())
        largest, words = np.maximum(high, 0), 2**bits - 1
        far = (low > 0.5 * high) & (not self.zeros)  # above 0: words begin there
        low = np.where((low > 0) & ~far, 0, low)

        def judged(grid: Grid) -> tuple[Array, Array, Array]:
            """Return the squared error of words, the part of it that rounding adds, and spikes, (C,) each."""
            q = np.clip(np.rint(y / grid.step[:, None].astype(y.dtype)) + grid.zero[:, None], 0, words)
            value = (q - grid.zero[:, None]) * grid.step[:, None]
            error, added = (np.square(value - x).sum(axis=1, dtype=np.float64) for x in (target, y))
            spikes = spike_count(q.astype(np.int64), "bits", bits).mean(axis=1)
            if together:
                error, added = np.full_like(error, error.sum()), np.full_like(added, added.sum())
                spikes = np.full_like(spikes, spikes.mean())
            return error, added, spikes

        reaching = [_between(low, np.where(largest > 0, high * f, high), words) for f in FACTORS]
        first = _best(reaching, np.array([judged(grid)[0] for grid in reaching]))
        high = first.step * (words - first.zero)
        tried = [first, *_lower(first, low, high, words)]
        error, added, spikes = (np.array(figures) for figures in zip(*map(judged, tried), strict=True))
        least = error.argmin(axis=0)[None]
        bearable = np.take_along_axis(error + (BARGAIN - 1) * added, least, axis=0)
        return _best(tried, np.where(error <= bearable, error * (spikes + 1e-3) ** SPIKES_WEIGH, np.inf))


def _between(low: Array, high: Array, words: int) -> Grid:
    """Return the grid whose words reach from about `low` to about `high`, (C,)."""
    span = np.maximum(high, 0) - low
    span = np.where(span > 0, span, np.where(np.abs(high) > 0, np.abs(high), 1.0))
    step = span / words
    zero = np.rint(-low / step)
    return Grid(step, np.clip(zero, -(2**20), words).astype(np.int64))


def _lower(first: Grid, low: Array, high: Array, words: int) -> Iterator[Grid]:
    """Yield grids that reach about as high, and less far, or a round number of words, below 0."""
    below = np.where(low < 0, -low, 0.0)
    for factor in LOW_FACTORS:
        yield _with_zero(first, np.rint(below * factor / first.step), high, words)
    power = 1
    while power <= words:
        yield _with_zero(first, np.where(below > 0, power, first.zero), high, words)
        power *= 2


def _with_zero(first: Grid, zero: Array, high: Array, words: int) -> Grid:
    """Return the grid whose word `zero` is 0 and whose last word is `high`, where there is room for that."""
    fits = (zero < words) & (high > 0) & (first.zero >= 0)
    zero = np.where(fits, zero, first.zero).astype(np.int64)
    return Grid(np.where(fits, high / np.maximum(words - zero, 1), first.step), zero)


def _best(tried: list[Grid], cost: Array) -> Grid:
    """Return the grid of least cost (tried, C) in each channel."""
    best = cost.argmin(axis=0)
    c = np.arange(len(best))
    step, zero = np.array([grid.step for grid in tried]), np.array([grid.zero for grid in tried])
    return Grid(step[best, c], zero[best, c])


def _rows(values: Array) -> Array:
    """Return one row for all channels where they agree."""
    rows: Array = values[0] if (values == values[0]).all() else values
    return rows.astype(np.int32)

# SPDX-License-Identifier: Apache-2.0
"""Step sizes and biases from real samples, layer by layer, on the outputs of the network that is already quantised.

Each layer is fitted to what the ANN computes, from what the layers before it really send: later layers make up for
earlier errors. The step size of a word minimises the squared error of the values that it stands for.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from spikerun.codes import MAX_BITS, spike_count, word_steps
from spikerun.converters.activations import SPIKES_WEIGH, Activation, Grid
from spikerun.converters.forward import spread
from spikerun.converters.graph import Array, Shape
from spikerun.converters.layers import InputLayer, Layer, Layers, PoolLayer, RelayLayer, walk
from spikerun.converters.maps import Term, accumulate
from spikerun.converters.quantise import (
    THRESHOLD_ROOM,
    QLayer,
    Quantised,
    Settings,
    accumulator_scale,
    as_channels,
    collapsed,
)

__all__ = ["TRIAL_SAMPLES", "Calibration", "Fit", "LayerFit", "of_zeros"]

ROOM = 2**30  # bytes of the ANN's activations that are kept from one calibration to the next
SAMPLES_PER_CHANNEL = 4096
TRIAL_SAMPLES = 128  # for the comparison of candidates by the error of the layers that follow
SEED = 0


@dataclass(frozen=True)
class LayerFit:
    """How a layer was fitted.

    chosen_by: the step sizes: `channel`, one for each; `population`, one for all; empty for a readout. trials: of
    either, what decided: the relative squared error that the next layers meet, and the spikes, on samples that judge.
    """

    name: str
    chosen_by: str
    signal_to_noise: float  # dB, on the samples that calibrate
    trials: tuple[tuple[float, float], ...] = ()


class Calibration:
    """Layers and integer samples (batch, *shape) by input, to be fitted with any settings.

    What the ANN computes does not depend on them: it is computed once, as far as `room` bytes can hold it.
    """

    def __init__(self, layers: Layers, samples: Mapping[str, Array], room: int = ROOM) -> None:
        self.layers = layers
        self.samples = {name: values.astype(np.float32) for name, values in samples.items()}
        self._room = room
        self._sums: dict[str, Array] = {}

    def fit(self, settings: Settings, way: "Callable[..., Fit] | None" = None) -> tuple[Quantised, list[LayerFit]]:
        """Return the integers of every layer, and how well each fits; `way` finds those of a layer."""
        way = way or Fit
        word_of = settings.words(self.layers)
        real = self._real()
        grids: dict[str, Grid] = {}
        sent_as: dict[str, tuple[int, str]] = {}  # bits and code of words
        every = list(self.layers.every)
        done: list[InputLayer | PoolLayer | RelayLayer | QLayer] = []
        fits: list[LayerFit] = []

        def fitted(layer: Layer, words: Mapping[str, Array]) -> Array:
            one = way(self.layers, layer, *word_of[layer.name], *next(real),
                      stretch=settings.stretch_of(layer.name), zone=settings.zone_of(layer.name))  # fmt: skip
            made, fit, sent = one.made(words, grids)
            grids[layer.name] = made.grid
            sent_as[layer.name] = made.bits, made.code
            done.append(made)
            fits.append(fit)
            return sent

        for layer, _ in walk(every, self.samples, fitted):
            if isinstance(layer, InputLayer):
                grids[layer.name] = Grid.of(np.ones(layer.shape[0]))
                sent_as[layer.name] = layer.encoding.bits, layer.encoding.code
                done.append(layer)
            elif isinstance(layer, PoolLayer | RelayLayer):
                grids[layer.name] = layer.grid(grids)
                sent_as[layer.name] = layer.word(sent_as)
                done.append(layer)
            following = every[len(done)] if len(done) < len(every) else None
            if isinstance(following, RelayLayer):  # it is walked next, and is told now what words it copies
                every[len(done)] = following.with_words(sent_as, grids)
        steps = [layer.encoding.steps for layer in self.layers.inputs]
        steps += [word_steps(code, bits) for bits, code in sent_as.values() if bits]
        return Quantised(max(steps), tuple(done)), fits

    def _real(self) -> Iterator[tuple[Array, Array]]:
        """Yield what the ANN computes for each layer of sums, in order: the sum and its activation."""
        latest: list[Array] = []

        def activation(layer: Layer, values: Mapping[str, Array]) -> Array:
            z = self._sums.get(layer.name)
            if z is None:
                z = accumulate(layer.terms, values, layer.shape)
                z += layer.bias.astype(np.float32)
                if z.nbytes <= self._room:
                    self._sums[layer.name] = z
                    self._room -= z.nbytes
            latest[:] = [z]
            return layer.activation.real(z)

        for layer, values in walk(self.layers.every, self.samples, activation):
            if isinstance(layer, Layer):
                yield latest[0], values


@dataclass
class Fit:
    """One layer to be fitted: `z` is the ANN's sum, `target` its activation.

    stretch: steps are so many times as wide as those of least error: fewer spikes for more error. zone: words below it
    are 0, likewise.
    """

    layers: Layers
    layer: Layer
    bits: int
    code: str
    z: Array
    target: Array
    trials: tuple[tuple[float, float], ...] = ()
    stretch: float = 1.0
    zone: int = 0

    def made(self, words: Mapping[str, Array], grids: Mapping[str, Grid]) -> tuple[QLayer, LayerFit, Array]:
        """Return the layer in integers, how well it fits, and what it sends, for the words that it is sent."""
        made, v = self.accumulated(words, grids)
        if not self.layer.activation.fires:
            return self.finished(made, v, made.grid, "")
        grid, chosen_by = self.grid(made, v)
        grid = made.activation.stretched(grid, made.scale, made.bits, self.stretch)
        if self.layer.together:
            grid, scale = _evened(made.activation, made.scale, grid)
            made, v = self.integers(self.absorbed(grids), scale, words, grids)
        return self.finished(made, v, grid, chosen_by)

    def absorbed(self, grids: Mapping[str, Grid]) -> list[Term]:
        """Return its terms, of words instead of values."""
        return [term.absorbed(grids[term.source].step) for term in self.layer.terms]

    def accumulated(self, words: Mapping[str, Array], grids: Mapping[str, Grid]) -> tuple[QLayer, Array]:
        """Return the layer, its words still counting 1, and its accumulators, which do not depend on its bits."""
        terms = self.absorbed(grids)
        wide = max([MAX_BITS, *(self.layers.input_bits(term.source) for term in terms)]) - MAX_BITS
        return self.integers(terms, accumulator_scale(self.layer, terms, self.top(), wide), words, grids)

    def top(self) -> Array:
        """Return the largest magnitude of each channel's activation, (C,) float64."""
        found: Array = np.abs(as_channels(self.target, self.layer.shape[0])).max(axis=1).astype(np.float64)
        return found

    def integers(
        self,
        terms: Sequence[Term],
        scale: Array,
        words: Mapping[str, Array],
        grids: Mapping[str, Grid],
        part: slice = slice(None),
    ) -> tuple[QLayer, Array]:
        """Return the layer in units of `scale` (C,), its words still counting 1, and its accumulators for samples."""
        layer = self.layer
        integer = tuple(term.rounded(scale) for term in terms)
        sent = {term.source: grids[term.source].centred(words[term.source][part]) for term in terms}
        v = accumulate(integer, sent, layer.shape)
        bias = self.corrected(np.rint(layer.bias / spread(scale, layer.shape)), v, scale, part)
        v += bias.astype(np.float32)
        bias = bias - of_zeros(integer, grids, layer.shape)
        made = QLayer(layer.name, layer.shape, integer, collapsed(bias.astype(np.int64)), layer.activation,
                      scale, Grid.of(scale), self.bits, self.code, self.zone)  # fmt: skip
        return made, v

    def corrected(self, bias: Array, v: Array, scale: Array, part: slice) -> Array:
        """Return the integer bias with what sums `v` lack on average, in each channel, of those of the ANN."""
        return bias + spread(_mean_error(self.z[part], v + bias.astype(np.float32), scale), self.layer.shape)

    def finished(self, made: QLayer, v: Array, grid: Grid, chosen_by: str) -> tuple[QLayer, LayerFit, Array]:
        """Return the layer whose words are on `grid`, how well it fits, and what it sends for accumulators `v`."""
        shape = self.layer.shape
        if not self.layer.activation.fires:
            received = v * spread(made.scale, shape).astype(np.float32)
            return made, LayerFit(made.name, chosen_by, _decibel(self.z, received)), v
        sent = self.sent(v, grid, made)
        half = made.activation.rounding(made.scale, grid)
        made = replace(made, grid=grid, bias=made.bias + spread(half, made.bias.shape))
        return made, LayerFit(made.name, chosen_by, _decibel(self.target, grid.real(sent)), self.trials), sent

    def grid(self, made: QLayer, v: Array) -> tuple[Grid, str]:
        """Return the values of words, and whether they were chosen by channel or for the population."""
        top = self.top()
        cut = max(1, len(v) * 3 // 4)  # the last quarter judges what the first three quarters propose

        def found(samples: slice, together: bool) -> Grid:
            sampled = _sampled(v[samples], self.target[samples], len(top))
            return made.activation.fit(*sampled, top, made.scale, made.bits, together=together)

        if self.layer.together:
            return found(slice(None), True), "population"
        by_channel, for_all = found(slice(cut), False), found(slice(cut), True)
        if by_channel.same(for_all):
            return by_channel, "channel"
        first = min(cut, len(v) - 1)
        trial = slice(first, first + TRIAL_SAMPLES)
        self.trials = tuple(self.tried(made, v[trial], self.target[trial], grid) for grid in (by_channel, for_all))
        together = _cheaper(*self.trials)
        return found(slice(None), together), "population" if together else "channel"

    @staticmethod
    def sent(v: Array, grid: Grid, made: QLayer) -> Array:
        """Return the words on `grid` of accumulators `v`, whose bias has nothing added yet for rounding."""
        half = spread(made.activation.rounding(made.scale, grid), v.shape[1:]).astype(np.float32)
        return made.zoned(made.activation.words(v + half, made.scale, grid, made.bits))

    def tried(self, made: QLayer, v: Array, target: Array, grid: Grid) -> tuple[float, float]:
        """Return the error that the next layers meet, and the spikes that it takes in code `bits`.

        Whatever the code: the integers that are chosen by this travel in any.
        """
        words = self.sent(v, grid, made)
        spikes = float(spike_count(words.astype(np.int64), "bits", made.bits).sum())
        return self._error_after(words, target, grid), spikes

    def _error_after(self, sent: Array, target: Array, grid: Grid) -> float:
        """Return the relative squared error of what the next layers receive, quantised for these words."""
        passing = self.layers.passing(self.layer.name)
        words, real, passed = {self.layer.name: sent}, {self.layer.name: target}, {self.layer.name: grid}
        for pool in passing:
            real[pool.name], passed[pool.name] = pool.pooled(real), pool.grid(passed)
            told = pool if isinstance(pool, PoolLayer) else pool.with_zeros(passed[pool.name])
            words[pool.name] = told.pooled(words)
        return sum(
            _term_error(term, layer, words[term.source], real[term.source], passed[term.source])
            for layer in self.layers.sums
            for term in layer.terms
            if term.source in words
        )


def _evened(activation: Activation, scale: Array, grid: Grid) -> tuple[Grid, Array]:
    """Return a grid with the largest step in all channels, exactly, and scales (C,) that fit it; no scale falls."""
    step = max(float(grid.step.max()), float(scale.max()))
    one = Grid(np.full(len(scale), step), grid.zero)
    if activation.threshold(scale, grid) is None:
        return one, scale
    return one, step / np.clip(np.floor(step / scale), 1, THRESHOLD_ROOM)


def _mean_error(z: Array, v: Array, scale: Array) -> Array:
    """Return, in units of the accumulator, what the integers lack on average in each channel."""
    channels = len(scale)
    lack = as_channels(z, channels).mean(axis=1, dtype=np.float64) / scale
    error: Array = np.rint(lack - as_channels(v, channels).mean(axis=1, dtype=np.float64))
    return error


def of_zeros(terms: Sequence[Term], grids: Mapping[str, Grid], shape: Shape) -> Array:
    """Return what integer terms make of the words that stand for 0, `shape` float64: not so where padding is met."""
    zeros = {t.source: np.zeros((1, *t.own)) + spread(grids[t.source].zero, t.own) for t in terms}
    found: Array = accumulate(terms, zeros, shape)[0]
    return found


def _cheaper(by_channel: tuple[float, float], together: tuple[float, float]) -> bool:
    """Return whether one step size for all channels is the better bargain of (error, spikes).

    One bit more divides the error by 4 and multiplies the spikes by about 1.3, that is 4 = 1.3 ** 5. Those by channel
    are judged by the same rate, with accuracy counting a little more. An error beyond that of one bit is no bargain.
    """
    (fine, many), (coarse, few) = by_channel, together
    return coarse <= fine or (coarse <= 4 * fine and coarse * few**SPIKES_WEIGH < fine * many**SPIKES_WEIGH)


def _sampled(v: Array, target: Array, channels: int) -> tuple[Array, Array]:
    """Return accumulators and targets as (C, M), M limited by a random choice of places."""
    v, target = as_channels(v, channels), as_channels(target, channels)
    if v.shape[1] > SAMPLES_PER_CHANNEL:
        places = np.random.default_rng(SEED).choice(v.shape[1], SAMPLES_PER_CHANNEL, replace=False)
        v, target = v[:, places], target[:, places]
    return v, target


def _term_error(term: Term, layer: Layer, words: Array, real: Array, grid: Grid) -> float:
    alone = replace(term, first=0, end=term.end - term.first)
    shape = (alone.end, *layer.shape[1:])
    part = replace(layer, shape=shape, bias=np.zeros(shape))
    scaled = alone.absorbed(grid.step)
    scale = accumulator_scale(part, [scaled], np.zeros(alone.end))
    received = accumulate([scaled.rounded(scale)], {term.source: grid.centred(words)}, shape)
    received *= spread(scale, shape).astype(np.float32)
    wanted = accumulate([alone], {term.source: real}, shape)
    power = float(np.square(wanted).mean(dtype=np.float64))
    return float(np.square(received - wanted).mean(dtype=np.float64)) / power if power > 0 else 0.0


def _decibel(signal: Array, received: Array) -> float:
    power = float(np.square(signal).sum(dtype=np.float64))
    noise = float(np.square(signal - received).sum(dtype=np.float64))
    if noise == 0 or power == 0:
        return 200.0 if noise == 0 else 0.0
    return float(10 * np.log10(power / noise))

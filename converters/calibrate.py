# SPDX-License-Identifier: Apache-2.0
"""Step sizes and biases from real samples, layer by layer, on the outputs of the network that is already quantised.

Each layer is fitted to what the ANN computes, from what the layers before it really send: later layers make up for
earlier errors. The step size of a word minimises the squared error of the values that it stands for.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from spikerun.codes import spike_count, word_steps
from spikerun.converters.forward import spread
from spikerun.converters.graph import Array
from spikerun.converters.layers import InputLayer, Layer, Layers, PoolLayer, walk
from spikerun.converters.maps import Term, accumulate
from spikerun.converters.quantise import QLayer, Quantised, Settings, accumulator_scale, as_channels, collapsed

__all__ = ["TRIAL_SAMPLES", "Calibration", "Fit", "LayerFit"]

ROOM = 2**30  # bytes of the ANN's activations that are kept from one calibration to the next
SAMPLES_PER_CHANNEL = 4096
TRIAL_SAMPLES = 128  # for the comparison of candidates by the error of the layers that follow
SPIKES_WEIGH = 4  # docs/measured.md compares it with others, on training images
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

    def fit(self, settings: Settings, way: "type[Fit] | None" = None) -> tuple[Quantised, list[LayerFit]]:
        """Return the integers of every layer, and how well each fits; `way` finds those of a layer."""
        way = way or Fit
        word_of = settings.words(self.layers)
        real = self._real()
        step_sizes: dict[str, Array] = {}
        done: list[InputLayer | PoolLayer | QLayer] = []
        fits: list[LayerFit] = []

        def fitted(layer: Layer, words: Mapping[str, Array]) -> Array:
            made, fit, sent = way(self.layers, layer, *word_of[layer.name], *next(real)).made(words, step_sizes)
            step_sizes[layer.name] = made.step_size
            done.append(made)
            fits.append(fit)
            return sent

        for layer, _ in walk(self.layers.every, self.samples, fitted):
            if isinstance(layer, InputLayer):
                step_sizes[layer.name] = np.ones(layer.shape[0])
                done.append(layer)
            elif isinstance(layer, PoolLayer):
                step_sizes[layer.name] = step_sizes[layer.source]
                done.append(layer)
        steps = [layer.encoding.steps for layer in self.layers.inputs]
        steps += [word_steps(layer.code, layer.bits) for layer in done if isinstance(layer, QLayer) and layer.bits]
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
    """One layer to be fitted: `z` is the ANN's sum, `target` its activation."""

    layers: Layers
    layer: Layer
    bits: int
    code: str
    z: Array
    target: Array
    trials: tuple[tuple[float, float], ...] = ()

    def made(self, words: Mapping[str, Array], step_sizes: Mapping[str, Array]) -> tuple[QLayer, LayerFit, Array]:
        """Return the layer in integers, how well it fits, and what it sends, for the words that it is sent."""
        top = self.top()
        terms = [term.absorbed(step_sizes[term.source]) for term in self.layer.terms]
        made, v = self.integers(terms, accumulator_scale(self.layer, terms, top), words)
        if not self.layer.activation.fires:
            return self.finished(made, v, made.threshold, "")
        return self.finished(made, v, *self._threshold(made, v, top))

    def top(self) -> Array:
        """Return the largest magnitude of each channel's activation, (C,) float64."""
        found: Array = np.abs(as_channels(self.target, self.layer.shape[0])).max(axis=1).astype(np.float64)
        return found

    def integers(
        self, terms: Sequence[Term], scale: Array, words: Mapping[str, Array], part: slice = slice(None)
    ) -> tuple[QLayer, Array]:
        """Return the layer in units of `scale` (C,), its thresholds still 1, and its accumulators for some samples."""
        layer = self.layer
        integer = tuple(term.rounded(scale) for term in terms)
        v = accumulate(integer, {term.source: words[term.source][part] for term in terms}, layer.shape)
        bias = np.rint(layer.bias / spread(scale, layer.shape))
        bias = bias + spread(_mean_error(self.z[part], v + bias.astype(np.float32), scale), layer.shape)
        v += bias.astype(np.float32)
        made = QLayer(layer.name, layer.shape, integer, collapsed(bias.astype(np.int64)), layer.activation,
                      scale, np.ones(len(scale), np.int64), self.bits, self.code)  # fmt: skip
        return made, v

    def finished(self, made: QLayer, v: Array, threshold: Array, chosen_by: str) -> tuple[QLayer, LayerFit, Array]:
        """Return the layer with its thresholds, how well it fits, and what it sends for accumulators `v`."""
        shape = self.layer.shape
        if not self.layer.activation.fires:
            received = v * spread(made.scale, shape).astype(np.float32)
            return made, LayerFit(made.name, chosen_by, _decibel(self.z, received)), v
        made = replace(made, threshold=threshold, bias=_with_rounding(made.bias, threshold))
        sent = _words(v, threshold, made)
        received = sent * spread(made.step_size, shape).astype(np.float32)
        return made, LayerFit(made.name, chosen_by, _decibel(self.target, received), self.trials), sent

    def _threshold(self, made: QLayer, v: Array, top: Array) -> tuple[Array, str]:
        """Return the threshold of each channel, and whether they were chosen by channel or for the population."""
        cut = max(1, len(v) * 3 // 4)  # the last quarter judges what the first three quarters propose

        def found(samples: slice, together: bool) -> Array:
            sampled = _sampled(v[samples], self.target[samples], len(top))
            return made.activation.fit(*sampled, top, made.scale, made.bits, together=together)

        by_channel, for_all = found(slice(cut), False), found(slice(cut), True)
        if (by_channel == for_all).all():
            return by_channel, "channel"
        first = min(cut, len(v) - 1)
        trial = slice(first, first + TRIAL_SAMPLES)
        self.trials = tuple(self.tried(made, v[trial], self.target[trial], th) for th in (by_channel, for_all))
        together = _cheaper(*self.trials)
        return found(slice(None), together), "population" if together else "channel"

    def tried(self, made: QLayer, v: Array, target: Array, threshold: Array) -> tuple[float, float]:
        """Return the error that the next layers meet, and the spikes that it takes in code `bits`.

        Whatever the code: the integers that are chosen by this travel in any.
        """
        words = _words(v, threshold, made)
        spikes = float(spike_count(words.astype(np.int64), "bits", made.bits).sum())
        return self._error_after(words, target, threshold * made.scale), spikes

    def _error_after(self, sent: Array, target: Array, step_size: Array) -> float:
        """Return the relative squared error of what the next layers receive, quantised for these step sizes."""
        passing = self.layers.passing(self.layer.name)
        words, real = {self.layer.name: sent}, {self.layer.name: target}
        for pool in passing:
            words[pool.name], real[pool.name] = pool.pooled(words), pool.pooled(real)
        return sum(
            _term_error(term, layer, words[term.source], real[term.source], step_size)
            for layer in self.layers.sums
            for term in layer.terms
            if term.source in words
        )


def _mean_error(z: Array, v: Array, scale: Array) -> Array:
    """Return, in units of the accumulator, what the integers lack on average in each channel."""
    channels = len(scale)
    lack = as_channels(z, channels).mean(axis=1, dtype=np.float64) / scale
    error: Array = np.rint(lack - as_channels(v, channels).mean(axis=1, dtype=np.float64))
    return error


def _with_rounding(bias: Array, threshold: Array) -> Array:
    half = threshold // 2
    moved: Array = bias + (half.reshape(-1, 1, 1) if bias.ndim == 3 else half)
    return moved


def _words(v: Array, threshold: Array, layer: QLayer) -> Array:
    """Return the words of accumulators `v` (batch, C, ...), whose bias has no half threshold yet."""
    th = spread(threshold, v.shape[1:]).astype(np.float32)
    return layer.activation.words(v + th // 2, th, layer.bits)


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


def _term_error(term: Term, layer: Layer, words: Array, real: Array, step_size: Array) -> float:
    alone = replace(term, first=0, end=term.end - term.first)
    shape = (alone.end, *layer.shape[1:])
    part = replace(layer, shape=shape, bias=np.zeros(shape))
    scaled = alone.absorbed(step_size)
    scale = accumulator_scale(part, [scaled], np.zeros(alone.end))
    received = accumulate([scaled.rounded(scale)], {term.source: words}, shape)
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

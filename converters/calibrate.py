"""Steps and biases from real samples, layer by layer, on the outputs of the network that is already quantised.

Each layer is fitted to what the ANN computes, from what the layers before it really send: later layers make up for
earlier errors. The step of a word minimises the squared error of the values that it stands for.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from spikerun.codes import spike_count, word_range
from spikerun.converters import forward
from spikerun.converters.graph import Array
from spikerun.converters.layers import InputLayer, Layer, Layers, PoolLayer
from spikerun.converters.maps import Term
from spikerun.converters.quantise import (
    QLayer,
    Quantised,
    Settings,
    absorbed,
    accumulator_scale,
    as_channels,
    collapsed,
    rounded,
)

__all__ = ["LayerFit", "calibrate"]

FACTORS = np.geomspace(0.15, 1.05, 32)  # of the largest value: candidates for the range that words cover
SAMPLES_PER_CHANNEL = 4096
TRIAL_SAMPLES = 128  # for the comparison of candidates by the error of the layers that follow
SPIKES_WEIGH = 4
SEED = 0


@dataclass(frozen=True)
class LayerFit:
    """How well a layer's words stand for the ANN's values: signal to quantisation noise in dB, on held-out samples."""

    name: str
    choice: str  # `channel`: a step for each channel; `population`: one step for all
    signal_to_noise: float


@dataclass
class _State:
    layers: Layers
    settings: Settings
    real: dict[str, Array] = field(default_factory=dict)  # what the ANN computes
    words: dict[str, Array] = field(default_factory=dict)  # what the populations send
    step: dict[str, Array] = field(default_factory=dict)


def calibrate(
    layers: Layers, samples: Array, settings: Settings, on_layer: Callable[[str], None] | None = None
) -> tuple[Quantised, list[LayerFit]]:
    """Return the integers of every layer, fitted on integer `samples` (batch, *shape), and how well each fits."""
    state = _State(layers, settings)
    done: list[InputLayer | PoolLayer | QLayer] = []
    fits: list[LayerFit] = []
    for index, layer in enumerate(layers.all):
        if isinstance(layer, InputLayer):
            state.real[layer.name] = samples.astype(np.float32)
            state.words[layer.name] = samples.astype(np.float32)
            state.step[layer.name] = np.ones(layer.shape[0])
            done.append(layer)
        elif isinstance(layer, PoolLayer):
            geometry = (layer.kernel, layer.stride, layer.padding, layer.dilation)
            state.real[layer.name] = forward.max_pool(state.real[layer.source], *geometry)
            state.words[layer.name] = forward.max_pool(state.words[layer.source], *geometry)
            state.step[layer.name] = state.step[layer.source]
            done.append(layer)
        else:
            quantised, fit = _fit(state, layer)
            done.append(quantised)
            fits.append(fit)
        _forget(state, index)
        if on_layer is not None:
            on_layer(layer.name)
    return Quantised(settings, tuple(done)), fits


def _forget(state: _State, index: int) -> None:
    """Drop the values that no later layer reads."""
    needed = {name for layer in state.layers.all[index + 1 :] for name in _sources(layer)}
    for values in (state.real, state.words):
        for name in [name for name in values if name not in needed]:
            del values[name]


def _sources(layer: InputLayer | PoolLayer | Layer) -> list[str]:
    if isinstance(layer, Layer):
        return [term.source for term in layer.terms]
    return [layer.source] if isinstance(layer, PoolLayer) else []


def _fit(state: _State, layer: Layer) -> tuple[QLayer, LayerFit]:
    z = forward.accumulate([(t, t.map) for t in layer.terms], state.real, layer.shape)
    z += layer.bias.astype(np.float32)
    target = z if layer.kind in ("signed", "readout") else np.clip(z, 0, layer.bound, dtype=np.float32)
    top = np.abs(as_channels(target, layer.shape[0])).max(axis=1).astype(np.float64)
    terms = [absorbed(t, state.step[t.source]) for t in layer.terms]
    scale = accumulator_scale(layer, terms, top)
    integer = tuple(rounded(t, scale) for t in terms)
    v = forward.accumulate([(t, t.map) for t in integer], state.words, layer.shape)
    bias = np.rint(layer.bias / forward.spread(scale, layer.shape))
    bias = bias + forward.spread(_mean_error(z, v + bias.astype(np.float32), scale), layer.shape)
    v += bias.astype(np.float32)
    bits, code = (0, "") if layer.kind == "readout" else state.settings.word(layer.kind)
    made = QLayer(layer.name, layer.shape, layer.kind, integer, scale, collapsed(bias.astype(np.int64)),
                  np.ones(layer.shape[0], np.int64), bits, code, layer.origins)  # fmt: skip
    if layer.kind == "readout":
        return made, LayerFit(layer.name, "", _decibel(z, v * forward.spread(scale, layer.shape).astype(np.float32)))
    threshold, choice = _threshold(state, layer, made, v, target, top)
    made = replace(made, threshold=threshold, bias=_with_rounding(made.bias, threshold))
    words = _words(v, threshold, made)
    state.real[layer.name], state.words[layer.name], state.step[layer.name] = target, words, made.step
    real = words * forward.spread(made.step, layer.shape).astype(np.float32)
    return made, LayerFit(layer.name, choice, _decibel(target, real))


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
    low, high = word_range(layer.bits, layer.signed)
    th = forward.spread(threshold, v.shape[1:]).astype(np.float32)
    words: Array = np.clip(np.floor((v + th // 2) / th), low, high)
    return words


def _threshold(state: _State, layer: Layer, made: QLayer, v: Array, target: Array, top: Array) -> tuple[Array, str]:
    """Return the threshold of each channel, and whether its steps were chosen by channel or for the population."""
    cut = max(1, len(v) * 3 // 4)  # the last quarter judges what the first three quarters propose
    sampled = _sampled(v[:cut], target[:cut], layer.shape[0])
    by_channel = _search(made, *sampled, top, layer.bound, together=False)
    together = _search(made, *sampled, top, layer.bound, together=True)
    if (by_channel == together).all():
        return by_channel, "channel"
    trial = slice(min(cut, len(v) - 1), None)
    tried = [
        _tried(state, layer, made, v[trial][:TRIAL_SAMPLES], target[trial][:TRIAL_SAMPLES], threshold)
        for threshold in (by_channel, together)
    ]
    one_for_all = _cheaper(*tried)
    sampled = _sampled(v, target, layer.shape[0])
    return _search(made, *sampled, top, layer.bound, together=one_for_all), "population" if one_for_all else "channel"


def _tried(state: _State, layer: Layer, made: QLayer, v: Array, target: Array, threshold: Array) -> tuple[float, float]:
    """Return the error that the next layers meet, and the spikes that it takes."""
    words = _words(v, threshold, made)
    spikes = float(spike_count(words.astype(np.int64), made.code, made.bits).sum())
    return _error_after(state, layer, made, words, target, threshold), spikes


def _cheaper(by_channel: tuple[float, float], together: tuple[float, float]) -> bool:
    """Return whether one step for all channels is the better bargain of (error, spikes).

    One bit more divides the error by 4 and multiplies the spikes by about 1.3, that is 4 = 1.3 ** 5. Steps by channel
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


def _search(layer: QLayer, v: Array, target: Array, top: Array, bound: float, *, together: bool) -> Array:
    """Return the thresholds (C,) of least squared error among the candidates."""
    low, high = word_range(layer.bits, layer.signed)
    reach = np.full_like(top, top.max()) if together else np.where(top > 0, top, top.max())
    reach = np.where(reach > 0, reach, layer.scale * high)  # a population that never fires
    limit = np.minimum((2**31 - 1) >> layer.bits, np.maximum(np.floor(bound / (high * layer.scale)), 1))
    best = np.full(len(top), np.inf)
    chosen = np.ones(len(top), dtype=np.int64)
    total_best = np.inf
    for factor in FACTORS:
        threshold = np.clip(np.rint(reach * factor / high / layer.scale), 1, limit).astype(np.int64)
        th = threshold[:, None].astype(np.float32)
        value = np.clip(np.floor((v + th // 2) / th), low, high) * (th * layer.scale[:, None].astype(np.float32))
        error = np.square(value - target).sum(axis=1, dtype=np.float64)
        if together:
            if error.sum() < total_best:
                total_best, chosen = float(error.sum()), threshold
        else:
            better = error < best
            best, chosen = np.where(better, error, best), np.where(better, threshold, chosen)
    return chosen


def _error_after(state: _State, layer: Layer, made: QLayer, sent: Array, target: Array, threshold: Array) -> float:
    """Return the relative squared error of what the next layers receive, their weights quantised for these steps."""
    words = {layer.name: sent}
    real = {layer.name: target}
    step = {layer.name: threshold * made.scale}
    total = 0.0
    for following in state.layers.all:
        if isinstance(following, PoolLayer) and following.source in words:
            geometry = (following.kernel, following.stride, following.padding, following.dilation)
            words[following.name] = forward.max_pool(words[following.source], *geometry)
            real[following.name] = forward.max_pool(real[following.source], *geometry)
            step[following.name] = step[following.source]
        elif isinstance(following, Layer):
            for term in following.terms:
                if term.source in words:
                    total += _term_error(term, following, words[term.source], real[term.source], step[term.source])
    return total


def _term_error(term: Term, layer: Layer, words: Array, real: Array, step: Array) -> float:
    alone = replace(term, first=0, end=term.end - term.first)
    part = replace(layer, shape=(alone.end, *layer.shape[1:]), bias=np.zeros((alone.end, *layer.shape[1:])))
    scaled = absorbed(alone, step)
    scale = accumulator_scale(part, [scaled], np.zeros(alone.end))
    integer = rounded(scaled, scale)
    received = forward.accumulate([(integer, integer.map)], {term.source: words}, part.shape)
    received *= forward.spread(scale, part.shape).astype(np.float32)
    wanted = forward.accumulate([(alone, alone.map)], {term.source: real}, part.shape)
    power = float(np.square(wanted).mean(dtype=np.float64))
    return float(np.square(received - wanted).mean(dtype=np.float64)) / power if power > 0 else 0.0


def _decibel(signal: Array, received: Array) -> float:
    power = float(np.square(signal).sum(dtype=np.float64))
    noise = float(np.square(signal - received).sum(dtype=np.float64))
    if noise == 0 or power == 0:
        return 200.0 if noise == 0 else 0.0
    return float(10 * np.log10(power / noise))

# SPDX-License-Identifier: Apache-2.0
"""How much each choice for one population costs, and how far it alone takes the results from the ANN's.

The network is quantised with 8 bits up to that population; what follows computes in real numbers.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from dataclasses import replace as replaced
from typing import Any

import numpy as np

from spikerun.codes import MAX_BITS, spike_count, word_steps
from spikerun.converters.activations import Grid
from spikerun.converters.build import build
from spikerun.converters.calibrate import Calibration, Fit, LayerFit
from spikerun.converters.forward import spread
from spikerun.converters.found import Choice, Price
from spikerun.converters.graph import Array, Shape
from spikerun.converters.journal import Journal
from spikerun.converters.layers import InputLayer, Layer, Layers, PoolLayer, RelayLayer
from spikerun.converters.maps import accumulate
from spikerun.converters.quantise import QLayer, Settings, as_channels
from spikerun.gone import without_gone
from spikerun.memory import memory_of_all
from spikerun.network import Network
from spikerun.neurons import Neuron

__all__ = ["prices"]

SAMPLES = 128  # that calibrate, by which choices are priced
STRETCHES = (1.0, 1.25, 1.5)
ZONES = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)  # words below which all are 0: up to a quarter of their range
SPIKING = ("bits", "ttfs")  # one bit at a time, so that either may be taken where nothing is asked for


def prices(
    calibration: Calibration, code: str | None, objective: str, classes: bool, journal: Journal,
    tell: Callable[[int, int], None], zones: bool = False,
) -> tuple[list[Price], float]:  # fmt: skip
    """Return what every choice for every population costs, in the order of the layers, and what no choice changes.

    That is what the spikes of inputs cost, or the memory of weights, membranes, inputs and results.
    code: of all words; None: `bits`, or `ttfs` where it takes no step more than the samples do. classes: results are
    compared as probabilities. zones: small words may be 0. tell is told how many populations are done, of how many.
    """
    layers = calibration.layers
    few = Calibration(layers, {name: values[:SAMPLES] for name, values in calibration.samples.items()})
    room = max(layer.encoding.steps for layer in layers.inputs)
    wide = few.fit(Settings(MAX_BITS))[0]
    whole = build(wide, {})
    network, gone = without_gone(whole)
    fan_out = {name: _fan_out(network, name, p.shape, gone.kept[name]) for name, p in whole.populations.items()}
    probe = _Probe(few, fan_out, objective, classes, journal, tell)

    def choices(layer: Layer) -> list[Choice]:
        signed = layer.activation.signed
        found = []
        for bits in range(2 if signed else 1, MAX_BITS + 1):
            own = code or ("ttfs" if not signed and word_steps("ttfs", bits) <= room else "bits")
            own = "bits" if signed and own == "ttfs" else own
            found += [Choice(bits, own, s) for s in STRETCHES if s == 1 or (layer.activation.elastic and bits > 1)]
            if zones and layer.activation.zoned:
                found += [Choice(bits, own, zone=z) for z in ZONES if 4 * z <= 2**bits]
        return found

    probe.choices = {layer.name: choices(layer) for layer in layers.sums if layer.activation.fires}
    if not all(name in journal for name in probe.choices):
        few.fit(Settings(MAX_BITS), probe.fit)
    table = [
        Price(name, choice, *journal[name][place])
        for name, chosen in probe.choices.items()
        for place, choice in enumerate(chosen)
    ]
    if objective == "memory":
        chosen_by = {name: probe.memory(whole.populations[name].neuron, name, MAX_BITS) for name in probe.choices}
        return table, memory_of_all(whole).total - sum(chosen_by.values())
    return table, sum(
        probe.spikes(
            layer.name, few.samples[layer.name].reshape(-1, *layer.shape), layer.encoding.bits, layer.encoding.code
        )
        for layer in layers.inputs
    )


def _fan_out(network: Network, name: str, shape: Shape, kept: Array) -> Array:
    """Return how many synapses a spike of each neuron of `shape` reaches, where only these channels are left."""
    found = np.zeros(shape, np.int64)
    if kept.any():
        left = network.populations[name].shape
        found[kept] = sum((link.connection.fan_out(left) for link in network.out_of(name)), np.zeros((), np.int64))
    return found


@dataclass
class _Probe:
    """Goes with a calibration from layer to layer; `real` is what the ANN computes, of layers that are still read."""

    calibration: Calibration
    fan_out: Mapping[str, Array]
    objective: str
    classes: bool
    journal: Journal
    tell: Callable[[int, int], None]
    choices: dict[str, list[Choice]] = field(default_factory=dict)
    real: dict[str, Array] = field(default_factory=dict)
    means: dict[str, Array] = field(default_factory=dict)  # of the ANN's sums, by channel

    def __post_init__(self) -> None:
        shapes = {layer.name: layer.shape for layer in self.layers.inputs}
        self.real |= {name: x.reshape(-1, *shapes[name]) for name, x in self.calibration.samples.items()}
        found = _onwards(self.layers, -1, dict(self.real), self.means)
        self.wanted = {layer.name: found[layer.name] for layer in self.layers.outputs}

    @property
    def layers(self) -> Layers:
        return self.calibration.layers

    def fit(self, layers: Layers, layer: Layer, bits: int, code: str, z: Array, target: Array, **more: Any) -> Fit:
        """Return the fit of a layer with 8 bits, which prices the choices for it on its way."""
        return _Probing(layers, layer, bits, code, z, target, **more, probe=self)

    def price(self, fit: Fit, made: QLayer, v: Array) -> None:
        """Write down what every choice for a layer costs, whose accumulators on 8-bit words are `v`."""
        name, layer = fit.layer.name, fit.layer
        index = self.layers.every.index(layer)
        if name in self.choices and name not in self.journal:
            found = []
            for choice in self.choices[name]:
                one = replaced(made, bits=choice.bits, zone=choice.zone)
                if choice.stretch == 1 and not choice.zone:
                    least, _ = fit.grid(one, v)
                grid = one.activation.stretched(least, one.scale, one.bits, choice.stretch)
                words = fit.sent(v, grid, one)
                values = _onwards(self.layers, index, {**self._alive(index), name: grid.real(words)}, self.means)
                divergence = sum(self._divergence(key, values[key]) for key in self.wanted)
                if self.objective == "memory":
                    cost = self.memory(replaced(one, grid=grid).neuron(), name, choice.bits)
                else:
                    cost = self.spikes(name, words, choice.bits, choice.code)
                found.append((divergence, cost))
            self.journal[name] = found
        self.tell(sum(key in self.journal for key in self.choices), len(self.choices))

    def advance(self, layer: Layer, target: Array) -> None:
        """Go on behind a layer of which the ANN's values are `target`."""
        self.real[layer.name] = target
        self.real = self._alive(self.layers.every.index(layer))

    def _alive(self, index: int) -> dict[str, Array]:
        """Return the ANN's values that are read behind the layer at `index`, those of pools before it included."""
        for layer in self.layers.every[:index]:
            ready = layer.name not in self.real and all(name in self.real for name in layer.sources)
            if isinstance(layer, PoolLayer | RelayLayer) and ready:
                self.real[layer.name] = layer.pooled(self.real)
        later = {source for layer in self.layers.every[index:] for source in layer.sources}
        return {name: values for name, values in self.real.items() if name in later}

    def _divergence(self, name: str, values: Array) -> float:
        wanted = self.wanted[name].astype(np.float64)
        if self.classes and wanted.shape[1] > 1:
            ours, theirs = _log_softmax(wanted), _log_softmax(values.astype(np.float64))
            return float((np.exp(ours) * (ours - theirs)).sum(axis=1).mean())
        power = float(np.square(wanted - wanted.mean(axis=0)).sum())
        return float(np.square(values - wanted).sum()) / power if power > 0 else 0.0

    def memory(self, neuron: Neuron, name: str, bits: int) -> float:
        """Return the bytes that a choice decides on: thresholds or tables, and words, passed on ones too."""
        own = self.calibration.layers
        size = {layer.name: math.prod(layer.shape) for layer in own.every}
        passed = sum(size[pool.name] / len(set(pool.sources)) for pool in own.passing(name))
        return sum(value.nbytes for value in neuron.arrays().values()) + (size[name] + passed) * bits / 8

    def spikes(self, name: str, words: Array, bits: int, code: str) -> float:
        """Return what the words of a layer cost, and as they are passed on: their spikes, or what these cause."""
        sent = {name: words}
        for pool in self.layers.passing(name):
            sent[pool.name] = pool.pooled(sent)
        total = 0.0
        for population, values in sent.items():
            known = np.where(np.isfinite(values), values, 0)  # beside the image of a max pool stand smallest words
            spikes = spike_count(known.astype(np.int64), code, bits)
            total += float((spikes * (1 if self.objective == "spikes" else self.fan_out[population])).sum())
        return total / len(words)


@dataclass
class _Probing(Fit):
    probe: "_Probe | None" = None

    def made(self, words: Mapping[str, Array], grids: Mapping[str, Grid]) -> tuple[QLayer, LayerFit, Array]:
        assert self.probe is not None
        made, v = self.accumulated(words, grids)
        self.probe.price(self, made, v)
        self.probe.advance(self.layer, self.target)
        if not self.layer.activation.fires:
            return self.finished(made, v, made.grid, "")
        return self.finished(made, v, *self.grid(made, v))


def _onwards(layers: Layers, index: int, values: dict[str, Array], means: dict[str, Array]) -> dict[str, Array]:
    """Return the results in real numbers, from the values of layers up to that at `index`.

    means: of the sums by channel, which are taken down for layers that have none yet, and kept to for others: so does
    calibration, whose biases make up for what errors come to on average.
    """
    rest = layers.every[index + 1 :]
    last = {source: place for place, layer in enumerate(rest) for source in layer.sources}
    for place, layer in enumerate(rest):
        if isinstance(layer, PoolLayer | RelayLayer):
            values[layer.name] = layer.pooled(values)
        elif not isinstance(layer, InputLayer):
            z = accumulate(layer.terms, values, layer.shape) + layer.bias.astype(np.float32)
            mean = as_channels(z, layer.shape[0]).mean(axis=1, dtype=np.float64)
            z += spread(means.setdefault(layer.name, mean) - mean, layer.shape).astype(np.float32)
            values[layer.name] = layer.activation.real(z)
        for name in layer.sources:
            if last[name] == place:
                values.pop(name, None)
    return values


def _log_softmax(z: Array) -> Array:
    z = z - z.max(axis=1, keepdims=True)
    found: Array = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    return found

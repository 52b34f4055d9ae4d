# SPDX-License-Identifier: Apache-2.0
"""From real maps to integers: one scale for each accumulator, int8 weights, and thresholds that the scales follow.

For target channel o with accumulator scale S[o], a source of step size s (real value = s * word) and a real weight w:
weight = round(w s / S), threshold = round(step size / S), bias = round(b / S); from then on step size = threshold * S,
exactly. Where the word z of the source is its 0, all that its z come to is taken off the bias.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from spikerun.codes import CODES, MAX_BITS
from spikerun.converters.activations import Grid, one
from spikerun.converters.found import Choice
from spikerun.converters.graph import Array
from spikerun.converters.layers import InputLayer, Layer, Layers, PoolLayer, RelayLayer, Summing
from spikerun.converters.maps import WEIGHT_LIMIT, Term
from spikerun.errors import UsageError, unknown_name
from spikerun.neurons import Levels, Neuron
from spikerun.population import Projection

__all__ = [
    "BITS",
    "CODINGS",
    "THRESHOLD_ROOM",
    "QLayer",
    "Quantised",
    "Settings",
    "accumulator_scale",
    "as_channels",
    "collapsed",
]

# th * 2^T stays far below what int32 holds, and biases keep a margin to it
THRESHOLD_ROOM = 2**20
BIAS_ROOM = 2**24
WIDE_BIAS = 4  # bits more, where words are wide
WORST = 2**30  # of sums of wide words: biases keep a margin here too
BITS = 5  # of activations, where nothing is asked for
CODINGS = ("words", "sdnn")
SMALLEST = 2.0**-100  # a scale of a channel that is nothing but zeros; a float32 must hold it


@dataclass(frozen=True)
class Settings:
    """How values become words: the bits of activations, by name of the layer where they differ, and the code.

    coding: `words`, as they are; `sdnn`, restricted to what chips run as a sigma-delta network, of 8 bits in code
    `graded`. choices: of single layers, by a search; they go before all else. zones: by name of the layer, the word
    below which all are 0.
    """

    bits: int = BITS
    code: str = "bits"
    overrides: Mapping[str, int] = field(default_factory=dict)
    coding: str = "words"
    choices: Mapping[str, Choice] = field(default_factory=dict)
    zones: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (isinstance(self.overrides, Mapping) and all(isinstance(name, str) for name in self.overrides)):
            raise UsageError(f"overrides are bits by the names of layers, {{'conv1': 6}}, got {self.overrides!r}")
        for where, bits in (("bits", self.bits), *((f"bits of '{k}'", v) for k, v in self.overrides.items())):
            if type(bits) is not int or not 1 <= bits <= MAX_BITS:
                raise UsageError(f"{where} must be an integer in 1..{MAX_BITS}, got {bits!r:.80}")
        if not (isinstance(self.zones, Mapping) and all(isinstance(name, str) for name in self.zones)):
            raise UsageError(f"zones are least words by the names of layers, {{'conv1': 2}}, got {self.zones!r:.80}")
        for name, zone in self.zones.items():
            if type(zone) is not int or not 1 <= zone < 2 ** self.bits_of(name):
                most = 2 ** self.bits_of(name) - 1
                raise UsageError(f"the least word of '{name}' must be an integer in 1..{most}, got {zone!r:.80}")
        if self.code not in CODES:
            raise UsageError(f"code must be one of {', '.join(CODES)}, got '{self.code}'")
        object.__setattr__(self, "overrides", MappingProxyType(dict(self.overrides)))
        object.__setattr__(self, "zones", MappingProxyType(dict(self.zones)))

    @classmethod
    def of(
        cls, coding: str, bits: int | None, code: str | None, overrides: Mapping[str, int] | None, search: bool,
        zones: Mapping[str, int] | None = None,
    ) -> "Settings":  # fmt: skip
        """Return the settings of a coding, None being its default; raises UsageError for what it does not take.

        search: whether bits are to be chosen by what they cost.
        """
        if coding not in CODINGS:
            raise UsageError(f"coding must be one of {', '.join(CODINGS)}, got {coding!r:.80}")
        if coding == "words":
            own = {} if overrides is None else overrides
            return cls(BITS if bits is None else bits, code or "bits", own, zones={} if zones is None else zones)
        strange = [
            name
            for name, said in (
                ("bits", bits not in (None, MAX_BITS)),
                ("code", code not in (None, "graded")),
                ("overrides", bool(overrides)),
                ("zones", bool(zones)),
                ("max_drop and sweep", search),
            )
            if said
        ]
        if strange:
            raise UsageError(
                f"coding '{coding}' has activations of {MAX_BITS} bits in code 'graded': leave out {', '.join(strange)}"
            )
        return cls(MAX_BITS, "graded", coding=coding)

    def bits_of(self, layer: str) -> int:
        """Return the bits that are asked for in a layer."""
        return self.overrides.get(layer, self.bits)

    def stretch_of(self, layer: str) -> float:
        """Return how many times as wide the steps of a layer's words are as those of least error."""
        return self.choices[layer].stretch if layer in self.choices else 1.0

    def zone_of(self, layer: str) -> int:
        """Return the word of a layer below which all are 0."""
        return self.choices[layer].zone if layer in self.choices else self.zones.get(layer, 0)

    def words(self, layers: Layers) -> dict[str, tuple[int, str]]:
        """Return (bits, code) of the words of each layer of sums; bits depend on no code, not even the input's."""
        names = [layer.name for layer in layers.sums if layer.activation.fires]
        for name in self.overrides:
            if name not in names:
                raise unknown_name("layer", name, names)
        zoned = [layer.name for layer in layers.sums if layer.activation.zoned]
        for name in self.zones:
            if name not in names:
                raise unknown_name("layer", name, names)
            if name not in zoned:
                raise UsageError(
                    f"zones: the words of '{name}' stand for negative values or by a table, so the small ones are not "
                    f"those near 0: leave it out. Layers that can have a zone: {', '.join(zoned) or 'none'}"
                )
        asked = [self.bits_of(name) for name in names] + [layer.encoding.bits for layer in layers.inputs]
        room = min(MAX_BITS, max(asked))  # in code `bits`, so many cost no step more
        found = {
            layer.name: layer.activation.word(self.bits_of(layer.name), self.code, self.overrides.get(layer.name, room))
            for layer in layers.sums
        }
        return found | {name: (choice.bits, choice.code) for name, choice in self.choices.items()}


@dataclass(frozen=True, eq=False)
class QLayer(Summing):
    """A layer in integers; `scale` is (C,), `bias` (C,) or the full shape.

    scale: S, the real value of 1 in the accumulator. grid: the values of its words. bits, code: of its words. zone:
    words below it are 0.
    """

    scale: Array
    grid: Grid
    bits: int
    code: str
    zone: int = 0

    @property
    def step_size(self) -> Array:
        """Return the real value of 1 in a word, for each channel."""
        return self.grid.step

    @property
    def threshold(self) -> Array | None:
        """Return the threshold of each channel; None where there is none."""
        return self.activation.threshold(self.scale, self.grid)

    def words(self, v: Array) -> Array:
        """Return its words for accumulators (batch, *shape), the bias included."""
        return self.zoned(self.activation.words(v, self.scale, self.grid, self.bits))

    def zoned(self, words: Array) -> Array:
        """Return words of which the small ones are 0."""
        return np.where(words < self.zone, 0, words).astype(words.dtype) if self.zone > 1 else words

    def neuron(self) -> Neuron:
        """Return the kind of its population."""
        threshold = self.threshold
        if self.zone > 1 and threshold is not None:
            words = np.arange(self.zone, 2**self.bits)
            levels, table = threshold.reshape(-1, 1) * words, np.append(0, words)
            levels = levels[0] if (levels == levels[0]).all() else levels
            return Levels(self.bits, levels.astype(np.int32), table.astype(np.int32), one(self.bias), False, self.code)
        return self.activation.neuron(self.bits, self.code, self.bias, self.scale, self.grid)

    def projections(self) -> list[Projection]:
        """Return the projections into its population, one for each term."""
        return [term.projection(self.name, self.shape) for term in self.terms]


@dataclass(frozen=True)
class Quantised:
    """The network in integers, layer by layer, readouts last."""

    window: int
    layers: tuple[InputLayer | PoolLayer | RelayLayer | QLayer, ...]


def accumulator_scale(layer: Layer, terms: Iterable[Term], top: Array, wide: int = 0) -> Array:
    """Return S (C,) for terms whose sources' step sizes are absorbed; `top` is the largest value of each channel.

    wide: by how many bits the widest words of its sources, those of inputs, exceed those of activations: sums that
    are so much finer have more room, as long as the worst of them fits.
    """
    terms, channels = list(terms), layer.shape[0]
    scale = _covering([t for t in terms if t.map.small] or terms, channels)
    alike = len(terms) == 1 and not layer.bias.any() and bool((terms[0].map.weight > 0).all())
    if alike and layer.activation.counts:
        scale *= WEIGHT_LIMIT  # plain counting: gains of 1
    bias = np.abs(layer.bias).reshape(channels, -1).max(axis=1) / BIAS_ROOM
    bias /= 2 ** min(wide, WIDE_BIAS)
    floor = np.maximum(bias, top / THRESHOLD_ROOM / 2**wide) if layer.activation.divides else bias
    scale = np.maximum(scale, floor)
    scale = np.where(scale > 0, scale, _covering(terms, channels))  # a silent channel, reached by gains alone
    result: Array = np.maximum(scale, SMALLEST)
    if wide:
        result *= np.maximum(_worst(terms, result, MAX_BITS + wide) / WORST, 1.0)
    return result


def _worst(terms: Iterable[Term], scale: Array, bits: int) -> Array:
    """Return the largest sum (C,) that words of so many bits could make."""
    total = np.zeros(len(scale))
    for term in terms:
        largest = term.rounded(scale).map.connection().largest_sum(term.own, term.end - term.first)
        total[term.first : term.end] += largest * 2.0**bits * 2.0**term.exponent
    return total


def _covering(terms: Iterable[Term], channels: int) -> Array:
    """Return the scale (C,) at which the largest number of each channel is WEIGHT_LIMIT."""
    scale = np.zeros(channels)
    for term in terms:
        part = scale[term.first : term.end]
        np.maximum(part, term.map.unit(), out=part)
    return scale


def as_channels(values: Array, channels: int) -> Array:
    """Return a batch (batch, C, ...) as (C, everything else)."""
    return np.moveaxis(values, 1, 0).reshape(channels, -1)


def collapsed(bias: Array) -> Array:
    """Return a bias of full shape as (C,) where it is the same at all positions."""
    first = bias.reshape(len(bias), -1)[:, 0]
    even = bool((bias.reshape(len(bias), -1) == first[:, None]).all())
    return first.copy() if even else bias

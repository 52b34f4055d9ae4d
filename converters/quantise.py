"""From real maps to integers: one scale for each accumulator, int8 weights, and thresholds that the scales follow.

For target channel o with accumulator scale S[o], a source of step s (real value = s * word) and a real weight w:
weight = round(w s / S), threshold = round(step / S), bias = round(b / S); from then on step = threshold * S, exactly.
"""

from dataclasses import dataclass, replace

import numpy as np

from spikerun.codes import word_steps
from spikerun.converters.graph import Array, Origin, Shape
from spikerun.converters.layers import InputLayer, Layer, PoolLayer
from spikerun.converters.maps import ConvMap, DenseMap, DiagMap, PoolMap, Term, channel_gains
from spikerun.errors import UsageError

__all__ = ["QLayer", "Quantised", "Settings", "absorbed", "accumulator_scale", "as_channels", "collapsed", "rounded"]

WEIGHT_LIMIT = 127
# th * 2^T stays below 2^21, where kernels divide by multiplication; biases keep a margin to int32
THRESHOLD_ROOM = 2**20
BIAS_ROOM = 2**24
SMALLEST = 2.0**-100  # a scale of a channel that is nothing but zeros; a float32 must hold it


@dataclass(frozen=True)
class Settings:
    """How values become words: `steps` bits for activations, and the code on the wire."""

    steps: int = 5
    code: str = "bits"
    input_code: str = "bits"
    input_bits: int = 8

    def __post_init__(self) -> None:
        if not isinstance(self.steps, int) or not 1 <= self.steps <= 8:
            raise UsageError(f"steps must be an integer in 1..8, got {self.steps!r}")
        for name in ("code", "input_code"):
            if getattr(self, name) not in ("bits", "ttfs", "graded"):
                raise UsageError(f"{name} must be one of bits, ttfs, graded, got '{getattr(self, name)}'")

    @property
    def window(self) -> int:
        """Return the steps of the window: the longest word."""
        return max(word_steps(self.input_code, self.input_bits), word_steps(self.code, self.steps))

    def word(self, kind: str) -> tuple[int, str]:
        """Return (bits, code) for a layer's kind; without an activation to hide behind, all bits that cost no step."""
        if kind == "relu":
            return self.steps, self.code
        if self.code == "graded":
            return 8, "graded"
        wide = min(8, self.window)
        if kind == "signed":
            return max(wide, 2), "bits"
        return (wide, "bits") if wide > self.steps else (self.steps, self.code)


@dataclass(frozen=True, eq=False)
class QLayer:
    """A layer in integers: `terms` are integer maps; `threshold` and `step` are (C,), `bias` (C,) or the full shape."""

    name: str
    shape: Shape
    kind: str
    terms: tuple[Term, ...]
    scale: Array  # S: the real value of 1 in the accumulator, (C,)
    bias: Array
    threshold: Array
    bits: int = 0
    code: str = ""
    origins: tuple[Origin, ...] = ()

    @property
    def step(self) -> Array:
        """Return the real value of 1 in a word, for each channel."""
        return self.threshold * self.scale

    @property
    def signed(self) -> bool:
        """Return whether words are two's complement."""
        return self.kind == "signed"


@dataclass(frozen=True)
class Quantised:
    """The network in integers, layer by layer; the readout is last."""

    settings: Settings
    layers: tuple[InputLayer | PoolLayer | QLayer, ...]


def absorbed(term: Term, step: Array) -> Term:
    """Return the term with the step of its source, one for each channel, multiplied into its numbers."""
    if isinstance(term.map, PoolMap):
        return replace(term, map=replace(term.map, gain=term.map.gain * step))
    # a flattened image has one step for each of its pixels
    flat = term.shape != term.own or isinstance(term.map, DenseMap)
    gain = np.repeat(step, int(np.prod(term.own)) // len(step)) if flat else step
    if isinstance(term.map, DiagMap):
        return replace(term, map=DiagMap(term.map.gain * gain))
    if isinstance(term.map, DenseMap):
        return replace(term, map=DenseMap(term.map.weight * gain))
    return replace(term, map=replace(term.map, weight=channel_gains(term.map.weight, gain, term.map.groups)))


def accumulator_scale(layer: Layer, terms: list[Term], top: Array) -> Array:
    """Return S (C,) for terms whose sources' steps are absorbed; `top` is the largest value of each channel."""
    channels = layer.shape[0]
    scale = np.zeros(channels)
    heavy = [t for t in terms if t.small] or terms
    for term in heavy:
        scale[term.first : term.end] = np.maximum(scale[term.first : term.end], largest(term) / WEIGHT_LIMIT)
    if len(terms) == 1 and not layer.bias.any() and layer.kind == "positive" and bool((terms[0].weight > 0).all()):
        scale *= WEIGHT_LIMIT  # plain counting: gains of 1
    bias = np.abs(layer.bias).reshape(channels, -1).max(axis=1) / BIAS_ROOM
    floor = np.maximum(bias, top / THRESHOLD_ROOM)
    result: Array = np.maximum(np.maximum(scale, floor), SMALLEST)
    return result


def largest(term: Term) -> Array:
    """Return the largest magnitude that a term's map has for each of its target channels."""
    found: Array = np.abs(term.weight).reshape(term.end - term.first, -1).max(axis=1)
    return found


def rounded(term: Term, scale: Array) -> Term:
    """Return the term (steps absorbed) in integers of the accumulator's scale."""
    part = scale[term.first : term.end]
    weight = term.weight
    if isinstance(term.map, (DenseMap, ConvMap)):
        whole = np.rint(weight / part.reshape(-1, *(1,) * (weight.ndim - 1)))
        small = np.clip(whole, -WEIGHT_LIMIT, WEIGHT_LIMIT).astype(np.int8)
        return replace(term, map=replace(term.map, weight=small))
    gain = np.clip(np.rint(weight / part), -(2**30), 2**30).astype(np.int32)
    return replace(term, map=replace(term.map, gain=gain))


def as_channels(values: Array, first_axis: int) -> Array:
    """Return a batch (batch, C, ...) as (C, everything else)."""
    return np.moveaxis(values, 1, 0).reshape(first_axis, -1)


def collapsed(bias: Array) -> Array:
    """Return a bias of full shape as (C,) where it is the same at all positions."""
    first = bias.reshape(len(bias), -1)[:, 0]
    even = bool((bias.reshape(len(bias), -1) == first[:, None]).all())
    return first.copy() if even else bias

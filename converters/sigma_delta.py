# SPDX-License-Identifier: Apache-2.0
"""Few-spikes networks that chips run as sigma-delta networks: what restricts their integers, and how these are chosen.

Such a chip (Loihi 2 with Lava's processes) weighs by even integers of 8 bits and a sign, adds in 24 bits, and divides
by a power of two, the same for a whole population. Here a weight is an int8 that counts twice, and a threshold is 2^k.
Scales still differ by channel: with S the real value of 1 in an accumulator, a step of channel c is worth 2^k S[c],
which the weights of the next layer absorb. A sigma-delta neuron has no largest value; words have. Steps are so wide
that the largest activation of the calibration samples is HEADROOM of 255, so that words are rarely cut.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf

import numpy as np

from spikerun.codes import MAX_BITS
from spikerun.converters.activations import Grid
from spikerun.converters.calibrate import TRIAL_SAMPLES, Fit, LayerFit
from spikerun.converters.encoding import Encoding
from spikerun.converters.graph import Array
from spikerun.converters.layers import Layers, PoolLayer, RelayLayer
from spikerun.converters.maps import WEIGHT_LIMIT, Term, lifted
from spikerun.converters.quantise import SMALLEST, QLayer, Quantised
from spikerun.errors import ConversionError

__all__ = ["SigmaDeltaFit", "check", "even", "graded"]

HEADROOM = 200  # the word of the largest activation
LARGEST = 2**23 - 1  # of a sum
SLACK = 0.98  # of that is for the weights; the rest for the bias that makes up for rounding
EXPONENTS = range(21)  # k


def graded(encoding: Encoding | Mapping[str, Encoding]) -> Encoding | dict[str, Encoding]:
    """Return the encoding of samples with each one sent as one payload."""
    if isinstance(encoding, Mapping):
        return {name: replace(each, code="graded") for name, each in encoding.items()}
    return replace(encoding, code="graded")


def check(layers: Layers) -> None:
    """Refuse, by their names, what sigma-delta neurons cannot compute."""
    found = []
    for layer in layers.every:
        if isinstance(layer, PoolLayer):
            found.append(f"'{layer.name}' is a max pool: use an average pool or a strided convolution")
    for summing in layers.sums:
        activation = summing.activation
        if activation.signed:
            found.append(f"'{summing.name}' sends signed values: put a ReLU behind it, or let one layer alone read it")
        elif not activation.divides and activation.fires:
            found.append(f"'{summing.name}' is the activation {activation.name}: train with ReLU")
        elif activation.bound < inf:
            found.append(f"'{summing.name}' is bounded by {activation.bound:g}: train with ReLU")
    if any(layer.encoding.signed for layer in layers.inputs):
        found.append("the input is signed: give unsigned integers")
    if any(layer.encoding.bits > MAX_BITS for layer in layers.inputs):
        found.append(f"the input has more than {MAX_BITS} bits: give it {MAX_BITS}, Encoding(bits=8) or --input-bits 8")
    if found:
        raise ConversionError("coding 'sdnn' cannot take this network: " + "; ".join(found))


def even(quantised: Quantised) -> Quantised:
    """Return the integers with relays whose copies count twice, as all weights do, and are halved again by a threshold.

    Whatever words they copy, chips are told that these are as long as all others.
    """
    layers = (
        replace(layer, exponent=1, bits=MAX_BITS) if isinstance(layer, RelayLayer) else layer
        for layer in quantised.layers
    )
    return replace(quantised, layers=tuple(layers))


class SigmaDeltaFit(Fit):
    """Fits one layer in int8 that counts twice, with the threshold 2^k of least error for the layers that follow."""

    def made(self, words: Mapping[str, Array], grids: Mapping[str, Grid]) -> tuple[QLayer, LayerFit, Array]:
        terms = [lifted(term.absorbed(grids[term.source].step), 1) for term in self.layer.terms]
        least = self._least(terms)
        if not self.layer.activation.fires:
            made, v = self.integers(terms, self._bounded(terms, least, 0), words, grids)
            return self.finished(made, v, made.grid, "")
        top = self.top()
        first = min(len(self.z) * 3 // 4, len(self.z) - 1)
        trial = slice(first, first + TRIAL_SAMPLES)

        def error(k: int) -> float:
            made, v = self.integers(terms, self._scale(terms, least, top, k), words, grids, trial)
            return self.tried(made, v, self.target[trial], Grid.of(made.scale * 2**k))[0]

        candidates = _exponents(least, top)
        k = candidates[0] if len(candidates) == 1 else min(candidates, key=error)
        made, v = self.integers(terms, self._scale(terms, least, top, k), words, grids)
        return self.finished(made, v, Grid.of(made.scale * 2**k), "population")

    def _scale(self, terms: Sequence[Term], least: Array, top: Array, k: int) -> Array:
        """Return S (C,) for the threshold 2^k: weights fit int8, the largest word is at most HEADROOM."""
        scale = self._bounded(terms, np.maximum(least, top / (HEADROOM * 2**k)), k)
        return np.full_like(scale, scale.max()) if self.layer.together else scale

    def _least(self, terms: Sequence[Term]) -> Array:
        """Return the least S (C,) with which all weights fit int8."""
        scale = np.zeros(self.layer.shape[0])
        for term in terms:
            part = scale[term.first : term.end]
            np.maximum(part, term.map.largest() / WEIGHT_LIMIT, out=part)
        return np.maximum(scale, SMALLEST)

    def _bounded(self, terms: Sequence[Term], scale: Array, k: int) -> Array:
        """Return S (C,), made larger where sums could need more than 24 bits."""
        bias = np.abs(self.layer.bias).reshape(len(scale), -1).max(axis=1)
        scale = np.maximum(scale, bias * 4 / LARGEST)
        for _ in range(100):
            reach = np.zeros(len(scale))
            for term in terms:
                part = term.rounded(scale).map.connection().largest_sum(term.shape, term.end - term.first)
                reach[term.first : term.end] += part * 255 * 2**term.exponent
            excess = (reach + bias / scale + 2**k) / (LARGEST * SLACK)
            if (excess <= 1).all():
                return scale
            scale = np.where(excess > 1, scale * np.maximum(excess, 1.001), scale)
        raise ConversionError(f"the sums of '{self.layer.name}' do not fit 24 bits: give it fewer inputs")


def _exponents(least: Array, top: Array) -> list[int]:
    """Return the k by which most channels use either all of their weights' bits or all of their words'."""
    alive = (top > 0) & (least > SMALLEST)
    if not alive.any():
        return [0]
    ideal = np.log2(top[alive] / HEADROOM / least[alive])
    low, high = np.floor(np.percentile(ideal, 10)), np.ceil(np.percentile(ideal, 90))
    low, high = (int(np.clip(end, EXPONENTS[0], EXPONENTS[-1])) for end in (low, high))
    return list(range(low, high + 1))

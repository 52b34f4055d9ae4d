# SPDX-License-Identifier: Apache-2.0
"""How far the values that words stand for are from the ANN's, layer by layer, errors of earlier layers included."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spikerun.converters.activations import Grid
from spikerun.converters.graph import Array
from spikerun.converters.layers import InputLayer, Layer, Layers, PoolLayer, RelayLayer, walk
from spikerun.converters.maps import accumulate
from spikerun.converters.quantise import Quantised
from spikerun.converters.verify import integers

__all__ = ["Fidelity", "fidelity"]

ROOM = 2**26  # bytes of the largest layer in float64, for the samples that are looked at together
EXACT = 200.0  # dB, where there is no error at all


@dataclass(frozen=True)
class Fidelity:
    """Of all values of a layer on some samples: the cosine of the angle between what the words stand for and the ANN's
    values; the norm of the difference over the norm of the ANN's values; and the latter in dB.
    """

    cosine: float
    relative_error: float
    signal_to_noise: float


class _Sums:
    """Sums over all values: of squares, products, squared differences."""

    def __init__(self) -> None:
        self.found = np.zeros(4)

    def add(self, real: Array, received: Array) -> None:
        given = np.isfinite(real)  # a relay holds minus infinity where a max pool must see nothing
        x, y = real[given].astype(np.float64), received[given].astype(np.float64)
        self.found += x @ x, y @ y, x @ y, (x - y) @ (x - y)

    def fidelity(self) -> Fidelity:
        xx, yy, xy, noise = self.found.tolist()
        if noise == 0:
            return Fidelity(1.0, 0.0, EXACT)
        cosine = xy / math.sqrt(xx * yy) if xx and yy else 0.0
        return Fidelity(cosine, math.sqrt(noise / xx) if xx else 1.0, 10 * math.log10(xx / noise) if xx else 0.0)


def fidelity(layers: Layers, quantised: Quantised, samples: Mapping[str, Array]) -> dict[str, Fidelity]:
    """Return how near each layer but the inputs is to the ANN on integer `samples` (batch, *shape) by input."""
    largest = max(math.prod(layer.shape) for layer in layers.every)
    count, batch = len(next(iter(samples.values()))), max(1, ROOM // (8 * largest))
    sums = {layer.name: _Sums() for layer in layers.every if not isinstance(layer, InputLayer)}
    for first in range(0, count, batch):
        _add(layers, quantised, {name: values[first : first + batch] for name, values in samples.items()}, sums)
    return {name: found.fidelity() for name, found in sums.items()}


def _add(layers: Layers, quantised: Quantised, samples: Mapping[str, Array], sums: Mapping[str, _Sums]) -> None:
    def activation(layer: Layer, values: Mapping[str, Array]) -> Array:
        z = accumulate(layer.terms, values, layer.shape)
        return layer.activation.real(z + layer.bias.astype(np.float32))

    real = walk(layers.every, {name: values.astype(np.float32) for name, values in samples.items()}, activation)
    grids: dict[str, Grid] = {}
    for (layer, wanted), (made, words) in zip(real, integers(quantised, samples, np.float32), strict=True):
        if isinstance(made, InputLayer):
            grids[made.name] = Grid.of(np.ones(made.shape[0]))
            continue
        if isinstance(made, PoolLayer | RelayLayer):
            grids[made.name] = made.grid(grids)
        else:
            grids[made.name] = made.grid
        sums[layer.name].add(wanted, grids[made.name].real(words))

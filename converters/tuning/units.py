# SPDX-License-Identifier: Apache-2.0
"""How far a step of training moves a number: by a share of the size of what is there, whatever scale a network has."""

from collections.abc import Mapping

import numpy as np

from spikerun.converters.graph import Array
from spikerun.converters.layers import Layers
from spikerun.converters.quantise import QLayer
from spikerun.converters.tuning.links import Link, Links

__all__ = ["sizes_of", "units_of"]

BIAS_SHARE = 1 / 3  # of the range of words: a unit of training of a bias


def units_of(links: Links, sizes: Mapping[tuple[str, int] | str, float]) -> dict[str, Array]:
    """Return, for each tensor, by how much a place moves the number of its layer that reads it first, a unit of it.

    sizes: that unit, by layer and term, and by layer of its bias. So a step of training is one of the size of weights,
    whatever scale a network has.
    """
    found = {name: np.zeros(count) for name, count in links.sizes.items()}
    every: list[tuple[tuple[str, int] | str, Link]] = [*links.weights.items(), *links.biases.items()]
    for key, link in every:
        unit, used = found[link.tensor], link.place >= 0
        places = link.place[used]
        unit[places] = np.where(unit[places] == 0, np.abs(link.gain[used]) / sizes[key], unit[places])
    return {name: np.where(unit == 0, 1.0, unit) for name, unit in found.items()}


def sizes_of(layers: Layers, made: Mapping[str, QLayer]) -> dict[tuple[str, int] | str, float]:
    """Return the mean norm of the weights of a sum, of each term, and a share of the range of each layer's words."""
    found: dict[tuple[str, int] | str, float] = {}
    for layer in layers.sums:
        sizes = [_norm(term.map.weight) for term in layer.terms]
        found |= {(layer.name, place): size for place, size in enumerate(sizes)}
        start = made[layer.name]
        if layer.activation.fires:
            reach = start.grid.step * max(map(abs, layer.activation.word_range(start.bits)))
            found[layer.name] = BIAS_SHARE * float(np.sqrt(np.square(reach).mean()))
        else:
            found[layer.name] = max(sizes)
    return found


def _norm(weight: Array) -> float:
    """Return the root mean square norm of the weights of one sum; of nothing but zeros, 1."""
    squares = np.square(weight.reshape(len(weight), -1)).sum(axis=1)
    return float(np.sqrt(squares[squares > 0].mean())) if squares.any() else 1.0

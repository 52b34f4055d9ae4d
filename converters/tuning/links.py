# SPDX-License-Identifier: Apache-2.0
"""Which numbers of the layers are trained, and which tensors of the source they are made of."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spikerun.converters.graph import Array
from spikerun.converters.layers import Layers
from spikerun.converters.maps import ConvMap, DenseMap, Term

__all__ = ["Link", "Links", "own_links", "trains"]


@dataclass(frozen=True, eq=False)
class Link:
    """Numbers of a layer are multiples of those of a tensor: number[i] changes by gain[i] times tensor[place[i]].

    tensor: by name; place: int64 (count,), -1 where a number is fixed; gain: float64 (count,).
    """

    tensor: str
    place: Array
    gain: Array


@dataclass(frozen=True, eq=False)
class Links:
    """sizes: of the tensors by name. weights: by layer and the place of its term; biases: by layer, of its channels."""

    sizes: Mapping[str, int]
    weights: Mapping[tuple[str, int], Link]
    biases: Mapping[str, Link]


def trains(term: Term) -> bool:
    """Return whether the numbers of a term can be trained: those of linear operators, not what moves or pools."""
    return isinstance(term.map, DenseMap | ConvMap)


def own_links(layers: Layers) -> Links:
    """Return links in which every layer has tensors of its own, for sources that take none back."""
    sizes: dict[str, int] = {}
    weights: dict[tuple[str, int], Link] = {}
    biases: dict[str, Link] = {}

    def own(name: str, count: int) -> Link:
        sizes[name] = count
        return Link(name, np.arange(count), np.ones(count))

    for layer in layers.sums:
        for place, term in enumerate(layer.terms):
            if trains(term):
                weights[layer.name, place] = own(f"{layer.name}.weight.{place}", term.map.weight.size)
        biases[layer.name] = own(f"{layer.name}.bias", layer.shape[0])
    return Links(sizes, weights, biases)

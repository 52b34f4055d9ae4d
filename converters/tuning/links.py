# SPDX-License-Identifier: Apache-2.0
"""Which numbers of the layers are trained, and which tensors of the source they are made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field

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
    """sizes: of the tensors by name. weights: by layer and the place of its term; biases: by layer, of its channels.

    offsets: float64 (C,) by layer and term, by how much the model's values are above those that words stand for, which
    is in the bias of the layer, times weights: of samples that are normalised, say. Not there: by nothing.
    staying: parameters that stay as they are while no weight or bias makes up for them, by name, each with a layer of
    whose numbers it is; where one is made of several, its layer stands for them.
    """

    sizes: Mapping[str, int]
    weights: Mapping[tuple[str, int], Link]
    biases: Mapping[str, Link]
    offsets: Mapping[tuple[str, int], Array] = field(default_factory=dict)
    staying: Mapping[str, str] = field(default_factory=dict)


def trains(term: Term) -> bool:
    """Return whether the numbers of a term can be trained: those of linear operators, not what moves or pools."""
    return isinstance(term.map, DenseMap | ConvMap)


def own_links(layers: Layers, offsets: Mapping[str, Array]) -> Links:
    """Return links in which every layer has tensors of its own, for sources that take none back; offsets: by source."""
    sizes: dict[str, int] = {}
    weights: dict[tuple[str, int], Link] = {}
    biases: dict[str, Link] = {}
    above: dict[tuple[str, int], Array] = {}

    def own(name: str, count: int) -> Link:
        sizes[name] = count
        return Link(name, np.arange(count), np.ones(count))

    for layer in layers.sums:
        for place, term in enumerate(layer.terms):
            if trains(term):
                weights[layer.name, place] = own(f"{layer.name}.weight.{place}", term.map.weight.size)
                if term.source in offsets:
                    above[layer.name, place] = offsets[term.source]
        biases[layer.name] = own(f"{layer.name}.bias", layer.shape[0])
    return Links(sizes, weights, biases, above)

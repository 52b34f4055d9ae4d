# SPDX-License-Identifier: Apache-2.0
"""Weights of maps in the order of the device."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.kernels.gpu.layout import positions
from spikerun.kernels.operations import Map
from spikerun.kernels.synapses import expanded

__all__ = ["flat", "matrix", "part", "synapse_count", "synapses"]

_FLAT = {"conv": False, "dense": True}


def flat(map_: Map) -> bool | None:
    """Return whether the kernels that multiply take a map as a convolution of one pixel; None: they do not take it."""
    return _FLAT.get(map_.kind)


def part(map_: Map) -> tuple[int, ...]:
    """Return the shape of the channels that a map leads to."""
    return (map_.channels[1] - map_.channels[0], *map_.target[1:])


def matrix(map_: Map) -> npt.NDArray[np.int8]:
    """Return the weights of a dense map from each input to each output of its channels, in the order of the device."""
    weight: npt.NDArray[np.int8] = map_["weight"]
    placed = np.empty_like(weight)
    placed[np.ix_(positions(map_.source).ravel(), positions(part(map_)).ravel())] = weight
    return placed


# all others have no delays, and are not expanded
_COUNT: Mapping[str, Callable[[Map], int]] = {
    "sparse": lambda m: len(m["data"]),
    "dense": lambda m: int(np.count_nonzero(m["weight"])),
    "random": lambda m: int(m["synapses"]),
}


def synapse_count(m: Map) -> int:
    """Return how many synapses `synapses` will find, which are not drawn for it."""
    return _COUNT[m.kind](m)


def synapses(m: Map) -> tuple[npt.NDArray[np.signedinteger[Any]], ...]:
    """Return of each synapse places of source and target on the device, weight and delay: int32, the weight int8."""
    known = expanded(m.kind, dict(m.parameters))
    sources = np.repeat(positions(m.source).ravel().astype(np.int32), np.diff(known.indptr))
    targets = positions(m.target)[m.channels[0] : m.channels[1]].ravel().astype(np.int32)[known.target]
    return sources, targets, known.weight, known.delay.astype(np.int32)

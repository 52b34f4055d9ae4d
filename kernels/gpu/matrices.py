# SPDX-License-Identifier: Apache-2.0
"""Weights of maps in the order of the device."""

import numpy as np
import numpy.typing as npt

from spikerun.kernels.gpu.layout import positions
from spikerun.kernels.operations import Map

__all__ = ["matrix", "part"]


def part(map_: Map) -> tuple[int, ...]:
    """Return the shape of the channels that a map leads to."""
    return (map_.channels[1] - map_.channels[0], *map_.target[1:])


def matrix(map_: Map) -> npt.NDArray[np.int8]:
    """Return the weights of a dense map from each input to each output of its channels, in the order of the device."""
    weight: npt.NDArray[np.int8] = map_["weight"]
    placed = np.empty_like(weight)
    placed[np.ix_(positions(map_.source).ravel(), positions(part(map_)).ravel())] = weight
    return placed

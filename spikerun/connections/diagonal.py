# SPDX-License-Identifier: Apache-2.0
"""Each neuron to the one at its own place."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from spikerun.connections.base import Connection, IntArray, Shape, alike
from spikerun.errors import NetworkError
from spikerun.values import int32_array

__all__ = ["Diagonal", "channel_gain", "check_gain", "per_channel"]


@dataclass(frozen=True, eq=False)
class Diagonal(Connection):
    """Each neuron to the one at its own place: `i[n] = gain s[n]`, the identity of a residual, or a rescaling.

    gain: int32, shape () or (C,).
    """

    kind: ClassVar[str] = "diagonal"
    gain: npt.NDArray[np.int32]

    def __post_init__(self) -> None:
        object.__setattr__(self, "gain", channel_gain(self.gain))

    def target_shape(self, source: Shape) -> Shape:
        check_gain(self.gain, source)
        return source

    def apply(self, x: IntArray) -> IntArray:
        return per_channel(self.gain, x.ndim) * x

    def fan_out(self, source: Shape) -> IntArray:
        return alike(1, source)

    def largest_sum(self, source: Shape, channels: int) -> npt.NDArray[np.float64]:
        return np.abs(self.gain, dtype=np.float64)


def channel_gain(value: npt.ArrayLike) -> npt.NDArray[np.int32]:
    """Return `value` as a gain: int32, shape () or (C,)."""
    gain = int32_array("gain", value)
    if gain.ndim > 1:
        raise NetworkError(f"gain must have shape () or (C,), got {gain.shape}")
    return gain


def check_gain(gain: npt.NDArray[np.int32], source: Shape) -> None:
    """Refuse a gain of another number of channels."""
    if gain.ndim and gain.shape != source[:1]:
        raise NetworkError(f"gain has {gain.shape[0]} channels, its source {source[0]}")


def per_channel(gain: npt.NDArray[np.int32], ndim: int) -> IntArray:
    """Return a gain such that it multiplies events of `ndim` axes."""
    return gain.astype(np.int64).reshape((-1,) + (1,) * (ndim - 1))

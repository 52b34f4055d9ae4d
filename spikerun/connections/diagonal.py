# SPDX-License-Identifier: Apache-2.0
"""Each neuron to the one at its own place."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from spikerun.connections.base import Connection, IntArray, Mask, Reals, Shape, alike
from spikerun.errors import NetworkError
from spikerun.values import int32_array

__all__ = ["Channelwise", "Diagonal", "channel_gain", "check_gain", "per_channel"]


class Channelwise(Connection):
    """What connections share that lead each channel to the one at its own place, times a gain () or (C,)."""

    gain: npt.NDArray[np.int32]

    def reads(self, source: Shape, kept: Mask) -> Mask:
        return np.asarray(kept & (self.gain != 0))

    def spans(self, source: Shape, channels: int, low: Reals, high: Reals) -> tuple[Reals, Reals]:
        reach = self.largest_sum(source, channels)
        ends = np.sign(self.gain) * reach * low, np.sign(self.gain) * reach * high
        return np.minimum(*ends), np.maximum(*ends)

    def without(self, source: Shape, less: Mask, fewer: Mask) -> tuple[Mask, Mask]:
        return less & fewer, less & fewer

    def narrowed(self, source: Shape, kept: Mask, reached: Mask) -> Connection:
        return replace(self, gain=self.gain[kept] if self.gain.ndim else self.gain)  # type: ignore[type-var]


@dataclass(frozen=True, eq=False)
class Diagonal(Channelwise):
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

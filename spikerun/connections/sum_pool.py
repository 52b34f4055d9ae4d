# SPDX-License-Identifier: Apache-2.0
"""Average pooling, unscaled."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from spikerun.connections.base import IntArray, Pair, Shape, alike, pair
from spikerun.connections.diagonal import Channelwise, channel_gain, check_gain, per_channel
from spikerun.connections.sliding import check_padding, covered, output_size, touching, windows
from spikerun.values import all_alike

__all__ = ["SumPool"]


@dataclass(frozen=True, eq=False)
class SumPool(Channelwise):
    """Sum over windows, channel by channel: `i[c, y, x] = gain[c] * sum of s in the window`; average pooling, unscaled.

    kernel, stride, padding: one integer or (vertical, horizontal); gain: int32, shape () or (C,).
    """

    kind: ClassVar[str] = "sum_pool"
    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)
    gain: npt.NDArray[np.int32] = field(default_factory=all_alike(1))

    def __post_init__(self) -> None:
        object.__setattr__(self, "kernel", pair("kernel", self.kernel, 1))
        object.__setattr__(self, "stride", pair("stride", self.stride, 1))
        object.__setattr__(self, "padding", pair("padding", self.padding, 0))
        check_padding(self.kernel, self.padding)
        object.__setattr__(self, "gain", channel_gain(self.gain))

    def target_shape(self, source: Shape) -> Shape:
        check_gain(self.gain, source)
        return (source[0], *output_size("SumPool", source, self.kernel, self.stride, self.padding, (1, 1)))

    def touching(self, source: Shape) -> tuple[Pair, Pair]:
        """Return the (kernel, padding) of the smallest windows that see the same of an image."""
        out = self.target_shape(source)
        image = (source[1], source[2])
        return touching(image, (out[1], out[2]), self.kernel, self.stride, self.padding, (1, 1))

    def apply(self, x: IntArray) -> IntArray:
        out, (kernel, padding) = self.target_shape(x.shape), self.touching(x.shape)
        taps = windows(x, (out[1], out[2]), kernel, self.stride, padding, (1, 1), 0)
        pooled: IntArray = per_channel(self.gain, x.ndim) * taps.sum(axis=0)
        return pooled

    def fan_out(self, source: Shape) -> IntArray:
        out, (kernel, padding) = self.target_shape(source), self.touching(source)
        return alike(covered(source, (out[1], out[2]), kernel, self.stride, padding, (1, 1)), source)

    def largest_sum(self, source: Shape, channels: int) -> npt.NDArray[np.float64]:
        seen = [min(k, n) for k, n in zip(self.kernel, source[1:], strict=True)]
        return np.abs(self.gain, dtype=np.float64) * float(np.prod(seen))

# SPDX-License-Identifier: Apache-2.0
"""Convolution, and a max pool of its sums."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from spikerun.connections.base import Connection, IntArray, Mask, Pair, Shape
from spikerun.connections.conv import Conv
from spikerun.connections.window import Window

__all__ = ["PooledConv"]


@dataclass(frozen=True, eq=False)
class PooledConv(Connection):
    """The largest of a convolution's sums in each window: `i = max over the window of Conv(x)`, in each step.

    weight, stride, padding, dilation, groups: those of `Conv`; pool_kernel, pool_stride, pool_padding, pool_dilation:
    those of `Window`. Places outside the image of sums never win.
    """

    kind: ClassVar[str] = "pooled_conv"
    alone = True
    weight: npt.NDArray[np.int8]
    pool_kernel: Pair
    pool_stride: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    pool_padding: Pair = (0, 0)
    pool_dilation: Pair = (1, 1)

    def __post_init__(self) -> None:
        for name, value in self.conv.parameters():
            object.__setattr__(self, name, value)
        for name, value in self.window.parameters():
            object.__setattr__(self, f"pool_{name}", value)

    @cached_property
    def conv(self) -> Conv:
        """Return the convolution."""
        return Conv(self.weight, self.stride, self.padding, self.dilation, self.groups)

    @cached_property
    def window(self) -> Window:
        """Return the windows over its sums."""
        return Window(self.pool_kernel, self.pool_stride, self.pool_padding, self.pool_dilation)

    def target_shape(self, source: Shape) -> Shape:
        return self.window.target_shape(self.conv.target_shape(source))

    def apply(self, x: IntArray) -> IntArray:
        largest: IntArray = self.window.apply(self.conv.apply(x)).max(axis=0)
        return largest

    def fan_out(self, source: Shape) -> IntArray:
        return self.conv.fan_out(source)

    def largest_sum(self, source: Shape, channels: int) -> npt.NDArray[np.float64]:
        return self.conv.largest_sum(source, channels)

    def reads(self, source: Shape, kept: Mask) -> Mask:
        return self.conv.reads(source, kept)

    def without(self, source: Shape, less: Mask, fewer: Mask) -> tuple[Mask, Mask]:
        return self.conv.without(source, less, fewer)

    def narrowed(self, source: Shape, kept: Mask, reached: Mask) -> "PooledConv":
        conv = self.conv.narrowed(source, kept, reached)
        return replace(self, weight=conv.weight, groups=conv.groups)

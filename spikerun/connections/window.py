# SPDX-License-Identifier: Apache-2.0
"""The windows of max pooling."""

from dataclasses import dataclass
from typing import ClassVar

from spikerun.connections.base import Connection, IntArray, Mask, Pair, Reals, Shape, alike, pair
from spikerun.connections.sliding import check_padding, output_size, touching, windows
from spikerun.errors import NetworkError

__all__ = ["OUTSIDE", "Window"]

OUTSIDE = -(2**31)  # what a window sees outside the image: less than any word


@dataclass(frozen=True, eq=False)
class Window(Connection):
    """The windows that a MaxPool population compares, channel by channel; not linear, only MaxPool may receive it."""

    kind: ClassVar[str] = "window"
    linear = False
    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kernel", pair("kernel", self.kernel, 1))
        object.__setattr__(self, "stride", pair("stride", self.stride, 1))
        object.__setattr__(self, "padding", pair("padding", self.padding, 0))
        object.__setattr__(self, "dilation", pair("dilation", self.dilation, 1))
        check_padding(self.kernel, self.padding)

    def target_shape(self, source: Shape) -> Shape:
        out = output_size("MaxPool", source, self.kernel, self.stride, self.padding, self.dilation)
        for size, p, d in zip(source[1:], self.padding, self.dilation, strict=True):
            if p and d > size:  # then a window that begins in the padding can step over the whole image
                raise NetworkError(f"MaxPool: dilation {self.dilation} with padding skips an image of {source[1:]}")
        return (source[0], *out)

    def touching(self, source: Shape) -> tuple[Pair, Pair]:
        """Return the (kernel, padding) of the smallest windows that see the same of an image."""
        out, image = self.target_shape(source), (source[1], source[2])
        return touching(image, (out[1], out[2]), self.kernel, self.stride, self.padding, self.dilation)

    def taps(self, source: Shape) -> int:
        (height, width), _ = self.touching(source)
        return height * width

    def apply(self, x: IntArray) -> IntArray:
        """Return the candidates of every window, (taps, *target shape); OUTSIDE stands outside the image."""
        out, (kernel, padding) = self.target_shape(x.shape), self.touching(x.shape)
        return windows(x, (out[1], out[2]), kernel, self.stride, padding, self.dilation, OUTSIDE)

    def fan_out(self, source: Shape) -> IntArray:
        return alike(0, source)  # comparisons are not synaptic operations

    def reads(self, source: Shape, kept: Mask) -> Mask:
        return kept

    def spans(self, source: Shape, channels: int, low: Reals, high: Reals) -> tuple[Reals, Reals]:
        return low, high

    def without(self, source: Shape, less: Mask, fewer: Mask) -> tuple[Mask, Mask]:
        return less & fewer, less & fewer

    def narrowed(self, source: Shape, kept: Mask, reached: Mask) -> "Window":
        return self

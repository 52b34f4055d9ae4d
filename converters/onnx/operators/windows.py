# SPDX-License-Identifier: Apache-2.0
"""How windows lie on images and signals: padding given or automatic, strides, dilations, windows over the edge."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spikerun.converters.graph import Array, Pair, Shape
from spikerun.converters.onnx.fold import require_room
from spikerun.converters.onnx.operators.values import integers, move, places
from spikerun.converters.rules import Call, Refusal, Value

__all__ = ["Windows", "image", "outside", "pair", "windows"]


@dataclass(frozen=True)
class Windows:
    """Of each axis (one of a signal, two of an image): length of the value, of the result, and how windows lie."""

    size: Shape
    kernel: Shape
    stride: Shape
    dilation: Shape
    begin: Shape
    end: Shape
    out: Shape

    @property
    def reach(self) -> Shape:
        """Return how far a window reaches."""
        return tuple(d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True))

    @property
    def even(self) -> bool:
        """Return whether the padding is the same on both sides, and no window reaches beyond it."""
        floor = tuple(
            (n + b + e - r) // s + 1
            for n, b, e, r, s in zip(self.size, self.begin, self.end, self.reach, self.stride, strict=True)
        )
        return self.begin == self.end and min(self.begin, default=0) >= 0 and floor == self.out

    def taps(self, axis: int) -> Array:
        """Return what each window sees, (out, kernel): places of the value, outside of it too."""
        first = np.arange(self.out[axis]) * self.stride[axis] - self.begin[axis]
        return first[:, None] + np.arange(self.kernel[axis]) * self.dilation[axis]

    def counts(self, padding: bool) -> Array:
        """Return how many places of the value each window sees, of the shape of the result; with its padding too."""
        total = np.ones(())
        for axis, n in enumerate(self.size):
            low, high = (-self.begin[axis], n + self.end[axis]) if padding else (0, n)
            taps = self.taps(axis)
            total = np.multiply.outer(total, ((taps >= low) & (taps < high)).sum(axis=1))
        return total

    @property
    def needed(self) -> Shape:
        """Return how many places the last window needs behind the value."""
        axes = zip(self.out, self.stride, self.reach, self.size, self.begin, strict=True)
        return tuple((o - 1) * s + r - n - b for o, s, r, n, b in axes)


def image(x: Value) -> Value:
    """Return an image (C, H, W) or a signal (C, L); refuse others."""
    if len(x.shape) not in (2, 3):
        raise Refusal(f"it acts on values of shape {x.shape}; only images (C, H, W) and signals (C, L) are converted")
    return x


def pair(values: Sequence[int], usual: int) -> Pair:
    """Return numbers of the axes as those of an image; a signal is one of height 1, for which `usual` stands."""
    first, last = (usual, *values) if len(values) == 1 else values
    return int(first), int(last)


def windows(call: Call, x: Value, kernel: Sequence[int] | None) -> Windows:
    """Return how the windows of `call` lie on `x`; kernel: its lengths, None: those that it says."""
    size = image(x).shape[1:]
    axes = len(size)
    kernel = tuple(kernel if kernel is not None else integers(call, "kernel_shape") or ())
    stride = tuple(integers(call, "strides") or (1,) * axes)
    dilation = tuple(integers(call, "dilations") or (1,) * axes)
    pads = tuple(integers(call, "pads") or (0,) * 2 * axes)
    if not len(kernel) == len(stride) == len(dilation) == axes or len(pads) != 2 * axes:
        raise Refusal(
            f"its kernel {kernel}, strides {stride}, dilations {dilation} and pads {pads} are not of {axes} axes"
        )
    if min(kernel) < 1 or min(stride) < 1 or min(dilation) < 1:
        raise Refusal(f"its kernel {kernel}, strides {stride} and dilations {dilation} must be positive")
    begin, end = pads[:axes], pads[axes:]
    reach = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
    auto = call.arguments.get("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        total = [max((-(-n // s) - 1) * s + r - n, 0) for n, s, r in zip(size, stride, reach, strict=True)]
        small, large = tuple(t // 2 for t in total), tuple(t - t // 2 for t in total)
        begin, end = (small, large) if auto == "SAME_UPPER" else (large, small)
    elif auto == "VALID":
        begin = end = (0,) * axes
    out = []
    for n, s, r, b, e in zip(size, stride, reach, begin, end, strict=True):
        room = n + b + e - r
        many = (-(-room // s) if call.arguments.get("ceil_mode") and auto == "NOTSET" else room // s) + 1
        if call.arguments.get("ceil_mode") and (many - 1) * s >= n + b:  # it would begin in the padding behind
            many -= 1
        if room < 0 or many < 1:
            raise Refusal(f"its windows {reach} do not fit values of shape {x.shape} with the padding {begin}, {end}")
        out.append(many)
    require_room(x.shape[0] * int(np.prod([n + abs(b) + abs(e) for n, b, e in zip(size, begin, end, strict=True)])))
    return Windows(size, kernel, stride, dilation, begin, end, tuple(out))


def outside(call: Call, x: Value, begin: Shape, end: Shape, edge: bool = False) -> Value:
    """Return `x` with as many places around it (negative: fewer), 0 there; edge: what stands at the edge."""
    coordinates = [np.arange(-b, n + e) for n, b, e in zip(x.shape[1:], begin, end, strict=True)]
    axes = [np.arange(x.shape[0]), *(np.clip(c, 0, n - 1) for c, n in zip(coordinates, x.shape[1:], strict=True))]
    index = places(x.shape)[np.ix_(*axes)]
    if not edge:
        for axis, (c, n) in enumerate(zip(coordinates, x.shape[1:], strict=True)):
            beyond = ((c < 0) | (c >= n)).reshape(-1, *(1,) * (len(coordinates) - 1 - axis))
            index = np.where(beyond, -1, index)
    return move(call, x, index)

# SPDX-License-Identifier: Apache-2.0
"""Sliding windows over images: the geometry that convolutions and pools share."""

import numpy as np
import numpy.typing as npt

from spikerun.connections.base import IntArray, Pair, Shape
from spikerun.errors import NetworkError

__all__ = ["check_padding", "covered", "output_size", "touching", "windows"]


def output_size(what: str, source: Shape, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Pair:
    """Return the (height, width) of the output of sliding windows over an image of (C, H, W)."""
    if len(source) != 3:
        raise NetworkError(f"{what} needs a source of shape (C, H, W), got {source}")
    out = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(source[1:], kernel, stride, padding, dilation, strict=True)
    ]
    if min(out) < 1:
        raise NetworkError(f"{what}: a kernel of {kernel} (dilation {dilation}) does not fit an image of {source[1:]}")
    return out[0], out[1]


def check_padding(kernel: Pair, padding: Pair) -> None:
    """Refuse pools whose windows could lie wholly in the padding."""
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        raise NetworkError(f"padding {padding} must be at most half the kernel {kernel}")


def touching(source: Pair, out: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> tuple[Pair, Pair]:
    """Return the (kernel, padding) of the smallest windows that see of an image (H, W) all that these see.

    A kernel may be far larger than the image; what lies outside of it in every window costs nothing.
    """
    kernels, paddings = [], []
    for n, o, k, s, p, d in zip(source, out, kernel, stride, padding, dilation, strict=True):
        first = min(max(0, -((((o - 1) * s) - p) // d)), p // d)
        last = min(k - 1, (n - 1 + p) // d)
        kernels.append(last - first + 1)
        paddings.append(p - first * d)
    return (kernels[0], kernels[1]), (paddings[0], paddings[1])


def windows(
    x: IntArray, out: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, fill: int
) -> npt.NDArray[np.int64]:
    """Return the taps of sliding windows over `x` (C, H, W) as (kh * kw, C, Ho, Wo); `fill` stands outside."""
    (ho, wo), (sy, sx), (py, px), (dy, dx) = out, stride, padding, dilation
    ky, kx = kernel
    need_y, need_x = (ho - 1) * sy + (ky - 1) * dy + 1, (wo - 1) * sx + (kx - 1) * dx + 1
    padded = np.full((x.shape[0], need_y + py, need_x + px), fill, dtype=x.dtype)
    image = x[:, :need_y, :need_x]
    padded[:, py : py + image.shape[1], px : px + image.shape[2]] = image
    taps = [
        padded[:, dy * j : dy * j + sy * ho : sy, dx * i : dx * i + sx * wo : sx] for j in range(ky) for i in range(kx)
    ]
    return np.stack(taps)


def covered(source: Shape, out: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> IntArray:
    """Return in how many windows each pixel (H, W) lies."""
    counts = [np.zeros(size, dtype=np.int64) for size in source[1:]]
    for axis, count in enumerate(counts):
        step = stride[axis]
        for tap in range(kernel[axis]):
            first = tap * dilation[axis] - padding[axis]
            last = first + (out[axis] - 1) * step
            count[first % step if first < 0 else first : max(0, last + 1) : step] += 1
    return np.outer(counts[0], counts[1])

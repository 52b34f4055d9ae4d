# SPDX-License-Identifier: Apache-2.0
"""Transposed convolutions as ordinary ones, whose channels are the phases of the stride, put side by side behind them.

A value x[i] meets the result at n = i s + k d, for every tap k. Of the results n = j s + r with one remainder r, the
phase, each is a correlation of x with the taps k d = t s + r, t = 0, 1, ...: y[j s + r] = sum over t of x[j - t] w[k].
"""

import math

import numpy as np

from spikerun.converters.graph import Array, Conv, ConvTranspose, Rearrange, Shape

__all__ = ["as_conv"]


def as_conv(op: ConvTranspose, source: Shape, shape: Shape) -> tuple[Conv, Shape, Rearrange | None]:
    """Return (convolution, shape of its result, what puts that in order) of `source` and of the result's `shape`.

    Shapes are those of images; with a stride of 1 nothing needs to be put in order.
    """
    flipped = _by_result(op)[..., ::-1, ::-1]
    reach = [d * (k - 1) for d, k in zip(op.dilation, flipped.shape[2:], strict=True)]
    padding = (reach[0] - op.padding[0], reach[1] - op.padding[1])
    if op.stride == (1, 1) and op.output_padding == (0, 0) and min(padding) >= 0:
        plain = Conv(np.ascontiguousarray(flipped), op.bias, (1, 1), padding, op.dilation, op.groups)
        return plain, shape, None
    taps = [
        max(-(-(n + p) // s) - size + 1, 1)  # so many that the last result is reached
        for n, p, s, size in zip(shape[1:], op.padding, op.stride, source[1:], strict=True)
    ]
    taps = [max(t, r // s + 1) for t, r, s in zip(taps, reach, op.stride, strict=True)]
    weight = _phases(op, taps)
    phases = math.prod(op.stride)
    conv = Conv(weight, np.repeat(op.bias, phases), (1, 1), (taps[0] - 1, taps[1] - 1), (1, 1), op.groups)
    inner = (len(weight), source[1] + taps[0] - 1, source[2] + taps[1] - 1)
    return conv, inner, Rearrange(_order(op, inner, shape))


def _by_result(op: ConvTranspose) -> Array:
    """Return the weights as those of convolutions, (out, in / groups, kh, kw)."""
    inside, out = op.weight.shape[:2]
    split: Array = op.weight.reshape(op.groups, inside // op.groups, out, *op.weight.shape[2:])
    found: Array = split.swapaxes(1, 2).reshape(op.groups * out, inside // op.groups, *op.weight.shape[2:])
    return found


def _phases(op: ConvTranspose, taps: list[int]) -> Array:
    """Return the weights of all phases, (out stride^2, in / groups, *taps), the last tap being x[j]."""
    weight = _by_result(op)
    out, inside = weight.shape[:2]
    (sy, sx), (dy, dx) = op.stride, op.dilation
    found = np.zeros((out, sy, sx, inside, *taps))
    for ky in range(weight.shape[2]):
        for kx in range(weight.shape[3]):
            (ty, ry), (tx, rx) = divmod(ky * dy, sy), divmod(kx * dx, sx)
            found[:, ry, rx, :, taps[0] - 1 - ty, taps[1] - 1 - tx] = weight[:, :, ky, kx]
    return np.reshape(found, (out * sy * sx, inside, *taps))


def _order(op: ConvTranspose, inner: Shape, shape: Shape) -> Array:
    (sy, sx), (py, px) = op.stride, op.padding
    channel, row, column = np.ogrid[: shape[0], py : py + shape[1], px : px + shape[2]]
    phase = (channel * sy + row % sy) * sx + column % sx
    order: Array = (phase * inner[1] + row // sy) * inner[2] + column // sx
    return order

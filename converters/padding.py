# SPDX-License-Identifier: Apache-2.0
"""Uneven padding of convolutions as even one: the kernel gets taps of weight 0 where less is padded."""

import math
from dataclasses import replace

import numpy as np

from spikerun.converters.graph import Array, Conv, Pair

__all__ = ["evenly_padded", "same_padding"]


def same_padding(kernel: Pair, dilation: Pair) -> tuple[int, int, int, int]:
    """Return (top, bottom, left, right) by which a convolution of stride 1 keeps its image's size, more at the ends."""
    high, wide = (d * (k - 1) for k, d in zip(kernel, dilation, strict=True))
    return high // 2, high - high // 2, wide // 2, wide - wide // 2


def evenly_padded(conv: Conv, pads: tuple[int, int, int, int]) -> Conv:
    """Return the convolution with so many more zeros around its image, (top, bottom, left, right), none negative.

    Taps of weight 0 are none of the model's own.
    """
    weight, padding, dilations = conv.weight, [0, 0], list(conv.dilation)
    own = math.prod(weight.shape[1:]) if conv.own is None else conv.own
    for axis in (0, 1):
        front, back = (conv.padding[axis] + more for more in pads[2 * axis : 2 * axis + 2])
        lacks = abs(front - back)
        if lacks % dilations[axis]:
            weight, dilations[axis] = _undilated(weight, 2 + axis, dilations[axis]), 1
        more = [(0, 0)] * weight.ndim
        taps = lacks // dilations[axis]
        more[2 + axis] = (taps, 0) if front < back else (0, taps)
        weight, padding[axis] = np.pad(weight, more), max(front, back)
    return replace(
        conv, weight=weight, padding=(padding[0], padding[1]), dilation=(dilations[0], dilations[1]), own=own
    )


def _undilated(weight: Array, axis: int, dilation: int) -> Array:
    shape = list(weight.shape)
    shape[axis] = dilation * (shape[axis] - 1) + 1
    wide = np.zeros(shape, dtype=weight.dtype)
    wide[(slice(None),) * axis + (slice(None, None, dilation),)] = weight
    return wide

# SPDX-License-Identifier: Apache-2.0
"""What the kernels of a GPU must give, in NumPy and 64 bits, as plainly as can be."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
LIMIT = 2**23 - 1


def conv_sums(x: Array, weight: Array, stride: Any, padding: Any, dilation: Any, groups: int) -> Array:
    """Return int64 sums (B, OH, OW, cout) of x, (B, H, W, C), and weight, (cout, cin / groups, kh, kw)."""
    cout, cg, kh, kw = weight.shape
    x = np.pad(x.astype(np.int64), ((0, 0), (padding[0],) * 2, (padding[1],) * 2, (0, 0)))
    oh = (x.shape[1] - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    ow = (x.shape[2] - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    out = np.zeros((x.shape[0], oh, ow, cout), np.int64)
    each = cout // groups
    for g in range(groups):
        for a in range(kh):
            for b in range(kw):
                rows = slice(a * dilation[0], a * dilation[0] + (oh - 1) * stride[0] + 1, stride[0])
                columns = slice(b * dilation[1], b * dilation[1] + (ow - 1) * stride[1] + 1, stride[1])
                part = x[:, rows, columns, g * cg : (g + 1) * cg]
                kernel = weight[g * each : (g + 1) * each, :, a, b].T.astype(np.int64)
                out[..., g * each : (g + 1) * each] += part @ kernel
    return out


def spikes_of(byte: Array, steps: int) -> Array:
    """Return the spikes (T, ...) of temporal bytes."""
    return np.stack([(byte >> t) & 1 for t in range(steps)])


def bytes_of(spikes: Array) -> Array:
    """Return the temporal bytes of spikes (T, ...)."""
    out = np.zeros(spikes.shape[1:], np.uint8)
    for t, s in enumerate(spikes):
        out |= (s.astype(np.uint8) << t).astype(np.uint8)
    return out


def wrapped(x: Array) -> Array:
    """Return x modulo 2^32 as int32."""
    return (np.asarray(x, np.int64) & 0xFFFFFFFF).astype(np.uint32).view(np.int32)


def if_law(i: Array, v: Array, threshold: Array, bias: Array, v_min: Array, reset: str) -> tuple[Array, Array]:
    """Return spikes (T, ...) and membranes after currents i (T, ...)."""
    v, spikes = v.astype(np.int64), []
    for current in i.astype(np.int64):
        v = np.clip(v + current + bias, np.maximum(v_min, -LIMIT), LIMIT)
        s = v >= threshold
        v = np.where(s, 0 if reset == "zero" else v - threshold, v)
        spikes.append(s)
    return np.array(spikes).reshape(i.shape), v


def fire_law(v: Array, threshold: Array, bits: int, signed: bool, most: int) -> Array:
    """Return the words, int64."""
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    q = np.clip(v.astype(np.int64) // threshold, low, high)
    out, left = np.zeros_like(q), np.full_like(q, most)
    for place in range(bits - 1, -1, -1):
        bit = ((q >> place) & 1) * (left > 0)
        out += bit * (-(1 << place) if signed and place == bits - 1 else 1 << place)
        left -= bit
    return out


def pool_law(x: Array) -> Array:
    """Return the largest of windows of 2x2, (B, H, W, C)."""
    b, h, w, c = x.shape
    windows: Array = x.reshape(b, h // 2, 2, w // 2, 2, c).max(axis=(2, 4))
    return windows

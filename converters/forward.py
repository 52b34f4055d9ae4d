# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of linear maps and pools on batches of real samples, by torch for its speed: arrays in, arrays out.

Results have the dtype of the samples: float32 for calibration, float64 where integers must be exact. Signals
(batch, C, L) are taken as images of height 1, and give signals.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

__all__ = ["conv", "conv_transpose", "erf", "linear", "max_pool", "spread", "sum_pool", "unfold"]

Array = npt.NDArray[Any]
Pair = tuple[int, int]


def spread(values: Array, shape: tuple[int, ...]) -> Array:
    """Return values of shape (), (C,) or `shape` such that they broadcast over a batch of `shape`."""
    if values.ndim == 1 and len(shape) > 1:
        return values.reshape(-1, *(1,) * (len(shape) - 1))
    return values


def linear(x: Array, weight: Array) -> Array:
    """Return W x for each sample of `x` (batch, ...), read in C order; weight (out, in)."""
    import torch.nn.functional as F

    return F.linear(_tensor(x).flatten(1), _tensor(weight, x)).numpy()


def conv(x: Array, weight: Array, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Array:
    """Return the cross-correlation of images `x` (batch, C, H, W) with `weight` (out, in / groups, kh, kw)."""
    import torch.nn.functional as F

    return _as(x, F.conv2d(_image(x), _tensor(weight, x), None, stride, padding, dilation, groups))


def conv_transpose(
    x: Array, weight: Array, stride: Pair, padding: Pair, output_padding: Pair, dilation: Pair, groups: int
) -> Array:
    """Return the transposed convolution of images `x` (batch, C, H, W) with `weight` (C, out / groups, kh, kw)."""
    import torch.nn.functional as F

    w = _tensor(weight, x)
    return _as(x, F.conv_transpose2d(_image(x), w, None, stride, padding, output_padding, groups, dilation))


def unfold(x: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """Return what each window of images sees, (batch, C kh kw, windows), zeros outside."""
    import torch.nn.functional as F

    return F.unfold(_image(x), kernel, dilation, padding, stride).numpy()


def sum_pool(x: Array, kernel: Pair, stride: Pair, padding: Pair) -> Array:
    """Return the sum of each window of images, zeros outside."""
    import torch.nn.functional as F

    return _as(x, F.avg_pool2d(_image(x), kernel, stride, padding, divisor_override=1))


def max_pool(x: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """Return the largest value of each window of images, minus infinity outside."""
    import torch.nn.functional as F

    return _as(x, F.max_pool2d(_image(x), kernel, stride, padding, dilation))


def erf(x: Array) -> Array:
    """Return the error function of each value."""
    import torch

    return torch.special.erf(_tensor(x)).numpy()  # type: ignore[no-any-return]


def _image(x: Array) -> "torch.Tensor":
    return _tensor(x[:, :, None] if x.ndim == 3 else x)


def _as(x: Array, y: "torch.Tensor") -> Array:
    """Return the result for `x`: a signal for a signal."""
    return (y[:, :, 0] if x.ndim == 3 else y).numpy()


def _tensor(values: Array, like: Array | None = None) -> "torch.Tensor":
    import torch

    return torch.from_numpy(np.ascontiguousarray(values, dtype=None if like is None else like.dtype))

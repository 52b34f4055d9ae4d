# SPDX-License-Identifier: Apache-2.0
"""The layout of the CPU kernels: images are channels last, (H, W, C); everything above is (C, H, W)."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["from_kernel", "hwc", "positions", "to_kernel"]

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


def to_kernel(values: Array, shape: Shape) -> Array:
    """Return values (..., *shape) flattened per sample in kernel order: (..., n), channels last."""
    lead = values.shape[: values.ndim - len(shape)]
    if len(shape) >= 3 and shape[-3] > 1:
        values = np.moveaxis(values, -3, -1)
    return np.ascontiguousarray(values).reshape(*lead, math.prod(shape))


def from_kernel(values: Array, shape: Shape) -> Array:
    """Return values (..., n) in kernel order as (..., *shape)."""
    lead = values.shape[:-1]
    if len(shape) < 3 or shape[-3] == 1:
        return values.reshape(*lead, *shape)
    *outer, c, h, w = shape
    return np.ascontiguousarray(np.moveaxis(values.reshape(*lead, *outer, h, w, c), -1, -3))


def positions(shape: Shape) -> npt.NDArray[np.int64]:
    """Return, for every neuron in (C, H, W) order, its position in kernel order: int64 of `shape`."""
    return from_kernel(np.arange(math.prod(shape)), shape)


def hwc(shape: Shape) -> tuple[int, int, int]:
    """Return the shape of an image in kernel order."""
    return shape[1], shape[2], shape[0]

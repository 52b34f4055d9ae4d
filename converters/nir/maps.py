# SPDX-License-Identifier: Apache-2.0
"""What NIR's nodes without a state compute, as operators of the float graph, and the shapes that come out of them.

Shapes are those of NIR, without a batch; what a file says of shapes within a network is not believed (they are computed
anew), for writers get them wrong.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np

from spikerun.converters.graph import Affine, Array, AvgPool, Conv, Flatten, Identity, Linear, Op, Pair, Shape
from spikerun.converters.nir.file import Item
from spikerun.converters.nir.neurons import fit, lifted

__all__ = ["MAPS", "Map", "shape_of"]

MAX_SIZE = 2**26  # neurons of a population
MAX_PAIR = 2**15 - 1
Map = Callable[[Item, Shape], tuple[Op, Shape]]


def shape_of(item: Item) -> Shape:
    """Return the shape that an Input says it has."""
    found = _whole("shape", item.array("shape"), 1, MAX_SIZE)
    if not 1 <= len(found) <= 3:
        raise ValueError(f"has shape {found}: 1 to 3 axes are read, (N,), (C, L) or (C, H, W), without batch and time")
    if math.prod(found) > MAX_SIZE:
        raise ValueError(f"has shape {found}, at most {MAX_SIZE} values are read")
    return found


def _whole(key: str, value: Array, low: int, high: int) -> tuple[int, ...]:
    """Return a value as whole numbers within low..high."""
    if value.ndim > 1 or value.size > 8 or not (np.isfinite(value) & (value == np.trunc(value))).all():
        raise ValueError(
            f"{key} must be a whole number, or a short list of them, got shape {value.shape} {value!r:.60}"
        )
    if (value < low).any() or (value > high).any():
        raise ValueError(f"{key} must be within {low}..{high}, got {value.min()}..{value.max()}")
    return tuple(int(one) for one in value.reshape(-1))


def _pair(item: Item, key: str, low: int, default: int, axes: int) -> Pair:
    """Return a number for each of the axes, of which a missing one, the upper of (C, 1, L), is that of one pixel."""
    found = _whole(key, item.array(key), low, MAX_PAIR) if key in item.values else (default,)
    if len(found) not in (1, axes):
        raise ValueError(f"{key} must be 1 or {axes} numbers, got {found}")
    both = found * axes if len(found) == 1 else found
    return (both[0], both[1]) if axes == 2 else (default, both[0])


def _images(shape: Shape, axes: int) -> Shape:
    if len(shape) != axes + 1:
        wanted = "(C, H, W)" if axes == 2 else "(C, L)"
        raise ValueError(f"takes {wanted}, and what leads to it has shape {shape}")
    return lifted(shape)


def _sized(shape: Shape, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Pair:
    sizes = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(shape[1:], kernel, stride, padding, dilation, strict=True)
    ]
    if min(sizes) < 1:
        raise ValueError(f"has windows of {kernel} that do not fit an image of {shape[1:]}")
    if math.prod(sizes) > MAX_SIZE:
        raise ValueError(f"makes images of {tuple(sizes)}, more than {MAX_SIZE} pixels")
    return sizes[0], sizes[1]


def _finite(item: Item, key: str, ndim: int) -> Array:
    """Return weights, which are real numbers, of so many axes."""
    value = item.array(key)
    if value.ndim != ndim:
        raise ValueError(f"{key} must have {ndim} axes, got shape {value.shape}")
    if not np.isfinite(value).all():
        raise ValueError(f"{key} has values that are not finite")
    return value if value.dtype.kind == "f" else value.astype(np.float64)


def _linear(item: Item, shape: Shape) -> tuple[Op, Shape]:
    weight = _finite(item, "weight", 2)
    if shape != weight.shape[1:]:
        raise ValueError(f"takes {weight.shape[1:]}, and what leads to it has shape {shape}")
    bias = _finite(item, "bias", 1) if "bias" in item.values else np.zeros(len(weight), weight.dtype)
    if bias.shape != weight.shape[:1]:
        raise ValueError(f"bias has shape {bias.shape}, and weight {weight.shape}")
    return Linear(weight, bias), bias.shape


def _scale(item: Item, shape: Shape) -> tuple[Op, Shape]:
    scale = fit("scale", item.array("scale"), shape)
    if not np.isfinite(scale).all():
        raise ValueError("scale has values that are not finite")
    return Affine(scale, np.zeros(())), shape


def _conv(axes: int) -> Map:
    def make(item: Item, shape: Shape) -> tuple[Op, Shape]:
        weight = _finite(item, "weight", axes + 2)
        weight = weight if axes == 2 else weight[:, :, None, :]
        image = _images(shape, axes)
        bias = _finite(item, "bias", 1) if "bias" in item.values else np.zeros(len(weight), weight.dtype)
        (groups,) = _whole("groups", item.array("groups"), 1, 2**31) if "groups" in item.values else (1,)
        if bias.shape != weight.shape[:1] or image[0] != weight.shape[1] * groups or len(weight) % groups:
            raise ValueError(
                f"has weight {item.array('weight').shape} in {groups} groups and bias {bias.shape}, and what leads to "
                f"it has shape {shape}"
            )
        stride, dilation = (_pair(item, key, 1, 1, axes) for key in ("stride", "dilation"))
        padded, padding = item.values.get("padding", "valid"), (0, 0)
        if not isinstance(padded, str):
            padding = _pair(item, "padding", 0, 0, axes)
        elif padded == "same":
            weight, padding = _same(weight, stride, dilation)
        elif padded != "valid":
            raise ValueError(f"padding must be numbers, 'same' or 'valid', got '{padded:.40}'")
        kernel = (weight.shape[2], weight.shape[3])
        height, width = _sized(image, kernel, stride, padding, dilation)
        out = (len(weight), height, width) if axes == 2 else (len(weight), width)
        return Conv(weight, bias, stride, padding, dilation, groups), out

    return make


def _same(weight: Array, stride: Pair, dilation: Pair) -> tuple[Array, Pair]:
    """Return weight and padding such that images keep their size; an odd pixel is added behind, as torch does."""
    if stride != (1, 1):
        raise ValueError(f"padding 'same' has a meaning for a stride of 1 only, got {stride}")
    total = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
    odd = [n % 2 for n in total]
    if any(o and d > 1 for o, d in zip(odd, dilation, strict=True)):
        raise ValueError(f"padding 'same' with dilation {dilation} and a kernel of even size is not read")
    # one tap of zeros in front takes what the padding has too much there
    weight = np.pad(weight, ((0, 0), (0, 0), (odd[0], 0), (odd[1], 0)))
    return weight, ((total[0] + 1) // 2, (total[1] + 1) // 2)


def _pool(average: bool) -> Map:
    def make(item: Item, shape: Shape) -> tuple[Op, Shape]:
        image = _images(shape, 2)
        kernel = _pair(item, "kernel_size", 1, 1, 2)
        stride = _pair(item, "stride", 1, 1, 2) if "stride" in item.values else kernel
        padding = _pair(item, "padding", 0, 0, 2)
        if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
            raise ValueError(f"padding {padding} is more than half of the kernel {kernel}")
        out = (image[0], *_sized(image, kernel, stride, padding, (1, 1)))
        return AvgPool(kernel, stride, padding, float(math.prod(kernel)) if average else 1.0), out

    return make


def _flatten(item: Item, shape: Shape) -> tuple[Op, Shape]:
    (start,), (end,) = (_whole(key, item.array(key), -8, 8) for key in ("start_dim", "end_dim"))
    axes = len(shape)
    if axes == 1:
        return Identity(), shape
    if start not in (0, -axes) or end not in (axes - 1, -1):
        raise ValueError(
            f"flattens axes {start}..{end} of shape {shape}, and only all of them are read: NIR counts no batch axis, "
            "so start_dim is 0"
        )
    return Flatten(), (math.prod(shape),)


MAPS: Mapping[str, Map] = {
    "Affine": _linear,
    "Linear": _linear,
    "Scale": _scale,
    "Conv1d": _conv(1),
    "Conv2d": _conv(2),
    "SumPool2d": _pool(average=False),
    "AvgPool2d": _pool(average=True),
    "Flatten": _flatten,
}

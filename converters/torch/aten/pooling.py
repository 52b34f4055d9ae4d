# SPDX-License-Identifier: Apache-2.0
"""Pools over images and signals, and what reduces axes: means, sums, largest values."""

import math

import numpy as np

from spikerun.converters.graph import (
    Affine,
    Array,
    AvgPool,
    Conv,
    Identity,
    Linear,
    MaxPool,
    Op,
    Pair,
    Rearrange,
    Shape,
)
from spikerun.converters.rules import Call, Refusal, Value
from spikerun.converters.torch.aten.dialect import ATEN
from spikerun.converters.torch.aten.shape import order

Result = tuple[Op, tuple[str, ...]]


@ATEN.rule("aten.max_pool1d.default", "aten.max_pool2d.default", "aten.max_pool2d_with_indices.default")
def max_pool(call: Call) -> Result:
    """MaxPool1d, MaxPool2d, ceil_mode too: the largest word of each window."""
    x = _image(call)
    kernel, stride, padding, dilation = _geometry(call, x)
    beyond = _beyond(call, x, kernel, stride, padding, dilation)
    if any(beyond):
        x = _padded(call, x, beyond, -math.inf)
    return MaxPool(kernel, stride, padding, dilation), (x.name,)


@ATEN.rule("aten.avg_pool1d.default", "aten.avg_pool2d.default")
def avg_pool(call: Call) -> Result:
    """AvgPool1d, AvgPool2d, with any padding, ceil_mode, count_include_pad and divisor_override: sums over windows."""
    x = _image(call)
    kernel, stride, padding, dilation = _geometry(call, x)
    beyond = _beyond(call, x, kernel, stride, padding, dilation)
    override = call.arguments.get("divisor_override")
    if override is not None and override < 0:
        raise Refusal(f"divisor_override={override} must be positive")
    area = kernel[0] * kernel[1]
    counted = call.arguments["count_include_pad"]
    if override or (not any(beyond) and (counted or padding == (0, 0))):
        x = _padded(call, x, beyond, 0.0) if any(beyond) else x
        return AvgPool(kernel, stride, padding, float(override or area)), (x.name,)
    counts = _counts(x.shape, call.shape, kernel, stride, padding, counted)
    x = _padded(call, x, beyond, 0.0) if any(beyond) else x
    total = call.emit(AvgPool(kernel, stride, padding, 1.0), x)
    return Affine(1 / counts, np.zeros(call.shape[0])), (total.name,)


@ATEN.rule("aten.adaptive_avg_pool1d.default", "aten.adaptive_avg_pool2d.default")
def adaptive_avg_pool(call: Call) -> Result:
    """AdaptiveAvgPool1d, AdaptiveAvgPool2d of any size."""
    x = _image(call)
    kernel = _dividing(x.shape, call.shape)
    if kernel is not None:
        return AvgPool(kernel, kernel, (0, 0), float(kernel[0] * kernel[1])), (x.name,)
    index, sizes = _adaptive(x.shape, call.shape)
    windows = call.emit(Rearrange(index), x)
    total = call.emit(AvgPool(sizes, sizes, (0, 0), 1.0), windows)
    counts = (index >= 0).reshape(index.shape[0], *_blocks(call.shape, sizes)).sum(axis=(2, 4))
    return Affine((1 / counts).reshape(call.shape), np.zeros(call.shape[0])), (total.name,)


@ATEN.rule("aten.adaptive_max_pool1d.default", "aten.adaptive_max_pool2d.default")
def adaptive_max_pool(call: Call) -> Result:
    """AdaptiveMaxPool1d, AdaptiveMaxPool2d of any size."""
    x = _image(call)
    kernel = _dividing(x.shape, call.shape)
    if kernel is not None:
        return MaxPool(kernel, kernel, (0, 0), (1, 1)), (x.name,)
    index, sizes = _adaptive(x.shape, call.shape)
    windows = call.emit(Rearrange(index, -math.inf), x)
    return MaxPool(sizes, sizes, (0, 0), (1, 1)), (windows.name,)


@ATEN.rule("aten.mean.dim", "aten.mean.default", "aten.sum.dim_IntList", "aten.sum.default")
def mean(call: Call) -> Result:
    """Means and sums over any axes but the batch."""
    x, axes = call.value("self"), _axes(call)
    count = math.prod(x.shape[axis] for axis in axes)
    divisor = float(count) if ".mean." in call.operator else 1.0
    if axes == (0,):  # a sum over channels is one of weights of 1, none of which is the model's
        if len(x.shape) == 1:
            return Linear(np.full((1, x.shape[0]), 1 / divisor), np.zeros(1), own=0), (x.name,)
        flat = x if len(x.shape) in (2, 3) else call.emit(Rearrange(_flat(x.shape)), x)
        total = call.emit(Conv(np.full((1, x.shape[0], 1, 1), 1 / divisor), np.zeros(1), own=0), flat)
        return _shaped(call, total)
    rows, window = _rows(call, x, axes)
    return _shaped(call, call.emit(AvgPool(window, window, (0, 0), divisor), rows))


@ATEN.rule("aten.amax.default", "aten.max.dim", "aten.max.default")
def largest(call: Call) -> Result:
    """The largest value over any axes but the batch: amax, max(dim)."""
    rows, window = _rows(call, call.value("self"), _axes(call))
    return _shaped(call, call.emit(MaxPool(window, window, (0, 0), (1, 1)), rows))


def _image(call: Call) -> Value:
    x = call.value("self")
    if len(x.shape) != (2 if "1d" in call.operator else 3):
        raise Refusal(f"it pools samples of shape {x.shape}; only images (C, H, W) and signals (C, L) are pooled")
    return x


def _pair(call: Call, name: str, beside: int) -> Pair:
    found = call.pair(name)
    return (beside, found[1]) if "1d" in call.operator else found


def _geometry(call: Call, x: Value) -> tuple[Pair, Pair, Pair, Pair]:
    kernel, padding = _pair(call, "kernel_size", 1), _pair(call, "padding", 0)
    stride = _pair(call, "stride", 1) if call.arguments["stride"] else kernel
    return kernel, stride, padding, _pair(call, "dilation", 1) if "dilation" in call.arguments else (1, 1)


def _sizes(shape: Shape) -> Pair:
    """Return (height, width) of an image or a signal."""
    return (1, shape[1]) if len(shape) == 2 else (shape[1], shape[2])


def _beyond(call: Call, x: Value, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Pair:
    """Return how many rows and columns the windows of ceil_mode see beyond the padded image."""
    axes = zip(_sizes(x.shape), _sizes(call.shape), kernel, stride, padding, dilation, strict=True)
    more = [max((m - 1) * s + d * (k - 1) + 1 - n - 2 * p, 0) for n, m, k, s, p, d in axes]
    return more[0], more[1]


def _padded(call: Call, x: Value, beyond: Pair, fill: float) -> Value:
    """Return an image or signal with so many rows and columns more at its ends."""
    ends = ((0, n) for n in (beyond if len(x.shape) == 3 else beyond[1:]))
    index = np.pad(np.arange(math.prod(x.shape)).reshape(x.shape), ((0, 0), *ends), constant_values=-1)
    return call.emit(Rearrange(index, fill), x)


def _counts(source: Shape, shape: Shape, kernel: Pair, stride: Pair, padding: Pair, counted: bool) -> Array:
    """Return by what torch divides each window: its places in the image, or (counted) in the image with its padding."""
    found = []
    for n, m, k, s, p in zip(_sizes(source), _sizes(shape), kernel, stride, padding, strict=True):
        first = np.arange(m) * s - p
        low, high = (-p, n + p) if counted else (0, n)
        found.append(np.minimum(first + k, high) - np.maximum(first, low))
    counts = np.outer(*found).reshape(shape[1:])
    return np.broadcast_to(counts, shape).astype(np.float64)


def _dividing(source: Shape, shape: Shape) -> Pair | None:
    """Return the windows of an adaptive pool whose result divides the image; None where they differ in size."""
    (high, wide), (rows, columns) = _sizes(source), _sizes(shape)
    return None if high % rows or wide % columns else (high // rows, wide // columns)


def _adaptive(source: Shape, shape: Shape) -> tuple[Array, Pair]:
    """Return the places that adaptive windows see, put side by side in blocks of one size, and that size."""
    spans = []
    for n, m in zip(_sizes(source), _sizes(shape), strict=True):
        begin = np.arange(m) * n // m
        end = -(-(np.arange(m) + 1) * n // m)
        size = int((end - begin).max())
        place = begin[:, None] + np.arange(size)
        spans.append((np.where(place < end[:, None], place, -1).reshape(-1), size))
    (rows, high), (columns, wide) = spans
    inside = (rows >= 0)[:, None] & (columns >= 0)
    image = np.where(inside, rows[:, None] * _sizes(source)[1] + columns, -1)
    channel = np.arange(source[0]).reshape(-1, 1, 1) * math.prod(source[1:])
    index = np.where(image < 0, -1, channel + image)
    return (index[:, 0] if len(source) == 2 else index), (high, wide)


def _blocks(shape: Shape, sizes: Pair) -> Shape:
    rows, columns = _sizes(shape)
    return (rows, sizes[0], columns, sizes[1])


def _axes(call: Call) -> tuple[int, ...]:
    """Return the axes that are reduced, without the batch; all of a sample where none is named."""
    x, dim = call.value("self"), call.arguments.get("dim")
    rank = len(x.shape) + 1
    axes = sorted(axis % rank for axis in ((dim,) if isinstance(dim, int) else dim or range(rank)))
    if 0 in axes:
        raise Refusal("it reduces the batch too: name the axes of a sample, such as x.mean((2, 3))")
    return tuple(axis - 1 for axis in axes)


def _flat(shape: Shape) -> Array:
    return np.arange(math.prod(shape)).reshape(shape[0], 1, -1)


def _rows(call: Call, x: Value, axes: tuple[int, ...]) -> tuple[Value, Pair]:
    """Return values as images or signals, and the window whose values are reduced together."""
    if len(x.shape) in (2, 3) and 0 not in axes:
        high, wide = _sizes(x.shape)
        return x, (high if len(x.shape) == 3 and 1 in axes else 1, wide if len(x.shape) - 1 in axes else 1)
    kept = tuple(axis for axis in range(len(x.shape)) if axis not in axes)
    turned = order(call, x, (*kept, *axes))
    count = math.prod(x.shape[axis] for axis in axes)
    channels = x.shape[kept[0]] if kept else 1
    places = np.arange(math.prod(x.shape)).reshape(channels, -1, count)
    return turned if turned.shape == places.shape else call.emit(Rearrange(places), turned), (1, count)


def _shaped(call: Call, x: Value) -> Result:
    """Return the values of `x` in the shape of the result."""
    if x.shape == call.shape:
        return Identity(), (x.name,)
    return Rearrange(np.arange(math.prod(call.shape)).reshape(call.shape)), (x.name,)

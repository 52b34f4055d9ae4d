# SPDX-License-Identifier: Apache-2.0
"""Pools over windows, and reductions over whole axes."""

from collections.abc import Callable, Sequence

import numpy as np

from spikerun.converters.graph import Affine, AvgPool, Conv, Identity, MaxPool, Op, Pair
from spikerun.converters.onnx.operators.arithmetic import ZERO
from spikerun.converters.onnx.operators.dialect import ONNX
from spikerun.converters.onnx.operators.values import Read, affine, arrange, axes_of, integers, move, places
from spikerun.converters.onnx.operators.windows import Windows, image, outside, pair, windows
from spikerun.converters.rules import Call, Refusal, Value


@ONNX.rule("AveragePool")
def average_pool(call: Call) -> Read:
    """Average pool: with or without its padding counted, in ceil mode, dilated, padded unevenly."""
    x = image(call.value("X"))
    lie = windows(call, x, None)
    counts = lie.counts(bool(call.arguments["count_include_pad"]))
    if not counts.all():
        raise Refusal("some of its windows see nothing but padding")
    even = bool((counts == counts.flat[0]).all())
    divisor = float(counts.flat[0]) if even else float(np.prod(lie.kernel))
    inside = lie.even and all(2 * b <= k for b, k in zip(lie.begin, lie.kernel, strict=True))
    if not inside:
        x = outside(call, x, lie.begin, tuple(max(n, 0) for n in lie.needed))
    padding = pair(lie.begin if inside else (0,) * len(lie.size), 0)
    op: Op = AvgPool(pair(lie.kernel, 1), pair(lie.stride, 1), padding, divisor)
    if max(lie.dilation) > 1:
        op = _spread(x.shape[0], lie, padding, divisor)
    if even:
        return op, (x.name,)
    y = call.emit(op, x)
    return Affine(np.broadcast_to(divisor / counts, y.shape).copy(), np.zeros(y.shape)), (y.name,)


def _spread(channels: int, lie: Windows, padding: Pair, divisor: float) -> Conv:
    """Return the average of a dilated window: a convolution of each channel with itself, by no weights of a model."""
    weight = np.full((channels, 1, *pair(lie.kernel, 1)), 1 / divisor)
    return Conv(weight, np.zeros(channels), pair(lie.stride, 1), padding, pair(lie.dilation, 1), channels, own=0)


@ONNX.rule("MaxPool")
def max_pool(call: Call) -> Read:
    """Max pool: in ceil mode, dilated, padded unevenly."""
    x = image(call.value("X"))
    lie = windows(call, x, None)
    if not lie.counts(padding=False).all():
        raise Refusal("some of its windows see nothing but padding")
    kernel, stride, dilation = pair(lie.kernel, 1), pair(lie.stride, 1), pair(lie.dilation, 1)
    if lie.even and all(2 * b <= k for b, k in zip(lie.begin, lie.kernel, strict=True)):
        return MaxPool(kernel, stride, pair(lie.begin, 0), dilation), (x.name,)
    if dilation == (1, 1):  # a window over the edge sees the edge, which again it may see
        padded = outside(call, x, lie.begin, tuple(max(n, 0) for n in lie.needed), edge=True)
        return MaxPool(kernel, stride, (0, 0), (1, 1)), (padded.name,)
    return MaxPool(kernel, kernel, (0, 0), (1, 1)), (_laid_out(call, x, lie).name,)


def _laid_out(call: Call, x: Value, lie: Windows) -> Value:
    """Return every window beside the others; what it sees outside is replaced by something that it sees inside."""
    axes = [np.arange(x.shape[0])]
    for axis, n in enumerate(lie.size):
        taps = lie.taps(axis)
        valid = (taps >= 0) & (taps < n)
        some = np.take_along_axis(taps, valid.argmax(axis=1)[:, None], axis=1)
        axes.append(np.where(valid, taps, some).reshape(-1))
    return move(call, x, places(x.shape)[np.ix_(*axes)])


Pool = Callable[[Pair], Op]


def _mean(kernel: Pair) -> Op:
    return AvgPool(kernel, kernel, (0, 0), float(kernel[0] * kernel[1]))


def _total(kernel: Pair) -> Op:
    return AvgPool(kernel, kernel, (0, 0), 1.0)


def _largest(kernel: Pair) -> Op:
    return MaxPool(kernel, kernel, (0, 0), (1, 1))


def reduced(call: Call, x: Value, axes: Sequence[int], keep: bool, pool: Pool) -> Read:
    """Return the pool over whole axes (counted without the batch), which stay with length 1 where `keep`."""
    rest = [k for k in range(len(x.shape)) if k not in axes]
    final = tuple(1 if k in axes else n for k, n in enumerate(x.shape) if keep or k not in axes)
    if rest == [0] and len(x.shape) in (2, 3):
        y = call.emit(pool(pair(x.shape[1:], 1)), x)
    else:
        signal = places(x.shape).transpose(*rest, *axes).reshape(-1, int(np.prod([x.shape[k] for k in axes])))
        y = call.emit(pool((1, signal.shape[1])), move(call, x, signal))
    return arrange(y, places(y.shape).reshape(final))


@ONNX.rule("GlobalAveragePool")
def global_average_pool(call: Call) -> Read:
    """Mean over all places of each channel."""
    x = call.value("X")
    return reduced(call, x, range(1, len(x.shape)), True, _mean)


@ONNX.rule("GlobalMaxPool")
def global_max_pool(call: Call) -> Read:
    """Maximum over all places of each channel."""
    x = call.value("X")
    return reduced(call, x, range(1, len(x.shape)), True, _largest)


def _reduce(call: Call, pool: Pool) -> Read:
    x = call.value("data")
    axes = integers(call, "axes")
    if not axes and call.arguments.get("noop_with_empty_axes"):
        return Identity(), (x.name,)
    found = axes_of(axes or range(len(x.shape) + 1), x)
    return reduced(call, x, found, bool(call.arguments["keepdims"]), pool)


@ONNX.rule("ReduceMean")
def reduce_mean(call: Call) -> Read:
    """Mean over any axes but the batch."""
    return _reduce(call, _mean)


@ONNX.rule("ReduceSum")
def reduce_sum(call: Call) -> Read:
    """Sum over any axes but the batch."""
    return _reduce(call, _total)


@ONNX.rule("ReduceMax")
def reduce_max(call: Call) -> Read:
    """Maximum over any axes but the batch."""
    return _reduce(call, _largest)


@ONNX.rule("ReduceMin")
def reduce_min(call: Call) -> Read:
    """Minimum over any axes but the batch: the maximum of the negated values, negated."""
    x = call.value("data")
    minus = Affine(np.full(x.shape[:1], -1.0), np.zeros(x.shape[:1]))
    op, names = _reduce(
        Call(call.operator, {**call.arguments, "data": call.emit(minus, x)}, (), call.batch, call.emit), _largest
    )
    y = call.emit(op, Value(names[0], ()))
    return affine(call, y, np.array(-1.0), ZERO)

# SPDX-License-Identifier: Apache-2.0
"""Layers with trained weights: dense ones and convolutions."""

import numpy as np

from spikerun.converters.graph import Array, Conv, ConvTranspose, Linear
from spikerun.converters.onnx.fold import require_room
from spikerun.converters.onnx.operators.arithmetic import ONE, added
from spikerun.converters.onnx.operators.dialect import ONNX
from spikerun.converters.onnx.operators.values import Read, affine, arrange, fixed, integers, move, places
from spikerun.converters.onnx.operators.windows import image, outside, pair, windows
from spikerun.converters.padding import evenly_padded
from spikerun.converters.rules import Call, Refusal, Value


@ONNX.rule("Gemm")
def gemm(call: Call) -> Read:
    """Gemm: a dense layer, transposed or not, with factors, and any bias."""
    x, weight, bias = call.arguments["A"], call.arguments["B"], call.arguments["C"]
    if isinstance(weight, Value) or not isinstance(x, Value):
        raise Refusal("its weights are computed from the input; only trained constants can become synapses")
    if call.arguments["transA"]:
        raise Refusal("it transposes its values (transA=1), so that samples of the batch would meet")
    weight = fixed(call, "B")
    if weight.ndim != 2:
        raise Refusal(f"its weights have the shape {weight.shape}, and must be a matrix")
    weight = weight if call.arguments["transB"] else weight.T
    _require_features(x, weight.shape[-1])
    alpha, beta = float(call.arguments["alpha"]), float(call.arguments["beta"])
    y = call.emit(Linear(np.ascontiguousarray(weight * alpha), np.zeros(len(weight))), x)
    if bias is None or not beta:
        return arrange(y, places(y.shape))
    if not isinstance(bias, Value):
        constant = fixed(call, "C") * beta
        if constant.size in (1, len(weight)) and constant.shape[-1:] != (1,) * (constant.size > 1):
            return Linear(weight * alpha, np.broadcast_to(constant.reshape(-1), len(weight)).copy()), (x.name,)
        return affine(call, y, ONE, constant)
    if beta != 1:
        op, names = affine(call, bias, np.array(beta), np.zeros(()))
        bias = call.emit(op, Value(names[0], bias.shape))
    return added(call, y, bias)


def _require_features(x: Value, count: int) -> None:
    if x.shape != (count,):
        raise Refusal(f"its weights take {count} values of a sample, and what comes has the shape {x.shape}")


@ONNX.rule("MatMul")
def matmul(call: Call) -> Read:
    """MatMul with trained weights on one side: a dense layer, or one at each place of the other axes."""
    left, right = call.arguments["A"], call.arguments["B"]
    if isinstance(left, Value) and isinstance(right, Value):
        raise Refusal(
            "it multiplies two computed values, as attention does, which synapses cannot; only one with trained "
            "constants is converted"
        )
    x = left if isinstance(left, Value) else right
    weight = fixed(call, "B" if x is left else "A")
    if weight.ndim > 2 and all(n == 1 for n in weight.shape[:-2]) and weight.ndim <= len(x.shape) + 1:
        weight = weight.reshape(weight.shape[-2:])
    if weight.ndim not in (1, 2):
        raise Refusal(f"its weights of shape {weight.shape} are several matrices: use one")
    rank = len(x.shape)
    vector = weight.ndim == 1
    matrix = weight.reshape(1, -1) if vector else weight.T if x is left else weight
    axis = rank - 1 if x is left or (vector and rank == 1) else rank - 2
    if axis < 0 or (x is not left and rank == 1):
        raise Refusal("its constant stands before the batch, so that samples would meet: multiply from the other side")
    y = _at(call, x, matrix, axis)
    if vector:
        return arrange(y, places(y.shape).reshape(y.shape[:axis] + y.shape[axis + 1 :]))
    return arrange(y, places(y.shape))


def _at(call: Call, x: Value, matrix: Array, axis: int) -> Value:
    """Return the matrix (out, in) times what lies along an axis, at each place of the other axes."""
    if x.shape[axis] != matrix.shape[1]:
        raise Refusal(f"its weights take {matrix.shape[1]} values, and what comes has the shape {x.shape}")
    if len(x.shape) == 1:
        return call.emit(Linear(np.ascontiguousarray(matrix), np.zeros(len(matrix))), x)
    rest = x.shape[:axis] + x.shape[axis + 1 :]
    signal = move(call, x, np.moveaxis(places(x.shape), axis, 0).reshape(matrix.shape[1], -1))
    y = call.emit(Conv(matrix[:, :, None, None].copy(), np.zeros(len(matrix))), signal)
    return move(call, y, np.moveaxis(places(y.shape).reshape(len(matrix), *rest), 0, axis))


@ONNX.rule("Conv")
def conv(call: Call) -> Read:
    """Convolution of images and signals: any strides, dilations, groups and padding, given or automatic."""
    x, weight = image(call.value("X")), fixed(call, "W")
    group = call.arguments["group"]
    if weight.ndim != len(x.shape) + 1 or group < 1 or weight.shape[1] * group != x.shape[0] or len(weight) % group:
        raise Refusal(f"its weights {weight.shape} of {group} groups do not fit values of shape {x.shape}")
    _require_kernel(call, weight)
    bias = call.constant("B")
    bias = np.zeros(len(weight)) if bias is None else bias.reshape(-1)
    if len(bias) != len(weight):
        raise Refusal(f"its bias has {len(bias)} values for {len(weight)} channels")
    lie = windows(call, x, weight.shape[2:])
    require_room(len(weight) * int(np.prod(lie.out)))
    if weight.ndim == 3:
        weight = weight[:, :, None]
    op = Conv(weight, bias, pair(lie.stride, 1), (0, 0), pair(lie.dilation, 1), group)
    if min(*lie.begin, *lie.end) < 0:
        return op, (outside(call, x, lie.begin, lie.end).name,)
    (top, left), (bottom, right) = pair(lie.begin, 0), pair(lie.end, 0)
    return evenly_padded(op, (top, bottom, left, right)), (x.name,)


def _require_kernel(call: Call, weight: Array) -> None:
    said = integers(call, "kernel_shape")
    if said is not None and tuple(said) != weight.shape[2:]:
        raise Refusal(f"its kernel_shape {said} is not that of its weights, {weight.shape}")


@ONNX.rule("ConvTranspose")
def conv_transpose(call: Call) -> Read:
    """Transposed convolution of images and signals, with any padding of the result."""
    x, weight = image(call.value("X")), fixed(call, "W")
    group = call.arguments["group"]
    if weight.ndim != len(x.shape) + 1 or len(weight) != x.shape[0] or group < 1 or len(weight) % group:
        raise Refusal(f"its weights {weight.shape} of {group} groups do not fit values of shape {x.shape}")
    _require_kernel(call, weight)
    axes, size = len(x.shape) - 1, x.shape[1:]
    stride = integers(call, "strides") or [1] * axes
    dilation = integers(call, "dilations") or [1] * axes
    more = integers(call, "output_padding") or [0] * axes
    if not len(stride) == len(dilation) == len(more) == axes or min(*stride, *dilation) < 1 or min(more) < 0:
        raise Refusal(f"its strides {stride}, dilations {dilation} or output_padding {more} are impossible")
    full = [(n - 1) * s + d * (k - 1) + 1 for n, s, d, k in zip(size, stride, dilation, weight.shape[2:], strict=True)]
    begin, end = _cut(call, size, stride, full, more)
    channels = weight.shape[1] * group
    require_room(channels * int(np.prod([f + abs(b) + abs(e) for f, b, e in zip(full, begin, end, strict=True)])))
    if any(f - b - e < 1 for f, b, e in zip(full, begin, end, strict=True)):
        raise Refusal("its padding leaves nothing of its result")
    bias = call.constant("B")
    bias = np.zeros(channels) if bias is None else bias.reshape(-1)
    weight = weight if axes == 2 else weight[:, :, None]
    padding = [max(min(b, e, f), 0) for b, e, f in zip(begin, end, full, strict=True)]
    padding = [
        p if 0 <= p - e < max(s, d) else min(max(b, 0), max(e, 0))
        for p, b, e, s, d in zip([max(b, 0) for b in begin], begin, end, stride, dilation, strict=True)
    ]
    added_at_end = [
        min(p - e, max(s, d) - 1) if p > e else 0 for p, e, s, d in zip(padding, end, stride, dilation, strict=True)
    ]
    op = ConvTranspose(weight, bias, pair(stride, 1), pair(padding, 0), pair(added_at_end, 0), pair(dilation, 1), group)
    left = [b - p for b, p in zip(begin, padding, strict=True)]
    right = [e - p + a for e, p, a in zip(end, padding, added_at_end, strict=True)]
    if not any(left) and not any(right):
        return op, (x.name,)
    return _edges(call, call.emit(op, x), left, right, bias)


def _edges(call: Call, y: Value, left: list[int], right: list[int], bias: Array) -> Read:
    """Return the result with so much cut from its sides; where it grows, nothing but the bias stands."""
    if min(*left, *right) < 0 and bias.any():
        raise Refusal("its result is padded beyond what its kernel reaches, with a bias: not converted")
    moved = outside(call, y, tuple(-n for n in left), tuple(-n for n in right))
    return arrange(moved, places(moved.shape))


def _cut(
    call: Call, size: tuple[int, ...], stride: list[int], full: list[int], more: list[int]
) -> tuple[list[int], list[int]]:
    """Return how much is cut from the result that the kernel reaches, in front and behind (negative: added)."""
    axes = len(size)
    auto = call.arguments.get("auto_pad", "NOTSET")
    wanted = integers(call, "output_shape")
    if wanted is not None:
        wanted = wanted[-axes:]
    elif auto in ("SAME_UPPER", "SAME_LOWER"):
        wanted = [n * s for n, s in zip(size, stride, strict=True)]
    if wanted is None:
        pads = integers(call, "pads") if auto == "NOTSET" else None
        pads = pads or [0] * 2 * axes
        if len(pads) != 2 * axes:
            raise Refusal(f"its pads {pads} are not of {axes} axes")
        return pads[:axes], [e - m for e, m in zip(pads[axes:], more, strict=True)]
    if len(wanted) != axes or min(wanted) < 1:
        raise Refusal(f"its output_shape {wanted} is not of {axes} axes")
    total = [f + m - w for f, m, w in zip(full, more, wanted, strict=True)]
    total = [max(t, 0) if integers(call, "output_shape") is None else t for t in total]
    half = [t // 2 for t in total]
    rest = [t - h for t, h in zip(total, half, strict=True)]
    begin, end = (half, rest) if auto == "SAME_UPPER" else (rest, half)
    return begin, [e - m for e, m in zip(end, more, strict=True)]

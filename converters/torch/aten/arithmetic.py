# SPDX-License-Identifier: Apache-2.0
"""Sums, differences and products, with constants and of computed values, and concatenations."""

from typing import Any

import numpy as np

from spikerun.converters.curves import curve
from spikerun.converters.graph import Add, Affine, Array, Concat, Identity, Multiply, Op, Rearrange, Shape
from spikerun.converters.rules import Call, Refusal, Value
from spikerun.converters.torch.aten.dialect import ATEN
from spikerun.converters.torch.aten.shape import order

Result = tuple[Op, tuple[str, ...]]


@ATEN.rule("aten.add.Tensor", "aten.add.Scalar")
def add(call: Call) -> Result:
    """Sums: of computed values (residuals, broadcast too), with constants and parameters."""
    left, right, alpha = _operand(call, "self"), _operand(call, "other"), float(call.arguments.get("alpha", 1))
    if isinstance(left, Value) and isinstance(right, Value):
        return _sum(call, left, right, alpha)
    if isinstance(left, Value):
        return _affine(call, left, 1.0, alpha * np.asarray(right))
    assert isinstance(right, Value)
    return _affine(call, right, alpha, left)


@ATEN.rule("aten.sub.Tensor", "aten.sub.Scalar")
def sub(call: Call) -> Result:
    """Differences: of computed values, with constants and parameters."""
    left, right, alpha = _operand(call, "self"), _operand(call, "other"), float(call.arguments.get("alpha", 1))
    if isinstance(left, Value) and isinstance(right, Value):
        return _sum(call, left, right, -alpha)
    if isinstance(left, Value):
        return _affine(call, left, 1.0, -alpha * np.asarray(right))
    assert isinstance(right, Value)
    return _affine(call, right, -alpha, left)


@ATEN.rule("aten.rsub.Scalar", "aten.rsub.Tensor")
def rsub(call: Call) -> Result:
    """A constant less a computed value."""
    left, right, alpha = _operand(call, "self"), _operand(call, "other"), float(call.arguments.get("alpha", 1))
    if isinstance(left, Value) and isinstance(right, Value):
        return _sum(call, right, left, -alpha)
    if isinstance(left, Value):
        return _affine(call, left, -alpha, right)
    assert isinstance(right, Value)
    return _affine(call, right, 1.0, -alpha * np.asarray(left))


@ATEN.rule("aten.mul.Tensor", "aten.mul.Scalar")
def mul(call: Call) -> Result:
    """Times constants and parameters: folded into weights; x f(x): a curve."""
    left, right = _operand(call, "self"), _operand(call, "other")
    if isinstance(left, Value) and isinstance(right, Value):
        return Multiply(), tuple(_spread(call, value, call.shape).name for value in (left, right))
    if isinstance(left, Value):
        return _affine(call, left, right, 0.0)
    assert isinstance(right, Value)
    return _affine(call, right, left, 0.0)


@ATEN.rule("aten.div.Tensor", "aten.div.Scalar")
def div(call: Call) -> Result:
    """Divided by constants and parameters: folded into weights; x / f(x): a curve."""
    left, right = _operand(call, "self"), _operand(call, "other")
    if isinstance(right, Value):
        inverse = call.emit(curve("reciprocal"), right)
        if isinstance(left, Value):
            return Multiply(), tuple(_spread(call, value, call.shape).name for value in (left, inverse))
        return _affine(call, inverse, left, 0.0)
    assert isinstance(left, Value)
    if not np.all(right):
        raise Refusal("it divides by 0")
    return _affine(call, left, 1 / np.asarray(right, dtype=np.float64), 0.0)


@ATEN.rule("aten.neg.default")
def neg(call: Call) -> Result:
    """The negative of a value."""
    return _affine(call, call.value("self"), -1.0, 0.0)


@ATEN.rule("aten.cat.default")
def cat(call: Call) -> Result:
    """Concatenation along any axis but the batch."""
    return _concatenated(call, call.arguments["tensors"], call.arguments["dim"] % (len(call.shape) + 1) - 1)


@ATEN.rule("aten.stack.default")
def stack(call: Call) -> Result:
    """Stack: concatenation along an axis of its own."""
    axis = call.arguments["dim"] % (len(call.shape) + 1) - 1
    values = call.arguments["tensors"]
    if axis >= 0 and all(isinstance(value, Value) for value in values):
        values = [call.emit(Rearrange(np.expand_dims(_all_places(value.shape), axis)), value) for value in values]
    return _concatenated(call, values, axis)


def _concatenated(call: Call, values: Any, axis: int) -> Result:
    if not all(isinstance(value, Value) for value in values):
        raise Refusal("it concatenates a constant; only layers can be concatenated")
    if axis < 0:
        raise Refusal("it concatenates axis 0, the samples of the batch; concatenate channels (axis 1)")
    if axis == 0:
        return Concat(), tuple(value.name for value in values)
    axes = (axis, *(n for n in range(len(call.shape)) if n != axis))  # the axis comes first, and goes back
    joined = call.emit(Concat(), *(order(call, value, axes) for value in values))
    back = _all_places(joined.shape).transpose(np.argsort(axes))
    return Rearrange(back), (joined.name,)


def _operand(call: Call, name: str) -> Value | Array:
    found = call.arguments[name]
    if isinstance(found, Value):
        return found
    constant = call.constant(name)
    assert constant is not None
    return constant


def _all_places(shape: Shape) -> Array:
    return np.arange(int(np.prod(shape))).reshape(shape)


def _spread(call: Call, x: Value, shape: Shape) -> Value:
    """Return a value broadcast to `shape`."""
    if x.shape == shape:
        return x
    if len(x.shape) != len(shape):
        raise Refusal(
            f"it broadcasts samples of shape {x.shape} to {shape}, and so their batch; give both as many axes"
        )
    return call.emit(Rearrange(np.broadcast_to(_all_places(x.shape), shape)), x)


def _sum(call: Call, left: Value, right: Value, factor: float) -> Result:
    """Return left + factor * right."""
    left, right = _spread(call, left, call.shape), _spread(call, right, call.shape)
    if factor != 1:
        channels = call.shape[:1] or (1,)
        right = call.emit(Affine(np.full(channels, factor), np.zeros(channels)), right)
    return Add(), (left.name, right.name)


def _affine(call: Call, x: Value, scale: Any, shift: Any) -> Result:
    """Return scale * x + shift for constants that broadcast."""
    scale, shift = (_constant(np.asarray(values, dtype=np.float64), call.shape) for values in (scale, shift))
    x = _spread(call, x, call.shape)
    if (scale == 1).all() and not shift.any():
        return Identity(), (x.name,)
    return Affine(scale, shift), (x.name,)


def _constant(values: Array, shape: Shape) -> Array:
    """Return a constant for samples of `shape`: one for each channel (C,) where that will do, else for each place."""
    if values.ndim > len(shape):
        if values.shape[0] != 1:
            raise Refusal(f"its constant of shape {values.shape} differs between the samples of a batch")
        values = values[0]
    whole = np.broadcast_to(values, shape)
    if not shape:
        return whole.reshape(1)
    rows = whole.reshape(shape[0], -1)
    return rows[:, 0].copy() if (rows == rows[:, :1]).all() else whole.copy()

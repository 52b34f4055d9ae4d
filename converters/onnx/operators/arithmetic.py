# SPDX-License-Identifier: Apache-2.0
"""Sums, differences, products and concatenations, of values and constants."""

from typing import Any

import numpy as np

from spikerun.converters.curves import curve
from spikerun.converters.graph import Add, Affine, Array, Concat, Identity, Multiply, Rearrange
from spikerun.converters.onnx.operators.dialect import ONNX
from spikerun.converters.onnx.operators.values import Read, affine, arrange, broadcast, move, to_front
from spikerun.converters.rules import Call, Refusal, Value

ONE, ZERO = np.ones(()), np.zeros(())


def _real(constant: Any) -> Array:
    values = np.asarray(constant, np.float64)
    if not np.isfinite(values).all():
        raise Refusal("its constant holds NaN or infinity: the training diverged, or the weights file is broken")
    return values


def _negated(call: Call, x: Value) -> Value:
    return call.emit(Affine(np.full(x.shape[:1], -1.0), np.zeros(x.shape[:1])), x)


def added(call: Call, x: Value, y: Value) -> Read:
    """Return the sum of two values, repeated to one shape."""
    both = _alike(call, x, y)
    return Add(), (both[0].name, both[1].name)


def _alike(call: Call, x: Value, y: Value) -> tuple[Value, Value]:
    """Return two values repeated to one shape."""
    if len(x.shape) != len(y.shape):
        raise Refusal(
            f"its values of shapes {x.shape} and {y.shape} have not the same number of axes, so that samples of the "
            "batch would meet: reshape one of them"
        )
    try:
        shape = np.broadcast_shapes(x.shape, y.shape)
    except ValueError:
        raise Refusal(f"its values have the shapes {x.shape} and {y.shape}, which do not fit") from None
    return broadcast(call, x, shape), broadcast(call, y, shape)


@ONNX.rule("Add")
def add(call: Call) -> Read:
    """Sum of two values (residuals), or with a constant."""
    x, y = call.arguments["A"], call.arguments["B"]
    if isinstance(x, Value) and isinstance(y, Value):
        return added(call, x, y)
    value, constant = (x, y) if isinstance(x, Value) else (y, x)
    return affine(call, value, ONE, _real(constant))


@ONNX.rule("Sub")
def subtract(call: Call) -> Read:
    """Difference of two values, or with a constant."""
    x, y = call.arguments["A"], call.arguments["B"]
    if not isinstance(y, Value):
        return affine(call, x, ONE, -_real(y))
    if not isinstance(x, Value):
        return affine(call, y, -ONE, _real(x))
    return added(call, x, _negated(call, y))


@ONNX.rule("Mul")
def multiply(call: Call) -> Read:
    """Product with a constant; of two values only where it is a function of one, such as x sigmoid(x)."""
    x, y = call.arguments["A"], call.arguments["B"]
    if isinstance(x, Value) and isinstance(y, Value):
        if x.shape != y.shape:
            raise Refusal(
                f"it multiplies values of shape {x.shape} by computed ones of shape {y.shape}, a gate as in "
                "squeeze-and-excite: products of two activations are no synapses. Train without the gate (as "
                "EfficientNet-Lite and MobileNetV2 do)"
            )
        return Multiply(), (x.name, y.name)
    value, constant = (x, y) if isinstance(x, Value) else (y, x)
    return affine(call, value, _real(constant), ZERO)


@ONNX.rule("Div")
def divide(call: Call) -> Read:
    """Division by a constant, or of a constant."""
    if isinstance(call.arguments["B"], Value) and not isinstance(call.arguments["A"], Value):
        return affine(call, call.emit(curve("reciprocal"), call.arguments["B"]), _real(call.arguments["A"]), ZERO)
    if isinstance(call.arguments["B"], Value):
        raise Refusal("it divides by a computed value, which synapses cannot: move it out of the network")
    divisor = _real(call.arguments["B"])
    if not divisor.all():
        raise Refusal("it divides by 0")
    return affine(call, call.value("A"), 1 / divisor, ZERO)


@ONNX.rule("Neg")
def negate(call: Call) -> Read:
    """Negation."""
    return affine(call, call.value("X"), -ONE, ZERO)


def _sum(call: Call) -> tuple[Value, int]:
    given = call.arguments["data_0"]
    first = next(k for k, x in enumerate(given) if isinstance(x, Value))
    total = given[first]
    for x in (*given[:first], *given[first + 1 :]):
        if isinstance(x, Value):
            total = call.emit(Add(), *_alike(call, total, x))
        else:
            op, names = affine(call, total, ONE, _real(x))
            total = call.emit(op, Value(names[0], total.shape))
    return total, len(given)


@ONNX.rule("Sum")
def sums(call: Call) -> Read:
    """Sum of several values."""
    return Identity(), (_sum(call)[0].name,)


@ONNX.rule("Mean")
def mean(call: Call) -> Read:
    """Mean of several values."""
    total, count = _sum(call)
    return affine(call, total, np.array(1 / count), ZERO)


@ONNX.rule("Concat")
def concat(call: Call) -> Read:
    """Concatenation along any axis but the batch, of values and constants."""
    given = call.arguments["inputs"]
    some = next(x for x in given if isinstance(x, Value))
    rank = len(some.shape) + 1
    axis = call.arguments["axis"] % rank - 1
    if axis < 0:
        raise Refusal("it concatenates along the batch: samples are computed one by one")
    parts = [x if isinstance(x, Value) else _constant(call, some, x) for x in given]
    for part in parts:
        if part.shape[:axis] + part.shape[axis + 1 :] != some.shape[:axis] + some.shape[axis + 1 :]:
            raise Refusal(f"it concatenates values of shapes {some.shape} and {part.shape}, which do not fit")
    if len(parts) == 1:
        return Identity(), (parts[0].name,)
    if axis == 0:
        return Concat(), tuple(part.name for part in parts)
    whole = call.emit(Concat(), *(move(call, part, to_front(part.shape, axis)[0]) for part in parts))
    return arrange(whole, np.moveaxis(np.arange(np.prod(whole.shape)).reshape(whole.shape), 0, axis))


def _constant(call: Call, some: Value, constant: Any) -> Value:
    """Return a constant (1 or batch, ...) as a value: nothing of `some`, and the constant added."""
    values = _real(constant)
    if values.ndim != len(some.shape) + 1 or not (values == values[:1]).all():
        raise Refusal("it concatenates a constant that differs between samples, or has another number of axes")
    values = values[0]
    level = float(values.reshape(-1)[0]) if values.size else 0.0
    found = call.emit(Rearrange(np.full(values.shape, -1, np.int64), level), some)
    return found if (values == level).all() else call.emit(Affine(np.ones(values.shape), values - level), found)

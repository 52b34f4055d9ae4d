# SPDX-License-Identifier: Apache-2.0
"""Activations and other functions of one value: rectifiers, and curves."""

from collections.abc import Sequence
from math import inf
from typing import Any

import numpy as np

from spikerun.converters import curves
from spikerun.converters.curves import curve
from spikerun.converters.graph import Affine, Identity, Op, Ranged, Relu
from spikerun.converters.onnx.model import RANGE
from spikerun.converters.onnx.operators.dialect import ONNX
from spikerun.converters.onnx.operators.values import Read, arrange, beside, move, number, places, to_front
from spikerun.converters.rules import Call, Refusal, Value


def _curve(call: Call, name: str, *parameters: float, x: str = "X") -> Read:
    return curve(name, *parameters), (call.value(x).name,)


def _row(call: Call, x: Value, ops: Sequence[Op]) -> Read:
    """Return operators that follow one another on `x`."""
    for op in ops[:-1]:
        x = call.emit(op, x)
    return ops[-1], (x.name,)


def _plain(operator: str, name: str, does: str) -> None:
    """Register the rule of an operator that is one curve of its only input."""

    @ONNX.rule(operator)
    def rule(call: Call) -> Read:
        (x,) = (value for value in call.arguments.values() if isinstance(value, Value))
        return curve(name), (x.name,)

    rule.__doc__ = does


_plain("Sigmoid", "sigmoid", "Sigmoid.")
_plain("Tanh", "tanh", "Tanh.")
_plain("Softplus", "softplus", "Softplus.")
_plain("Softsign", "softsign", "Softsign.")
_plain("HardSwish", "hardswish", "HardSwish.")
_plain("Mish", "mish", "Mish.")
_plain("Erf", "erf", "Error function, as GELU is written out.")
_plain("Exp", "exp", "Exponential.")
_plain("Abs", "abs", "Magnitude.")
_plain("Sqrt", "sqrt", "Square root.")
_plain("Log", "log", "Logarithm.")


@ONNX.rule("Relu")
def relu(call: Call) -> Read:
    """ReLU."""
    return Relu(), (call.value("X").name,)


def clip_to(call: Call, x: Value, low: float, high: float) -> Read:
    """Return what limits values to low..high: a rectifier, shifted where low is not 0."""
    if low > high or np.isnan(low) or np.isnan(high):
        raise Refusal(f"it limits to ({low:g}, {high:g}), which holds no value")
    low, high = (-inf if low < -1e38 else low), (inf if high > 1e38 else high)
    if low == -inf and high == inf:
        return Identity(), (x.name,)
    if low == high:
        return Affine(np.array(0.0), np.array(low)), (x.name,)
    return _row(call, x, curves.clamp(low, high))


@ONNX.rule("Clip")
def clip(call: Call) -> Read:
    """Clip: ReLU6 and the like, Hardtanh, limits of one side."""
    x = call.arguments.get("input")
    if not isinstance(x, Value):
        raise Refusal("its limits are computed; only constant limits are converted")
    limits: list[float] = []
    for name, default in (("min", -inf), ("max", inf)):
        limit = call.arguments.get(name)
        if isinstance(limit, Value):
            raise Refusal(f"its '{name}' is computed; only constant limits are converted")
        limits.append(default if limit is None else number(limit, f"its '{name}'"))
    return clip_to(call, x, *limits)


def _extreme(call: Call, low: bool) -> Read:
    values = call.arguments["data_0"]
    computed = [value for value in values if isinstance(value, Value)]
    if len(computed) != 1:
        raise Refusal("it compares several computed values; only a limit by a constant is converted")
    given = [np.asarray(v, np.float64).reshape(-1) for v in values if not isinstance(v, Value)]
    if not given:
        return Identity(), (computed[0].name,)
    limit = number(np.concatenate(given), "its constant")
    return clip_to(call, computed[0], limit, inf) if low else clip_to(call, computed[0], -inf, limit)


@ONNX.rule("Max")
def largest(call: Call) -> Read:
    """Maximum with a constant: a limit."""
    return _extreme(call, low=True)


@ONNX.rule("Min")
def smallest(call: Call) -> Read:
    """Minimum with a constant: a limit."""
    return _extreme(call, low=False)


@ONNX.rule("LeakyRelu")
def leaky_relu(call: Call) -> Read:
    """LeakyReLU."""
    alpha = float(call.arguments["alpha"])
    return _curve(call, "leaky_relu", alpha)


@ONNX.rule("PRelu")
def prelu(call: Call) -> Read:
    """PReLU, with one slope or one a channel."""
    slope = call.constant("slope")
    assert slope is not None
    x, slope = beside(call, call.value("X"), slope)
    varying = [k for k, n in enumerate(slope.shape) if n > 1]
    axis = varying[0] if len(varying) == 1 else 0
    if len(varying) > 1:  # one a value: each is a channel of its own
        slope, forth = np.broadcast_to(slope, x.shape), places((int(np.prod(x.shape)),))
        back = places(x.shape)
    else:
        forth, back = to_front(x.shape, axis)
    moved = move(call, x, forth)
    op = curve("leaky_relu", slope.reshape(-1) if slope.size > 1 else float(slope.reshape(-1)[0]))
    if moved is x:
        return op, (x.name,)
    return arrange(call.emit(op, moved), back)


@ONNX.rule("Elu")
def elu(call: Call) -> Read:
    """ELU."""
    alpha = float(call.arguments["alpha"])
    return _curve(call, "elu", alpha)


@ONNX.rule("Celu")
def celu(call: Call) -> Read:
    """CELU."""
    alpha = float(call.arguments["alpha"])
    return _curve(call, "celu", alpha)


@ONNX.rule("Selu")
def selu(call: Call) -> Read:
    """SELU."""
    alpha, gamma = float(call.arguments["alpha"]), float(call.arguments["gamma"])
    return _curve(call, "selu", alpha, gamma)


@ONNX.rule("HardSigmoid")
def hardsigmoid(call: Call) -> Read:
    """Hard sigmoid: clip(alpha x + beta, 0, 1)."""
    alpha, beta = float(call.arguments["alpha"]), float(call.arguments["beta"])
    if not alpha > 0:
        raise Refusal(f"its alpha {alpha:g} must be above 0")
    return _row(call, call.value("X"), curves.hardsigmoid(alpha, beta))


@ONNX.rule("Gelu")
def gelu(call: Call) -> Read:
    """GELU, exact or by tanh."""
    return _curve(call, "gelu_tanh" if call.arguments["approximate"] == "tanh" else "gelu")


@ONNX.rule("ThresholdedRelu")
def thresholded_relu(call: Call) -> Read:
    """ThresholdedReLU: values above alpha, others 0."""
    alpha = float(call.arguments["alpha"])
    return _curve(call, "thresholded_relu", alpha)


@ONNX.rule("Shrink")
def shrink(call: Call) -> Read:
    """Shrink: values near 0 become 0."""
    bias, lambd = float(call.arguments["bias"]), float(call.arguments["lambd"])
    return _curve(call, "softshrink", lambd, bias, x="input")


@ONNX.rule("Pow")
def power(call: Call) -> Read:
    """Power with a constant exponent."""
    exponent: Any = call.arguments["Y"]
    if isinstance(exponent, Value):
        raise Refusal("its exponent is computed; only a constant one is converted")
    return _curve(call, "power", number(exponent, "its exponent"))


@ONNX.rule("Reciprocal")
def reciprocal(call: Call) -> Read:
    """One over a value: a curve."""
    return _curve(call, "reciprocal")


@ONNX.rule("Identity", "Dropout", "Cast", "CastLike")
def same(call: Call) -> Read:
    """Identity, Dropout, Cast between real numbers: nothing."""
    from onnx import TensorProto

    x = next(value for value in call.arguments.values() if isinstance(value, Value))
    training = call.arguments.get("training_mode")
    if training is not None and np.asarray(training).any():
        raise Refusal("dropout is active at inference; export in inference mode")
    real = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
    if call.operator == "Cast" and call.arguments["to"] not in real:
        raise Refusal("it makes integers of computed values; leave it out, or end the model before it")
    if call.operator == "CastLike" and np.asarray(call.arguments["target_type"]).dtype.kind != "f":
        raise Refusal("it makes integers of computed values; leave it out, or end the model before it")
    return Identity(), (x.name,)


@ONNX.rule(RANGE)
def ranged(call: Call) -> Read:
    """QuantizeLinear, DequantizeLinear of a computed value: its range; from 0 on it rectifies."""
    x, said = call.value("x"), call.arguments
    if said["rectifies"]:
        return Relu(float(said["high"]), given=True), (x.name,)
    return (Ranged(said["step"], said["zero"]) if said["zero"] else Identity()), (x.name,)


@ONNX.rule("DequantizeLinear")
def dequantised(call: Call) -> Read:
    """DequantizeLinear of integers that are the input: a scale and a shift."""
    x = call.value("x")
    scale, zero = call.constant("x_scale"), call.constant("x_zero_point")
    assert scale is not None
    gain = number(scale, "its scale")
    shift = 0.0 if zero is None else -gain * number(zero, "its zero point")
    return Affine(np.full(x.shape[:1], gain), np.full(x.shape[:1], shift)), (x.name,)

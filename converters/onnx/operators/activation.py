# SPDX-License-Identifier: Apache-2.0
"""Activations and other functions of one value: rectifiers, and curves."""

from collections.abc import Callable
from math import inf
from typing import Any

import numpy as np

from spikerun.converters.graph import Affine, Array, Curve, Identity, Op, Relu
from spikerun.converters.onnx.model import RANGE
from spikerun.converters.onnx.operators.dialect import ONNX
from spikerun.converters.onnx.operators.values import Read, arrange, beside, move, places, to_front
from spikerun.converters.rules import Call, Refusal, Value

Function = Callable[[Array], Array]


def _sigmoid(x: Array) -> Array:
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def _softplus(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _erf(x: Array) -> Array:
    import torch

    found: Array = torch.erf(torch.from_numpy(np.ascontiguousarray(x))).numpy()
    return found


def _curve(call: Call, name: str, function: Function, x: str = "X") -> Read:
    return Curve(name, function), (call.value(x).name,)


def _plain(operator: str, name: str, function: Function, does: str) -> None:
    """Register the rule of an operator that is one curve of its only input."""

    @ONNX.rule(operator)
    def rule(call: Call) -> Read:
        (x,) = (value for value in call.arguments.values() if isinstance(value, Value))
        return Curve(name, function), (x.name,)

    rule.__doc__ = does


_plain("Sigmoid", "sigmoid", _sigmoid, "Sigmoid.")
_plain("Tanh", "tanh", np.tanh, "Tanh.")
_plain("Softplus", "softplus", _softplus, "Softplus.")
_plain("Softsign", "softsign", lambda x: x / (1 + np.abs(x)), "Softsign.")
_plain("HardSwish", "hardswish", lambda x: x * np.clip(x / 6 + 0.5, 0, 1), "HardSwish.")
_plain("Mish", "mish", lambda x: x * np.tanh(_softplus(x)), "Mish.")
_plain("Erf", "erf", _erf, "Error function, as GELU is written out.")
_plain("Exp", "exp", np.exp, "Exponential.")
_plain("Abs", "abs", np.abs, "Magnitude.")
_plain("Sqrt", "sqrt", np.sqrt, "Square root.")
_plain("Log", "log", np.log, "Logarithm.")


@ONNX.rule("Relu")
def relu(call: Call) -> Read:
    """ReLU."""
    return Relu(), (call.value("X").name,)


def clip_to(x: Value, low: float, high: float) -> tuple[Op, tuple[str, ...]]:
    """Return what limits values to low..high: a rectifier where low is 0."""
    if low > high or np.isnan(low) or np.isnan(high):
        raise Refusal(f"it limits to ({low:g}, {high:g}), which holds no value")
    low, high = (-inf if low < -1e38 else low), (inf if high > 1e38 else high)
    if low == -inf and high == inf:
        return Identity(), (x.name,)
    if low == 0 and high > 0:
        return Relu(high), (x.name,)
    return Curve("clip", lambda v: np.clip(v, low, high)), (x.name,)


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
        limits.append(default if limit is None else float(np.asarray(limit, np.float64).reshape(-1)[0]))
    return clip_to(x, *limits)


def _extreme(call: Call, low: bool) -> Read:
    values = call.arguments["data_0"]
    computed = [value for value in values if isinstance(value, Value)]
    if len(computed) != 1:
        raise Refusal("it compares several computed values; only a limit by a constant is converted")
    given = [np.asarray(v, np.float64).reshape(-1) for v in values if not isinstance(v, Value)]
    limits = np.concatenate([*given, np.zeros(0)])
    if not limits.size:
        return Identity(), (computed[0].name,)
    if not (limits == limits[0]).all():
        raise Refusal("its constant differs between values; one limit for all is converted")
    limit = float(limits[0])
    return clip_to(computed[0], limit, inf) if low else clip_to(computed[0], -inf, limit)


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
    return _curve(call, "leaky_relu", lambda x: np.where(x >= 0, x, x * alpha))


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
    factors = slope.reshape(-1) if slope.size > 1 else slope.reshape(1)
    column = factors.reshape(-1, *(1,) * (len(moved.shape) - 1))
    op = Curve("prelu", lambda v: np.where(v >= 0, v, v * column.astype(v.dtype)))
    if moved is x:
        return op, (x.name,)
    return arrange(call.emit(op, moved), back)


@ONNX.rule("Elu")
def elu(call: Call) -> Read:
    """ELU."""
    alpha = float(call.arguments["alpha"])
    return _curve(call, "elu", lambda x: np.where(x >= 0, x, alpha * np.expm1(np.minimum(x, 0))))


@ONNX.rule("Celu")
def celu(call: Call) -> Read:
    """CELU."""
    alpha = float(call.arguments["alpha"])
    return _curve(call, "celu", lambda x: np.where(x >= 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha)))


@ONNX.rule("Selu")
def selu(call: Call) -> Read:
    """SELU."""
    alpha, gamma = float(call.arguments["alpha"]), float(call.arguments["gamma"])
    return _curve(call, "selu", lambda x: gamma * np.where(x >= 0, x, alpha * np.expm1(np.minimum(x, 0))))


@ONNX.rule("HardSigmoid")
def hardsigmoid(call: Call) -> Read:
    """Hard sigmoid: clip(alpha x + beta, 0, 1)."""
    alpha, beta = float(call.arguments["alpha"]), float(call.arguments["beta"])
    return _curve(call, "hardsigmoid", lambda x: np.clip(alpha * x + beta, 0, 1))


@ONNX.rule("Swish")
def swish(call: Call) -> Read:
    """Swish, SiLU: x sigmoid(alpha x)."""
    alpha = float(call.arguments["alpha"])
    return _curve(call, "silu", lambda x: x * _sigmoid(alpha * x))


@ONNX.rule("Gelu")
def gelu(call: Call) -> Read:
    """GELU, exact or by tanh."""
    if call.arguments["approximate"] == "tanh":
        root = float(np.sqrt(2 / np.pi))
        return _curve(call, "gelu", lambda x: 0.5 * x * (1 + np.tanh(root * (x + 0.044715 * x**3))))
    half = float(np.sqrt(0.5))
    return _curve(call, "gelu", lambda x: 0.5 * x * (1 + _erf(x * half)))


@ONNX.rule("ThresholdedRelu")
def thresholded_relu(call: Call) -> Read:
    """ThresholdedReLU: values above alpha, others 0."""
    alpha = float(call.arguments["alpha"])
    return _curve(call, "threshold", lambda x: np.where(x > alpha, x, 0))


@ONNX.rule("Shrink")
def shrink(call: Call) -> Read:
    """Shrink: values near 0 become 0."""
    bias, lambd = float(call.arguments["bias"]), float(call.arguments["lambd"])
    return _curve(call, "shrink", lambda x: np.where(x < -lambd, x + bias, np.where(x > lambd, x - bias, 0)), "input")


@ONNX.rule("Pow")
def power(call: Call) -> Read:
    """Power with a constant exponent."""
    exponent: Any = call.arguments["Y"]
    if isinstance(exponent, Value):
        raise Refusal("its exponent is computed; only a constant one is converted")
    values = np.asarray(exponent, np.float64).reshape(-1)
    if not (values == values[0]).all():
        raise Refusal("its exponent differs between values; one for all is converted")
    power = float(values[0])
    return _curve(call, f"pow {power:g}", lambda x: x**power)


@ONNX.rule("Reciprocal")
def reciprocal(call: Call) -> Read:
    """Refused."""
    raise Refusal("it divides by a computed value, which synapses cannot")


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
    x = call.value("x")
    return (Relu(float(call.arguments["high"])) if call.arguments["rectifies"] else Identity()), (x.name,)


@ONNX.rule("DequantizeLinear")
def dequantised(call: Call) -> Read:
    """DequantizeLinear of integers that are the input: a scale and a shift."""
    x = call.value("x")
    scale, zero = call.constant("x_scale"), call.constant("x_zero_point")
    assert scale is not None
    if scale.size > 1:
        raise Refusal("it has several scales for computed values; use one (per_channel is for weights)")
    gain = float(scale.reshape(-1)[0])
    shift = 0.0 if zero is None else -gain * float(zero.reshape(-1)[0])
    return Affine(np.full(x.shape[:1], gain), np.full(x.shape[:1], shift)), (x.name,)

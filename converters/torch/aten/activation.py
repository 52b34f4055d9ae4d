# SPDX-License-Identifier: Apache-2.0
"""Activations: rectifiers, which few-spikes neurons compute, and curves, whose words are looked up."""

from collections.abc import Iterable
from math import inf

import numpy as np

from spikerun.converters import curves
from spikerun.converters.curves import curve
from spikerun.converters.graph import Add, Affine, Identity, Multiply, Op, Relu
from spikerun.converters.rules import Call, Refusal, Value
from spikerun.converters.torch.aten.dialect import ATEN

Found = tuple[Op, tuple[str, ...]]


def _row(call: Call, ops: Iterable[Op], x: Value | None = None) -> Found:
    """Return operators that follow one another on a value, by default the argument `self`."""
    *before, last = ops
    x = x or call.value("self")
    for op in before:
        x = call.emit(op, x)
    return last, (x.name,)


@ATEN.rule("aten.relu.default")
def relu(call: Call) -> Found:
    """ReLU."""
    return _row(call, [Relu()])


@ATEN.rule("aten.relu6.default")
def relu6(call: Call) -> Found:
    """ReLU6."""
    return _row(call, [Relu(6.0)])


@ATEN.rule("aten.hardtanh.default")
def hardtanh(call: Call) -> Found:
    """Hardtanh with any bounds: a rectifier, shifted."""
    return _clamp(call, "min_val", "max_val")


@ATEN.rule("aten.clamp.default", "aten.clamp_min.default", "aten.clamp_max.default")
def clamp(call: Call) -> Found:
    """Clamp with any bounds: a rectifier, shifted."""
    return _clamp(call, "min", "max")


@ATEN.rule("aten.clamp.Tensor", "aten.clamp_min.Tensor", "aten.clamp_max.Tensor")
def clamp_by_tensors(call: Call) -> Found:
    """Clamp by one number that is a tensor."""
    return _clamp(call, "min", "max")


def _clamp(call: Call, low: str, high: str) -> Found:
    bounds = [_bound(call, low, -inf), _bound(call, high, inf)]
    if not bounds[0] < bounds[1]:
        raise Refusal(f"it limits to ({bounds[0]:g}, {bounds[1]:g}), which leaves no values between")
    if bounds == [-inf, inf]:
        return _row(call, [Identity()])
    return _row(call, curves.clamp(bounds[0], bounds[1]))


def _bound(call: Call, name: str, otherwise: float) -> float:
    found = call.arguments.get(name)
    if found is None:
        return otherwise
    values = np.asarray(found if isinstance(found, (int, float)) else call.constant(name))
    if values.size != 1:
        raise Refusal(f"its '{name}' has {values.size} values; only one number for all is converted")
    return float(values.reshape(-1)[0])


@ATEN.rule("aten.hardsigmoid.default")
def hardsigmoid(call: Call) -> Found:
    """Hardsigmoid: a rectifier with a bound, shifted."""
    return _row(call, curves.hardsigmoid(1 / 6, 0.5))


@ATEN.rule("aten.threshold.default")
def threshold(call: Call) -> Found:
    """Threshold: a curve, or ReLU."""
    above, value = float(call.arguments["threshold"]), float(call.arguments["value"])
    return _row(call, curves.clamp(above, inf) if above == value else [curve("threshold", above, value)])


@ATEN.rule("aten.leaky_relu.default")
def leaky_relu(call: Call) -> Found:
    """LeakyReLU: a curve."""
    return _row(call, [curve("leaky_relu", float(call.arguments["negative_slope"]))])


@ATEN.rule("aten.prelu.default")
def prelu(call: Call) -> Found:
    """PReLU, of one slope or one for each channel: a curve."""
    slope = call.constant("weight")
    assert slope is not None
    if slope.size not in (1, call.shape[0]):
        raise Refusal(f"it has {slope.size} slopes for {call.shape[0]} channels")
    return _row(call, [curve("leaky_relu", slope.reshape(-1) if slope.size > 1 else float(slope.reshape(-1)[0]))])


@ATEN.rule("aten.rrelu.default", "aten.rrelu_with_noise.default", "aten.rrelu_with_noise_functional.default")
def rrelu(call: Call) -> Found:
    """RReLU after training: LeakyReLU of the mean slope."""
    if call.arguments["training"]:
        raise Refusal("it draws its slopes at random; use nn.RReLU, or pass training=self.training")
    return _row(call, [curve("leaky_relu", (float(call.arguments["lower"]) + float(call.arguments["upper"])) / 2)])


@ATEN.rule("aten.elu.default")
def elu(call: Call) -> Found:
    """ELU and SELU: a curve."""
    alpha, scale, input_scale = (float(call.arguments[name]) for name in ("alpha", "scale", "input_scale"))
    if input_scale != 1:
        raise Refusal(f"input_scale={input_scale:g}; use nn.ELU or nn.CELU")
    return _row(call, [curve("elu", alpha) if scale == 1 else curve("selu", alpha, scale)])


@ATEN.rule("aten.celu.default")
def celu(call: Call) -> Found:
    """CELU: a curve."""
    return _row(call, [curve("celu", float(call.arguments["alpha"]))])


@ATEN.rule("aten.softplus.default")
def softplus(call: Call) -> Found:
    """Softplus: a curve."""
    return _row(call, [curve("softplus", float(call.arguments["beta"]), float(call.arguments["threshold"]))])


@ATEN.rule("aten.gelu.default")
def gelu(call: Call) -> Found:
    """GELU, exact or by tanh: a curve."""
    return _row(call, [curve("gelu_tanh" if call.arguments["approximate"] == "tanh" else "gelu")])


@ATEN.rule("aten.gt.Scalar", "aten.ge.Scalar")
def above(call: Call) -> Found:
    """A comparison with a number, for `where`: a curve of 0 and 1."""
    return _row(call, [curve("greater" if "gt" in call.operator else "at_least", float(call.arguments["other"]))])


@ATEN.rule("aten.lt.Scalar", "aten.le.Scalar")
def below(call: Call) -> Found:
    """A comparison with a number, for `where`: a curve of 0 and 1."""
    opposite = curve("at_least" if "lt" in call.operator else "greater", float(call.arguments["other"]))
    return _row(call, [opposite, _times(-1.0, 1.0)])


@ATEN.rule("aten.where.self", "aten.where.ScalarOther", "aten.where.ScalarSelf", "aten.where.Scalar")
def where(call: Call) -> Found:
    """One of two values, by a comparison of the same value: a curve."""
    yes = call.value("condition")
    parts = []
    for name, picks in (("self", yes), ("other", call.emit(_times(-1.0, 1.0), yes))):
        given = call.arguments[name]
        if isinstance(given, Value):
            parts.append(call.emit(Multiply(), picks, given))
        else:
            if np.size(given) != 1:
                raise Refusal(f"its '{name}' is a constant of {np.size(given)} values; only one number is converted")
            parts.append(call.emit(_times(float(np.reshape(given, -1)[0])), picks))
    return Add(), (parts[0].name, parts[1].name)


@ATEN.rule("aten.pow.Tensor_Scalar")
def power(call: Call) -> Found:
    """A power with a constant exponent: a curve."""
    exponent = float(call.arguments["exponent"])
    return _row(call, [Identity()] if exponent == 1 else [curve("power", exponent)])


# In torch as in `curves`, by these names and with no parameters.
SAME = (
    "selu", "sigmoid", "tanh", "log_sigmoid", "silu", "hardswish", "mish", "abs", "square", "exp", "expm1", "sqrt",
    "rsqrt", "log", "log1p", "reciprocal", "sign", "sin", "cos", "atan", "asinh", "sinh", "cosh", "erf", "floor",
    "ceil", "round",
)  # fmt: skip


@ATEN.rule(*(f"aten.{name}.default" for name in SAME))
def same(call: Call) -> Found:
    """The function of its name: a curve."""
    return _row(call, [curve(_function(call))])


def _function(call: Call) -> str:
    return call.operator.removeprefix("aten.").split(".")[0]


@ATEN.rule("aten.maximum.default", "aten.max.other")
def maximum(call: Call) -> Found:
    """The larger of two values: y + ReLU(x - y)."""
    return _extreme(call, 1.0)


@ATEN.rule("aten.minimum.default", "aten.min.other")
def minimum(call: Call) -> Found:
    """The smaller of two values: y - ReLU(y - x)."""
    return _extreme(call, -1.0)


def _extreme(call: Call, sign: float) -> Found:
    x, y = (call.arguments[name] for name in ("self", "other"))
    if not isinstance(x, Value):
        x, y = y, x
    if not isinstance(y, Value):
        bound = np.asarray(y)
        if bound.size != 1:
            raise Refusal("it compares with several constants; only one number for all is converted")
        limit = float(bound.flat[0])
        return _row(call, curves.clamp(limit, inf) if sign > 0 else curves.clamp(-inf, limit), x)
    if x.shape != y.shape:
        raise Refusal(f"it compares shapes {x.shape} and {y.shape} by broadcasting; make them equal")
    change = call.emit(Relu(), call.emit(Add(), call.emit(_times(sign), x), call.emit(_times(-sign), y)))
    return Add(), (call.emit(_times(sign), change).name, y.name)


def _times(factor: float, shift: float = 0.0) -> Op:
    return Affine(np.array(factor), np.array(shift))


@ATEN.rule("aten.dropout.default")
def dropout(call: Call) -> Found:
    """Dropout: nothing, after training."""
    if call.arguments["train"] and call.arguments["p"] > 0:
        raise Refusal("dropout is active at inference; call model.eval() first; in forward pass training=self.training")
    return Identity(), (call.value("input").name,)

# SPDX-License-Identifier: Apache-2.0
"""Activations as functions of arrays, by the names that importers share, and rectifiers written as such.

Each takes a batch (batch, C, ...) of float32 or float64 and gives the same; a parameter is one number, or (C,) numbers,
one for each channel. None overflows where its result does not.
"""

from collections.abc import Callable
from math import inf, pi, sqrt

import numpy as np

from spikerun.converters import forward
from spikerun.converters.graph import Affine, Array, Curve, Op, Relu

__all__ = ["FUNCTIONS", "clamp", "curve", "hardsigmoid"]

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805

Parameter = float | Array


def curve(name: str, *parameters: Parameter) -> Curve:
    """Return the activation `name` of FUNCTIONS with these parameters."""
    alike = not any(isinstance(p, np.ndarray) and p.size > 1 for p in parameters)
    function = FUNCTIONS[name]
    return Curve(name, (lambda x: function(x, *parameters)) if parameters else function, alike)


def clamp(low: float, high: float) -> tuple[Op, ...]:
    """Return the operators, one after the other, that limit a value to low..high: rectifiers of shifted values.

    low < high; either may be infinite, not both.
    """
    if low == 0:
        return (Relu(high),)
    if low == -inf:
        return _affine(-1, high), Relu(), _affine(-1, high)
    return _affine(1, -low), Relu(high - low), _affine(1, low)


def hardsigmoid(slope: float, shift: float) -> tuple[Op, ...]:
    """Return the operators that limit slope x + shift to 0..1; slope > 0."""
    return _affine(1, shift / slope), Relu(1 / slope), _affine(slope, 0)


def _affine(scale: float, shift: float) -> Affine:
    return Affine(np.array(float(scale)), np.array(float(shift)))


def _of(parameter: Parameter, x: Array) -> Array:
    """Return a parameter so that it broadcasts over the batch `x`, in its dtype."""
    values = np.asarray(parameter, dtype=x.dtype)
    return forward.spread(values.reshape(-1) if values.size > 1 else values.reshape(()), x.shape[1:])


def leaky_relu(x: Array, slope: Parameter = 0.01) -> Array:
    """x above 0, slope x below: LeakyReLU, RReLU after training; PReLU with a slope for each channel."""
    return np.where(x >= 0, x, x * _of(slope, x))


def elu(x: Array, alpha: float = 1.0) -> Array:
    """x above 0, alpha (e^x - 1) below."""
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def celu(x: Array, alpha: float = 1.0) -> Array:
    """x above 0, alpha (e^(x / alpha) - 1) below."""
    return np.maximum(x, 0) + np.minimum(alpha * np.expm1(np.minimum(x / alpha, 0)), 0)


def selu(x: Array, alpha: float = SELU_ALPHA, scale: float = SELU_SCALE) -> Array:
    """scale elu(x)."""
    return scale * elu(x, alpha)


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x)."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def tanh(x: Array) -> Array:
    """Hyperbolic tangent."""
    return np.tanh(x)


def softplus(x: Array, beta: float = 1.0, threshold: float = inf) -> Array:
    """log(1 + e^(beta x)) / beta; x itself where beta x is above the threshold."""
    y = beta * x
    return np.where(y > threshold, x, (np.maximum(y, 0) + np.log1p(np.exp(-np.abs(y)))) / beta)


def softsign(x: Array) -> Array:
    """x / (1 + |x|)."""
    return x / (1 + np.abs(x))  # type: ignore[no-any-return]


def log_sigmoid(x: Array) -> Array:
    """log(sigmoid(x))."""
    return -softplus(-x)


def threshold(x: Array, above: float = 0.0, value: float = 0.0) -> Array:
    """x where it is above a number, `value` elsewhere: Threshold."""
    return np.where(x > above, x, np.full_like(x, value))


def thresholded_relu(x: Array, alpha: float = 1.0) -> Array:
    """x above alpha, 0 elsewhere."""
    return threshold(x, alpha)


def gelu(x: Array) -> Array:
    """x times the standard normal distribution function."""
    return x * 0.5 * (1 + forward.erf(x / sqrt(2)))  # type: ignore[no-any-return]


def gelu_tanh(x: Array) -> Array:
    """GELU as it is approximated by tanh."""
    return x * 0.5 * (1 + np.tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))  # type: ignore[no-any-return]


def silu(x: Array, beta: float = 1.0) -> Array:
    """x sigmoid(beta x): SiLU, Swish; QuickGELU with beta 1.702."""
    return x * sigmoid(beta * x)


def hardswish(x: Array) -> Array:
    """x min(max(x + 3, 0), 6) / 6."""
    return x * (np.clip(x + 3, 0, 6) / 6)  # type: ignore[no-any-return]


def mish(x: Array) -> Array:
    """x tanh(softplus(x))."""
    return x * np.tanh(softplus(x))


def hardshrink(x: Array, bound: float = 0.5) -> Array:
    """x outside -bound..bound, 0 inside."""
    return np.where(np.abs(x) > bound, x, np.zeros_like(x))


def softshrink(x: Array, bound: float = 0.5, bias: float | None = None) -> Array:
    """x, nearer to 0 by `bias` (by default the bound) outside -bound..bound, 0 inside."""
    less = bound if bias is None else bias
    return np.where(np.abs(x) > bound, x - np.copysign(np.asarray(less, x.dtype), x), np.zeros_like(x))


def tanhshrink(x: Array) -> Array:
    """x - tanh(x)."""
    return x - np.tanh(x)


def power(x: Array, exponent: Parameter = 2.0) -> Array:
    """x to a power that is a constant."""
    return np.power(x, _of(exponent, x))


def maximum(x: Array, other: Parameter = 0.0) -> Array:
    """The larger of x and a constant."""
    return np.maximum(x, _of(other, x))


def minimum(x: Array, other: Parameter = 0.0) -> Array:
    """The smaller of x and a constant."""
    return np.minimum(x, _of(other, x))


def greater(x: Array, bound: float = 0.0) -> Array:
    """1 above a number, 0 elsewhere."""
    return (x > bound).astype(x.dtype)


def at_least(x: Array, bound: float = 0.0) -> Array:
    """1 from a number on, 0 below it."""
    return (x >= bound).astype(x.dtype)


FUNCTIONS: dict[str, Callable[..., Array]] = {
    f.__name__: f
    for f in (
        leaky_relu, elu, celu, selu, sigmoid, tanh, softplus, softsign, log_sigmoid, threshold, thresholded_relu, gelu,
        gelu_tanh, silu, hardswish, mish, hardshrink, softshrink, tanhshrink, power, maximum, minimum,
        greater, at_least,
    )
}  # fmt: skip


PLAIN: dict[str, Callable[[Array], Array]] = {
    "abs": np.abs, "square": np.square, "exp": np.exp, "expm1": np.expm1, "sqrt": np.sqrt, "log": np.log,
    "log1p": np.log1p, "reciprocal": np.reciprocal, "rsqrt": lambda x: 1 / np.sqrt(x), "sign": np.sign,
    "sin": np.sin, "cos": np.cos, "atan": np.arctan, "asinh": np.arcsinh, "sinh": np.sinh, "cosh": np.cosh,
    "erf": forward.erf, "floor": np.floor, "ceil": np.ceil, "round": np.rint,
}  # fmt: skip
FUNCTIONS |= PLAIN

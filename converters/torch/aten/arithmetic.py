# SPDX-License-Identifier: Apache-2.0
"""Arithmetic of values with constants and with one another, and concatenations of layers."""

import numpy as np

from spikerun.converters.curves import curve
from spikerun.converters.graph import Add, Affine, Array, Concat, Multiply, Op, Shape
from spikerun.converters.rules import Call, Refusal, Value
from spikerun.converters.torch.aten.dialect import ATEN

Found = tuple[Op, tuple[str, ...]]


@ATEN.rule("aten.add.Tensor", "aten.add.Scalar")
def add(call: Call) -> Found:
    """A sum: projections into one population; of a constant: into its bias."""
    return _sum(call, 1.0, float(call.arguments["alpha"]))


@ATEN.rule("aten.sub.Tensor", "aten.sub.Scalar")
def sub(call: Call) -> Found:
    """A difference: projections into one population, of constants: into its bias."""
    return _sum(call, 1.0, -float(call.arguments["alpha"]))


@ATEN.rule("aten.rsub.Tensor", "aten.rsub.Scalar")
def rsub(call: Call) -> Found:
    """A difference the other way round."""
    return _sum(call, -float(call.arguments["alpha"]), 1.0)


@ATEN.rule("aten.neg.default")
def neg(call: Call) -> Found:
    """The negative value: weights of the other sign."""
    return Affine(np.array(-1.0), np.array(0.0)), (call.value("self").name,)


@ATEN.rule("aten.mul.Tensor", "aten.mul.Scalar")
def mul(call: Call) -> Found:
    """Times a constant: folded into weights; x f(x): a curve."""
    left, right = call.arguments["self"], call.arguments["other"]
    if isinstance(left, Value) and isinstance(right, Value):
        return Multiply(), (left.name, right.name)
    x, name = (left, "other") if isinstance(left, Value) else (right, "self")
    return Affine(_spread(call, name, x.shape), np.array(0.0)), (x.name,)


@ATEN.rule("aten.div.Tensor", "aten.div.Scalar")
def div(call: Call) -> Found:
    """Divided by a constant: folded into weights; x / f(x): a curve."""
    if isinstance(below := call.arguments["other"], Value):
        inverse = call.emit(curve("reciprocal"), below)
        if isinstance(above := call.arguments["self"], Value):
            return Multiply(), (above.name, inverse.name)
        return Affine(_spread(call, "self", inverse.shape), np.array(0.0)), (inverse.name,)
    x = call.value("self")
    divisor = _spread(call, "other", x.shape)
    if not divisor.all():
        raise Refusal("it divides by 0")
    return Affine(1 / divisor, np.array(0.0)), (x.name,)


def _sum(call: Call, left: float, right: float) -> Found:
    """Return left * self + right * other."""
    given = {name: (call.arguments[name], factor) for name, factor in (("self", left), ("other", right))}
    values = {name: pair for name, pair in given.items() if isinstance(pair[0], Value)}
    if len(values) == 1:
        ((name, (x, factor)),) = values.items()
        other = "other" if name == "self" else "self"
        return Affine(np.array(factor), given[other][1] * _spread(call, other, x.shape)), (x.name,)
    shapes = [x.shape for x, _ in values.values()]
    if shapes[0] != shapes[1]:
        raise Refusal(f"it adds shapes {shapes[0]} and {shapes[1]} by broadcasting; make them equal")
    scaled = [x if f == 1 else call.emit(Affine(np.array(f), np.array(0.0)), x) for x, f in values.values()]
    return Add(), (scaled[0].name, scaled[1].name)


def _spread(call: Call, name: str, shape: Shape) -> Array:
    """Return a constant argument as one number, (C,), or the full `shape` of the value that it meets."""
    constant = call.constant(name)
    assert constant is not None
    if constant.size == 1:
        return constant.reshape(())
    if constant.ndim > len(shape):
        constant = constant[0] if len(constant) == 1 else constant
    try:
        whole = np.broadcast_to(constant, shape)
    except ValueError:
        raise Refusal(f"its constant of shape {constant.shape} makes another shape of {shape}") from None
    rows = whole.reshape(shape[0], -1)
    return rows[:, 0].copy() if (rows == rows[:, :1]).all() else whole.copy()


@ATEN.rule("aten.cat.default")
def cat(call: Call) -> tuple[Op, tuple[str, ...]]:
    """Concatenation of channels."""
    values = call.arguments["tensors"]
    if not all(isinstance(value, Value) for value in values):
        raise Refusal("it concatenates a constant; only layers can be concatenated")
    if call.arguments["dim"] % (len(call.shape) + 1) != 1:
        raise Refusal(f"it concatenates axis {call.arguments['dim']}; only channels (axis 1) are concatenated")
    return Concat(), tuple(value.name for value in values)

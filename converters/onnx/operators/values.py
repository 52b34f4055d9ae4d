# SPDX-License-Identifier: Apache-2.0
"""What the rules share: constants beside values, values that move, and integers that are arguments."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from spikerun.converters.graph import Affine, Array, Flatten, Identity, Op, Rearrange, Shape
from spikerun.converters.onnx.fold import require_room
from spikerun.converters.rules import Call, Refusal, Value

__all__ = [
    "Read",
    "affine",
    "arrange",
    "axes_of",
    "beside",
    "broadcast",
    "fixed",
    "integers",
    "move",
    "number",
    "places",
    "to_front",
]

Read = tuple[Op, tuple[str, ...]]


def places(shape: Shape) -> Array:
    """Return the place of each value of `shape` in C order."""
    require_room(int(np.prod(shape, dtype=np.float64)))
    return np.arange(int(np.prod(shape, dtype=np.int64)), dtype=np.int64).reshape(shape)


def arrange(x: Value, index: Array, fill: float = 0.0) -> Read:
    """Return the operator by which each place takes the value of `x` that `index` says."""
    size = int(np.prod(x.shape, dtype=np.int64))
    if index.size == size and np.array_equal(index.reshape(-1), np.arange(size)):
        if index.shape == x.shape:
            return Identity(), (x.name,)
        if index.shape == (size,):
            return Flatten(), (x.name,)
    require_room(index.size)
    return Rearrange(np.ascontiguousarray(index, np.int64), fill), (x.name,)


def move(call: Call, x: Value, index: Array, fill: float = 0.0) -> Value:
    """Return `x` moved to the places of `index`."""
    op, _ = arrange(x, index, fill)
    return x if isinstance(op, Identity) else call.emit(op, x)


def to_front(shape: Shape, axis: int) -> tuple[Array, Array]:
    """Return the places that bring an axis to the front, and those that bring it back."""
    forth = np.moveaxis(places(shape), axis, 0)
    return forth, np.moveaxis(places(forth.shape), 0, axis)


def broadcast(call: Call, x: Value, shape: Shape) -> Value:
    """Return `x` repeated along axes of length 1 to `shape`, which has as many axes."""
    return x if x.shape == shape else move(call, x, np.broadcast_to(places(x.shape), shape))


def beside(call: Call, x: Value, constant: Array) -> tuple[Value, Array]:
    """Return `x` and a constant of as many axes (without the batch) that broadcasts to it.

    Where the constant has longer axes, `x` is repeated.
    """
    rank = len(x.shape)
    if not constant.size:
        raise Refusal(f"its constant of shape {constant.shape} holds no value")
    if constant.ndim > rank + 1:
        raise Refusal(f"its constant of shape {constant.shape} adds axes in front of the batch")
    if constant.ndim == rank + 1:
        if not (constant == constant[:1]).all():
            raise Refusal("its constant differs between the samples of a batch: one for all samples can be converted")
        constant = constant[0]
    constant = constant.reshape((1,) * (rank - constant.ndim) + constant.shape)
    try:
        shape = np.broadcast_shapes(x.shape, constant.shape)
    except ValueError:
        raise Refusal(f"its constant of shape {constant.shape} does not fit values of shape {x.shape}") from None
    return broadcast(call, x, shape), constant


def affine(call: Call, x: Value, scale: Array, shift: Array) -> Read:
    """Return scale x + shift, both of them broadcasting to `x`, which has no fewer axes."""
    x, scale = beside(call, x, scale)
    x, shift = beside(call, x, shift)
    x, scale = beside(call, x, scale)
    rank = len(x.shape)
    varying = [k for k in range(rank) if scale.shape[k] > 1 or shift.shape[k] > 1]
    if len(varying) > 1:
        return Affine(*(np.broadcast_to(c, x.shape).copy() for c in (scale, shift))), (x.name,)
    axis = varying[0] if varying else 0
    by_channel = Affine(*(np.broadcast_to(c.reshape(-1), x.shape[axis : axis + 1]).copy() for c in (scale, shift)))
    if axis == 0:
        return by_channel, (x.name,)
    forth, back = to_front(x.shape, axis)
    return arrange(call.emit(by_channel, move(call, x, forth)), back)


def fixed(call: Call, name: str) -> Array:
    """Return the argument `name`, which must be there and constant."""
    found = call.constant(name)
    if found is None:
        raise Refusal(f"its '{name}' is missing")
    return found


def number(constant: Any, what: str) -> float:
    """Return the one number that a constant holds, once or for all values; `what` it is in the words of the error."""
    values = np.asarray(constant, np.float64).reshape(-1)
    if not values.size:
        raise Refusal(f"{what} holds no value")
    if not (values == values[0]).all():
        raise Refusal(f"{what} differs between values; one for all is converted")
    return float(values[0])


def integers(call: Call, name: str) -> list[int] | None:
    """Return the argument `name`, an attribute or a constant input, as integers; None where it is missing."""
    found: Any = call.arguments.get(name)
    if found is None:
        return None
    if isinstance(found, Value):
        raise Refusal(f"its '{name}' is computed from the input; export it with constant sizes")
    return [int(n) for n in np.asarray(found).reshape(-1)]


def axes_of(axes: Sequence[int], x: Value) -> list[int]:
    """Return axes, counted with the batch and from the end where negative, without the batch; sorted."""
    rank = len(x.shape) + 1
    if any(not -rank <= axis < rank for axis in axes):
        raise Refusal(f"its axes {list(axes)} are not among the {rank} of its values")
    found = sorted({axis % rank - 1 for axis in axes})
    if found and found[0] < 0:
        raise Refusal("it acts on the axis of the batch: samples are computed one by one")
    return found

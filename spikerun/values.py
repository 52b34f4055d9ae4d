# SPDX-License-Identifier: Apache-2.0
"""Values that users give for parameters, made exact: integers stay integers, arrays are copied and locked."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.errors import NetworkError

__all__ = [
    "all_alike",
    "as_array",
    "choice",
    "float32_array",
    "int32_array",
    "integer",
    "locked",
    "on_host",
    "require",
    "truth",
]


def locked(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a contiguous copy that cannot be written to: what was checked stays what it was."""
    copy = np.array(array, order="C")
    copy.setflags(write=False)
    return copy


def as_array(name: str, value: Any) -> npt.NDArray[Any]:
    """Return `value` as an array; refuse what is none, such as rows of different lengths."""
    try:
        return np.asarray(value)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise NetworkError(f"{name} must be a number or an array, with rows of equal length: {error}") from error


def on_host(value: Any) -> Any:
    """Return a tensor of a framework as one that NumPy can read: on this computer, without gradients, no bfloat16."""
    if not (hasattr(value, "detach") and hasattr(value, "cpu")):
        return value
    tensor = value.detach().cpu()
    return tensor.float() if str(tensor.dtype).endswith("bfloat16") else tensor


def float32_array(name: str, value: Any) -> npt.NDArray[np.float32]:
    """Return `value` as a float32 array; refuse what is no real number, and what float32 does not reach."""
    array = as_array(name, value)
    if array.dtype.kind not in "iuf":
        raise NetworkError(f"{name} must hold real numbers, got dtype {array.dtype}")
    if not array.size:
        raise NetworkError(f"{name} must not be empty, got shape {array.shape}")
    with np.errstate(over="ignore"):
        near = array.astype(np.float32)
    if not np.isfinite(near).all():
        raise NetworkError(f"{name} must be finite, and fit float32, got values from {array.min()} to {array.max()}")
    return locked(near)


def int32_array(name: str, value: Any) -> npt.NDArray[np.int32]:
    """Return `value` as an int32 array; refuse what would lose information."""
    array = as_array(name, value)
    if array.dtype.kind not in "iu":
        raise NetworkError(f"{name} must hold integers, got dtype {array.dtype}: scale and round it first")
    if not array.size:
        raise NetworkError(f"{name} must not be empty, got shape {array.shape}")
    if not np.can_cast(array.dtype, np.int32) and (array.min() < -(2**31) or array.max() >= 2**31):
        raise NetworkError(f"{name} must fit int32, got values from {array.min()} to {array.max()}")
    return locked(array.astype(np.int32))


def integer(name: str, value: Any, low: int, high: int) -> int:
    """Return `value` as an int; refuse what is no integer in low..high."""
    try:
        number = operator.index(value)
    except TypeError:
        raise NetworkError(f"{name} must be an integer in {low}..{high}, got {value!r:.80}") from None
    if not low <= number <= high:
        raise NetworkError(f"{name} must be an integer in {low}..{high}, got {number}")
    return number


def truth(name: str, value: Any) -> bool:
    """Return `value` as a bool; refuse what is none (0 and 1 are numbers)."""
    if not isinstance(value, (bool, np.bool_)):
        raise NetworkError(f"{name} must be True or False, got {value!r:.80}")
    return bool(value)


def choice(name: str, value: Any, choices: tuple[str, ...]) -> str:
    """Return `value` if it is one of the `choices`."""
    known = isinstance(value, str) and value in choices
    require(known, f"{name} must be one of {', '.join(choices)}, got {value!r:.80}")
    return str(value)


def require(condition: bool, message: str) -> None:
    """Raise NetworkError unless the condition holds."""
    if not condition:
        raise NetworkError(message)


def all_alike(number: int) -> Callable[[], npt.NDArray[np.int32]]:
    """Return a factory of the int32 array that is `number` for all neurons: the default of a dataclass field."""
    return lambda: np.array(number, np.int32)

"""Values that users give for parameters, made exact: integers stay integers, arrays are copied and locked."""

import operator
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.errors import NetworkError

__all__ = ["int32_array", "integer", "locked"]


def locked(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a contiguous copy that cannot be written to: what was checked stays what it was."""
    copy = np.array(array, order="C")
    copy.setflags(write=False)
    return copy


def int32_array(name: str, value: Any) -> npt.NDArray[np.int32]:
    """Return `value` as an int32 array; refuse what would lose information."""
    array = np.asarray(value)
    if array.dtype.kind not in "iu":
        raise NetworkError(f"{name} must hold integers, got dtype {array.dtype}: scale and round it first")
    if not array.size:
        raise NetworkError(f"{name} must not be empty, got shape {array.shape}")
    if array.min() < -(2**31) or array.max() >= 2**31:
        raise NetworkError(f"{name} must fit int32, got values from {array.min()} to {array.max()}")
    return locked(array.astype(np.int32))


def integer(name: str, value: Any, low: int, high: int) -> int:
    """Return `value` as an int; refuse what is no integer in low..high."""
    try:
        number = operator.index(value)
    except TypeError:
        raise NetworkError(f"{name} must be an integer in {low}..{high}, got {value!r}") from None
    if not low <= number <= high:
        raise NetworkError(f"{name} must be an integer in {low}..{high}, got {number}")
    return number

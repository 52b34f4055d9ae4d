# SPDX-License-Identifier: Apache-2.0
"""How registers lie in a GPU's memory: rows first, then samples, images channels last; and what words are there."""

import math
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from spikerun.kernels.operations import Shape
from spikerun.kernels.program import Register

__all__ = ["DTYPES", "Constants", "element", "from_device", "in_order", "on_device", "positions", "to_device"]

Array = npt.NDArray[Any]
T = TypeVar("T")

# torch computes little with uint16
DTYPES = {
    "uint8": torch.uint8,
    "int8": torch.int8,
    "uint16": torch.int32,
    "int16": torch.int16,
    "int32": torch.int32,
}


def element(register: Register) -> int:
    """Return the bytes of an element."""
    return DTYPES[register.dtype].itemsize


def on_device(shape: Shape) -> Shape:
    """Return a shape as it lies there.

    >>> on_device((3, 8, 9)), on_device((4, 3, 8, 9)), on_device((7,))
    ((8, 9, 3), (4, 8, 9, 3), (7,))
    """
    return shape if len(shape) < 3 else (*shape[:-3], *shape[-2:], shape[-3])


def to_device(values: torch.Tensor, shape: Shape) -> torch.Tensor:
    """Return values (..., *shape) in the order of the device, a view."""
    return values if len(shape) < 3 else values.movedim(-3, -1)


def from_device(values: torch.Tensor, shape: Shape) -> torch.Tensor:
    """Return values (..., *on_device(shape)) in the order of the shape, a view."""
    return values if len(shape) < 3 else values.movedim(-1, -3)


def positions(shape: Shape) -> npt.NDArray[np.int64]:
    """Return for every element in the order of `shape` its place on the device: int64 of `shape`."""
    places = np.arange(math.prod(shape)).reshape(on_device(shape))
    return places if len(shape) < 3 else np.moveaxis(places, -1, -3)


def in_order(values: Array) -> Array:
    """Return `Values` in the order of the device."""
    return np.moveaxis(values, -3, -1) if values.ndim >= 3 else values


class Constants:
    """What operations need beside registers, made and copied to the device when it is asked for the first time.

    A graph that is captured afterwards finds all of it there.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._known: dict[Hashable, Any] = {}

    def of(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what `make` returned at the first call with this key."""
        if key not in self._known:
            self._known[key] = make()
        found: T = self._known[key]
        return found

    def tensor(self, key: Hashable, make: Callable[[], Array]) -> torch.Tensor:
        """Return the array that `make` returned at the first call with this key, on the device."""
        return self.of(key, lambda: self.put(make()))

    def put(self, values: Array) -> torch.Tensor:
        """Return a copy of an array on the device."""
        return torch.from_numpy(np.array(values, order="C")).to(self.device)

    @property
    def bytes(self) -> int:
        """Return what all of it takes."""
        return sum(map(_bytes, self._known.values()))


def _bytes(value: Any) -> int:
    """Return what a tensor takes, or all those that an object or a list holds."""
    if isinstance(value, torch.Tensor):
        return value.nbytes
    held = value if isinstance(value, list | tuple) else vars(value).values() if hasattr(value, "__dict__") else ()
    return sum(one.nbytes for one in held if isinstance(one, torch.Tensor))

# SPDX-License-Identifier: Apache-2.0
"""Constant structs of C, and how neurons lie in memory."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Array", "Shape", "Table", "channels_last", "pairs", "shape_of"]

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Table:
    """A constant struct of the C type `ctype`: numbers, and arrays that it points to (field -> values).

    A field of a struct within the struct is written `outer.inner`.
    """

    ctype: str
    numbers: Mapping[str, int | str]
    arrays: Mapping[str, Array] = field(default_factory=dict)


def shape_of(shape: Shape) -> dict[str, int]:
    """Return channels and pixels of a register: neurons without an image are channels of one pixel."""
    image = len(shape) == 3
    return {"channels": shape[0] if image else math.prod(shape), "pixels": math.prod(shape[1:]) if image else 1}


def channels_last(values: Array, shape: Shape) -> Array:
    """Return one value for each neuron in the order in which they lie in memory: row, column, channel.

    >>> channels_last(np.arange(6), (2, 1, 3)).tolist()
    [0, 3, 1, 4, 2, 5]
    """
    values = np.asarray(values).reshape(shape)
    return (np.moveaxis(values, 0, -1) if len(shape) == 3 else values).ravel()


def pairs(**pairs: tuple[int, int]) -> dict[str, int | str]:
    """Return fields of pairs: kernel -> kernel_height, kernel_width; others -> _y, _x."""
    numbers: dict[str, int | str] = {}
    for key, (vertical, horizontal) in pairs.items():
        ends = ("height", "width") if key in ("kernel", "source", "target") else ("y", "x")
        numbers[f"{key}_{ends[0]}"], numbers[f"{key}_{ends[1]}"] = vertical, horizontal
    return numbers

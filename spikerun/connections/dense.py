# SPDX-License-Identifier: Apache-2.0
"""All to all."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from spikerun.connections.base import (
    Connection,
    IntArray,
    Mask,
    Pair,
    Reals,
    Shape,
    alike,
    delays_of,
    ends_of,
    frozen,
    signed_sums,
)
from spikerun.errors import NetworkError

__all__ = ["Dense", "column_sums"]


@dataclass(frozen=True, eq=False)
class Dense(Connection):
    """All to all: `i[o] = sum_n weight[n, o] s[n]`. weight: int8 (in, out); the source is read in C order.

    delays: uint8 (in, out), in how many steps what a synapse carries arrives, beside the delay of the projection.
    """

    kind: ClassVar[str] = "dense"
    weight: npt.NDArray[np.int8]
    delays: npt.NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", frozen("weight", self.weight, np.int8, 2))
        object.__setattr__(self, "delays", delays_of(self.delays, self.weight.shape))

    @cached_property
    def delay_range(self) -> Pair:
        return ends_of(self.delays)

    def target_shape(self, source: Shape) -> Shape | None:
        if math.prod(source) != self.weight.shape[0]:
            raise NetworkError(f"weight has {self.weight.shape[0]} rows, its source {math.prod(source)} neurons")
        return None

    def target_size(self, source: Shape) -> int:
        self.target_shape(source)
        return int(self.weight.shape[1])

    def apply(self, x: IntArray) -> IntArray:
        total: IntArray = x.ravel() @ self.weight.astype(np.int64)
        return total

    def fan_out(self, source: Shape) -> IntArray:
        return alike(self.weight.shape[1], source)

    def largest_sum(self, source: Shape, channels: int) -> npt.NDArray[np.float64]:
        largest: npt.NDArray[np.float64] = column_sums(self.weight).reshape(channels, -1).max(axis=1)
        return largest

    def reads(self, source: Shape, kept: Mask) -> Mask:
        used = np.asarray((self.weight if kept.all() else self.weight[:, self._columns(kept)]).any(axis=1))
        return np.asarray(used.reshape(source[0], -1).any(axis=1))

    def spans(self, source: Shape, channels: int, low: Reals, high: Reals) -> tuple[Reals, Reals]:
        each = self.weight.shape[0] // source[0]
        least, largest = signed_sums(self.weight, np.repeat(low, each), np.repeat(high, each))
        return least.reshape(channels, -1).min(axis=1), largest.reshape(channels, -1).max(axis=1)

    def without(self, source: Shape, less: Mask, fewer: Mask) -> tuple[Mask, Mask]:
        return less, fewer

    def narrowed(self, source: Shape, kept: Mask, reached: Mask) -> "Dense":
        rows = np.repeat(kept, self.weight.shape[0] // len(kept))
        columns = self._columns(reached)
        return Dense(self.weight[rows][:, columns], None if self.delays is None else self.delays[rows][:, columns])

    def _columns(self, channels: Mask) -> Mask:
        return np.repeat(channels, self.weight.shape[1] // len(channels))


def column_sums(weight: npt.NDArray[np.int8]) -> npt.NDArray[np.float64]:
    """Return sum |weight| over the rows of (rows, columns), some rows at a time: a copy is wider than the weights."""
    rows = max(1, 2**22 // weight.shape[1])
    total = np.zeros(weight.shape[1])
    for first in range(0, len(weight), rows):
        total += np.abs(weight[first : first + rows], dtype=np.float32).sum(axis=0, dtype=np.float64)
    return total

# SPDX-License-Identifier: Apache-2.0
"""A list of synapses for each source neuron."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from spikerun.connections.base import Connection, IntArray, Mask, Pair, Reals, Shape, alike, delays_of, ends_of, frozen
from spikerun.errors import NetworkError
from spikerun.values import integer

__all__ = ["Sparse"]


@dataclass(frozen=True, eq=False)
class Sparse(Connection):
    """Compressed sparse rows, one a source neuron: `i[indices[k]] += data[k] s[n]`, indptr[n] <= k < indptr[n+1].

    indptr: int64 (in + 1,); indices: int32 (nnz,), targets; data: int8 (nnz,); size: number of target neurons.
    delays: uint8 (nnz,), in how many steps what a synapse carries arrives, beside the delay of the projection.
    """

    kind: ClassVar[str] = "sparse"
    indptr: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int32]
    data: npt.NDArray[np.int8]
    size: int
    delays: npt.NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        for name, dtype in (("indptr", np.int64), ("indices", np.int32), ("data", np.int8)):
            object.__setattr__(self, name, frozen(name, getattr(self, name), dtype, 1))
        object.__setattr__(self, "size", integer("size", self.size, 1, 2**31 - 1))
        ptr, idx = self.indptr, self.indices
        rises = len(ptr) > 1 and bool((ptr[1:] >= ptr[:-1]).all())  # compared, for a difference could wrap
        if not rises or ptr[0] != 0 or ptr[-1] != len(idx):
            raise NetworkError("indptr must rise from 0 to the number of indices, with one entry more than neurons")
        if len(idx) != len(self.data):
            raise NetworkError(f"indices and data must be equally long, got {len(idx)} and {len(self.data)}")
        if len(idx) and (idx.min() < 0 or idx.max() >= self.size):
            raise NetworkError(f"indices must be in 0..{self.size - 1}, got {idx.min()}..{idx.max()}")
        object.__setattr__(self, "delays", delays_of(self.delays, idx.shape))

    @cached_property
    def delay_range(self) -> Pair:
        return ends_of(self.delays)

    def target_shape(self, source: Shape) -> Shape | None:
        if math.prod(source) != len(self.indptr) - 1:
            raise NetworkError(f"indptr has {len(self.indptr) - 1} rows, its source {math.prod(source)} neurons")
        return None

    def target_size(self, source: Shape) -> int:
        self.target_shape(source)
        return self.size

    def apply(self, x: IntArray) -> IntArray:
        current = np.zeros(self.size, dtype=np.int64)
        np.add.at(current, self.indices, self.data * x.ravel()[self._sources])
        return current

    def fan_out(self, source: Shape) -> IntArray:
        return alike(np.diff(self.indptr).reshape(source), source)

    def largest_sum(self, source: Shape, channels: int) -> npt.NDArray[np.float64]:
        sums = np.bincount(self.indices, np.abs(self.data, dtype=np.float64), self.size).astype(np.float64)
        largest: npt.NDArray[np.float64] = sums.reshape(channels, -1).max(axis=1)
        return largest

    def reads(self, source: Shape, kept: Mask) -> Mask:
        used = np.repeat(kept, self.size // len(kept))[self.indices] & (self.data != 0)
        counts = np.bincount(self._sources[used], minlength=math.prod(source)).reshape(source[0], -1)
        return np.asarray(counts.any(axis=1))

    def spans(self, source: Shape, channels: int, low: Reals, high: Reals) -> tuple[Reals, Reals]:
        each, data = math.prod(source) // source[0], self.data.astype(np.float64)
        ends = np.stack([data * np.repeat(end, each)[self._sources] for end in (low, high)])
        least = np.bincount(self.indices, ends.min(axis=0), self.size).reshape(channels, -1).min(axis=1)
        largest = np.bincount(self.indices, ends.max(axis=0), self.size).reshape(channels, -1).max(axis=1)
        return least, largest

    def without(self, source: Shape, less: Mask, fewer: Mask) -> tuple[Mask, Mask]:
        return less, fewer

    def narrowed(self, source: Shape, kept: Mask, reached: Mask) -> "Sparse":
        rows = np.repeat(kept, (len(self.indptr) - 1) // len(kept))
        targets = np.repeat(reached, self.size // len(reached))
        used = rows[self._sources] & targets[self.indices]
        counts = np.bincount(self._sources[used], minlength=len(rows))[rows]
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        places = (np.cumsum(targets) - 1).astype(np.int32)
        late = None if self.delays is None else self.delays[used]
        return Sparse(indptr, places[self.indices[used]], self.data[used], int(targets.sum()), late)

    @property
    def _sources(self) -> IntArray:
        """Return the source neuron of each synapse."""
        return np.repeat(np.arange(len(self.indptr) - 1), np.diff(self.indptr))

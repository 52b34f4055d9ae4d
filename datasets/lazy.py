# SPDX-License-Identifier: Apache-2.0
"""Samples that are made when they are asked for: what looks like an array (N, *shape), and is never whole in memory."""

import math
from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from spikerun.errors import DataError

__all__ = ["LARGEST_WHOLE", "Lazy", "Small"]

LARGEST_WHOLE = 1 << 31  # bytes that become one array at once

Small = NDArray[np.uint8 | np.int8]


class Lazy(ABC):
    """Small integers (N, *shape), of which slices and index arrays along the first axis give arrays.

    places: int64 (N,), which samples of the whole split these are.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, places: NDArray[np.int64], shape: tuple[int, ...]) -> None:
        self.places, self.shape = places, (len(places), *shape)

    @abstractmethod
    def made(self, places: NDArray[np.int64]) -> Small:
        """Return the samples at places of the split, (len(places), *shape)."""

    @abstractmethod
    def _like(self, places: NDArray[np.int64], shape: tuple[int, ...]) -> Self:
        """Return the same samples at other places, or in another shape."""

    @property
    def ndim(self) -> int:
        """Return the number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Return the number of values."""
        return math.prod(self.shape)

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.places)

    def __getitem__(self, key: Any) -> Any:
        """Return an array of the samples that a slice, an index or an array of them chooses; further axes follow."""
        first, *rest = key if isinstance(key, tuple) else (key,)
        chosen = self.places[first]
        made = self._whole(np.atleast_1d(chosen))
        return (made if np.ndim(chosen) else made[0])[(slice(None), *rest) if np.ndim(chosen) else tuple(rest)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return all samples as one array. Raises DataError where that takes too much memory."""
        made = self._whole(self.places)
        return made if dtype is None else made.astype(dtype)

    def part(self, first: int, end: int) -> Small:
        """Return the samples first..end as an array."""
        return self._whole(self.places[first:end])

    def take(self, indices: Any, axis: int = 0) -> Self:
        """Return some of the samples, not yet made; axis: 0, as arrays have it."""
        return self._like(self.places[np.asarray(indices)], self.shape[1:])

    def reshape(self, *shape: Any) -> Self:
        """Return the samples in another shape; the first axis stays."""
        given = tuple(shape[0]) if len(shape) == 1 and np.ndim(shape[0]) else shape
        known = math.prod(n for n in given[1:] if n != -1)
        rest = tuple(self.size // max(len(self) * known, 1) if n == -1 else int(n) for n in given[1:])
        if given[0] not in (len(self), -1) or math.prod(rest) != math.prod(self.shape[1:]):
            raise DataError(f"samples of shape {self.shape} have no shape {given}")
        return self._like(self.places, rest)

    def _whole(self, places: NDArray[np.int64]) -> Small:
        size = len(places) * math.prod(self.shape[1:])
        if size > LARGEST_WHOLE:
            raise DataError(
                f"{len(places)} samples of shape {self.shape[1:]} take {size} bytes, the limit is {LARGEST_WHOLE}: "
                "take fewer at a time, such as samples[:64]"
            )
        return self.made(places)

# SPDX-License-Identifier: Apache-2.0
"""Samples that are made when they are asked for: what looks like an array (N, *shape), and is never whole in memory."""

import math
from abc import ABC, abstractmethod
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from spikerun.errors import DataError

__all__ = ["LARGEST_WHOLE", "Lazy", "Small", "is_integer"]

LARGEST_WHOLE = 1 << 31  # bytes that become one array at once

ADVICE = "for more, make an array first, such as samples[:64]"

Small = NDArray[np.uint8 | np.int8 | np.uint16 | np.int16 | np.float32]


def is_integer(value: Any) -> bool:
    """Tell whether a value is an integer, NumPy's included; truth values are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


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
        """Return an array of some samples, the one that NumPy's index of all would give.

        key: an integer, a slice or a 1-d array of integers or truth values, alone or with integers, slices, `...` and
        None behind it. Raises DataError for other indices, IndexError for those out of range.
        """
        first, *rest = (key if isinstance(key, tuple) else (key,)) or (None,)
        for one in rest:
            if not (one is None or one is Ellipsis or isinstance(one, slice) or is_integer(one)):
                raise DataError(f"samples[...]: got {_said(one)} behind the first index, expected an integer; {ADVICE}")
        if is_integer(first):
            return self._whole(self.places[[first]])[0, *rest]
        places = self._chosen(first, "iub", "samples[...]")
        return self._whole(places)[:, *rest]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return all samples as one array. Raises DataError where that takes too much memory."""
        made = self._whole(self.places)
        return made if dtype is None else made.astype(dtype)

    def part(self, first: int, end: int) -> Small:
        """Return the samples first..end as an array."""
        return self._whole(self.places[first:end])

    def take(self, indices: Any, axis: int = 0) -> Self:
        """Return some of the samples, not yet made.

        indices: integers (count,). axis: 0. Raises DataError for others, IndexError for those out of range.
        """
        if axis != 0:
            raise DataError(f"samples.take: axis is {axis!r:.80}, expected 0, along which samples lie; {ADVICE}")
        return self._like(self._chosen(indices, "iu", "samples.take"), self.shape[1:])

    def reshape(self, *shape: Any) -> Self:
        """Return the samples in another shape; the first axis stays. One length may be -1: as many as are left."""
        given = tuple(shape[0]) if len(shape) == 1 and np.ndim(shape[0]) else shape
        if not given or not all(is_integer(n) and (n == -1 or n > 0) for n in given) or given.count(-1) > 1:
            raise DataError(f"samples of shape {self.shape} have no shape {given!r:.80}")
        size = math.prod(self.shape[1:])
        known = math.prod(int(n) for n in given[1:] if n != -1)
        rest = tuple(size // known if n == -1 else int(n) for n in given[1:])
        if given[0] not in (len(self), -1) or math.prod(rest) != size:
            raise DataError(f"samples of shape {self.shape} have no shape {given!r:.80}")
        return self._like(self.places, rest)

    def _chosen(self, indices: Any, kinds: str, where: str) -> NDArray[np.int64]:
        """Return the places that a slice or a 1-d array chooses, whose type is of one of some kinds."""
        if isinstance(indices, slice):
            if not all(one is None or is_integer(one) for one in (indices.start, indices.stop, indices.step)):
                raise DataError(f"{where}: got {_said(indices)}, expected integers; {ADVICE}")
            return self.places[indices]
        try:
            found = np.asarray(indices)
        except ValueError:  # lists of unequal lengths
            found = np.asarray(None)
        if found.ndim != 1 or (found.size and found.dtype.kind not in kinds):
            raise DataError(f"{where}: got {_said(indices)}, expected an array of integers (count,); {ADVICE}")
        places: NDArray[np.int64] = self.places[found.astype(np.int64) if found.dtype.kind == "f" else found]
        return places  # NumPy makes float64 of an empty list

    def _whole(self, places: NDArray[np.int64]) -> Small:
        size = len(places) * math.prod(self.shape[1:])
        if size > LARGEST_WHOLE:
            raise DataError(
                f"{len(places)} samples of shape {self.shape[1:]} take {size} bytes, the limit is {LARGEST_WHOLE}: "
                "take fewer at a time, such as samples[:64]"
            )
        return self.made(places)


def _said(index: Any) -> str:
    return f"{index.dtype} {index.shape}" if isinstance(index, np.ndarray) else f"{index!r:.80}"

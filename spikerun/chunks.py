# SPDX-License-Identifier: Apache-2.0
"""Asking a source for its arrays, so that an interrupt neither loses one nor looks like the end.

Python handles signals after calls and at the beginning of functions and rounds of loops. `for` stores what it gets
before that, and an assignment of several names is done at once.
"""

from collections.abc import Iterable
from typing import Any, Self

import numpy.typing as npt

from spikerun.errors import DataError

__all__ = ["Chunks"]

Chunk = npt.NDArray[Any]


class Chunks:
    """Iterates over a source. One that was written as a generator ends where Ctrl-C comes within: this says so.

    Raises DataError there, once, at the call after the interrupt.
    """

    def __init__(self, source: Iterable[Chunk]) -> None:
        self._chunks = iter(source)
        self._cut_off = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Chunk:
        try:
            for chunk in self._chunks:
                return chunk
        except Exception:
            raise
        except BaseException:
            self._cut_off = getattr(self._chunks, "gi_frame", self) is None
            raise
        if self._cut_off:
            self._cut_off = False
            raise DataError(
                "the source was interrupted while it read, and cannot go on: it is a generator; an iterator with "
                "__next__ could"
            )
        raise StopIteration

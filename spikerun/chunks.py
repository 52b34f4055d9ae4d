# SPDX-License-Identifier: Apache-2.0
"""Sources of events: to ask them so that an interrupt neither loses an array nor looks like the end, and to cut arrays.

Python handles signals after calls and at the beginning of functions and rounds of loops. `for` stores what it gets
before that, and an assignment of several names is done at once.
"""

from collections.abc import Iterable
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from spikerun.errors import DataError, UsageError
from spikerun.events import EVENT, converted

__all__ = ["Chunks", "Like", "cuts"]

KNOWN = ("shape", "pace", "drift", "origin_ns", "lost", "refused")  # by a source, of itself

Chunk = npt.NDArray[Any]


class Like:
    """A source made of another one, `_source`, which is asked at each time for what only it knows of itself."""

    _source: Any

    def __getattr__(self, name: str) -> Any:
        if name in KNOWN:
            return getattr(self._source, name)
        raise AttributeError(name)


def cuts(t: npt.NDArray[np.int64], span_us: int, most: int) -> list[int]:
    """Return where to cut an array with these times, its ends included: no part spans more, or has more events.

    >>> cuts(np.array([0, 5, 9, 20, 21, 22]), 9, 2)
    [0, 2, 3, 5, 6]
    """
    reached, found = np.maximum.accumulate(t), [0]
    while (begin := found[-1]) < len(t):
        found.append(min(begin + most, int(np.searchsorted(reached, int(reached[begin]) + span_us, "right"))))
    return found


class Chunks:
    """Iterates over a source, whose arrays become those of EVENT, unless they are empty; their order is not looked at.

    One that was written as a generator ends where Ctrl-C comes within: this says so, by a DataError, once, at the call
    after the interrupt. Raises DataError for what is no array of events, too, and goes on behind it.
    """

    def __init__(self, source: Iterable[Chunk]) -> None:
        if not isinstance(source, Iterable) or (isinstance(source, np.ndarray) and not source.ndim):
            raise UsageError(f"a source is an iterable of arrays of events, got {source!r:.80}")
        self._chunks = iter(source)
        self._cut_off = False
        self._raw: Any = None  # that came, not given yet

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Chunk:
        if self._raw is None:
            self._ask()
        chunk: Chunk = self._raw
        # No call for most, so that none is interrupted.
        if chunk.__class__ is not np.ndarray or chunk.dtype != EVENT or chunk.ndim != 1:
            chunk = self._converted()
        self._raw = None
        return chunk

    def _converted(self) -> Chunk:
        """Return what came as an array of EVENT; leave what cannot be one."""
        if isinstance(self._raw, np.ndarray) and self._raw.shape == (0,):
            return np.zeros(0, EVENT)
        try:
            return converted(self._raw)
        except DataError:
            self._raw = None
            raise

    def _ask(self) -> None:
        """Take the next array. Raises StopIteration behind the last one."""
        chunks = self._chunks
        try:
            for self._raw in chunks:
                return
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

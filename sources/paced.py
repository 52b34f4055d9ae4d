# SPDX-License-Identifier: Apache-2.0
"""A recording as a camera would send it: events come when their time comes, and not before."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.errors import UsageError

__all__ = ["Paced", "paced"]

Chunk = npt.NDArray[Any]


class Paced:
    """What `paced` returns. `origin_ns`: when time 0 of the events was or would have been, None before the first."""

    def __init__(
        self,
        source: Iterable[Chunk],
        pace: float,
        tick_us: int,
        clock_ns: Callable[[], int],
        sleep: Callable[[float], None],
    ) -> None:
        if isinstance(pace, bool) or not isinstance(pace, int | float) or not 1e-6 <= pace <= 1e6:
            raise UsageError(f"pace is how many times as fast as it was recorded, from 1e-6 to 1e6, got {pace!r:.80}")
        self.pace = float(pace)
        self.shape: tuple[int, int, int] | None = getattr(source, "shape", None)
        self.origin_ns: float | None = None
        self._source, self._tick_us = source, tick_us * self.pace
        self._clock_ns, self._sleep = clock_ns, sleep

    def __iter__(self) -> Iterator[Chunk]:
        self.origin_ns = None
        for chunk in self._source:
            if len(chunk):
                yield from self._in_time(chunk)

    def _in_time(self, chunk: Chunk) -> Iterator[Chunk]:
        """Yield at each tick what is due by then; nothing, as an empty array, if nothing is."""
        t, begin = chunk["t"], 0
        if self.origin_ns is None:
            self.origin_ns = self._clock_ns() - int(t[0]) * 1000 / self.pace
        while begin < len(t):
            reached = self._reached()
            end = int(np.searchsorted(t, reached, "right"))
            if end <= begin:
                self._wait((reached // self._tick_us + 1) * self._tick_us)
                end = max(begin, int(np.searchsorted(t, self._reached(), "right")))
            yield chunk[begin:end]
            begin = end

    def _reached(self) -> float:
        """Return the time of events that is now."""
        assert self.origin_ns is not None
        return (self._clock_ns() - self.origin_ns) * self.pace / 1000

    def _wait(self, t_us: float) -> None:
        assert self.origin_ns is not None
        due_ns = math.ceil(self.origin_ns + t_us * 1000 / self.pace)
        self._sleep(
            max(1, due_ns - self._clock_ns()) * 1e-9
        )  # at least 1 ns, so that time goes on however it is rounded


def paced(
    source: Iterable[Chunk],
    pace: float = 1.0,
    *,
    tick_us: int = 1000,
    clock_ns: Callable[[], int] = time.monotonic_ns,
    sleep: Callable[[float], None] = time.sleep,
) -> Paced:
    """Return a source that gives the events of another one at the speed of the clock.

    source:  arrays of events, in order of time
    pace:    times as fast as the events were recorded; 1.0: as they were
    tick_us: microseconds from one array to the next where the reader keeps up; arrays are empty where nothing came.
             A reader that does not keep up gets all that is due at once, and no sleep.
    clock_ns, sleep: the clock, in nanoseconds, and what waits for some seconds
    Raises UsageError for a pace that is none.
    """
    return Paced(source, pace, tick_us, clock_ns, sleep)

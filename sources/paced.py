# SPDX-License-Identifier: Apache-2.0
"""A recording as a camera would send it: events come when their time comes, and not before."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from spikerun.chunks import Chunks
from spikerun.events import microseconds, speed

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
        self.pace = speed(pace)
        self.shape: tuple[int, int, int] | None = getattr(source, "shape", None)
        self.origin_ns: float | None = None
        self._source, self._tick_us = source, microseconds("tick_us", tick_us) * self.pace
        self._clock_ns, self._sleep = clock_ns, sleep

    def __iter__(self) -> Iterator[Chunk]:
        self.origin_ns = None
        return _Ticks(self, self._source, self._tick_us)

    def reached(self) -> float:
        """Return the time of events that is now, in microseconds."""
        assert self.origin_ns is not None
        return (self._clock_ns() - self.origin_ns) * self.pace / 1000

    def begin(self, t_us: int) -> None:
        """Let a time of events be now, unless time has begun."""
        if self.origin_ns is None:
            self.origin_ns = self._clock_ns() - t_us * 1000 / self.pace

    def wait(self, t_us: float) -> None:
        """Wait until a time of events."""
        assert self.origin_ns is not None
        due_ns = math.ceil(self.origin_ns + t_us * 1000 / self.pace)
        self._sleep(
            max(1, due_ns - self._clock_ns()) * 1e-9
        )  # at least 1 ns, so that time goes on however it is rounded


class _Ticks:
    """Gives at each tick what is due by then; nothing, as an empty array, if nothing is. Goes on after an interrupt."""

    def __init__(self, clock: Paced, source: Iterable[Chunk], tick_us: float) -> None:
        self._clock, self._chunks, self._tick_us = clock, Chunks(source), tick_us
        self._coming: Chunk | None = None
        self._chunk = self._t = np.zeros(0, np.int64)  # events, and when they are due
        self._begin = 0  # of those not given yet

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Chunk:
        while self._begin >= len(self._t):
            if self._coming is None:
                for chunk in self._chunks:
                    self._coming = chunk
                    break
                else:
                    raise StopIteration
            assert self._coming is not None
            t = np.maximum.accumulate(self._coming["t"])  # one behind its time comes with those before it
            self._chunk, self._t, self._begin, self._coming = self._coming, t, 0, None
        self._clock.begin(int(self._t[0]))
        reached = self._clock.reached()
        end = int(np.searchsorted(self._t, reached, "right"))
        if end <= self._begin:
            self._clock.wait((reached // self._tick_us + 1) * self._tick_us)
            end = max(self._begin, int(np.searchsorted(self._t, self._clock.reached(), "right")))
        chunk, self._begin = self._chunk[self._begin : end], end
        return chunk


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

# SPDX-License-Identifier: Apache-2.0
"""Event recordings played to a stream, one after the other: bin by bin, or as a camera would send them.

The clock is that of the machine, but nobody waits: what sleeps lets the clock jump. So computing takes the time that
it takes here, the driver's (`spikerun.live`) included, and a recording of an hour takes no longer than its computing.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.datasets import Bins
from spikerun.datasets.events import Recordings
from spikerun.events import EVENT, EventArray
from spikerun.live import Live
from spikerun.outputs import Reading
from spikerun.session import Session
from spikerun.stream import Stream
from spikerun.streaming_accuracy import NO_CLASS

__all__ = ["Played", "Skipping", "played_in_time", "played_whole"]

Timer = Callable[[], int]  # nanoseconds


@dataclass
class Played:
    """What was played.

    seen_us, ready_us: float64 (outputs,), up to which time each output has seen events, and when it was ready; from the
    first recording on, by the clock
    classes: int64 (outputs,); busy_us: float64, what each bin took, where that was measured
    """

    events: int
    dropped: int
    dropped_bins: int
    seen_us: npt.NDArray[np.float64]
    ready_us: npt.NDArray[np.float64]
    classes: npt.NDArray[np.int64]
    busy_us: npt.NDArray[np.float64]


class Skipping:
    """A clock in nanoseconds on which waiting takes no time. timer: what counts while something is computed."""

    def __init__(self, timer: Timer) -> None:
        self._timer, self._skipped = timer, 0

    def now(self) -> int:
        """Return the time."""
        return self._timer() + self._skipped

    def sleep_until(self, ns: float) -> None:
        """Let that time come, if it has not."""
        self._skipped += max(0, math.ceil(ns) - self.now())

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Let the clock stand still meanwhile."""
        begin = self._timer()
        try:
            yield
        finally:
            self._skipped -= self._timer() - begin


class Recorded:
    """A recording as a source: at the end of each bin its events come, or an empty array."""

    def __init__(self, events: EventArray, bins: Bins, pace: float, origin_ns: float, clock: Skipping) -> None:
        self.pace, self.origin_ns = pace, origin_ns
        self._events, self._bins, self._clock = events, bins, clock
        ends = np.arange(1, bins.steps + 1) * bins.dt_ns
        self._ends = np.searchsorted(events["t"] * 1000, ends).tolist()  # how many events come before

    def __iter__(self) -> Iterator[EventArray]:
        given, begin, closed = 0, 0, True
        while given < self._bins.steps:
            due = int((self._clock.now() - self.origin_ns) * self.pace // self._bins.dt_ns)
            due = max(given, min(due, self._bins.steps))
            if due == given and closed:
                self._clock.sleep_until(self.origin_ns + (given + 1) * self._bins.dt_ns / self.pace + 1)
                continue
            closed = due == given  # an empty array closes the bins that were over when it was asked for
            end = self._ends[due - 1] if due else 0
            if begin < end or due < self._bins.steps:
                yield self._events[begin:end]
            given, begin = due, end


@dataclass
class _Answers:
    """What an output says as it comes: the place that has spiked most, or the largest of the newest reading."""

    name: str
    size: int
    reads: bool = False
    newest: int = NO_CLASS
    counts: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.counts = np.zeros(self.size, np.int64)

    def take(self, outputs: Any) -> int:
        """Return the class after some more outputs, of which those of others say nothing."""
        for item in outputs:
            if item.population != self.name:
                continue
            if isinstance(item, Reading):
                self.newest = int(np.argmax(item.logits))
            else:
                self.counts[item.index] += 1
                self.newest = int(np.argmax(self.counts))
        return self.newest


def played_whole(
    session: Session,
    recordings: Recordings,
    bins: Bins,
    advance: Callable[[int], None],
    timer: Timer = time.perf_counter_ns,
) -> Played:
    """Play bins one after the other, each when the one before is done; outputs count as ready at the ends of bins."""
    seen: list[float] = []
    classes: list[int] = []
    busy: list[int] = []
    events = 0
    for number, place in enumerate(recordings.places.tolist()):
        found = events_of(recordings, place, bins)
        ends = np.searchsorted(found["t"] * 1000, np.arange(bins.steps + 1) * bins.dt_ns)
        stream, answers = _stream(session, bins)
        for k, (first, end) in enumerate(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)):
            chunk = found[first:end]
            begin = timer()
            sent = stream.push(chunk) if len(chunk) else ()
            rest = stream.advance(k + 1 - stream.t)
            busy.append(timer() - begin)
            answers.take(sent)
            classes.append(answers.take(rest))
            seen.append((number * bins.steps + k + 1) * bins.dt_us)
        events += len(found)
        advance(1)
    seen_us = np.array(seen)
    return Played(events, 0, 0, seen_us, seen_us, np.array(classes), np.array(busy) / 1000)


def played_in_time(
    session: Session,
    recordings: Recordings,
    bins: Bins,
    pace: float,
    overload: str,
    advance: Callable[[int], None],
    timer: Timer = time.perf_counter_ns,
) -> Played:
    """Play recordings `pace` times as fast as they were recorded; `overload`: as `spikerun.live` has it."""
    clock = Skipping(timer)
    begin = clock.now()
    noted: list[tuple[float, int, int]] = []
    events = dropped = dropped_bins = 0
    for number, place in enumerate(recordings.places.tolist()):
        origin = begin + number * bins.steps * bins.dt_ns / pace
        with clock.aside():
            source = Recorded(events_of(recordings, place, bins), bins, pace, origin, clock)
            stream, answers = _stream(session, bins)
            driver = Live(stream, source, clock="wall", overload=overload, clock_ns=clock.now)
        done = 0
        for sent in chain(driver, _rest(stream, bins)):
            now = clock.now()
            with clock.aside():
                said = answers.take(sent)
                if stream.t > done:  # not all that the driver does ends a bin
                    noted.append((origin + stream.t * bins.dt_ns / pace, now, said))
                done = stream.t
        events, dropped = events + driver.taken, dropped + driver.dropped
        dropped_bins += driver.dropped_bins
        with clock.aside():
            advance(1)
    seen, ready, classes = zip(*noted, strict=True)
    seen_us, ready_us = ((np.array(values) - begin) / 1000 for values in (seen, ready))
    return Played(events, dropped, dropped_bins, seen_us, np.maximum(ready_us, seen_us), np.array(classes), np.zeros(0))


def _rest(stream: Stream, bins: Bins) -> Iterator[Any]:
    """Run what no event has closed, up to the end of a recording."""
    yield stream.advance(bins.steps - stream.t)


def events_of(recordings: Recordings, place: int, bins: Bins) -> EventArray:
    """Return the events of a recording within the bins, in order of time."""
    found = recordings.events(place)
    order = np.argsort(found.t, kind="stable")
    made = np.zeros(len(order), EVENT)
    for name in ("t", "x", "y", "p"):
        made[name] = getattr(found, name)[order]
    return made[: np.searchsorted(made["t"] * 1000, bins.steps * bins.dt_ns)]


def _stream(session: Session, bins: Bins) -> tuple[Stream, _Answers]:
    stream = session.stream(bins.dt_us)
    first = session.net.outputs[0]
    return stream, _Answers(first, session.net.populations[first].size)

# SPDX-License-Identifier: Apache-2.0
"""Where `spikerun stream` takes its events from, and what it does with them on their way."""

import math
import re
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

from spikerun import sources
from spikerun.chunks import Chunks, Like, cuts
from spikerun.errors import UsageError
from spikerun.events import EventArray, speed
from spikerun.live import STEPS
from spikerun.queued import Queued

__all__ = ["Intake", "opened", "port_of"]

Shape = tuple[int, int, int]
PORTION = 4096  # events
UDP = re.compile(r"udp://([^:/]*):(\d{1,5})")


def port_of(text: str) -> tuple[int, str] | None:
    """Return port and host of udp://HOST:PORT, None of other texts. Raises UsageError for what only begins so."""
    if not text.startswith("udp://"):
        return None
    found = UDP.fullmatch(text)
    if found is None:
        raise UsageError(f"an address of datagrams is udp://HOST:PORT, or udp://:PORT for this computer, got '{text}'")
    return int(found[2]), found[1] or "127.0.0.1"


def opened(
    where: str, format: str | None, shape: Shape | None, pace: float | None, late: str = "error"
) -> Iterable[EventArray]:
    """Return the source that the command line names; what cannot wait is read by a thread.

    late: what the stream does with events before others; unless it is an error, they are let through
    """
    address = port_of(where)
    if address is None and not where.startswith("camera:"):
        ordered = late == "error"
        found: Iterable[EventArray] = (
            sources.stdin(format or "records", shape=shape, ordered=ordered)
            if where == "-"
            else sources.file(where, format, shape, ordered=ordered)
        )
        return found if pace is None else sources.paced(found, speed(pace, "--pace"))
    if pace is not None or format is not None:
        raise UsageError(
            f"{'--format' if pace is None else '--pace'} is for recordings; '{where}' sends what happens now"
        )
    if address is not None:
        return Queued(sources.udp(*address, shape=shape))
    return Queued(sources.camera(where.removeprefix("camera:") or None))


class Intake(Like):
    """A source whose events are counted, cut off and recorded as they pass.

    limit: events; duration_us: microseconds from the first event on, of a source in time also by the clock, and
    `grace_us` later; record: is given each array.
    `waiting`: the other source is asked, and nothing is lost if that is interrupted; `recording`: it would be.
    """

    def __init__(
        self,
        source: Iterable[EventArray],
        limit: int | None,
        duration_us: float | None,
        record: Callable[[EventArray], None] | None,
        step_us: float,
        grace_us: float = 0,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._source, self._limit, self._record = source, limit, record
        self._span_us, self._grace_us = int(STEPS * step_us), grace_us
        self._duration_us = math.inf if duration_us is None else duration_us
        self._pace, self._clock_ns = getattr(source, "pace", None), clock_ns
        self._asked_ns = 0
        self._origin_ns = math.inf  # when time 0 of the events was, by the earliest one since then
        self.waiting = self.recording = False
        self.seen = 0

    def __iter__(self) -> Iterator[EventArray]:
        end, over = math.inf, False  # microseconds of the events; and whether that is over by the clock
        for chunk in self._portions():
            whole = len(chunk)
            if whole:
                end = min(end, int(chunk["t"][0]) + self._duration_us)
                beyond = chunk["t"] >= end
                chunk = chunk[: int(beyond.argmax())] if beyond.any() else chunk
            if self._limit is not None:
                chunk = chunk[: self._limit - self.seen]
            self.seen += len(chunk)
            if len(chunk):
                self._keep(chunk)
            yield chunk
            if len(chunk) < whole or self.seen == self._limit or (over and not whole):
                return
            over = not whole and self._is_over(end)  # then the next time bins up to the end are closed

    def _keep(self, chunk: EventArray) -> None:
        if self._record is None:
            return
        self.recording = True
        try:
            self._record(chunk)
        finally:
            self.recording = False

    def _is_over(self, end_us: float) -> bool:
        """Return whether a time of events was over when the source was asked, which had none."""
        if self._pace is None or end_us == math.inf:
            return False
        known = getattr(self._source, "origin_ns", None)
        origin_ns = self._origin_ns if known is None else known
        return bool(self._asked_ns >= origin_ns + (end_us / self._pace + self._grace_us) * 1000)

    def _portions(self) -> Iterator[EventArray]:
        """Yield the arrays, cut so that what is sent is written soon, and Ctrl-C leaves little."""
        self._asked_ns, self.waiting = self._clock_ns(), True
        for chunk in Chunks(self._source):
            self.waiting = False
            if not len(chunk):
                yield chunk
            elif self._pace is not None:
                self._origin_ns = min(self._origin_ns, self._clock_ns() - int(chunk["t"].max()) * 1000 / self._pace)
            for begin, end in pairwise(cuts(chunk["t"], self._span_us, PORTION)):
                yield chunk[begin:end]
            self._asked_ns, self.waiting = self._clock_ns(), True
        self.waiting = False

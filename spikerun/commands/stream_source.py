# SPDX-License-Identifier: Apache-2.0
"""Where `spikerun stream` takes its events from, and what it does with them on their way."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from spikerun import sources
from spikerun.chunks import Chunks
from spikerun.errors import UsageError
from spikerun.events import EventArray
from spikerun.live import STEPS
from spikerun.queued import Queued

__all__ = ["Tap", "opened", "port_of"]

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
        return found if pace is None else sources.paced(found, pace)
    if pace is not None or format is not None:
        raise UsageError(
            f"{'--format' if pace is None else '--pace'} is for recordings; '{where}' sends what happens now"
        )
    if address is not None:
        return Queued(sources.udp(*address, shape=shape))
    return Queued(sources.camera(where.removeprefix("camera:") or None))


class Tap:
    """A source whose events are counted, cut off and recorded as they pass.

    limit: events; duration_us: microseconds from the first event on; record: is given each array.
    `waiting`: the other source is asked, and nothing is lost if that is interrupted.
    """

    def __init__(
        self,
        source: Iterable[EventArray],
        limit: int | None,
        duration_us: float | None,
        record: Callable[[EventArray], None] | None,
        step_us: float,
    ) -> None:
        self._source, self._limit, self._duration_us, self._record = source, limit, duration_us, record
        self._span_us = STEPS * step_us
        self.waiting, self.seen = False, 0

    def __getattr__(self, name: str) -> Any:
        if name in ("pace", "drift", "origin_ns", "shape", "lost", "refused"):
            return getattr(self._source, name)
        raise AttributeError(name)

    def __iter__(self) -> Iterator[EventArray]:
        end = None
        for chunk in self._portions():
            whole = len(chunk)
            if len(chunk) and self._duration_us is not None:
                end = int(chunk["t"][0]) + self._duration_us if end is None else end
                over = chunk["t"] >= end
                chunk = chunk[: int(over.argmax())] if over.any() else chunk
            if self._limit is not None:
                chunk = chunk[: self._limit - self.seen]
            self.seen += len(chunk)
            if self._record is not None and len(chunk):
                self._record(chunk)
            yield chunk
            if len(chunk) < whole or self.seen == self._limit:
                return

    def _portions(self) -> Iterator[EventArray]:
        """Yield the arrays, cut so that what is sent is written soon, and Ctrl-C leaves little."""
        chunks = Chunks(self._source)
        while True:
            self.waiting = True
            chunk = next(chunks, None)
            self.waiting = False
            if chunk is None:
                return
            if not len(chunk):
                yield chunk
            t, begin = np.maximum.accumulate(chunk["t"]), 0
            while begin < len(chunk):
                end = min(begin + PORTION, int(np.searchsorted(t, t[begin] + self._span_us, "right")))
                yield chunk[begin:end]
                begin = end

# SPDX-License-Identifier: Apache-2.0
"""A recording over and over, in a time that goes on."""

from collections.abc import Iterable, Iterator

from spikerun.chunks import Chunks
from spikerun.errors import UsageError
from spikerun.events import EventArray

__all__ = ["Repeated", "repeated"]


class Repeated:
    """What `repeated` returns."""

    def __init__(self, source: Iterable[EventArray], pause_us: int) -> None:
        self.shape: tuple[int, int, int] | None = getattr(source, "shape", None)
        self._source, self._pause_us = source, pause_us

    def __iter__(self) -> Iterator[EventArray]:
        later = 0  # than recorded, in microseconds
        while True:
            first = last = None
            for events in Chunks(self._source):
                if not len(events):
                    continue
                if first is None:
                    first = int(events["t"][0])
                if later:
                    events = events.copy()
                    events["t"] += later
                yield events
                last = int(events["t"][-1]) - later
            if first is None or last is None:
                return
            later += last - first + self._pause_us


def repeated(source: Iterable[EventArray], pause_us: int = 1000) -> Repeated:
    """Return a source that gives the events of another one without end, one that can be iterated again and has some.

    pause_us: microseconds from the last event to the first of the next time
    Raises UsageError for a pause that is none.
    """
    if isinstance(pause_us, bool) or not isinstance(pause_us, int) or pause_us < 0:
        raise UsageError(f"a pause lasts a whole number of microseconds from 0 on, got {pause_us!r:.80}")
    return Repeated(source, pause_us)

# SPDX-License-Identifier: Apache-2.0
"""What a stream shows to the view, at next to no cost.

The thread of the stream calls `Tap.came` with events, and `Tap.saw` with what was sent. Without a client that is one
question; with one, arrays are kept, not copied, and once a frame the stream is asked for what it holds.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import numpy.typing as npt

from spikerun.activity import Activity
from spikerun.commands.view.frame import NOBODY, Seen, Told, traced
from spikerun.network import Network

__all__ = ["PERIOD", "Tap", "Tapped", "Watched"]

PERIOD = 1 / 30  # seconds from a frame to the next, at least
PUSHES = 128  # of a frame that are looked at: the newest
KEPT = 2**16  # of their events, and of what came out; a push of more stands alone
LARGEST = 2**16  # neurons of a population that is read from the stream once a frame

Array = npt.NDArray[Any]


class Watched(Protocol):
    """What is asked of a stream: see `spikerun.stream.Stream`."""

    @property
    def net(self) -> Network: ...
    @property
    def t(self) -> int: ...
    @property
    def activity(self) -> Activity: ...
    def membrane(self, name: str) -> Array: ...
    def spikes(self, name: str) -> Array: ...


class Tap:
    """What the stream of a network saw since the last frame.

    told: what else is known of it, asked once a frame. handed: takes what was seen; watching: whether there are
    clients; wanted: whether one of them waits for a frame; raster, membranes: the populations that are shown, by
    number, NOBODY for none. Another thread sets these five.
    """

    def __init__(
        self,
        stream: Watched,
        told: Callable[[], Told] = Told,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        net = self._net = stream.net
        self._stream, self._told, self._clock = stream, told, clock
        self.handed: Callable[[Seen], None] = lambda seen: None
        self.names = list(net.populations)
        reported = {name for name, p in net.populations.items() if p.neuron.reported}
        self._complete = {self.names.index(name) for name in net.outputs if name not in reported}
        self.watching = self.wanted = False
        numbers = [*map(self.names.index, net.outputs), *range(len(self.names))]
        self.raster = next((k for k in numbers if self.can_raster(k)), NOBODY)
        self.membranes = next((k for k in numbers if self.can_trace(k)), NOBODY)
        self._began = False

    @property
    def populations(self) -> list[dict[str, Any]]:
        """Return what can be shown of each population, for the page."""
        return [
            {"name": name, "neurons": p.size, "raster": self.can_raster(k), "complete": self.is_complete(k),
             "membranes": self.can_trace(k)}
            for k, (name, p) in enumerate(self._net.populations.items())
        ]  # fmt: skip

    def can_trace(self, number: int) -> bool:
        """Return whether membranes of a population can be shown."""
        p = self._net.populations[self.names[number]]
        return p.size <= LARGEST and "v" in self._net.kept(self.names[number])

    def can_raster(self, number: int) -> bool:
        """Return whether spikes of a population can be shown."""
        p = self._net.populations[self.names[number]]
        return p.neuron.fires and (self.is_complete(number) or p.size <= LARGEST)

    def is_complete(self, number: int) -> bool:
        """Return whether all spikes of a population come out of the stream; of others those of a step are read."""
        return number in self._complete

    def came(self, events: Array) -> None:
        """Take events that come to the stream. They are kept for a while: nobody may change them."""
        if self._began and len(events):
            self._events += len(events)
            self._chunks.append(events)
            self._held[0] += len(events)
            if self._held[0] > KEPT:
                self._held[0] = _trim(self._chunks)

    def saw(self, outputs: Any) -> None:
        """Take what the stream sent, `Outputs`; hand over what was seen if that is wanted and time."""
        if not self.watching:
            self._began = False
            return
        if not self._began:
            return self._begin(self._clock(), self._stream.activity)
        if n := len(outputs):
            self._outputs.append(outputs)
            self._held[1] += n
            if self._held[1] > KEPT:
                self._held[1] = _trim(self._outputs)
        if self.wanted and (now := self._clock()) >= self._next:
            self.wanted = False
            activity = self._stream.activity
            self.handed(self._seen(now, activity))
            self._begin(now, activity)

    def _begin(self, now: float, activity: Activity) -> None:
        """Begin a frame."""
        self._began, self._events, self._since, self._next = True, 0, now, now + PERIOD
        self._chunks, self._outputs = deque[Array](maxlen=PUSHES), deque[Any](maxlen=PUSHES)
        self._held = [0, 0]  # at most so many events and outputs are in them
        self._t, self._activity = self._stream.t, activity

    def _seen(self, now: float, activity: Activity) -> Seen:
        raster, membranes = self.raster, self.membranes
        word = traces = None
        if raster != NOBODY and not self.is_complete(raster):
            word = self._stream.spikes(self.names[raster])
        if membranes != NOBODY:
            v = self._stream.membrane(self.names[membranes]).ravel()
            traces = v[traced(v.size)]
        return Seen(
            self._t, self._stream.t, now - self._since, self._events, self._chunks, self._outputs, self._activity,
            activity, raster, word, membranes, traces, self._told(),
        )  # fmt: skip


def _trim(newest: deque[Any]) -> int:
    """Drop the oldest arrays of more than half of what may be kept, but never the newest; return what is left."""
    held = sum(map(len, newest))
    while held > KEPT // 2 and len(newest) > 1:
        held -= len(newest.popleft())
    return held


class Tapped:
    """A source of events whose tap is told of each array that it gives; in all else the source itself."""

    def __init__(self, source: Iterable[Array], tap: Tap) -> None:
        self._source, self._tap = source, tap

    def __iter__(self) -> Iterator[Array]:
        for events in self._source:
            self._tap.came(events)
            yield events

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

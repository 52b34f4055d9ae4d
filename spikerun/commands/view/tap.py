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
from spikerun.chunks import Like
from spikerun.commands.view.frame import NOBODY, Counted, Seen, Told, traced
from spikerun.network import Network
from spikerun.outputs import Outputs

__all__ = ["Tap", "Tapped", "Watched"]

SHARE = 1 / 200  # of the time of the stream's thread that frames take, at most; else they are rarer
RATED = 0.1  # seconds after which spikes are counted anew
PUSHES = 128  # of a frame that are looked at: the newest
KEPT = 2**16  # of their events; of what came out about as much
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
    clients; wanted: whether a frame should be made; raster, membranes: the populations that are shown, by number,
    NOBODY for none. Another thread sets these five. pause: seconds that should pass until the next frame.
    """

    def __init__(
        self,
        stream: Watched,
        told: Callable[[], Told] = Told,
        clock: Callable[[], float] = time.perf_counter,
        worked: Callable[[], float] = time.thread_time,
    ) -> None:
        net = self._net = stream.net
        self._stream, self._told, self._clock, self._worked = stream, told, clock, worked
        self.handed: Callable[[Seen], None] = lambda seen: None
        self.names = list(net.populations)
        reported = {name for name, p in net.populations.items() if p.neuron.reported}
        self._complete = {self.names.index(name) for name in net.outputs if name not in reported}
        self.watching = self.wanted = self._began = False
        self.pause = 0.0
        numbers = [*map(self.names.index, net.outputs), *range(len(self.names))]
        self.raster = next((k for k in numbers if self.can_raster(k)), NOBODY)
        self.membranes = next((k for k in numbers if self.can_trace(k)), NOBODY)

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
        if self._began:
            self._chunks.append(events)
            self._came += len(events)
            if self._came > self._enough:
                self._trim()

    def saw(self, outputs: Outputs) -> None:
        """Take what the stream sent; hand over what was seen if that is wanted."""
        if self.watching:
            if not self._began:
                self._began, self._counted = True, Counted(self._stream.t, self._stream.activity)
                self._rated = self._clock()
                self._begin(self._rated)
                return
            self._outputs.append(outputs)
            if self.wanted:
                self._hand_over()
        elif self._began:
            self._began = False
            self._chunks.clear()
            self._outputs.clear()

    def _begin(self, now: float) -> None:
        """Begin a frame."""
        self._since, self._t = now, self._stream.t
        self._chunks, self._outputs = deque[Array](maxlen=PUSHES), deque[Outputs](maxlen=PUSHES)
        self._came, self._enough = 0, KEPT

    def _hand_over(self) -> None:
        worked, now = self._worked(), self._clock()
        self.wanted = False
        seen = self._seen(now)
        self._begin(now)
        self.pause = (self._worked() - worked) / SHARE
        self.handed(seen)

    def _trim(self) -> None:
        """Drop the oldest of more than half of the events that may be kept, of which the newest array stands alone."""
        held = sum(map(len, self._chunks))
        while held > KEPT // 2 and len(self._chunks) > 1:
            held -= len(self._chunks.popleft())
        for _ in range(len(self._outputs) // 2):  # that came of so many events, roughly: to count them takes long
            self._outputs.popleft()
        self._enough = self._came + KEPT // 2

    def _seen(self, now: float) -> Seen:
        raster, membranes, counts = self.raster, self.membranes, None
        word = traces = None
        if now - self._rated >= RATED:
            before, self._counted, self._rated = self._counted, Counted(self._stream.t, self._stream.activity), now
            counts = before, self._counted
        if raster != NOBODY and not self.is_complete(raster):
            word = self._stream.spikes(self.names[raster])
        if membranes != NOBODY:
            v = self._stream.membrane(self.names[membranes]).ravel()
            traces = v[traced(v.size)]
        return Seen(
            self._t, self._stream.t, now - self._since, self._came, self._chunks, self._outputs, counts, raster, word,
            membranes, traces, self._told(),
        )  # fmt: skip


class Tapped(Like):
    """A source of events whose tap is told of each array that it gives; in all else the source itself."""

    def __init__(self, source: Iterable[Array], tap: Tap) -> None:
        self._source, self._tap = source, tap

    def __iter__(self) -> Iterator[Array]:
        for events in self._source:
            self._tap.came(events)
            yield events

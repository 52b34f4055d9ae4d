# SPDX-License-Identifier: Apache-2.0
"""Streams driven by sources: what their tests share."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from spikerun import EVENT, Reading, Spike, Stream
from spikerun.connections import Conv, Dense, Diagonal
from spikerun.live import Live
from spikerun.network import Network, Population, Projection
from spikerun.neurons import IF, LIF, Input, Readout
from spikerun.session import Session

SHAPE = (2, 4, 5)
BIN = 1000  # microseconds
MS = 1_000_000  # nanoseconds
Chunk = np.ndarray[Any, Any]


class Clock:
    """A clock that stands still until something takes time."""

    def __init__(self) -> None:
        self.ns = 5_000_000_000

    def __call__(self) -> int:
        return self.ns

    def sleep(self, seconds: float) -> None:
        self.ns += round(seconds * 1e9)


class Slow:
    """A stream that takes `cost_ns` for each event that it runs, and tells when steps were done."""

    def __init__(self, stream: Stream, clock: Clock, cost_ns: int) -> None:
        self.stream, self.clock, self.cost_ns = stream, clock, cost_ns
        self.step_ns = stream.step_ns
        self.arrays: list[Chunk] = []
        self.held = np.zeros(0, np.int64)

    @property
    def t(self) -> int:
        return self.stream.t

    @property
    def stats(self) -> Any:
        return self.stream.stats

    @property
    def pushed(self) -> int:
        return self.stream.pushed

    def _ran(self, sent: list[Spike | Reading]) -> list[Spike | Reading]:
        done = int((self.held // BIN < self.t).sum())
        self.clock.ns += self.cost_ns * done
        self.held = self.held[done:]
        return sent

    def push(self, events: Chunk) -> list[Spike | Reading]:
        self.arrays.append(events)
        self.held = np.append(self.held, events["t"])
        return self._ran(self.stream.push(events))

    def advance(self, steps: int) -> list[Spike | Reading]:
        return self._ran(self.stream.advance(steps))

    def flush(self) -> list[Spike | Reading]:
        return self._ran(self.stream.flush())


def leaky() -> Network:
    """Return a network whose neurons leak, so that it matters when events come, and that time passes."""
    kernel = np.random.default_rng(3).integers(10, 60, (3, 2, 3, 3)).astype(np.int8)
    populations = {
        "in": Population(SHAPE, Input(1, "spikes")),
        "h": Population((3, 4, 5), LIF(np.int32(90), keep_v=np.int32(60000))),
        "out": Population((3, 4, 5), IF(np.int32(2))),
        "sum": Population((1,), Readout()),
    }
    projections = [
        Projection("in", "h", Conv(kernel, padding=1)),
        Projection("h", "out", Diagonal(np.int32(1))),
        Projection("out", "sum", Dense(np.arange(1, 61, dtype=np.int8)[:, None])),
    ]
    return Network(populations, projections, ["h", "out", "sum"], 4)


SESSION = Session(leaky(), kernels="event", threads=1)


def recording(n: int, duration_us: int, seed: int = 0) -> Chunk:
    rng = np.random.default_rng(seed)
    events = np.zeros(n, EVENT)
    events["t"] = np.sort(rng.integers(0, duration_us, n))
    for name, size in zip("pyx", SHAPE, strict=True):
        events[name] = rng.integers(0, size, n)
    return events


def evenly(per_bin: int, bins: int) -> Chunk:
    events = recording(per_bin * bins, BIN)
    events["t"] = np.arange(per_bin * bins) * BIN // per_bin
    return events


class Camera:
    """A source that comes in time: its events when the clock says, an empty array every half a bin."""

    pace = 1.0

    def __init__(self, events: Chunk, clock: Clock, tick_us: int = BIN // 2) -> None:
        self.events, self.clock, self.tick_ns = events, clock, tick_us * 1000
        self.origin_ns = clock.ns

    def __iter__(self) -> Iterator[Chunk]:
        begin = 0
        while begin < len(self.events):
            passed = self.clock.ns - self.origin_ns
            end = int(np.searchsorted(self.events["t"], passed // 1000, "right"))
            if end == begin:
                self.clock.ns += self.tick_ns - passed % self.tick_ns
                end = int(np.searchsorted(self.events["t"], (self.clock.ns - self.origin_ns) // 1000, "right"))
            yield self.events[begin:end]
            begin = end


def driven(live: Live) -> list[Spike | Reading]:
    return [item for sent in live for item in sent]


def expected(events: Chunk) -> list[Spike | Reading]:
    stream = SESSION.stream()
    return [*stream.push(events), *stream.flush()]


def ticks(clock: Clock, *chunks: Chunk) -> Iterator[Chunk]:
    """Yield arrays, one a millisecond."""
    for chunk in chunks:
        clock.ns += MS
        yield chunk

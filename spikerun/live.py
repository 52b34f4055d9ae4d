# SPDX-License-Identifier: Apache-2.0
"""Driving a stream from a source of events: when bins close, and what happens where there is not enough time.

A source is an iterable of arrays of events, in order of time. That of a camera also has `pace`, microseconds of its
events to a microsecond of the clock, and gives an empty array now and then when nothing comes.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise, starmap
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from spikerun.chunks import Chunks, cuts
from spikerun.errors import SpikerunError, UsageError, unknown_name
from spikerun.events import speed
from spikerun.outputs import Outputs
from spikerun.overload import OVERLOAD, Piece
from spikerun.queued import Queued
from spikerun.spread import Spread
from spikerun.stream import MAX_GAP, MAX_T, Stream
from spikerun.warm import warmed

__all__ = ["CLOCKS", "Live", "live"]

CLOCKS = ("events", "wall")
STEPS = 10_000  # without events that are run before what they sent is given
BINS = 2  # of lag that are allowed where nobody says how much

Chunk = npt.NDArray[Any]


class Live:
    """Iterates over what the outputs of a stream send while a source feeds it; much of that is empty.

    stream:     nobody else may use it meanwhile
    source:     arrays of events, in order of time, of EVENT or what `spikerun.as_events` makes of that
    clock:      `events`: a bin, which is a step of the stream, closes when an event beyond it comes; `wall`: also when
                its time is over and nothing came
    overload:   what happens where bins can be run only later than `max_lag_us` after their end:
                `block`: nothing is dropped, and a source that can wait does
                `drop_bin`: the events of such a bin are dropped; the others are late by `max_lag_us` at most, and the
                time that one bin takes
                `drop_tail`: of each bin there are kept, from its beginning, as many events as can be run in time, by
                what events cost lately
                `latest`: all is dropped up to the newest bin whose time is over, whatever it holds
                Time passes in any case: steps without events are run, and neurons leak.
    max_lag_us: microseconds of the clock; by default the time of two bins
    pace:       of a source that comes in time and has no attribute `pace`: 1.0 for a camera
    grace_us:   how long after its end the clock closes a bin: as long as events may be on their way
    clock_ns:   the clock, in nanoseconds

    `taken`: events that came, each of which was pushed (`stream.stats` says how many came late), is `waiting`, or was
    `dropped`, or `refused` by the stream, which raises DataError; `dropped_bins`: those that lost some; `lag`: of bins
    with events, in nanoseconds, from when what closed one was due until its outputs were there.
    `first_step`: where it begins; a stream at rest, to which the first event comes more than MAX_GAP steps after 0, as
    in recordings in Unix time, begins with the window of that event.
    Where nothing was dropped, and `clock="events"`, the outputs are those of `stream.push`, whatever the clock says.
    After an exception of the source or the stream, the next call goes on, behind what was refused. After Ctrl-C, too,
    and no event is lost or comes twice; a source that is a generator, and was interrupted itself, is a DataError then.

    Raises UsageError for choices that make no sense.
    """

    def __init__(
        self,
        stream: Stream,
        source: Iterable[Chunk],
        *,
        clock: str = "events",
        overload: str = "block",
        max_lag_us: float | None = None,
        pace: float | None = None,
        grace_us: float = 0,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        for kind, value, known in (("clock", clock, CLOCKS), ("overload", overload, OVERLOAD)):
            if not isinstance(value, str) or value not in known:
                raise unknown_name(kind, str(value), known)
        pace = getattr(source, "pace", None) if pace is None else pace
        pace = None if pace is None else speed(pace)
        if pace is None and (clock, overload) != ("events", "block"):
            raise UsageError(
                f"clock='{clock}' and overload='{overload}' need a source that comes in time: one with a pace, such as "
                "spikerun.sources.paced(source), or say pace=1.0 of a camera"
            )
        if overload == "block" and max_lag_us is not None:
            raise UsageError("overload='block' drops nothing, however late: leave max_lag_us out, or choose another")
        for name, given in (("max_lag_us", max_lag_us), ("grace_us", grace_us)):
            if given is None and name == "max_lag_us":
                continue
            if not (isinstance(given, int | float) and 0 <= given < math.inf):
                raise UsageError(f"{name} must be a number of microseconds from 0 on, got {given!r:.80}")
        self.stream, self.lag = stream, Spread()
        self.dropped = self.dropped_bins = self.refused = 0
        self.first_step, self._pushed_before = stream.t, stream.pushed
        self._source, self._chunks, self._clock_ns = source, Chunks(source), clock_ns
        self._wall, self._pace, self._grace_ns = clock == "wall", pace, grace_us * 1000
        self._bin_ns = stream.step_ns
        self._policy = OVERLOAD[overload](
            max_lag_us * 1000 if max_lag_us is not None else BINS * self._bin_ns / (pace or 1)
        )
        self._chunk: Chunk | None = None  # that came, not cut yet
        self._pieces: list[Chunk] = []  # of the one before; each within one bin
        self._next = 0  # the first of them that is not done
        self._judged: Chunk | None = None  # that one, if it holds what is kept of it
        self._goal = 0  # events that were pushed when that one was
        self._ready: list[Outputs] = []
        self._stopping = self._leaving = False  # no locks: a signal may come while another one is handled
        self._ended = False
        self._origin_ns: float | None = None  # when time 0 of the events was
        self._seen_ns = 0
        self._settled = 0  # the step that the first events have put the stream to
        self._open, self._kept, self._losing = -1, 0, False  # the open bin, its events, whether some were dropped

    @property
    def waiting(self) -> int:
        """Return how many events came and are neither pushed nor dropped yet."""
        done = self._next + self._is_pushed()
        return sum(map(len, self._pieces[done:])) + (0 if self._chunk is None else len(self._chunk))

    @property
    def taken(self) -> int:
        """Return how many events came."""
        pushed = self.stream.pushed - self._pushed_before
        return pushed + self.dropped + self.refused + self.waiting

    def stop(self, now: bool = False) -> None:
        """End as if the source had ended, once what has come is run; called from anywhere, a signal's handler too.

        now: without running it; what was sent so far is still given
        """
        self._stopping = True
        if now:
            self._leaving = True

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Outputs:
        while not self._ready:
            if self._ended:
                raise StopIteration
            if self._leaving:
                self._run(self.stream.advance, 0)
                self._ended = True
            elif self._next < len(self._pieces):
                self._feed()
            elif self._chunk is not None:
                self._take(self._chunk)
            else:
                self._pull()
        outputs, self._ready = self._ready[0], self._ready[1:]  # see spikerun.chunks
        return outputs

    def _run(self, call: Callable[..., Outputs], *given: object) -> None:
        """Call the stream and keep what it sends, before anything can come between."""
        self._ready.extend(starmap(call, [given]))

    def _pull(self) -> None:
        """Take what the source has next, or run what is closed without it."""
        before = self._clock_ns()  # what was due by then has come when nothing else does
        if not self._stopping:
            for chunk in self._chunks:
                self._chunk = chunk
                break
        if self._chunk is None:
            self._run(self.stream.flush)
            self._run(self.stream.advance, max(0, self._open + 1 - self.stream.t))  # a dropped bin is a step, too
            self._ended = True
        elif not len(self._chunk):
            self._chunk = None
            if self._wall and self._origin_ns is not None:
                over = int((before - self._grace_ns - self._origin_ns) * (self._pace or 1) // self._bin_ns)  # bins
                self._close(over, self._due_ns((self._open + 1) * self._bin_ns) + self._grace_ns)
            else:
                self._run(self.stream.advance, 0)

    def _take(self, chunk: Chunk) -> None:
        """Cut what came into pieces: each within one bin or, without a clock, of no more steps than are run at once."""
        if not self.stream.pushed:  # what came before, if anything, was refused
            self._settle(int(chunk["t"][0]) * 1000 // self._bin_ns)
        if self._pace is None:
            places = cuts(chunk["t"], STEPS * self._bin_ns // 1000, len(chunk))
        else:
            self._set_clock(int(chunk["t"].max()) * 1000)
            bins = chunk["t"] * 1000 // self._bin_ns
            places = [0, *(np.flatnonzero(bins[1:] != bins[:-1]) + 1).tolist(), len(chunk)]
        pieces = [chunk[a:b] for a, b in pairwise(places)]
        self._pieces, self._next, self._chunk = pieces, 0, None

    def _settle(self, first: int) -> None:
        """Begin near the step of the first event where it is far from 0, unless steps were run already."""
        stream = self.stream
        begin = first - first % stream.net.window if MAX_GAP < first < MAX_T else 0
        if begin != stream.t and stream.t in (0, self._settled):
            saved = stream.snapshot()
            if not saved["pending"].size:
                stream.restore({**saved, "t": np.array(begin)})
                self.first_step = self._settled = begin

    def _set_clock(self, t_ns: int) -> None:
        """Find when time 0 of the events was: the source knows, or it is what the earliest one since then says."""
        assert self._pace is not None
        now = self._clock_ns()
        known = getattr(self._source, "origin_ns", None)
        origin = now - t_ns / self._pace if known is None else known
        if known is None and self._origin_ns is not None:
            slower = getattr(self._source, "drift", 0.0) * (now - self._seen_ns)
            origin = min(origin, self._origin_ns + slower)
        self._origin_ns, self._seen_ns = origin, now

    def _due_ns(self, t_ns: float) -> float:
        """Return when events of a time could be here."""
        assert self._origin_ns is not None and self._pace is not None
        return self._origin_ns + t_ns / self._pace

    def _feed(self) -> None:
        """Give the stream what is kept of the next piece; go on where an interrupt has come between."""
        if self._pieces[self._next] is not self._judged:
            self._decide(self._pieces[self._next])
        if self._is_pushed() or self._push(self._pieces[self._next]):
            self._next += 1

    def _decide(self, piece: Chunk) -> None:
        """Keep of the next piece what there is time for, and note it all at once."""
        keep = self._kept_of(piece)
        lost, losing = len(piece) - keep, self._losing or keep < len(piece)
        bins, goal, piece = self.dropped_bins + (losing and not self._losing), self.stream.pushed + keep, piece[:keep]
        (self._pieces[self._next], self._judged, self._goal, self.dropped, self.dropped_bins, self._losing) = (
            piece, piece, goal, self.dropped + lost, bins, losing
        )  # fmt: skip

    def _is_pushed(self) -> bool:
        """Return whether the next piece is decided on, and the stream has what is kept of it."""
        if self._next >= len(self._pieces) or self._pieces[self._next] is not self._judged:
            return False
        return self.stream.pushed >= self._goal

    def _push(self, piece: Chunk) -> bool:
        """Push a piece, or if there is much silence before it run some of that; return whether it was pushed."""
        silence = int(piece["t"][0]) * 1000 // self._bin_ns - self.stream.t  # steps
        if STEPS < silence <= MAX_GAP:
            self._run(self.stream.advance, STEPS)
            return False
        try:
            self._run(self.stream.push, piece)
        except SpikerunError:
            self.refused, self._next = self.refused + len(piece), self._next + 1
            raise
        return True

    def _kept_of(self, piece: Chunk) -> int:
        """Return how many events of a piece are kept, from its beginning; run the bins before it."""
        t_ns = int(piece["t"][0]) * 1000
        bin = t_ns // self._bin_ns
        if self._pace is None or not self.stream.t <= bin <= max(self.stream.t, self._open) + MAX_GAP:
            return len(piece)  # what is too late, or no time at all, the stream judges
        first, due_ns = bin > self._open, self._due_ns(t_ns)
        if first and self._kept:
            self._close(bin, due_ns)
        keep = self._judge(piece, bin, first)
        if first and keep and self.stream.t < bin:  # steps of bins that were dropped, all in one call
            self._close(bin, due_ns)
            keep = self._judge(piece, bin, first)
        if first:
            self._open, self._kept, self._losing = bin, keep, False
        else:
            self._kept += keep
        return keep

    def _judge(self, piece: Chunk, bin: int, first: bool) -> int:
        now = self._clock_ns()
        newest = int((now - self._due_ns(0)) * (self._pace or 1) // self._bin_ns) - 1
        late = now - self._due_ns((bin + 1) * self._bin_ns)
        return self._policy.kept(Piece(bin, first, len(piece), late, newest))

    def _close(self, bins: int, due_ns: float) -> None:
        """Run all steps before the one numbered `bins`, which could be run from `due_ns` on."""
        begin = self._clock_ns()
        self._run(self.stream.advance, max(0, bins - self.stream.t))
        if self._open < bins and self._kept:
            end = self._clock_ns()
            kept, self._kept = self._kept, 0
            self.lag.add(end - due_ns)
            self._policy.ran(kept, end - begin)


def live(
    stream: Stream,
    source: Iterable[Chunk],
    *,
    warm: int | Mapping[str, npt.NDArray[Any]] = 0,
    pace: float | None = None,
    **how: Any,
) -> Live:
    """Return what drives a stream, begun warm, from a source, which gets a thread of its own if it cannot wait.

    warm: 0: the stream as it is; n: as if the first bin of the source had been there n times before; or a snapshot
    pace, how: as `Live` takes them. A source whose pace is told here is taken for one that cannot wait.
    """
    own = getattr(source, "pace", None)
    if not getattr(source, "waits", True) or (own is None and pace is not None):
        source = Queued(source)
    if isinstance(warm, Mapping):
        stream.restore(warm)
    elif isinstance(warm, bool) or not isinstance(warm, int) or warm < 0:
        raise UsageError(f"warm is how often the first bin is repeated, from 0 on, or a snapshot, got {warm!r:.80}")
    elif warm:
        source = warmed(stream, source, warm)
    return Live(stream, source, pace=own if pace is None else pace, **how)

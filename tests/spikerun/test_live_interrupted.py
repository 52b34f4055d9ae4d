# SPDX-License-Identifier: Apache-2.0
"""Drives that are interrupted, or refuse something, and go on."""

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from linecache import getline
from types import FrameType
from typing import Any

import numpy as np
import pytest
from drives import BIN, SESSION, Chunk, Clock, Slow, driven, evenly, expected, recording

from spikerun import Reading, Spike, sources
from spikerun.errors import DataError
from spikerun.live import Live
from spikerun.queued import Queued

OURS = {sys.modules[f"spikerun.{name}"].__file__ for name in ("chunks", "live", "queued", "sources.paced")}
NO_CALL = re.compile(r"\s*(return|self\._\w+ =) \w+$")  # lines in which Python handles no signal


def test_an_interrupted_source_loses_nothing() -> None:
    events = recording(900, 30_000)

    class Flaky:
        chunks = np.split(events, 9)
        calls = 0

        def __iter__(self) -> Iterator[Chunk]:
            return self

        def __next__(self) -> Chunk:
            self.calls += 1
            if self.calls % 3 == 0:
                raise KeyboardInterrupt
            if not self.chunks:
                raise StopIteration
            return self.chunks.pop(0)

    live, sent = Live(SESSION.stream(), Flaky()), list[Spike | Reading]()
    for _ in range(9):
        try:
            for outputs in live:
                sent += outputs
        except KeyboardInterrupt:
            continue
        break
    assert sent == expected(events)


@pytest.mark.parametrize("taken", [False, True])
@pytest.mark.parametrize("pace", [None, 1.0])
def test_an_interrupted_push_loses_nothing_and_gives_nothing_twice(taken: bool, pace: float | None) -> None:
    events, clock = recording(900, 30_000), Clock()

    class Interrupted(Slow):
        calls = 0

        def push(self, events: Chunk) -> Any:
            self.calls += 1
            if self.calls % 2 and not taken:
                raise KeyboardInterrupt
            sent = super().push(events)
            if self.calls % 2 and not len(sent):  # else it would be this test that lost it
                raise KeyboardInterrupt
            return sent

    live = Live(Interrupted(SESSION.stream(), clock, 0), np.split(events, 9), pace=pace, clock_ns=clock)
    sent = list[Spike | Reading]()
    for _ in range(200):
        try:
            for outputs in live:
                sent += outputs
        except KeyboardInterrupt:
            assert live.taken == live.stream.stats.events + live.waiting
            continue
        break
    assert sent == expected(events)


def interrupting(line: int) -> tuple[Callable[[FrameType, str, Any], Any], list[int]]:
    """Return what raises KeyboardInterrupt before one line of a drive and its sources; and how many came."""
    seen = [0]

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        if frame.f_code.co_filename not in OURS:
            return None
        if event == "line" and not NO_CALL.match(getline(frame.f_code.co_filename, frame.f_lineno)):
            seen[0] += 1
            if seen[0] == line:
                raise KeyboardInterrupt
        return trace

    return trace, seen


def interrupted_at(line: int, live: Live) -> tuple[list[Spike | Reading], bool]:
    """Return what a drive sends that is interrupted once before it goes on, and whether it was."""
    sent = list[Spike | Reading]()
    before = sys.gettrace()
    trace, seen = interrupting(line)
    sys.settrace(trace)
    try:
        while (outputs := next(live, None)) is not None:
            sent += outputs
    except KeyboardInterrupt:
        assert live.taken == live.stream.stats.events + live.waiting + live.dropped
    finally:
        sys.settrace(before)
    return sent + driven(live), seen[0] >= line


def plain(events: Chunk) -> tuple[Iterable[Chunk], dict[str, Any]]:
    return np.split(events, 2), {}


def threaded(events: Chunk) -> tuple[Iterable[Chunk], dict[str, Any]]:
    return Queued(np.split(events, 2), tick=10.0), {}


def timed(events: Chunk) -> tuple[Iterable[Chunk], dict[str, Any]]:
    clock = Clock()
    source = sources.paced(np.split(events, 2), tick_us=BIN, clock_ns=clock, sleep=clock.sleep)
    return source, {"clock_ns": clock, "overload": "drop_bin", "max_lag_us": 1e9}


@pytest.mark.parametrize("opened", [plain, threaded, timed])
def test_an_interrupt_before_any_line_loses_nothing_and_gives_nothing_twice(
    opened: Callable[[Chunk], tuple[Iterable[Chunk], dict[str, Any]]],
) -> None:
    events = recording(30, 2 * BIN)
    for line in count(1):
        source, how = opened(events)
        sent, was = interrupted_at(line, Live(SESSION.stream(), source, **how))
        assert sent == expected(events)
        if not was:
            break
    assert line > 50


def test_a_generator_that_was_interrupted_does_not_end_in_silence() -> None:
    def source() -> Iterator[Chunk]:
        yield evenly(10, 1)
        raise KeyboardInterrupt  # as if it came while this read

    live = Live(SESSION.stream(), source())
    next(live)
    with pytest.raises(KeyboardInterrupt):
        driven(live)
    with pytest.raises(DataError, match="cannot go on"):
        driven(live)
    assert driven(live) == expected(evenly(10, 1))


def test_what_is_refused_is_left_behind() -> None:
    events = recording(300, 30 * BIN)
    wrong = events[:100].copy()
    wrong["x"] = 99
    live = Live(SESSION.stream(), [events[:100], wrong, events[100:]])
    sent = [*next(live)]
    with pytest.raises(DataError, match="outside"):
        next(live)
    assert (live.refused, live.waiting) == (100, 0)
    assert sent + driven(live) == expected(events)
    assert live.taken == 400


def test_a_drive_that_is_left_runs_nothing_more() -> None:
    chunks = np.split(recording(900, 30_000), 9)
    live = Live(SESSION.stream(), chunks)
    next(live)
    done = live.stream.t
    live.stop(now=True)
    assert driven(live) == []
    assert live.stream.t == done

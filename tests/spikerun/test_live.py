# SPDX-License-Identifier: Apache-2.0
"""Streams driven by sources: nothing lost unsaid, lag as promised, by a clock that the test holds."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from drives import BIN, MS, SESSION, SHAPE, Camera, Chunk, Clock, Slow, driven, evenly, expected, recording, ticks
from hypothesis import given, settings
from hypothesis import strategies as st

from spikerun import EVENT, IF, Diagonal, Input, Network, Population, Projection, Reading, Session, Spike
from spikerun.errors import DataError, UsageError
from spikerun.live import Live


def overloaded(
    overload: str, max_lag_us: float | None, load: float = 2.0, bins: int = 200, per_bin: int = 100
) -> tuple[Live, Slow, list[Spike | Reading], Chunk]:
    """Return what came of a camera that sends `load` times as many events as the stream can run."""
    clock, events = Clock(), evenly(per_bin, bins)
    slow = Slow(SESSION.stream(), clock, round(load * BIN * 1000 / per_bin))
    live = Live(slow, Camera(events, clock), overload=overload, max_lag_us=max_lag_us, clock_ns=clock)
    return live, slow, driven(live), events


@settings(max_examples=50)
@given(st.integers(0, 300), st.integers(1, 40_000), st.lists(st.integers(0, 300), max_size=6), st.booleans())
def test_with_nothing_dropped_outputs_are_those_of_push(n: int, duration: int, cuts: list[int], timed: bool) -> None:
    events, clock = recording(n, duration), Clock()
    chunks = np.split(events, sorted(min(cut, n) for cut in cuts))
    live = Live(SESSION.stream(), chunks, pace=1.0 if timed else None, clock_ns=clock)
    assert driven(live) == expected(events)
    assert (live.taken, live.dropped, live.waiting) == (n, 0, 0)


@pytest.mark.parametrize("overload", ["block", "drop_tail", "drop_bin", "latest"])
@settings(max_examples=15)
@given(st.integers(1, 2000), st.integers(0, 2**32))
def test_what_is_sustainable_loses_nothing_and_does_not_depend_on_the_clock(
    overload: str, cost_ns: int, seed: int
) -> None:
    events, clock = recording(100, 20_000, seed), Clock()
    live = Live(Slow(SESSION.stream(), clock, cost_ns), Camera(events, clock), overload=overload, clock_ns=clock)
    assert driven(live) == expected(events)
    assert live.dropped == live.dropped_bins == 0


@pytest.mark.parametrize("overload", ["drop_tail", "drop_bin", "latest"])
@pytest.mark.parametrize("load", [1.5, 2.0, 7.0])
def test_outputs_under_overload_are_those_of_the_events_that_were_kept(overload: str, load: float) -> None:
    live, slow, sent, events = overloaded(overload, None, load)
    kept = np.concatenate(slow.arrays)
    assert live.taken == len(events) == len(kept) + live.dropped
    assert live.dropped > 0
    stream = SESSION.stream()
    last = int(kept["t"][-1]) // BIN + 1
    assert sent == [*stream.push(kept), *stream.flush(), *stream.advance(slow.t - last)]


def kept_by_bin(slow: Slow, bins: int = 200) -> Chunk:
    return np.bincount(np.concatenate(slow.arrays)["t"] // BIN, minlength=bins)


def test_drop_bin_keeps_whole_bins_or_nothing_of_them() -> None:
    live, slow, _, _ = overloaded("drop_bin", 3 * BIN)
    kept = kept_by_bin(slow)
    assert set(kept) == {0, 100}
    assert live.dropped_bins == (kept == 0).sum()
    assert 90 <= live.dropped_bins <= 100  # of 200, at twice what can be run


def test_drop_bin_is_late_by_the_largest_lag_and_the_time_of_one_bin_at_most() -> None:
    live, _, _, _ = overloaded("drop_bin", 3 * BIN)
    assert 3 * BIN * 1000 < live.lag.largest <= (3 + 2) * MS  # a bin takes two


def test_drop_tail_keeps_the_head_of_each_bin() -> None:
    _, slow, _, events = overloaded("drop_tail", 3 * BIN)
    kept = np.concatenate(slow.arrays)
    for number in range(200):
        of_bin = events[events["t"] // BIN == number]
        mine = kept[kept["t"] // BIN == number]
        assert (mine == of_bin[: len(mine)]).all()
    assert set(kept_by_bin(slow)[20:]) <= {49, 50, 51}  # at twice what can be run


def test_drop_tail_is_late_by_the_largest_lag_at_most() -> None:
    live, _, _, _ = overloaded("drop_tail", 3 * BIN)
    assert 2.5 * MS < live.lag.largest <= 3 * MS


def test_latest_goes_on_with_the_newest_bin_that_is_over() -> None:
    live, slow, _, _ = overloaded("latest", 0)
    kept = kept_by_bin(slow)
    assert set(kept) == {0, 100}
    assert not (kept[:-1] & kept[1:])[4:].any()  # each takes two bins, so every second is run
    assert live.lag.largest <= (1 + 2) * MS


def test_block_drops_nothing_and_falls_behind() -> None:
    live, _, _, _ = overloaded("block", None)
    assert live.dropped == 0
    assert live.lag.largest > 150 * MS


def test_time_passes_in_bins_that_are_dropped() -> None:
    _, slow, _, events = overloaded("drop_bin", 0, load=50.0)
    assert slow.t == events["t"][-1] // BIN + 1


def test_on_the_clock_of_the_wall_a_bin_closes_without_another_event() -> None:
    clock, nothing = Clock(), np.zeros(0, EVENT)
    first = evenly(100, 1)
    live = Live(SESSION.stream(), ticks(clock, first, *[nothing] * 3), clock="wall", pace=1.0, clock_ns=clock)
    assert [(next(live), live.stream.t)[1] for _ in range(5)][-1] == 2  # what was due before the last array has come
    assert live.lag.count == 1


def test_bins_that_passed_before_the_first_event_was_taken_were_run_all_the_same() -> None:
    clock, nothing = Clock(), np.zeros(0, EVENT)
    wrong, good = evenly(1, 1), evenly(100, 1)
    wrong["x"], good["t"] = SHAPE[2], good["t"] + 5 * BIN
    chunks = ticks(clock, wrong, *[nothing] * 3, good)
    live = Live(SESSION.stream(), chunks, clock="wall", pace=1.0, clock_ns=clock)
    with pytest.raises(DataError, match="outside"):
        next(live)
    for _ in range(3):
        next(live)
    assert live.stream.t > 0
    driven(live)
    assert live.first_step == 0


def test_on_the_clock_of_events_a_bin_waits_for_another_event() -> None:
    clock, nothing = Clock(), np.zeros(0, EVENT)
    live = Live(SESSION.stream(), ticks(clock, evenly(100, 1), *[nothing] * 3), pace=1.0, clock_ns=clock)
    assert [(next(live), live.stream.t)[1] for _ in range(4)][-1] == 0


def test_grace_lets_the_clock_close_bins_later() -> None:
    clock, nothing = Clock(), np.zeros(0, EVENT)
    chunks = ticks(clock, evenly(100, 1), *[nothing] * 5)
    live = Live(SESSION.stream(), chunks, clock="wall", pace=1.0, grace_us=3 * BIN, clock_ns=clock)
    assert [(next(live), live.stream.t)[1] for _ in range(7)][-1] == 1


def test_an_event_behind_the_clock_is_late() -> None:
    clock, nothing = Clock(), np.zeros(0, EVENT)
    chunks = ticks(clock, evenly(100, 1), *[nothing] * 5, evenly(100, 1))
    with pytest.raises(DataError, match="done already"):
        driven(Live(SESSION.stream(), chunks, clock="wall", pace=1.0, clock_ns=clock))


def test_the_clock_of_a_camera_may_be_slower_than_ours() -> None:
    clock, slower = Clock(), 1.0001

    def camera() -> Iterator[Chunk]:
        for k in range(600):  # a minute
            clock.ns += round(100 * MS * slower)
            yield recording(2, 1, seed=k) if k % 2 else evenly(1, 1)

    class Drifting:
        pace, drift = 1.0, 2e-4

        def __iter__(self) -> Iterator[Chunk]:
            for k, chunk in enumerate(camera()):
                chunk["t"] += k * 100_000
                yield chunk

    live = Live(SESSION.stream(), Drifting(), overload="drop_bin", max_lag_us=500, clock_ns=clock)
    driven(live)
    assert live.dropped == 0


def test_where_time_begins_is_not_decided_by_an_array_that_is_refused() -> None:
    events, wrong = recording(300, 20_000), np.zeros(1, EVENT)
    wrong["t"], wrong["x"] = 10**14, 1000
    live = SESSION.live([wrong, events])
    with pytest.raises(DataError, match="outside"):
        next(live)
    assert driven(live) == expected(events)
    assert (live.refused, live.stream.pushed) == (1, 300)


def test_a_time_far_ahead_is_refused_and_not_waited_for() -> None:
    events, clock = evenly(2, 1), Clock()
    events["t"][1] = 2**52
    with pytest.raises(DataError, match="steps ahead"):
        driven(Live(SESSION.stream(), [events], pace=1.0, clock_ns=clock))


def test_late_events_are_counted_beside_the_others() -> None:
    early, later = evenly(100, 2), evenly(100, 1)
    live = SESSION.live([early, later], late="drop")
    driven(live)
    assert (live.taken, live.stream.stats.events, live.stream.stats.dropped) == (300, 300, 100)


def test_a_drive_that_is_stopped_runs_what_has_come() -> None:
    chunks = iter(np.split(events := recording(900, 30_000), 9))
    live = Live(SESSION.stream(), chunks)
    sent = [*next(live), *next(live)]
    live.stop()
    assert sent + driven(live) == expected(events[:200])
    assert (live.taken, live.waiting) == (200, 0)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"clock": "sun"}, "unknown clock 'sun'"),
        ({"overload": "panic"}, "unknown overload 'panic'"),
        ({"overload": "latest"}, "need a source that comes in time"),
        ({"clock": "wall"}, "need a source that comes in time"),
        ({"max_lag_us": 5.0}, "overload='block' drops nothing"),
        ({"overload": "latest", "pace": 1.0, "max_lag_us": -1}, "max_lag_us must be a number"),
        ({"grace_us": float("nan")}, "grace_us must be a number"),
        *(({"pace": pace}, "pace is how many times as fast") for pace in (-1.0, 0, float("nan"), "1", True)),
        ({"overload": []}, "unknown overload"),
        ({"warm": -1}, "warm is how often the first bin is repeated"),
    ],
)
def test_choices_that_make_no_sense_are_refused(how: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        SESSION.live([], **how)


@pytest.mark.parametrize("how", [{}, {"warm": 2}, {"pace": 1e6}])
def test_a_source_may_give_what_push_takes(how: dict[str, Any]) -> None:
    events = recording(300, 20_000)
    others = events.astype([("ts", "i8"), ("x", "i4"), ("y", "i4"), ("on", "?")])
    ours, theirs = (driven(SESSION.live(np.array_split(one, 7), **how)) for one in (events, others))
    assert theirs == ours
    assert ours == expected(events) or "warm" in how


@pytest.mark.parametrize("how", [{}, {"pace": 1e6}])
@pytest.mark.parametrize(
    "wrong",
    [
        *(np.zeros(3), 5, np.zeros(3, [("step", "i8"), ("index", "i8")]), np.ma.zeros(3, EVENT)),
        *(np.zeros((2, 2), EVENT), np.zeros((), EVENT), np.zeros((3, 0))),
    ],
)
def test_what_is_no_array_of_events_is_refused_and_left_behind(wrong: Any, how: dict[str, Any]) -> None:
    events = recording(300, 20_000)
    live = SESSION.live(iter([events[:100], wrong, events[100:]]), **how)
    sent, refused = list[Spike | Reading](), 0
    while not refused:
        try:
            sent += next(live)
        except DataError:
            refused += 1
    if not how:  # a thread ends there
        assert sent + driven(live) == expected(events)


def test_a_source_is_iterable() -> None:
    for how in ({}, {"pace": 1.0}):
        with pytest.raises(UsageError, match="a source is an iterable of arrays of events, got 5"):
            next(SESSION.live(5, **how))  # type: ignore[arg-type]


class Expensive(Slow):
    """A stream that takes two bins for each call, and nothing for steps without events."""

    def advance(self, steps: int) -> Any:
        self.clock.ns += 2 * MS
        return super().advance(steps)


@pytest.mark.parametrize("overload", ["drop_bin", "latest"])
@settings(max_examples=10)
@given(st.integers(1, 20), st.integers(20, 100))
def test_lag_is_bounded_where_steps_without_events_cost_nothing(overload: str, per_bin: int, bins: int) -> None:
    clock, events = Clock(), evenly(per_bin, bins)
    stream = Expensive(SESSION.stream(), clock, 0)
    live = Live(stream, Camera(events, clock), overload=overload, max_lag_us=3 * BIN, clock_ns=clock)
    driven(live)
    assert 0 < live.lag.largest <= (3 + 2 * 2) * MS
    assert live.dropped < len(events)


def test_a_recording_of_much_silence_is_run_whatever_it_spans() -> None:
    populations = {"in": Population(SHAPE, Input(1, "spikes")), "out": Population(SHAPE, IF(np.int32(1)))}
    net = Network(populations, [Projection("in", "out", Diagonal(np.int32(1)))], ["out"], 4)
    session, events = Session(net, threads=1), recording(60, 12_000_000)
    sent = driven(session.live([events], step_us=1))
    assert [item.step for item in sent] == events["t"].tolist()
    with pytest.raises(DataError, match="push less at once"):
        session.stream(1).push(events)


@pytest.mark.parametrize("warm", [0, 1])
def test_lag_is_that_of_a_source_which_knows_when_its_time_began(warm: int) -> None:
    clock, events = Clock(), evenly(5, 6)

    class Behind:
        pace, origin_ns = 1.0, clock.ns - 100 * MS

        def __iter__(self) -> Iterator[Chunk]:
            yield from np.split(events, 6)

    live = SESSION.live(Behind(), warm=warm, clock_ns=clock)
    driven(live)
    assert live.lag.largest >= 90 * MS

# SPDX-License-Identifier: Apache-2.0
"""Recordings at the speed of a clock that the test holds."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikerun import EVENT
from spikerun.errors import UsageError
from spikerun.sources import paced

Chunk = np.ndarray[Any, Any]


class Clock:
    """A clock that stands still until somebody sleeps, and counts how often."""

    def __init__(self) -> None:
        self.ns, self.sleeps = 7_000_000_000, 0

    def __call__(self) -> int:
        return self.ns

    def sleep(self, seconds: float) -> None:
        self.ns += round(seconds * 1e9)
        self.sleeps += 1


def at(*t: int) -> Chunk:
    events = np.zeros(len(t), EVENT)
    events["t"] = t
    return events


def replayed(chunks: list[Chunk], pace: float, busy_ns: int = 0) -> list[tuple[int, list[int]]]:
    """Return when each array came, in microseconds since the first event was due, and its times."""
    clock = Clock()
    source = paced(chunks, pace, clock_ns=clock, sleep=clock.sleep)
    found = []
    for chunk in source:
        assert source.origin_ns is not None
        found.append((round((clock.ns - 7_000_000_000) / 1000), chunk["t"].tolist()))
        clock.ns += busy_ns
    return found


def test_events_come_at_the_tick_after_their_time() -> None:
    assert replayed([at(0, 400, 999, 1000), at(2500)], 1.0) == [
        (0, [0]),
        (1000, [400, 999, 1000]),
        (2000, []),
        (3000, [2500]),
    ]


def test_time_begins_with_the_first_event() -> None:
    assert replayed([at(10_500, 10_900, 11_600)], 1.0) == [(0, [10_500]), (500, [10_900]), (1500, [11_600])]


def test_pace_is_how_many_times_as_fast_it_goes() -> None:
    assert replayed([at(0, 4000, 20_000)], 10.0) == [(0, [0]), (1000, [4000]), (2000, [20_000])]


def test_a_reader_that_is_late_gets_all_that_is_due_at_once() -> None:
    assert replayed([at(0, 1000, 2000, 3000, 9000)], 1.0, busy_ns=5_000_000)[1] == (5000, [1000, 2000, 3000])


@given(st.lists(st.integers(0, 30_000), min_size=1, max_size=50), st.floats(0.3, 30), st.integers(0, 3_000_000))
def test_all_events_come_in_their_order_and_none_too_early(times: list[int], pace: float, busy_ns: int) -> None:
    times.sort()
    found = replayed([at(*times)], pace, busy_ns)
    assert [t for _, chunk in found for t in chunk] == times
    assert all((t - times[0]) / pace <= when + 1 for when, chunk in found for t in chunk)


@pytest.mark.parametrize("pace", [0, -1.0, float("nan"), float("inf"), True, "fast"])
def test_a_pace_that_is_none_is_refused(pace: Any) -> None:
    with pytest.raises(UsageError, match="pace is how many times as fast"):
        paced([], pace)


def test_a_clock_that_stands_just_before_a_tick_goes_on() -> None:
    assert [t for _, chunk in replayed([at(*range(0, 30_000, 7))], 1 / 3, busy_ns=333_333) for t in chunk][-1] == 29_995

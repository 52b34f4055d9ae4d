# SPDX-License-Identifier: Apache-2.0
"""Drives that do not begin at rest, or at time 0."""

import numpy as np
import pytest
from drives import BIN, SESSION, driven, expected, recording
from hypothesis import given, settings
from hypothesis import strategies as st

from spikerun.errors import DataError

UNIX = 1_700_000_000_000_000  # microseconds, whole windows


@settings(max_examples=40)
@given(st.integers(1, 5), st.integers(0, 7), st.integers(1, 3))
def test_a_warm_start_is_as_if_the_first_bin_had_been_there_before(times: int, first: int, pieces: int) -> None:
    events = recording(120, 3 * BIN)
    head = events[events["t"] < BIN]
    before = []
    for k in range(times):
        before.append(head.copy())
        before[-1]["t"] += k * BIN
    longer = events.copy()
    longer["t"] += times * BIN
    events["t"] += first * BIN
    phase = (first - times) % 4  # of the window
    stream = SESSION.stream()
    stream.advance(phase)
    if before:
        early = np.concatenate(before)
        early["t"] += phase * BIN
        stream.push(early)
    stream.advance(times - (stream.t - phase))
    longer["t"] += phase * BIN
    cold = [*stream.push(longer), *stream.flush()]
    shift = first - times - phase
    live = SESSION.live(np.array_split(events, pieces), warm=times)
    assert driven(live) == [item._replace(step=item.step + shift) for item in cold]


def test_a_warm_start_from_a_snapshot_goes_on_where_it_was_taken() -> None:
    events = recording(500, 20 * BIN)
    stream = SESSION.stream()
    first = stream.push(events[:200])
    live = SESSION.live([events[200:]], warm=stream.snapshot())
    assert first + driven(live) == expected(events)


def test_a_recording_in_unix_time_begins_with_its_first_window() -> None:
    events = recording(500, 20 * BIN)
    events["t"] += 2 * BIN
    later = events.copy()
    later["t"] += UNIX
    live = SESSION.live([later])
    assert driven(live) == [item._replace(step=item.step + UNIX // BIN) for item in expected(events)]
    assert live.first_step == UNIX // BIN


def test_a_stream_that_has_begun_does_not_jump() -> None:
    events = recording(500, 20 * BIN)
    events["t"] += UNIX
    stream = SESSION.stream()
    stream.advance(1)
    with pytest.raises(DataError, match="steps ahead"):
        driven(SESSION.live([events], warm=stream.snapshot()))

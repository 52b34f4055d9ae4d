# SPDX-License-Identifier: Apache-2.0
"""One dtype of events, made of those that users have, and checked."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikerun import EVENT, as_events
from spikerun.errors import DataError, UsageError

ROWS = [(5, 3, 1, 1), (5, 0, 2, 0), (9, 3, 2, 1)]  # t, x, y, p
FAERY = [("t", "<u8"), ("x", "<u2"), ("y", "<u2"), (("p", "on"), "?")]
TONIC = [("x", "<i2"), ("y", "<i2"), ("t", "<i8"), ("p", "?")]
METAVISION = [("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")]
DV = [("timestamp", "<i8"), ("x", "<i2"), ("y", "<i2"), ("polarity", "i1")]
AEDAT = [("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("on", "?")]
OTHERS = {"faery": FAERY, "tonic": TONIC, "metavision": METAVISION, "dv": DV, "aedat": AEDAT}


def events(rows: Any = ROWS, dtype: Any = EVENT) -> np.ndarray[Any, Any]:
    """Return an array of events (t, x, y, p) whose fields begin with these letters, or are called on."""
    made = np.zeros(len(rows), dtype)
    for name in made.dtype.names or ():
        made[name] = [row["txyp".index(name[0].replace("o", "p"))] for row in rows]
    return made


def test_an_event_has_16_bytes_of_which_time_comes_first() -> None:
    assert (EVENT.itemsize, EVENT.alignment, EVENT.names) == (16, 8, ("t", "x", "y", "p"))
    made = np.array([(2, 3, 4, 1)], EVENT)
    assert made.tobytes()[:13] == bytes([2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 4, 0, 1])


@pytest.mark.parametrize("who", OTHERS)
def test_events_of_others_become_ours(who: str) -> None:
    found = as_events(events(dtype=OTHERS[who]), (2, 3, 4))
    assert (found.dtype, found.tolist()) == (EVENT, ROWS)


def test_events_that_are_ours_already_are_not_copied() -> None:
    mine = events()
    assert as_events(mine) is mine
    assert as_events(mine[::2]).tolist() == ROWS[::2]


def test_polarities_of_minus_one_become_zero() -> None:
    given = events([(t, x, y, 2 * p - 1) for t, x, y, p in ROWS], METAVISION)
    assert as_events(given, (2, 3, 4)).tolist() == ROWS


def test_no_events_are_events() -> None:
    assert as_events(events([], DV), (2, 3, 4)).tolist() == []


def test_a_shape_of_many_channels_has_so_many_polarities() -> None:
    assert as_events(events([(0, 0, 0, 7)]), (8, 1, 1))["p"].tolist() == [7]


@given(
    st.lists(st.tuples(*[st.integers(0, 2**12)] * 3, st.integers(0, 1)), max_size=20), st.sampled_from(sorted(OTHERS))
)
def test_every_event_keeps_its_values(rows: list[tuple[int, int, int, int]], who: str) -> None:
    rows.sort(key=lambda row: row[0])
    assert as_events(events(rows, OTHERS[who])).tolist() == rows


OLD = [("t", "f8"), ("x", "u2"), ("y", "u2"), ("p", "u1")]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.zeros((3, 4)), r"structured array \(events,\) with the fields t, x, y, p, got float64 \(3, 4\)"),
        ([1, 2], r"structured array .* got \[1, 2\]"),
        ([[1], [1, 2]], "structured array .*inhomogeneous"),
        (np.ma.array(events()), "events have a mask"),
        (np.zeros(2, [("t", "i8"), ("x", "u2")]), "lack the field y, and p or polarity or on or pol; they have t, x"),
        (events(dtype=OLD), r"the field t of events must hold integers, got float64: .*np.rint\(seconds \* 1e6\)"),
        (events(dtype=[("t", "?"), *OLD[1:]]), "the field t of events must hold integers, got bool"),
        (events(dtype=[("t", "i8"), ("x", "f4"), *OLD[2:]]), "the field x of events must hold integers, got float32$"),
        (
            events([(5, 0, 0, 0), (4, 1, 2, 1)]),
            r"event 1 \(t = 4, x = 1, y = 2, p = 1\) lies before .* of 5 us: events",
        ),
        (events([(-1, 0, 0, 0)]), r"event 0 \(t = -1, .*\) lies before 0 us: times are integers of microseconds"),
        (events([(1, 0, 0, 0), (2**53, 0, 0, 0)]), "event 1 .* lies at 2.53 us or later"),
        (events([(1, 0, 0, 0), (2**64 - 1, 0, 0, 0)], FAERY), "event 1 .* lies at 2.53 us or later"),
        (events([(1, 4, 0, 0)]), r"event 0 .* lies outside of the frame \(2, 3, 4\)$"),
        (events([(1, 3, 2, 0), (1, 0, 3, 0)]), r"event 1 .* lies outside of the frame \(2, 3, 4\)$"),
        (events([(1, -1, 2, 0)], TONIC), r"event 0 .* lies outside of the frame"),
        (events([(1, 0, 0, 2)]), r"event 0 .* lies outside of the frame .*: polarities are channels, 0 or 1"),
        (events([(1, 0, 0, -2)], DV), r"event 0 .* lies outside of the frame .*: polarities are channels, 0 or 1"),
        (events([(1, 0, 0, -1), (1, 0, 0, 0)], DV), "event 1 .* has polarity 0 where others have -1"),
    ],
)
def test_what_is_wrong_is_refused_by_its_event(given: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        as_events(given, (2, 3, 4))


@pytest.mark.parametrize("value", [2, 255])
def test_without_a_shape_there_are_two_polarities(value: int) -> None:
    with pytest.raises(DataError, match=r"event 0 .* lies outside of any sensor: polarities are channels, 0 or 1"):
        as_events(events([(1, 0, 0, value)]))


def test_columns_that_no_sensor_has_are_refused() -> None:
    given = np.array([(1, 70_000, 0, 0)], [("t", "i8"), ("x", "i4"), ("y", "i4"), ("p", "i4")])
    with pytest.raises(DataError, match=r"x = 70000, y = 0, p = 0. lies outside of any sensor"):
        as_events(given)


@pytest.mark.parametrize("shape", [(3, 4), (2, 0, 4), (2, 3.5, 4), 5])
def test_a_shape_that_is_none_is_a_wrong_use(shape: Any) -> None:
    with pytest.raises(UsageError, match=r"events lie in a shape \(C, H, W\) of positive integers"):
        as_events(events(), shape)

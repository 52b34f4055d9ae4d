# SPDX-License-Identifier: Apache-2.0
"""What is kept of a bin, by policy."""

import pytest

from spikerun.overload import OVERLOAD, Piece, Policy


def policy(name: str, max_lag_ns: float = 1005, each_ns: float = 10) -> Policy:
    """Return a policy that has seen bins of 100 events take some time for each of them."""
    found = OVERLOAD[name](max_lag_ns)
    for _ in range(50):
        found.ran(100, 100 * each_ns)
    return found


def piece(number: int = 5, late_ns: float = 0, events: int = 150, first: bool = True, newest: int = 4) -> Piece:
    return Piece(number, first, events, late_ns, newest)


@pytest.mark.parametrize("late_ns", [0, 10**9])
def test_block_keeps_all(late_ns: float) -> None:
    assert policy("block").kept(piece(late_ns=late_ns)) == 150


@pytest.mark.parametrize(("late_ns", "kept"), [(-500, 100), (0, 100), (400, 60), (1005, 1), (1006, 0)])
def test_drop_tail_keeps_what_can_be_run_in_time(late_ns: float, kept: int) -> None:
    assert policy("drop_tail").kept(piece(late_ns=late_ns)) == kept


def test_drop_tail_counts_the_pieces_of_a_bin_together() -> None:
    tail = policy("drop_tail")
    assert [tail.kept(piece(events=40, first=k == 0)) for k in range(4)] == [40, 40, 20, 0]
    assert tail.kept(piece(6, events=40)) == 40


def test_drop_tail_follows_what_events_cost_lately() -> None:
    tail = policy("drop_tail", each_ns=10)
    for _ in range(50):
        tail.ran(100, 100 * 40)
    assert tail.kept(piece()) == 25


def test_drop_tail_keeps_one_event_where_each_takes_too_long_so_that_it_learns_of_a_change() -> None:
    assert policy("drop_tail", each_ns=10**6).kept(piece()) == 1


def test_drop_tail_keeps_all_where_it_has_seen_none() -> None:
    assert OVERLOAD["drop_tail"](1000).kept(piece()) == 150


def test_drop_bin_decides_for_a_whole_bin() -> None:
    whole = policy("drop_bin")
    assert [whole.kept(piece(late_ns=1006)), whole.kept(piece(late_ns=0, first=False))] == [0, 0]
    assert [whole.kept(piece(6, late_ns=1005)), whole.kept(piece(6, late_ns=1006, first=False))] == [150, 150]


def test_latest_leaves_all_before_the_newest_bin_that_is_over() -> None:
    newest = policy("latest")
    assert newest.kept(piece(5, late_ns=1005, newest=9)) == 150
    assert [newest.kept(piece(k, late_ns=1006, newest=9)) for k in range(6, 10)] == [0, 0, 0, 150]
    assert newest.kept(piece(10, late_ns=1006, newest=10)) == 150

# SPDX-License-Identifier: Apache-2.0
"""Contestants run in turns, and what each runs before does not count."""

import pytest

from spikerun.commands.turns import TURN, latencies


@pytest.mark.parametrize("warm_up", [0, 1, TURN])
def test_a_runner_runs_its_samples_after_those_that_warm_it_up(warm_up: int) -> None:
    runs: list[tuple[int, int]] = []
    done: list[int] = []
    turns = latencies({"one": lambda first, end: runs.append((first, end))}, 5, TURN + 3, 1, done.append, warm_up)
    expected = [k % 5 for k in range(-warm_up, TURN + 3)]
    assert runs == [(k, k + 1) for k in expected]
    assert [len(turn) for turn in turns["one"]] == [TURN, 3] and sum(done) == TURN + 3

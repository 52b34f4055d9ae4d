# SPDX-License-Identifier: Apache-2.0
"""What a session says of a run: operation by operation, before it and after."""

import json
import logging

import numpy as np
import pytest
from networks import random_inputs, random_network

from spikerun import Network, Population, Projection, Session
from spikerun.connections import Dense
from spikerun.kernels.executor import Choice, Cost, Seen
from spikerun.neurons import FewSpikes, Input, Readout
from spikerun.plan import Row


@pytest.fixture(scope="module")
def net() -> Network:
    """Return 40 inputs, 30 words, 5 outputs."""
    rng = np.random.default_rng(0)
    populations = {
        "in": Population((40,), Input(4)),
        "h": Population((30,), FewSpikes(4, np.int32(200))),
        "out": Population((5,), Readout()),
    }
    weights = [rng.integers(-9, 10, shape).astype(np.int8) for shape in ((40, 30), (30, 5))]
    projections = [Projection(a, b, Dense(w)) for a, b, w in zip(("in", "h"), ("h", "out"), weights, strict=True)]
    return Network(populations, projections, ["out"], 4)


def test_a_plan_has_a_row_for_each_operation_of_the_program(net: Network) -> None:
    plan = Session(net, threads=1).plan
    assert [(row.population, row.operation) for row in plan] == [
        ("in", "count"), ("h", "fill"), ("h", "dense 40 -> 30"), ("h", "fire"), ("h", "count"),
        ("out", "fill"), ("out", "dense 30 -> 5"),
    ]  # fmt: skip
    assert len(plan) == 7 and plan[-1] == plan.rows[-1] and [row.population for row in plan.maps] == ["h", "out"]
    assert {row.passes for row in plan} == {1}
    assert plan.layouts == {"h": [("dense", 1200)], "out": [("dense", 150)]}


@pytest.mark.parametrize("kernels", ["event", "dense", "auto"])
def test_after_runs_the_plan_says_how_active_the_inputs_were(net: Network, kernels: str) -> None:
    session = Session(net, threads=1, kernels=kernels)
    x = np.zeros((3, 40), np.uint8)
    x[:, :10] = 5
    assert [row.active for row in session.plan.maps] == [None, None]
    for _ in range(40):  # where nothing is to be chosen, one run in 32 is looked at
        session.run(x)
    first = session.plan.maps[0]
    assert first.active == 0.25 and first.choice is not None and first.choice.seen is not None
    assert first.choice.seen.runs == 120
    assert first.choice.seen.event == {"event": 120, "dense": 0}.get(kernels, first.choice.seen.event)


def test_times_are_expected_by_the_cost_of_the_kernel_that_runs() -> None:
    cost = Cost((10, 50), (1.0, 5.0), 4.0)
    row = Row("h", "dense 100 -> 5", 3, Choice(2, "", "", 100, cost.cut(100), cost=cost))
    assert [row.us(activity) for activity in (0.1, 0.3, 0.4, 0.9)] == pytest.approx([3.0, 9.0, 12.0, 12.0])
    always = Row("h", "dense 100 -> 5", 1, Choice(2, "", "", 100, 0, cost=cost))
    assert always.us(0.0) == 4.0
    assert Row("h", "fire", 1).us(0.1) is None and Row("h", "fire", 1).active is None
    assert Row("h", "dense", 1, Choice(2, "", "asked for", 100, 100, seen=Seen(4, 4, 25.0))).active == 0.25


def test_passes_are_those_of_a_whole_run(net: Network) -> None:
    plan = Session(net, threads=1, schedule="stepped").plan
    passes = {(row.population, row.operation): row.passes for row in plan}
    assert (passes["h", "dense 40 -> 30"], passes["h", "send"], passes["h", "latch"]) == (8, 4, 1)
    assert "schedule 'stepped': 8 passes of" in plan.title


def test_as_text_a_plan_is_a_table(net: Network) -> None:
    session = Session(net, threads=1)
    before = str(session.plan).splitlines()
    assert before[0] == "a run, schedule 'blocked': 1 pass of 7 operations"
    assert before[2].split() == ["into", "operation", "passes", "kernel", "layout", "bytes", "active", "us"]
    assert "for 10% of active inputs" in before[-1]
    session.run(np.ones((1, 40), np.uint8))
    after = str(session.plan).splitlines()
    assert "100.0%" in after[5] and "dense" in after[5] and "1,200" in after[5]
    assert "for the activity seen" in after[-1]


def test_choices_are_in_the_log(net: Network, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "spikerun"):
        Session(net, threads=1, kernels="dense")
    assert "h: dense 40 -> 30: dense, 1,200 bytes of weights in the layout 'dense' (asked for)" in caplog.messages


def test_what_passed_is_added_up_over_threads() -> None:
    net = random_network(3, "words")
    x = random_inputs(net, 3, 64, 0.5)
    session = Session(net, threads=3)
    session.run(x)
    assert {row.choice.seen.runs for row in session.plan.maps if row.choice and row.choice.seen} == {64}


def test_the_command_shows_the_plan_of_its_run(
    net: Network, tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    from pathlib import Path

    from spikerun.cli import main
    from spikerun.file import save

    folder = Path(str(tmp_path))
    file = str(save(net, folder / "net.snn"))
    np.savez(folder / "x.npz", samples=np.full((40, 40), 3, np.uint8))
    assert main(["run", file, "--data", str(folder / "x.npz"), "--plan", "--quiet"]) == 0
    assert "a run, schedule 'blocked'" in capsys.readouterr().out
    assert main(["run", file, "--data", str(folder / "x.npz"), "--plan", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)["plan"]
    assert (first["into"], first["bytes"], first["active"], first["passes"]) == ("h", 1200, 1.0, 1)
    assert first["expected_us"] > 0 and second["into"] == "out"
    assert main(["run", file, "--data", str(folder / "x.npz"), "--json"]) == 0
    assert "plan" not in json.loads(capsys.readouterr().out)

# SPDX-License-Identifier: Apache-2.0
"""The cost model: where the two kernels take the same time, and which layout takes the least."""

import numpy as np
import pytest

from spikerun.kernels.cpu import cost
from spikerun.kernels.cpu.cost import calibrate, costs, fastest
from spikerun.kernels.cpu.maps import Candidate
from spikerun.kernels.cpu.native import Linear
from spikerun.kernels.executor import Cost


@pytest.mark.parametrize(
    ("active", "event", "dense", "expected"),
    [
        ((10, 20, 30), (2.0, 3.0, 4.0), 3.5, 25),
        ((10, 20, 30), (2.0, 3.0, 4.0), 2.0, 10),
        ((10, 20, 30), (2.0, 3.0, 4.0), 1.5, 5),  # on the line that goes on below what was timed
        ((10, 20, 30), (2.0, 3.0, 4.0), 0.5, 0),
        ((10, 20, 30), (2.0, 3.0, 4.0), 60.0, 100),
        ((10, 20, 30), (3.0, 3.0, 3.0), 3.0, 100),
        ((10, 20, 30), (3.0, 3.0, 3.0), 2.0, 0),
        ((10, 20, 30), (1.0, 2.0, 12.0), 7.0, 25),  # a bend: no line goes through all of it
        ((10, 20, 30), (1.0, 5.0, 2.0), 3.0, 15),  # a hump: dense from where it begins
        ((100,), (1.0,), 2.0, 100),
        ((100,), (3.0,), 2.0, 0),
    ],
)
def test_the_cut_is_where_events_take_as_long_as_dense(
    active: tuple[int, ...], event: tuple[float, ...], dense: float, expected: int
) -> None:
    assert Cost(active, event, dense).cut(100) == expected


def test_times_between_and_below_the_measured_ones_lie_on_a_line() -> None:
    found = Cost((10, 20), (2.0, 4.0), 9.0)
    assert [found.event_driven(active) for active in (0, 5, 10, 15, 20, 99)] == [0.0, 1.0, 2.0, 3.0, 4.0, 4.0]


def test_calibration_gives_times_for_each_map() -> None:
    rng = np.random.default_rng(0)
    sizes = (1, 7, 300)
    maps = [Linear.dense(rng.integers(-128, 128, (n, 20)).astype(np.int8)) for n in sizes]
    for (which, found), n in zip(calibrate([Candidate([one], 255) for one in maps]), sizes, strict=True):
        assert which == 0 and 0 <= found.cut(n) <= n
        assert found.active[0] >= 1 and found.active[-1] <= n and sorted(set(found.active)) == list(found.active)
        assert min(found.event) > 0 and found.dense > 0


def test_the_words_that_are_timed_are_as_large_as_those_of_the_map() -> None:
    for largest in (1, 31, 255, 2**15 - 1, 2**31):
        words = cost._Inputs(5000, largest).of(5000)
        assert min(x.min() for x in words) >= 1 and max(x.max() for x in words) <= min(largest, 2**15 - 1)
        assert largest == 1 or max(x.max() for x in words) > min(largest, 2**15 - 1) / 3


def test_inputs_of_higher_activity_hold_those_of_lower() -> None:
    inputs = cost._Inputs(1000, 31)
    for few, many in zip(inputs.of(50), inputs.of(400), strict=True):
        assert np.count_nonzero(few) == 50 and np.count_nonzero(many) == 400
        assert (many[few != 0] == few[few != 0]).all()


def test_a_budget_that_is_too_small_still_times_all() -> None:
    linear = Linear.dense(np.ones((300, 300), np.int8))
    ((found,),) = costs([Candidate([linear], 15)], budget=0.0)
    assert found.event[0] < found.event[-1]


def test_a_layout_must_save_a_tenth_over_all_activities() -> None:
    active = (10, 30, 60)
    dense = Cost(active, (1.0, 4.0, 8.0), 6.0)
    assert fastest([dense, Cost(active, (0.5, 3.8, 7.0), 6.0)]) == 0
    assert fastest([dense, Cost(active, (0.9, 2.0, 5.0), 9.0), Cost(active, (1.5, 1.5, 1.5), 1.5)]) == 2


def test_a_layout_that_is_far_faster_is_found_by_measuring() -> None:
    weight = np.zeros((2048, 2048), np.int8)
    weight[::7, :16] = 1
    ((which, _),) = calibrate([Candidate([Linear.dense(weight), Linear.blocks(weight)], 15)])
    assert which == 1


def test_a_calibration_that_takes_long_is_said(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps = [Candidate([Linear.dense(np.ones((30, 30), np.int8))], 15)]
    calibrate(maps)
    assert not [r for r in caplog.records if r.levelname == "WARNING"]
    monkeypatch.setattr(cost, "LONG", 0.0)
    calibrate(maps)
    (said,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert "timing 1 layer" in said

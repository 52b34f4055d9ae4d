# SPDX-License-Identifier: Apache-2.0
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikerun.errors import DataError
from spikerun.streaming_accuracy import NO_CLASS, streaming_accuracy

TRUTHS: dict[str, Any] = {"times": [5, 10, 15, 20], "labels": [1, 1, 2, 2]}
OUTPUTS: dict[str, Any] = {"seen": [4, 10, 14], "ready": [6, 10, 18], "classes": [1, 0, 2]}
times = st.lists(st.integers(0, 200), min_size=1, max_size=20).map(sorted)


@st.composite
def cases(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return ground truths, and outputs that are ready as soon as they have seen something."""
    t, seen = draw(times), draw(times)
    labels = draw(st.lists(st.integers(0, 2), min_size=len(t), max_size=len(t)))
    classes = draw(st.lists(st.integers(NO_CLASS, 2), min_size=len(seen), max_size=len(seen)))
    return {"times": t, "labels": labels}, {"seen": seen, "ready": seen, "classes": classes}


def test_each_ground_truth_is_compared_with_the_latest_output_that_is_ready() -> None:
    found = streaming_accuracy(**TRUTHS, **OUTPUTS)
    # online none, second (just), second, third; offline first, second, third, third
    assert (found.truths, found.online, found.offline, found.unanswered) == (4, 0.25, 0.75, 1)
    latency = (found.latency_mean_us, found.latency_p50_us, found.latency_p99_us)
    assert latency == pytest.approx((2, 2, 3.96))


def test_an_output_without_a_class_takes_the_place_of_the_one_before_and_is_wrong() -> None:
    found = streaming_accuracy([1, 3], [0, 0], [0, 2], [0, 2], [0, NO_CLASS])
    assert (found.online, found.unanswered) == (0.5, 0)


def test_a_label_without_a_class_is_never_met() -> None:
    assert streaming_accuracy([1], [NO_CLASS], [0], [0], [NO_CLASS]).online == 0


def plainly(times: list[int], labels: list[int], by: list[int], classes: list[int]) -> float:
    """Return the share of labels that the latest output has, by its definition."""
    right = 0
    for time, label in zip(times, labels, strict=True):
        there = [said for when, said in zip(by, classes, strict=True) if when <= time]
        right += bool(there) and there[-1] == label
    return right / len(times)


@given(cases(), st.data())
def test_it_is_what_the_definition_says(case: tuple[dict[str, Any], dict[str, Any]], data: st.DataObject) -> None:
    truths, outputs = case
    seen, classes = outputs["seen"], outputs["classes"]
    delays = data.draw(st.lists(st.integers(0, 50), min_size=len(seen), max_size=len(seen)))
    ready = np.maximum.accumulate(np.array(seen) + delays).tolist()
    found = streaming_accuracy(**truths, seen=seen, ready=ready, classes=classes)
    assert found.online == pytest.approx(plainly(**truths, by=ready, classes=classes))
    assert found.offline == pytest.approx(plainly(**truths, by=seen, classes=classes))


@given(cases())
def test_without_latency_online_is_offline(case: tuple[dict[str, Any], dict[str, Any]]) -> None:
    truths, outputs = case
    found = streaming_accuracy(**truths, **outputs)
    assert (found.online, found.online_error) == (found.offline, found.offline_error)
    assert found.latency_p99_us == 0


@given(cases(), st.integers(0, 100), st.integers(0, 100))
def test_latency_costs_accuracy_where_one_label_is_always_right_and_always_said(
    case: tuple[dict[str, Any], dict[str, Any]], first: int, more: int
) -> None:
    truths, outputs = case
    truths |= {"labels": [1] * len(truths["times"])}
    outputs |= {"classes": [1] * len(outputs["seen"])}
    shares = [
        streaming_accuracy(**truths, **(outputs | {"ready": np.array(outputs["seen"]) + late})).online
        for late in (0, first, first + more)
    ]
    assert shares == sorted(shares, reverse=True)


@given(cases(), st.randoms())
def test_the_order_of_ground_truths_does_not_matter(case: tuple[dict[str, Any], dict[str, Any]], random: Any) -> None:
    truths, outputs = case
    order = list(range(len(truths["times"])))
    random.shuffle(order)
    mixed = {key: [values[k] for k in order] for key, values in truths.items()}
    one, other = streaming_accuracy(**truths, **outputs), streaming_accuracy(**mixed, **outputs)
    assert (one.online, one.offline, one.unanswered) == (other.online, other.offline, other.unanswered)


def test_standard_errors_are_those_of_independent_groups() -> None:
    t, labels = np.arange(8), np.array([0, 0, 0, 0, 1, 1, 0, 0])
    found = streaming_accuracy(t, labels, [0], [0], [0])
    alone = np.array([1, 1, 1, 1, 0, 0, 1, 1])
    assert found.online_error == pytest.approx(alone.std(ddof=1) / np.sqrt(8))
    found = streaming_accuracy(t, labels, [0], [0], [0], groups=[0, 0, 1, 1, 2, 2, 3, 3])
    assert found.online_error == pytest.approx(np.array([1, 1, 0, 1]).std(ddof=1) / np.sqrt(4))
    assert streaming_accuracy(t, labels, [0], [0], [0], groups=[7] * 8).online_error is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": [1]}, "there are 4 times, 1 labels and 4 groups of ground truths, and of outputs 3 times seen"),
        ({"times": [], "labels": []}, "'labels' must be integers|at least one"),
        ({"seen": [], "ready": [], "classes": np.zeros(0, int)}, "0 classes: as many of each, at least one"),
        ({"ready": [6, 5, 18], "seen": [4, 5, 14]}, "'ready' goes back from 6 to 5 at output 1"),
        ({"seen": [4, 3, 14]}, "'seen' goes back from 4 to 3 at output 1"),
        ({"ready": [6, 9, 18]}, "output 1 is ready at 9 us, before the events that it has seen, of 10 us"),
        ({"times": [1, 2, 3, np.nan]}, r"'times' must be finite numbers \(n,\), got float64 \(4,\)"),
        ({"classes": [0.5, 1, 1]}, "'classes' must be integers"),
        ({"groups": [[1, 2, 3, 4]]}, r"'groups' must be integers \(n,\), got int64 \(1, 4\)"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        streaming_accuracy(**(TRUTHS | OUTPUTS | changes))

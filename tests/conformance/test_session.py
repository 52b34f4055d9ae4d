# SPDX-License-Identifier: Apache-2.0
"""What does not change a result: the schedule, the number of threads, a snapshot, and where a batch is cut."""

from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import densities, random_inputs, random_network, seeds

from spikerun.errors import DataError, UsageError
from spikerun.inputs import events as events_of
from spikerun.kernels.cpu import threads as threads_of
from spikerun.network import Network
from spikerun.session import Session

kinds = st.sampled_from(["words", "spikes", "mixed"])


def sample(x: dict[str, Any], k: int) -> dict[str, Any]:
    return {name: values[k] for name, values in x.items()}


def events_of_steps(net: Network, x: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what each input sends at each step of a window, for one sample."""
    events = {name: events_of(net, name, values, batch=False) for name, values in x.items()}
    return [{name: rows[t] for name, rows in events.items()} for t in range(net.window)]


@settings(max_examples=40)
@given(seeds, densities)
def test_both_schedules_give_the_same_outputs_and_activity(seed: int, density: float) -> None:
    net = random_network(seed, "words")
    x = random_inputs(net, seed, 2, density)
    at_once, by_steps = (Session(net, kernels="dense", schedule=s, threads=1).run(x) for s in ("blocked", "stepped"))
    for name in net.outputs:
        np.testing.assert_array_equal(at_once.outputs[name], by_steps.outputs[name], err_msg=name)
    assert at_once.activity == by_steps.activity


@settings(max_examples=30)
@given(seeds, densities)
def test_number_of_threads_changes_nothing(seed: int, density: float) -> None:
    net = random_network(seed, "words")
    x = random_inputs(net, seed, 9, density)
    one, many = (Session(net, kernels="event", threads=n).run(x) for n in (1, 5))
    np.testing.assert_array_equal(one.logits, many.logits)
    assert one.activity == many.activity


class Made:
    """Samples that are made when they are asked for; it keeps how many at a time."""

    def __init__(self, values: Any) -> None:
        self.values, self.shape, self.asked = values, values.shape, list[int]()

    def part(self, first: int, end: int) -> Any:
        self.asked.append(end - first)
        return self.values[first:end]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        raise AssertionError("all samples are asked for at once")


@settings(max_examples=20)
@given(seeds, kinds, densities)
def test_samples_that_are_made_when_asked_give_the_same_bits(seed: int, kind: str, density: float) -> None:
    net = random_network(seed, kind)
    x = random_inputs(net, seed, 9, density)
    made = {name: Made(values) for name, values in x.items()}
    with mock.patch("spikerun.session.CHUNK_SAMPLES", 4):
        session = Session(net, kernels="event", threads=1)
        whole, lazy = session.run(x), session.run(made)
    np.testing.assert_array_equal(whole.logits, lazy.logits)
    assert whole.activity == lazy.activity
    assert all(max(one.asked) <= 4 for one in made.values())


def test_samples_made_when_asked_are_checked() -> None:
    net = random_network(3, "words")
    x = random_inputs(net, 3, 2, 1.0)
    name, high = net.inputs[0], net.sender_of(net.inputs[0])
    assert high is not None
    for wrong, message in ((x[name][:, None], "takes values of shape"), (x[name] * 0 + high.range[1] + 1, "in ")):
        with pytest.raises(DataError, match=message):
            Session(net, threads=1).run(x | {name: Made(wrong)})


@settings(max_examples=30)
@given(seeds, kinds, densities, st.integers(0, 20))
def test_a_restored_snapshot_continues_with_the_same_bits(seed: int, kind: str, density: float, split: int) -> None:
    net = random_network(seed, kind)
    window = events_of_steps(net, sample(random_inputs(net, seed, 1, density), 0))
    session = Session(net, kernels="event", threads=1)
    whole, first, second = session.stream(), session.stream(), session.stream()
    for t in range(30):
        if t == split:
            second.restore(first.snapshot())
        events = window[t % net.window]
        sent = whole.step(events)
        resumed = (first if t < split else second).step(events)
        assert repr(sent) == repr(resumed)


@pytest.mark.parametrize("schedule", ["blocked", "stepped"])
@pytest.mark.parametrize("count", [256, 257, 600])
def test_activity_of_many_samples_is_the_sum_of_parts(schedule: str, count: int) -> None:
    """A batch is run in chunks of 256 samples; all of them count."""
    net = random_network(5, "words")
    x = random_inputs(net, 5, count, 0.3)
    session = Session(net, kernels="event", schedule=schedule, threads=1)
    parts = [session.run({name: v[first : first + 100] for name, v in x.items()}) for first in range(0, count, 100)]
    whole = session.run(x)
    assert whole.activity.samples == count
    for name, population in whole.activity.populations.items():
        assert population.spikes == sum(part.activity.populations[name].spikes for part in parts), name
        assert population.synops == sum(part.activity.populations[name].synops for part in parts), name
    np.testing.assert_array_equal(whole.logits, np.concatenate([part.logits for part in parts]))


def test_progress_counts_every_sample_once() -> None:
    net, done = random_network(5, "words"), list[int]()
    Session(net, kernels="event", threads=1).run(random_inputs(net, 5, 600, 0.3), on_progress=done.append)
    assert sum(done) == 600


@pytest.mark.parametrize("device", ["cup", "", "CPU0"])
def test_an_unknown_device_is_refused_with_those_that_there_are(device: str) -> None:
    with pytest.raises(UsageError, match=rf"unknown device '{device}'.*Known: .*\bcpu\b"):
        Session(random_network(5, "words"), device=device)


def test_threads_are_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKERUN_NUM_THREADS", "3")
    monkeypatch.setattr(threads_of, "usable", lambda: set(range(8)))
    device: Any = Session(random_network(5, "words"), kernels="event").device
    assert device.threads == 3


def test_threads_that_are_asked_for_come_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKERUN_NUM_THREADS", "3")
    monkeypatch.setattr(threads_of, "usable", lambda: set(range(8)))
    device: Any = Session(random_network(5, "words"), kernels="event", threads=2).device
    assert device.threads == 2


@pytest.mark.parametrize(("processors", "asked", "used"), [(3, 1, 1), (3, 3, 3), (3, 4, 3), (100, 1024, 48), (0, 2, 1)])
def test_more_threads_than_processors_are_not_used(
    processors: int, asked: int, used: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads_of, "usable", lambda: set(range(processors)))
    assert Session(random_network(5, "words"), kernels="event", threads=asked).threads == used


def test_an_empty_number_of_threads_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPIKERUN_NUM_THREADS", raising=False)
    expected = threads_of.default_threads()
    monkeypatch.setenv("SPIKERUN_NUM_THREADS", "")
    assert threads_of.default_threads() == expected


@pytest.mark.parametrize("value", ["0", "-1", "two", " ", "1.5", "1025", "\u0663"])
def test_a_number_of_threads_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SPIKERUN_NUM_THREADS", value)
    with pytest.raises(UsageError, match=f"SPIKERUN_NUM_THREADS must be a number in 1..1024, got '{value}'"):
        Session(random_network(5, "words"), kernels="event")


@pytest.mark.parametrize("threads", [0, -1, 1025, 1.0, "2"])
def test_threads_must_be_a_positive_number(threads: Any) -> None:
    with pytest.raises(UsageError, match=r"threads must be an integer in 1\.\.1024"):
        Session(random_network(5, "words"), kernels="event", threads=threads)

"""The compiled kernels against the reference, on random networks: every word, spike and membrane is equal."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from networks import densities, random_inputs, random_network, seeds

from spikerun.inputs import events as events_of
from spikerun.network import Network
from spikerun.neurons import Readout
from spikerun.reference import Stepper, Turn, blocked, stepped
from spikerun.session import Session

kinds = st.sampled_from(["words", "spikes", "mixed"])
choices = st.sampled_from(["event", "dense"])


def sample(x: dict[str, Any], k: int) -> dict[str, Any]:
    return {name: values[k] for name, values in x.items()}


def events_of_steps(net: Network, x: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what each input sends at each step of a window, for one sample."""
    events = {name: events_of(net, name, values, batch=False) for name, values in x.items()}
    return [{name: rows[t] for name, rows in events.items()} for t in range(net.window)]


def same_turns(a: dict[str, Turn], b: dict[str, Turn]) -> None:
    for name, turn in a.items():
        np.testing.assert_array_equal(turn.events, b[name].events, err_msg=name)
        np.testing.assert_array_equal(turn.word, b[name].word, err_msg=name)
        if turn.membrane is not None:
            np.testing.assert_array_equal(turn.membrane, b[name].membrane, err_msg=name)


@settings(max_examples=150)
@given(seeds, kinds, densities)
def test_reference_blocked_equals_stepped(seed: int, kind: str, density: float) -> None:
    net = random_network(seed, kind)
    assume(net.feedforward)
    x = sample(random_inputs(net, seed, 1, density), 0)
    same_turns(blocked(net, x), stepped(net, x))


@settings(max_examples=150)
@given(seeds, densities, choices)
def test_blocked_words_and_membranes_equal_the_reference(seed: int, density: float, kernels: str) -> None:
    net = random_network(seed, "words")
    x = random_inputs(net, seed, 3, density)
    result = Session(net, kernels=kernels, schedule="blocked", threads=1).run(x, trace=True)
    spikes = dict.fromkeys(net.populations, 0)
    for k in range(3):
        for name, turn in blocked(net, sample(x, k)).items():
            spikes[name] += turn.spikes
            if not isinstance(net.populations[name].neuron, Readout):
                np.testing.assert_array_equal(result.words[name][k], turn.word, err_msg=name)
            if turn.membrane is not None:
                np.testing.assert_array_equal(result.membranes[name][k], turn.membrane, err_msg=name)
    assert {name: p.spikes for name, p in result.activity.populations.items()} == spikes


@settings(max_examples=150)
@given(seeds, kinds, densities, choices)
def test_every_step_of_a_stream_equals_the_reference(seed: int, kind: str, density: float, kernels: str) -> None:
    net = random_network(seed, kind)
    x = random_inputs(net, seed, 2, density)
    frames = [*events_of_steps(net, sample(x, 0)), *events_of_steps(net, sample(x, 1))]
    stream, stepper = Session(net, kernels=kernels, threads=1).stream(), Stepper(net)
    for t in range((max(net.latency.values()) + 2) * net.window + 3):
        events = frames[t] if t < len(frames) else {}
        sent = stepper.step(events)
        stream.step(events)
        for name in net.populations:
            np.testing.assert_array_equal(stream.spikes(name), sent[name], err_msg=f"{name} at step {t}")
            if "v" in stepper.state[name]:
                np.testing.assert_array_equal(stream.membrane(name), stepper.state[name]["v"], err_msg=f"{name} at {t}")


@settings(max_examples=60)
@given(seeds, kinds, densities)
def test_stepped_runs_give_the_outputs_and_spikes_of_the_reference(seed: int, kind: str, density: float) -> None:
    net = random_network(seed, kind)
    x = random_inputs(net, seed, 2, density)
    result = Session(net, schedule="stepped", kernels="event", threads=2).run(x)
    turns = [stepped(net, sample(x, k)) for k in range(2)]
    for name in net.outputs:
        for k, turn in enumerate(turns):
            readout = isinstance(net.populations[name].neuron, Readout)
            np.testing.assert_array_equal(result.outputs[name][k], turn[name].membrane if readout else turn[name].word)
    for name, p in result.activity.populations.items():
        assert p.spikes == sum(turn[name].spikes for turn in turns), name


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
def test_calibrated_kernels_change_no_result(schedule: str) -> None:
    net = random_network(7, "words")
    x = random_inputs(net, 7, 4, 0.3)
    plain = Session(net, kernels="dense", schedule=schedule).run(x)
    np.testing.assert_array_equal(Session(net, schedule=schedule).run(x).logits, plain.logits)

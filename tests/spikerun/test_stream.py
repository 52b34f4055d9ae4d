# SPDX-License-Identifier: Apache-2.0
"""Streams: events and frames in, spikes and readings out, and a state that can be carried elsewhere."""

import gc
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import random_inputs, random_network, seeds

from spikerun.connections import Conv, Dense, Diagonal
from spikerun.errors import DataError, UsageError
from spikerun.inputs import events as events_of
from spikerun.network import Network, Population, Projection
from spikerun.neurons import IF, LIF, FewSpikes, Input, Levels, MaxPool, Neuron, Readout
from spikerun.outputs import Reading, Spike
from spikerun.reference import Stepper, stepped
from spikerun.session import Session
from spikerun.stream import Stream

SHAPE = (2, 3, 4)
EVENT = np.dtype([("t", "i8"), ("x", "i4"), ("y", "i4"), ("p", "i4")])
STEP = np.dtype([("step", "i8"), ("index", "i8")])


def relay(shape: tuple[int, ...] = SHAPE) -> Network:
    """Return a network that answers each event with one spike of the same place, in the same step."""
    populations = {"in": Population(shape, Input(1, "spikes")), "out": Population(shape, IF(np.int32(1)))}
    return Network(populations, [Projection("in", "out", Diagonal(np.int32(1)))], ["out"], 4)


def open_stream(net: Network | None = None, **how: Any) -> Stream:
    return Session(net or relay(), kernels="event", threads=1).stream(**how)


def at(*events: tuple[int, int]) -> np.ndarray[Any, Any]:
    return np.array(list(events), STEP)


def seen(*events: tuple[int, int, int, int]) -> np.ndarray[Any, Any]:
    return np.array(list(events), EVENT)


def test_events_by_step_and_index_come_out_at_their_place() -> None:
    stream = open_stream()
    assert stream.push(at((0, 5), (2, 7))) == [Spike(0, "out", 5, 1)]
    assert stream.t == 2
    assert stream.flush() == [Spike(2, "out", 7, 1)]


def test_events_of_a_camera_are_placed_by_channel_row_and_column() -> None:
    stream = open_stream(step_us=100)
    sent = stream.push(seen((50, 1, 2, 0), (99, 3, 0, 1), (350, 0, 0, 0)))
    expected = [np.ravel_multi_index(place, SHAPE) for place in ((0, 2, 1), (1, 0, 3))]
    assert sent == [Spike(0, "out", int(index), 1) for index in expected]
    assert stream.t == 3


def test_several_events_of_a_neuron_in_a_step_are_one_spike() -> None:
    stream = open_stream()
    stream.push(at((1, 3), (1, 3), (1, 3)))
    assert stream.flush() == [Spike(1, "out", 3, 1)]


def test_the_newest_step_is_held_back_for_more_events() -> None:
    stream = open_stream()
    assert stream.push(at((4, 1))) == []
    assert stream.push(at((4, 2))) == []
    assert stream.flush() == [Spike(4, "out", 1, 1), Spike(4, "out", 2, 1)]


def test_events_held_back_must_be_flushed_before_a_step() -> None:
    stream = open_stream()
    stream.push(at((0, 1)))
    with pytest.raises(UsageError, match=r"held back: flush\(\)"):
        stream.step()


def test_a_step_with_an_unknown_input_is_refused() -> None:
    with pytest.raises(DataError, match="values are given for inn; the inputs are in"):
        open_stream().step({"inn": 0})


def test_no_events_change_nothing() -> None:
    stream = open_stream()
    assert stream.push(at()) == []
    assert stream.flush() == []
    assert stream.t == 0


def test_advance_runs_silence_and_what_was_held_back() -> None:
    stream = open_stream()
    stream.push(at((2, 1), (6, 4)))
    assert stream.t == 6
    assert stream.advance(1) == [Spike(6, "out", 4, 1)]
    assert stream.advance(3) == []
    assert stream.t == 10


def test_chunks_do_not_matter() -> None:
    rng = np.random.default_rng(3)
    events = np.zeros(60, STEP)
    events["step"], events["index"] = np.sort(rng.integers(0, 20, 60)), rng.integers(0, 24, 60)
    whole, parts = open_stream(), open_stream()
    sent = whole.push(events) + whole.flush()
    cuts = np.sort(rng.integers(0, 60, 5))
    assert sent == [s for part in np.split(events, cuts) for s in parts.push(part)] + parts.flush()


@pytest.mark.parametrize(
    ("events", "said"),
    [
        (
            at((3, 0), (2, 0)),
            r"event 1 belongs to step 2, one before it to step 3: events must be in order of time",
        ),
        (at((0, 24)), r"event 0 \(step = 0, index = 24\) lies outside the input of shape \(2, 3, 4\)"),
        (at((0, 1), (0, -1)), r"event 1 \(step = 0, index = -1\) lies outside"),
        (seen((0, 4, 0, 0)), r"event 0 \(t = 0, x = 4, y = 0, p = 0\) lies outside"),
        (seen((0, 0, 3, 0)), "y = 3, p = 0. lies outside"),
        (seen((0, 0, 0, 2)), "p = 2. lies outside"),
        (seen((0, -1, 0, 0)), "x = -1"),
        (seen((0, 0, 0, -1), (0, 0, 0, 0)), "polarities are 0 and 1, or -1 and 1"),
        (seen((-1, 0, 0, 0)), "lies before 0 us: times are integers of microseconds"),
        (seen((2**53, 0, 0, 0)), r"lies at 2\^53 us or later"),
        (seen((10**15, 0, 0, 0)), "are steps of 1000000 ns right"),
        (np.zeros(3), r"a structured array \(events,\) with the fields t, x, y, p, got float64"),
        ([[1], [1, 2]], r"a structured array .*inhomogeneous"),
        (np.ma.array(at((0, 3))), "events have a mask"),
        (np.zeros(1, [("step", "i8"), ("x", "i8")]), "events lack the field t or timestamp or ts or time, and y"),
        (np.zeros(1, [("step", "f8"), ("index", "i8")]), "the fields of events must be integers"),
    ],
)
def test_malformed_events_are_refused_and_change_nothing(events: Any, said: str) -> None:
    stream = open_stream()
    with pytest.raises(DataError, match=said):
        stream.push(events)
    assert stream.t == 0
    assert stream.push(at((0, 3))) + stream.flush() == [Spike(0, "out", 3, 1)]


def test_events_before_what_is_done_are_refused() -> None:
    stream = open_stream()
    stream.advance(5)
    with pytest.raises(DataError, match="event 0 belongs to step 4, but done already are 5 steps"):
        stream.push(at((4, 0)))


def test_events_need_one_input_of_spikes() -> None:
    net = Network({"in": Population((2,), Input())}, [], ["in"], 8)
    with pytest.raises(UsageError, match="one input, of code 'spikes' or 'frames': give frames to push_frame"):
        open_stream(net).push(at((0, 0)))


def test_rows_and_columns_need_an_image() -> None:
    with pytest.raises(DataError, match=r"need an input of shape \(C, H, W\), it is \(5,\)"):
        open_stream(relay((5,))).push(seen((0, 0, 0, 0)))


@pytest.mark.parametrize("step_us", [0, -1.0, float("nan")])
def test_duration_of_a_step_must_be_positive(step_us: float) -> None:
    with pytest.raises(UsageError, match="step_us must be a number of microseconds"):
        open_stream(step_us=step_us)


def test_advance_cannot_go_back() -> None:
    with pytest.raises(UsageError, match="steps must"):
        open_stream().advance(-1)


def words() -> Network:
    """Return a convolutional network of words with a readout, which answers one window after the frame."""
    rng = np.random.default_rng(5)
    populations = {
        "in": Population((1, 4, 4), Input(4)),
        "conv": Population((3, 4, 4), FewSpikes(3, np.int32(90))),
        "out": Population((2,), Readout(np.array([0.5, 0.25], np.float32))),
    }
    kernel = rng.integers(-50, 51, (3, 1, 3, 3)).astype(np.int8)
    projections = [
        Projection("in", "conv", Conv(kernel, padding=1)),
        Projection("conv", "out", Dense(rng.integers(-50, 51, (48, 2)).astype(np.int8))),
    ]
    return Network(populations, projections, ["out"], 4)


def test_a_frame_is_answered_after_the_latency_of_the_output() -> None:
    net = words()
    frames = np.random.default_rng(6).integers(0, 16, (4, 1, 4, 4))
    stream = open_stream(net)
    readings = [stream.push_frame(frame) for frame in frames] + [stream.advance(4)]
    assert readings[0] == []
    for frame, reading in zip(frames, readings[1:], strict=True):
        (got,) = reading
        assert isinstance(got, Reading)
        membrane = stepped(net, {"in": frame})["out"].membrane
        assert membrane is not None
        np.testing.assert_array_equal(got.logits, membrane.astype(np.float32) * np.array([0.5, 0.25], np.float32))


def test_a_stream_of_frames_gives_what_a_run_gives() -> None:
    net = words()
    frames = np.random.default_rng(7).integers(0, 16, (5, 1, 4, 4))
    stream = open_stream(net)
    sent = [item for frame in frames for item in stream.push_frame(frame)] + stream.advance(4)
    logits = np.stack([item.logits for item in sent if isinstance(item, Reading)])
    np.testing.assert_array_equal(logits, Session(net, kernels="dense").run(frames).logits)


def test_a_frame_begins_with_a_window() -> None:
    stream = open_stream(words())
    stream.advance(1)
    with pytest.raises(UsageError, match="a frame begins with a window of 4 steps, done are 1"):
        stream.push_frame(np.zeros((1, 4, 4), int))


@pytest.mark.parametrize("frame", [np.full((1, 4, 4), 16), np.zeros((4, 5), int), np.zeros((1, 4, 4))])
def test_wrong_frame_is_refused(frame: Any) -> None:
    stream = open_stream(words())
    with pytest.raises(DataError, match="input 'in' takes"):
        stream.push_frame(frame)
    assert stream.t == 0


@settings(max_examples=20)
@given(seeds, st.sampled_from(["words", "spikes", "mixed", "drawn"]), st.integers(0, 12))
def test_a_snapshot_goes_through_a_file_to_another_session(
    tmp_path_factory: pytest.TempPathFactory, seed: int, kind: str, split: int
) -> None:
    net, path = random_network(seed, kind), tmp_path_factory.getbasetemp() / "snapshot.npz"
    samples = random_inputs(net, seed, 1, 0.5)
    window = {name: events_of(net, name, values[0], batch=False) for name, values in samples.items()}
    events = [{name: rows[t % net.window] for name, rows in window.items()} for t in range(12)]
    whole = open_stream(net)
    expected = [repr(whole.step(e)) for e in events]
    first = open_stream(net)
    sent = [repr(first.step(e)) for e in events[:split]]
    np.savez(path, **first.snapshot())
    second = open_stream(net)
    with np.load(path) as saved:
        second.restore(saved)
    assert sent + [repr(second.step(e)) for e in events[split:]] == expected


def test_a_snapshot_keeps_the_events_held_back(tmp_path: Path) -> None:
    first, second = open_stream(), open_stream()
    first.push(at((3, 1), (5, 2)))
    np.savez(tmp_path / "s.npz", **first.snapshot())
    with np.load(tmp_path / "s.npz") as saved:
        second.restore(saved)
    assert second.t == 5
    assert second.flush() == [Spike(5, "out", 2, 1)]


def test_a_snapshot_does_not_change_as_the_stream_goes_on() -> None:
    stream = open_stream()
    saved = stream.snapshot()
    before = {name: array.copy() for name, array in saved.items()}
    stream.push(at((0, 1), (3, 1)))
    for name, array in saved.items():
        np.testing.assert_array_equal(array, before[name])


def spoilt(**changes: Any) -> dict[str, Any]:
    saved: dict[str, Any] = open_stream().snapshot()
    for key, value in changes.items():
        saved[key.replace("__", "/")] = value
    return saved


@pytest.mark.parametrize(
    ("saved", "said"),
    [
        (None, "a snapshot is a dict of arrays"),
        (spoilt(version=np.array([[]])), r"the snapshot has version \[\], this"),
        (spoilt(t=[[1], [2, 3]]), "a snapshot is a dict of arrays"),
        ({}, "the snapshot lacks 'network', 'pending', 'state/out/v', 'step_ns' and 2 more; give all that snapshot"),
        (spoilt(version=np.array(2)), "the snapshot has version 2, this spikerun reads version 1"),
        (spoilt(extra=np.zeros(3)), "the snapshot has 'extra', which no snapshot of this network has"),
        (spoilt(network=np.zeros(32, np.uint8)), "the snapshot is of another network: its weights"),
        (spoilt(state__out__v=np.zeros(3, np.int32)), r"of shape \(2, 3, 4\), got int32 of shape \(3,\)"),
        (spoilt(state__out__v=np.zeros(SHAPE)), r"must hold integers in -8388607\.\.8388607 of shape .*, got float64"),
        (spoilt(state__out__v=np.full(SHAPE, 2**23)), "'state/out/v' .*, got values from 8388608 to 8388608"),
        (spoilt(t=np.int64(2**62)), "'t' of the snapshot must be the number of steps done, from 0 on, got 46"),
        (spoilt(t=np.int64(-1)), "'t' of the snapshot .*, got -1"),
        (spoilt(t=np.float64(1)), "'t' of the snapshot .*, got 1.0"),
        (spoilt(pending=np.zeros((3, 1), int)), "'pending' of the snapshot must hold"),
        (spoilt(pending=np.zeros((2, 1))), "'pending' of the snapshot must hold"),
        (spoilt(pending=np.array([[5], [24]])), "'pending' of the snapshot must hold"),
        (spoilt(pending=np.array([[5], [-1]])), "'pending' of the snapshot must hold"),
        (spoilt(pending=np.array([[5, 4], [1, 1]])), "'pending' of the snapshot must hold"),
        (spoilt(t=np.int64(6), pending=np.array([[5], [1]])), "'pending' of the snapshot must hold"),
    ],
)
def test_a_snapshot_that_does_not_fit_is_refused_and_changes_nothing(saved: Any, said: str) -> None:
    stream = open_stream()
    stream.push(at((1, 1), (2, 2)))
    before = stream.snapshot()
    with pytest.raises(DataError, match=said):
        stream.restore(saved)
    for name, array in stream.snapshot().items():
        np.testing.assert_array_equal(array, before[name])


def test_events_before_those_held_back_are_named_by_their_own_place() -> None:
    stream = open_stream()
    stream.push(at((3, 0)))
    with pytest.raises(DataError, match="event 1 belongs to step 3, one before it to step 4"):
        stream.push(at((4, 0), (3, 0)))


@pytest.mark.parametrize("seed", range(12))
def test_a_value_that_no_state_holds_is_refused(seed: int) -> None:
    net = random_network(seed, "mixed")
    stream = open_stream(net)
    stream.advance(2 * net.window + 5)
    saved = stream.snapshot()
    stream.restore(saved)
    for key, values in saved.items():
        if key.startswith(("state", "past")) and values.size:
            wrong = values.astype(np.int64)
            wrong.flat[0] = 2**31
            with pytest.raises(DataError, match=f"'{key}' of the snapshot must hold integers in .*, got values"):
                stream.restore({**saved, key: wrong})


@pytest.mark.parametrize(
    ("neuron", "key", "low", "high"),
    [
        (LIF(np.int32(1), refractory=3), "wait", 0, 3),
        (LIF(np.int32(1)), "pending", 0, 0),
        (LIF(np.int32(1), reset="subtract_after_leak"), "pending", 0, 1),
        (LIF.loihi(np.int32(1)), "u", -(2**23) + 1, 2**23),
        (LIF(np.int32(1)), "u", -(2**29) + 1, 2**29 - 1),
        (FewSpikes(4, np.int32(1), max_spikes=2), "left", 0, 2),
        (Levels(2, [1, 2, 3]), "u", 0, 3),
        (Levels(2, [1, 2, 3], signed=True), "u", -2, 1),
        (MaxPool(), "alive", 0, 1),
        (Readout(), "v", -900, 900),
        (Levels(2, [1, 2, 3]), "v", -900, 900),
        (FewSpikes(4, np.int32(1)), "u", -900, 900),
        (FewSpikes(4, np.int32(300), signed=True), "u", -900, 2399),
        (IF(np.int32(1), answer="first_spike"), "answer", 0, 6),
        (IF(np.int32(1), answer="max"), "answer", -(2**23) + 1, 2**23 - 1),
        (IF(np.int32(1), answer="mean"), "answer", -6 * 2**20, 6 * (2**20 - 1)),
        (LIF(np.int32(1), answer="mean"), "answer", -6 * 2**26, 6 * (2**26 - 1)),
    ],
)
def test_what_a_key_of_the_state_can_hold(neuron: Neuron, key: str, low: int, high: int) -> None:
    assert neuron.state_range(key, bound=900, window=6) == (low, high)


def test_a_snapshot_leaves_an_accumulator_room_for_the_currents_of_a_window() -> None:
    populations = {"in": Population((4,), Input(2)), "out": Population((2,), Readout(bias=np.int32(2**31 - 1 - 3 * 4)))}
    net = Network(populations, [Projection("in", "out", Dense(np.ones((4, 2), np.int8)))], ["out"], 3)
    assert net.bounds["out"] == 2**31 - 1
    assert net.state_range("out", "v", room=True) == (-(2**31) + 13, 2**31 - 13)


def test_events_of_the_past_are_what_their_source_sends() -> None:
    populations = {"in": Population((2,), Input(1, "spikes")), "out": Population((2,), IF(np.int32(1)))}
    net = Network(populations, [Projection("in", "out", Diagonal(np.int32(1)), 2)], ["out"], 4)
    saved = open_stream(net).snapshot()
    with pytest.raises(
        DataError, match=r"'past/0' of the snapshot must hold integers in 0\.\.1, got values from 0 to 2"
    ):
        open_stream(net).restore({**saved, "past/0": np.array([[0, 2], [0, 0]])})


def test_a_snapshot_of_other_weights_is_refused() -> None:
    net = relay()
    other = Network(net.populations, [Projection("in", "out", Diagonal(np.int32(2)))], ["out"], 4)
    with pytest.raises(DataError, match="another network: its weights"):
        open_stream(other).restore(open_stream(net).snapshot())


@settings(max_examples=40)
@given(seeds, st.sampled_from(["words", "spikes", "mixed", "drawn"]), st.integers(0, 40))
def test_a_snapshot_holds_what_the_reference_keeps(seed: int, kind: str, steps: int) -> None:
    net = random_network(seed, kind)
    samples = random_inputs(net, seed, 1, 0.5)
    window = {name: events_of(net, name, values[0], batch=False) for name, values in samples.items()}
    stream, stepper = open_stream(net), Stepper(net)
    for t in range(steps):
        events = {name: rows[t % net.window] for name, rows in window.items()}
        stream.step(events)
        stepper.step(events)
    saved = stream.snapshot()
    for name, state in stepper.state.items():
        for key, values in state.items():
            np.testing.assert_array_equal(saved[f"state/{name}/{key}"], values, err_msg=f"{name} {key}")
    for name, currents in stepper.under_way.items():
        np.testing.assert_array_equal(saved[f"under_way/{name}"], currents, err_msg=name)
    for link in net.links:
        if link.held:
            np.testing.assert_array_equal(saved[f"past/{link.number}"], stepper.past[link.number], err_msg=str(link))


def interrupted(work: Callable[[Stream], Any], net: Network) -> Stream:
    """Return a stream whose work a Ctrl-C has interrupted after its first step, and before its last.

    Nothing is collected meanwhile: an interrupt within a callback of the collector would be lost.
    """
    gc.disable()
    try:
        return _interrupted(work, net)
    finally:
        gc.enable()


def _interrupted(work: Callable[[Stream], Any], net: Network) -> Stream:
    for attempt in range(20):
        stream = open_stream(net)
        timer = threading.Timer(0.02 * 1.3**attempt, os.kill, (os.getpid(), signal.SIGINT))
        try:
            timer.start()
            work(stream)
            timer.join()  # the work was faster: the signal comes now
            time.sleep(0.01)
        except KeyboardInterrupt:
            if 0 < stream.t < 150_000:
                return stream
    raise AssertionError("no signal came in time")


def test_ctrl_c_during_a_push_loses_nothing() -> None:
    events = np.zeros(150_000, STEP)
    events["step"], events["index"] = np.arange(150_000), np.arange(150_000) % 24
    stream, whole = interrupted(lambda stream: stream.push(events), relay()), open_stream()
    sent = stream.flush()
    assert stream.t == 150_000
    assert sent == whole.push(events) + whole.flush()


@pytest.mark.parametrize("steps", [2.5, float("nan"), "3", None])
def test_advance_takes_whole_steps(steps: Any) -> None:
    with pytest.raises(UsageError, match="steps must be an integer from 0 on"):
        open_stream().advance(steps)


def test_fields_of_events_have_the_names_that_users_give_them() -> None:
    named = np.array([(0, 1, 2, True)], [("timestamp", "u8"), ("x", "u2"), ("y", "u2"), ("on", "?")])
    stream = open_stream()
    assert stream.push(named) + stream.flush() == [Spike(0, "out", 12 + 2 * 4 + 1, 1)]


def answering() -> Network:
    """Return a network whose words are sent one window after the frame, and are an output."""
    populations = {
        "a": Population((2,), Input(3)),
        "b": Population((2,), FewSpikes(3, np.int32(1))),
        "r": Population((2,), Readout()),
    }
    return Network(populations, [Projection("a", "b", Diagonal(1)), Projection("b", "r", Diagonal(1))], ["b", "r"], 3)


def test_restoring_a_used_stream_leaves_nothing_of_what_it_was() -> None:
    rest = open_stream(answering()).snapshot()
    used, fresh = open_stream(answering()), open_stream(answering())
    used.push_frame(np.array([7, 7]))
    used.push_frame(np.array([0, 0]))
    used.restore(rest)
    fresh.restore(rest)
    for frame in ([0, 0], [3, 1], [0, 7]):
        assert repr(used.push_frame(np.array(frame))) == repr(fresh.push_frame(np.array(frame)))
    assert used.activity == fresh.activity


def test_activity_counts_from_where_a_stream_was_restored() -> None:
    stream = open_stream(answering())
    stream.advance(3000)
    saved, other = stream.snapshot(), open_stream(answering())
    other.restore(saved)
    assert other.activity.samples == 0
    other.push_frame(np.array([7, 7]))
    assert other.activity.samples == 1
    assert other.activity.populations["a"].spikes == 6


def test_ctrl_c_during_a_frame_keeps_its_rest() -> None:
    weight = np.zeros((100, 20_000), np.int8)
    weight[:, 0] = 1
    populations = {"in": Population((100,), Input(8, "current")), "out": Population((20_000,), IF(np.int32(99_999)))}
    net = Network(populations, [Projection("in", "out", Dense(weight))], ["out"], 2000)
    frame = np.full(100, 200, np.uint8)
    stream, whole = interrupted(lambda stream: stream.push_frame(frame), net), open_stream(net)
    if stream.t % 2000:
        with pytest.raises(UsageError, match=r"a frame was interrupted and its rest is held back: flush\(\)"):
            stream.push_frame(frame)
    assert stream.flush() == whole.push_frame(frame)


def test_a_single_step_takes_an_array_where_there_is_one_input() -> None:
    stream = open_stream(answering())
    assert stream.step(np.array([1, 0])) == []
    with pytest.raises(DataError, match="input 'a' takes values of shape"):
        stream.step([1])


def test_unknown_state_is_named() -> None:
    with pytest.raises(UsageError, match=r"unknown population 'ou'\. Did you mean 'out'"):
        open_stream().spikes("ou")


def test_what_has_no_membrane_says_so() -> None:
    with pytest.raises(UsageError, match=r"population 'in' \(input\) has no membrane; populations that have one: out"):
        open_stream().membrane("in")


def test_shapes_are_written_as_numpy_does() -> None:
    with pytest.raises(DataError, match=r"takes values of shape \(2,\), got \(3,\)"):
        open_stream(answering()).step([1, 0, 0])
    with pytest.raises(DataError, match=r"takes values of shape \(B, 2\), got \(3,\)"):
        Session(answering()).run([1, 0, 0])


def test_each_window_has_a_first_spike_of_its_own() -> None:
    neuron = IF(np.int32(1), reset="zero", answer="first_spike")
    populations = {"in": Population((2,), Input(1, "spikes")), "out": Population((2,), neuron)}
    stream = open_stream(Network(populations, [Projection("in", "out", Diagonal(1))], ["out"], 3))
    sent = [[0, 0], [1, 0], [0, 0], [0, 0], [0, 0], [1, 1]]
    found: list[Any] = [stream.step(np.array(spikes)) for spikes in sent]
    assert [one[0].logits.tolist() for one in found if one] == [[2, 0], [1, 1]]


@pytest.mark.parametrize(
    ("how", "answer", "skipped"),
    [({}, "count", 1000), ({"kernels": "event"}, "count", 1000), ({"kernels": "dense"}, "count", 0), ({}, "last", 0)],
)
def test_steps_at_rest_are_skipped_unless_all_is_dense_or_an_answer_needs_each(
    how: dict[str, Any], answer: str, skipped: int
) -> None:
    populations = {
        "in": Population((24,), Input(1, "spikes")),
        "out": Population((2,), LIF(np.int32(9), answer=answer)),
    }
    weights = Dense(np.ones((24, 2), np.int8))
    stream = Session(Network(populations, [Projection("in", "out", weights)], ["out"], 10), **how).stream()
    stream.advance(1000)
    assert stream.stats.skipped == skipped

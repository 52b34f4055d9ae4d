# SPDX-License-Identifier: Apache-2.0
"""What streams promise: chunks, snapshots, threads and kernels change nothing; silence is free; all is counted."""

import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import random_network, seeds

from spikerun.connections import Conv, Dense, Diagonal
from spikerun.errors import UsageError
from spikerun.events import EVENT
from spikerun.kernels.cpu.rests import tracked
from spikerun.network import Network, Population, Projection
from spikerun.neurons import IF, LIF, Input, Readout
from spikerun.outputs import Outputs, Reading, Spike
from spikerun.plan.stepped import lower_stream
from spikerun.session import Session
from spikerun.stats import Stats
from spikerun.stream import Stream

STEP = np.dtype([("step", "i8"), ("index", "i8")])


def at_rest(net: Network) -> Network:
    """Return the network without what keeps its neurons from resting: large biases, and all that they begin with."""
    changes: dict[str, Any] = {"bias": 0, "bias_u": 0, "v_init": 0, "reset_interval": 0}
    found = {}
    for name, p in net.populations.items():
        neuron: Any = p.neuron
        own = {key: value for key, value in changes.items() if hasattr(neuron, key) and neuron.integrates == "step"}
        found[name] = replace(p, neuron=replace(neuron, **own)) if own else p
    return Network(found, net.projections, net.outputs, net.window)


def drawn_network(seed: int, at_once: bool = False) -> Network:
    """Return a random network of one input that takes spikes; at_once: which answers in the same step."""
    for one in range(seed, seed + 500):
        net = random_network(one, "spikes")
        if seed % 2:
            net = at_rest(net)
        word = net.sender_of(net.inputs[0])
        answers = not at_once or all(net.latency[name] == 0 for name in net.outputs)
        if len(net.inputs) == 1 and word is not None and word.code == "spikes" and answers:
            return net
    raise AssertionError("no such network among 500")


def drawn_events(net: Network, seed: int, steps: int) -> np.ndarray[Any, Any]:
    """Return events in some of the steps, several of a neuron in one among them."""
    rng = np.random.default_rng(seed)
    size, n = net.populations[net.inputs[0]].size, int(rng.integers(1, 40))
    events = np.zeros(n, STEP)
    events["step"] = np.sort(rng.choice(rng.integers(0, steps, 6), n))
    events["index"] = rng.integers(0, size, n)
    return events


def opened(net: Network, kernels: str = "event", threads: int = 1, **how: Any) -> Stream:
    return Session(net, kernels=kernels, threads=threads).stream(**how)


def state(stream: Stream) -> dict[str, Any]:
    return {key: values.tolist() for key, values in stream.snapshot().items()}


@settings(max_examples=30, deadline=None)
@given(seeds, st.lists(st.integers(0, 40), max_size=6))
def test_chunks_and_kernels_change_neither_outputs_nor_state(seed: int, cuts: list[int]) -> None:
    net = drawn_network(seed)
    events = drawn_events(net, seed, 40)
    whole, parts = opened(net), opened(net, "dense")
    sent = whole.push(events) + whole.flush()
    chunks = [parts.push(part) for part in np.split(events, sorted(cuts))]
    assert sent == [item for chunk in chunks for item in chunk] + parts.flush()
    assert state(whole) == state(parts)
    assert whole.activity == parts.activity


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_a_stream_gives_what_a_run_of_the_bins_gives(seed: int) -> None:
    net = drawn_network(seed, at_once=True)
    events = drawn_events(net, seed, net.window)
    bins = np.zeros((1, net.window, net.populations[net.inputs[0]].size), np.int64)
    bins[0, events["step"], events["index"]] = 1
    result = Session(net, threads=1).run(bins.reshape(1, net.window, *net.populations[net.inputs[0]].shape))
    stream = opened(net)
    sent = stream.push(events) + stream.advance(net.window - stream.t)
    for name in net.outputs:
        if name in sent.spikes:
            counted = np.bincount(sent.spikes[name]["index"], minlength=net.populations[name].size)
            np.testing.assert_array_equal(counted, result.outputs[name].ravel())
        else:
            expected = net.populations[name].real(result.outputs[name])
            np.testing.assert_array_equal(sent.readings[name][1], expected)


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(0, 39), st.sampled_from(["event", "dense"]))
def test_a_snapshot_goes_on_elsewhere_in_the_midst_of_a_push(seed: int, cut: int, kernels: str) -> None:
    net = drawn_network(seed)
    events = drawn_events(net, seed, 60)
    whole, first, second = opened(net), opened(net), opened(net, kernels, 2)
    expected = whole.push(events) + whole.advance(70 - whole.t)
    before = first.push(events[:cut])
    second.restore(first.snapshot())
    assert expected == before + second.push(events[cut:]) + second.advance(70 - second.t)
    assert state(whole) == state(second)


def test_networks_drawn_here_rest() -> None:
    """Or the properties above would say nothing of neurons that are left alone."""
    lists = [tracked(lower_stream(drawn_network(seed))) for seed in range(1, 41, 2)]
    assert sum(any(name.endswith(":i") for name in names) for names in lists) >= 5


def camera(neuron: LIF | IF, side: int = 64) -> Network:
    """Return a network of one convolution over the events of a camera."""
    weight = np.random.default_rng(0).integers(-60, 61, (8, 2, 3, 3)).astype(np.int8)
    populations = {
        "in": Population((2, side, side), Input(1, "spikes")),
        "out": Population((8, side, side), neuron),
    }
    return Network(populations, [Projection("in", "out", Conv(weight, padding=1))], ["out"], 1)


def seen(t: list[int], side: int = 64) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(1)
    events = np.zeros(len(t), EVENT)
    events["t"], events["x"], events["y"] = t, rng.integers(0, side, len(t)), rng.integers(0, side, len(t))
    events["p"] = rng.integers(0, 2, len(t))
    return events


def test_an_hour_of_silence_is_skipped() -> None:
    stream = opened(camera(LIF(200, keep_v=60_000, reset="subtract")))
    stream.push(seen([1000] * 500))
    stream.push(seen([3_600_000_000]))
    assert stream.t == 3_600_000
    assert stream.stats.steps < 500
    assert stream.stats.steps + stream.stats.skipped == stream.t


def test_readings_come_in_silence_too() -> None:
    populations = {"in": Population((3,), Input(1, "spikes")), "out": Population((2,), Readout())}
    weight = np.array([[1, 2], [3, 4], [5, 6]], np.int8)
    net = Network(populations, [Projection("in", "out", Dense(weight))], ["out"], 4)
    stream = opened(net)
    sent = stream.push(np.array([(1, 2), (17, 0)], STEP)) + stream.advance(10)
    assert sent.readings["out"][0].tolist() == [3, 7, 11, 15, 19, 23]
    assert sent.readings["out"][1].tolist() == [[5, 6], [0, 0], [0, 0], [0, 0], [1, 2], [0, 0]]
    assert stream.stats.skipped > 0


def test_all_events_are_accounted_for() -> None:
    stream = opened(camera(IF(100)), late="drop")
    stream.push(seen([5000, 6000, 2000, 7000]))
    stream.push(seen([1000, 8000]))
    stream.flush()
    assert (stream.stats.events, stream.stats.late, stream.stats.dropped) == (6, 2, 2)
    assert stream.activity.populations["in"].spikes == 4


def test_late_events_are_moved_to_the_newest_step() -> None:
    stream = opened(camera(IF(100)), late="clamp")
    stream.push(seen([5000, 2000]))
    stream.advance(20)
    stream.push(seen([3000]))
    stream.flush()
    assert stream.t == 26 + 1 - 1
    assert (stream.stats.late, stream.stats.dropped) == (2, 0)
    assert stream.activity.populations["in"].spikes == 3


def test_time_passes_without_events_up_to_a_watermark() -> None:
    stream = opened(camera(IF(100)))
    stream.push(seen([2500]))
    stream.advance_to(2999)
    assert stream.t == 2
    stream.advance_to(3000)
    assert stream.t == 3
    stream.advance_to(10)
    assert stream.t == 3
    with pytest.raises(UsageError, match="t_us must be a number of microseconds"):
        stream.advance_to(-1)


def test_other_threads_go_on_during_a_push_and_a_second_push_is_refused() -> None:
    stream, other = opened(camera(LIF(1, reset="none"), 128)), opened(camera(IF(100)))
    events = seen(list(range(0, 400_000, 1000)), 128)
    refused: list[str] = []

    def intrude() -> None:
        while not refused and worker.is_alive():
            other.push(seen([other.t * 1000]))  # its own stream: it may
            try:
                stream.push(seen([0]))
            except UsageError as error:
                refused.append(str(error))

    worker = threading.Thread(target=stream.push, args=(events,))
    worker.start()
    intrude()
    worker.join()
    assert refused == ["this workspace is in use by another thread: give each thread a stream of its own"]


def test_events_follow_a_frame() -> None:
    stream = opened(camera(IF(1), 4))
    stream.push_frame(np.zeros((1, 2, 4, 4), np.int64))
    stream.push(seen([3000], 4))
    assert {spike.step for spike in stream.flush()} == {3}
    assert stream.t == 4


@pytest.mark.parametrize(
    ("t_us", "expected"),
    [(np.int32(3_000_000), 3000), (np.uint32(5_000_000), 5000), (np.float32(2500), 2), (2999.9, 2), (3000.0, 3)],
)
def test_a_watermark_may_be_any_real_number(t_us: Any, expected: int) -> None:
    stream = opened(camera(IF(100)))
    stream.advance_to(t_us)
    assert stream.t == expected


@pytest.mark.parametrize("step_us", [1.001, 33.333, 0.3, 0.1, 16.667])
def test_a_watermark_at_the_end_of_a_step_runs_it(step_us: float) -> None:
    stream = opened(camera(IF(100)), step_us=step_us)
    for k in range(1, 100):
        stream.advance_to(k * step_us)
        assert stream.t == k


@pytest.mark.parametrize("t_us", [1e15, np.complex64(1), float("nan"), True, "3"])
def test_a_watermark_that_cannot_be_is_refused(t_us: Any) -> None:
    with pytest.raises(UsageError, match=r"t_us must be a number|are steps of 1000000 ns right"):
        opened(camera(IF(100))).advance_to(t_us)


def test_biases_of_different_shapes_are_slow_or_not_together() -> None:
    neuron = LIF(np.int32(1000), bias=np.arange(3, dtype=np.int32), bias_u=np.ones((3, 1, 5), np.int32))
    populations = {"in": Population((3, 1, 5), Input(1, "spikes")), "out": Population((3, 1, 5), neuron)}
    net = Network(populations, [Projection("in", "out", Diagonal(np.int32(500)))], ["out"], 1)
    fast, slow = opened(net), opened(net, "dense")
    events = np.array([(5, 3), (5, 14), (900, 3)], STEP)
    assert fast.push(events) + fast.advance(2000) == slow.push(events) + slow.advance(2000)
    assert state(fast) == state(slow)
    assert fast.stats.skipped > 1000


def test_biases_that_cancel_out_still_lead_a_current_over_its_limit() -> None:
    """The current wraps with its own bias, before the membrane's is added."""
    neuron = LIF(np.int32(10_000), bias=np.int32(50), bias_u=np.int32(-50), limits="chip")
    populations = {"in": Population((2,), Input(1, "spikes")), "out": Population((2,), neuron)}
    net = Network(populations, [Projection("in", "out", Diagonal(np.int32(2**23 + 10)))], ["out"], 1)
    fast, slow = opened(net), opened(net, "dense")
    assert fast.advance(2) + slow.advance(2) == []
    assert state(fast) == state(slow)
    events = np.array([(3, 0), (5, 1)], STEP)
    assert fast.push(events) + fast.flush() == slow.push(events) + slow.flush()
    assert state(fast) == state(slow)


def test_records_that_are_not_aligned_are_copied() -> None:
    stream = opened(camera(IF(1), 4))
    stream.push(np.frombuffer(bytes(33), EVENT, count=2, offset=1))
    assert {spike.step for spike in stream.flush()} == {0}


def test_unknown_policies_are_named() -> None:
    with pytest.raises(UsageError, match="unknown policy for late events 'later'"):
        opened(camera(IF(100)), late="later")
    with pytest.raises(UsageError, match="unknown way to count events 'twice'"):
        opened(camera(IF(100)), counts="twice")
    with pytest.raises(UsageError, match="counts='graded' needs an input of more than one bit"):
        opened(camera(IF(100)), counts="graded")


def graded() -> Network:
    populations = {"in": Population((2,), Input(3, "frames")), "out": Population((1,), Readout())}
    return Network(populations, [Projection("in", "out", Dense(np.array([[1], [10]], np.int8)))], ["out"], 1)


@pytest.mark.parametrize(("counts", "expected", "clipped"), [(None, 17, 2), ("graded", 17, 2), ("clip", 11, 0)])
def test_events_of_a_place_and_step_add_up_where_the_input_takes_it(
    counts: str | None, expected: int, clipped: int
) -> None:
    stream = opened(graded(), counts=counts)
    (reading,) = stream.push(np.array([(0, 0)] * 9 + [(0, 1)], STEP)) + stream.flush()
    assert isinstance(reading, Reading)
    assert reading.logits.tolist() == [expected]
    assert stream.stats.clipped == clipped


def test_outputs_have_arrays() -> None:
    stream = opened(camera(IF(1), 4))
    nothing = stream.advance(1)
    assert isinstance(nothing, Outputs)
    assert (len(nothing), len(nothing.spikes["out"]), list(nothing)) == (0, 0, [])
    stream.push(seen([1000], 4))
    sent = stream.flush()
    spikes = sent.spikes["out"]
    assert spikes.dtype.names == ("step", "index", "value")
    assert [Spike(t, "out", k, v) for t, k, v in spikes.tolist()] == list(sent)
    assert len(sent) == len(spikes) > 0
    assert sent[0] == next(iter(sent))


def test_percentiles_of_the_time_of_steps_are_those_of_its_histogram() -> None:
    durations = np.zeros((12, 4), np.int64)
    durations[10, 0], durations[11, 3] = 98, 2  # 1024 to 1280 ns, 3584 to 4096 ns
    stats = Stats(durations=durations)
    assert (stats.step_us(50), stats.step_us(98), stats.step_us(99), stats.step_us(100)) == (1.28, 1.28, 4.096, 4.096)
    assert Stats().step_us(50) == 0.0

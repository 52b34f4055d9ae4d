# SPDX-License-Identifier: Apache-2.0
"""Threads that share runs: parts of operations make the whole, and no number of threads changes a bit."""

import multiprocessing
import os
import signal
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import random_inputs, random_network, seeds

from spikerun import Conv, FewSpikes, Input, Network, Population, Projection, Readout, Session
from spikerun.kernels.cpu.native import Pace, threads_meet
from spikerun.plan import lower

kinds = st.sampled_from(["words", "spikes", "mixed"])
quick = settings(max_examples=60, deadline=None)


def image_network(side: int = 24, channels: int = 32) -> Network:
    """Return a network of convolutions whose operations take long enough to be shared."""
    rng = np.random.default_rng(0)

    def conv(c_in: int, c_out: int) -> Conv:
        return Conv(rng.integers(-20, 60, (c_out, c_in, 3, 3)).astype(np.int8), padding=(1, 1))

    shape = (channels, side, side)
    populations = {
        "in": Population((3, side, side), Input(8)),
        "a": Population(shape, FewSpikes(threshold=np.int32(4000), bits=5)),
        "b": Population(shape, FewSpikes(threshold=np.int32(9000), bits=5)),
        "out": Population((8, side, side), Readout()),
    }
    projections = [
        Projection("in", "a", conv(3, channels)),
        Projection("a", "b", conv(channels, channels)),
        Projection("b", "out", conv(channels, 8)),
    ]
    return Network(populations, projections, ["out"], 8)


def registers(program: Any, work: Any, count: int) -> list[Any]:
    return [program.read(work, k) for k in range(count)]


@quick
@given(seeds, kinds, st.integers(2, 7), st.integers(1, 3))
def test_operations_in_parts_leave_the_same_in_every_register(seed: int, kind: str, parts: int, passes: int) -> None:
    net = random_network(seed, kind)
    given_ = random_inputs(net, seed, 1, 0.5)
    executor: Any = Session(net, threads=1, schedule="stepped").device.compile(lower(net, "frame"))
    assert_parts_make_the_whole(executor, given_, parts, passes)


@pytest.mark.parametrize("parts", [2, 3, 24])
def test_parts_of_long_operations_leave_the_same_in_every_register(parts: int) -> None:
    net = image_network()
    executor: Any = Session(net, threads=1).device.compile(lower(net, "blocked"))
    assert_parts_make_the_whole(executor, {"in": images(1)}, parts, 1)


def assert_parts_make_the_whole(executor: Any, samples: dict[str, Any], parts: int, passes: int) -> None:
    program, native = executor.program, executor._program
    whole, apart = native.workspace(), native.workspace()
    for number, register in enumerate(program.registers):
        for name, input_register in program.inputs:
            if register.name == input_register:
                values = samples[name].reshape(-1)[: register.size].astype(np.int16)
                for work in (whole, apart):
                    native.write(work, number, np.resize(values, register.size))
    for _ in range(passes):
        native.step(whole)
        native.step_in_parts(apart, parts)
        for one, other in zip(*(registers(native, w, len(program.registers)) for w in (whole, apart)), strict=True):
            np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(whole.counters, apart.counters)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor")
def test_two_threads_work_at_the_same_time() -> None:
    assert any(threads_meet(2, 10.0) for _ in range(3))


def test_there_are_no_more_threads_than_processors() -> None:
    assert not threads_meet(len(os.sched_getaffinity(0)) + 1, 0.2)


class Runs:
    """Runs of a program that take so long alone, and so long shared, in nanoseconds."""

    def __init__(self, alone: float, shared: float, helped: bool = True) -> None:
        self.pace, self.alone, self.shared, self.helped = Pace(), alone, shared, helped

    def go(self, count: int) -> list[str]:
        ways = []
        for _ in range(count):
            ways.append(self.pace.next())
            self.pace.took(ways[-1], self.shared if ways[-1] == "shared" else self.alone, self.helped)
        return ways


def test_the_first_run_times_operations_and_others_try_threads() -> None:
    ways = Runs(alone=1e5, shared=6e4).go(10)
    assert ways[:3] == ["timed", "alone", "alone"]
    assert ways[3:8] == ["shared"] * 5


@pytest.mark.parametrize(("shared", "better"), [(6e4, "shared"), (9.9e4, "alone"), (2e5, "alone")])
def test_most_runs_go_the_way_that_is_faster(shared: float, better: str) -> None:
    ways = Runs(alone=1e5, shared=shared).go(3000)[200:]
    assert ["alone" if way == "timed" else way for way in ways].count(better) > 0.9 * len(ways)


def test_a_stalled_trial_ends_at_once_and_is_paid_for_before_the_next() -> None:
    runs = Runs(alone=1e5, shared=4e6)
    ways = runs.go(2000)
    first = ways.index("shared")
    assert ways[first : first + 3] == ["shared", "shared", "timed"]
    assert ways.count("shared") * 4e6 < 0.1 * 2000 * 1e5 + 4 * 4e6


def test_threads_that_never_help_are_not_waited_for() -> None:
    ways = Runs(alone=1e5, shared=1e5, helped=False).go(1000)
    assert ways.count("shared") < 200


def test_a_shared_stretch_ends_once_others_take_the_processors() -> None:
    runs = Runs(alone=1e5, shared=6e4)
    runs.go(60)
    runs.shared = 5e6
    assert runs.go(40).count("shared") < 15


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_runs_the_session_that_others_run() -> None:
    session, sample = Session(image_network(side=6, channels=4), threads=2), images(1)[:, :, :6, :6].copy()
    expected, over = session.run(sample).outputs["out"], threading.Event()

    def runs() -> None:
        while not over.is_set():
            session.run(sample)

    workers = [threading.Thread(target=runs) for _ in range(2)]
    for worker in workers:
        worker.start()
    found = []
    for _ in range(60):
        child = os.fork()
        if child == 0:
            signal.alarm(20)  # it is killed if it hangs
            os._exit(0 if np.array_equal(session.run(sample).outputs["out"], expected) else 1)
        found.append(os.waitpid(child, 0)[1])
    over.set()
    for worker in workers:
        worker.join()
    assert found == [0] * 60


def images(count: int) -> Any:
    return np.random.default_rng(1).integers(0, 256, (count, 3, 24, 24)).astype(np.uint8)


def same(one: Any, other: Any) -> None:
    np.testing.assert_array_equal(one.outputs["out"], other.outputs["out"])
    assert one.activity == other.activity


@pytest.mark.parametrize("threads", [2, 3, 100])
def test_single_samples_depend_on_no_number_of_threads(threads: int) -> None:
    net = image_network()
    alone, shared = Session(net, threads=1), Session(net, threads=threads)
    sample = images(1)
    expected = alone.run(sample)
    for _ in range(40):  # alone, by turns, and shared
        same(shared.run(sample), expected)


@pytest.mark.parametrize("count", [2, 5])
def test_batches_smaller_and_larger_than_the_crew_equal_single_samples(count: int) -> None:
    net, samples = image_network(), images(count)
    expected = Session(net, threads=1).run(samples)
    session = Session(net, threads=3)
    for _ in range(10):
        same(session.run(samples), expected)


def test_runs_at_the_same_time_do_not_disturb_each_other() -> None:
    net = image_network()
    samples = [images(1) // (k + 1) for k in range(4)]
    expected = [Session(net, threads=1).run(sample) for sample in samples]
    session, wrong = Session(net, threads=2), []

    def runs(k: int) -> None:
        for _ in range(30):
            if not np.array_equal(session.run(samples[k]).outputs["out"], expected[k].outputs["out"]):
                wrong.append(k)

    workers = [threading.Thread(target=runs, args=(k,)) for k in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_shares_its_runs_with_threads_of_its_own() -> None:
    session, sample = Session(image_network(), threads=2), images(1)
    expected = session.run(sample).outputs["out"]
    for _ in range(10):
        session.run(sample)

    def child(connection: Any) -> None:
        connection.send([np.array_equal(session.run(sample).outputs["out"], expected) for _ in range(20)])

    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=child, args=(there,))
    process.start()
    assert here.poll(60)
    assert here.recv() == [True] * 20
    process.join()

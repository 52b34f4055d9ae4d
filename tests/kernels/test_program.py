"""Programs: when operations execute, what registers hold, batches, threads, and refusals."""

import signal
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikerun.kernels import Linear, Program

quick = settings(max_examples=40, deadline=None)


def i32(*values: int) -> Any:
    return np.array(values, np.int32)


@quick
@given(st.integers(1, 5), st.integers(0, 8), st.integers(0, 9), st.data())
def test_an_operation_executes_inside_its_window_only(
    period: int, begin: int, length: int, data: st.DataObject
) -> None:
    first = data.draw(st.integers(0, period - 1))
    last = data.draw(st.integers(first, period - 1))
    program = Program([1], [1])
    program.count(0, i32(1), "nonzero", 1, 0, period=period, begin=begin, first=first, last=last, end=begin + length)
    workspace = program.workspace()
    workspace.word(0)[:] = 1
    executed = []
    for _ in range(20):
        before = workspace.counters[0, 0]
        program.step(workspace)
        executed.append(int(workspace.counters[0, 0] - before))
    assert executed == [int(begin <= t < begin + length and first <= t % period <= last) for t in range(20)]


@quick
@given(st.integers(1, 5), st.integers(0, 3))
def test_delay_returns_the_word_of_so_many_steps_ago(steps: int, begin: int) -> None:
    program = Program([3, 3 * steps, 3], [])
    program.delay(0, 1, 2, steps, begin=begin)
    workspace = program.workspace()
    sent = np.random.default_rng(0).integers(-(2**15), 2**15, (12, 3)).astype(np.int16)
    for t in range(12):
        workspace.word(0)[:] = sent[t]
        program.step(workspace)
        expected = sent[t - steps] if t - steps >= begin else np.zeros(3)
        np.testing.assert_array_equal(workspace.word(2), expected)


def test_weigh_multiplies_by_the_significance_of_the_step() -> None:
    program = Program([2, 2], [])
    program.weigh(0, 1, i32(4, -2, 0), period=3)
    workspace = program.workspace()
    workspace.word(0)[:] = (1, -5)
    seen = []
    for _ in range(4):
        program.step(workspace)
        seen.append(workspace.word(1).tolist())
    assert seen == [[4, -20], [-2, 10], [0, 0], [4, -20]]


def two_layers(cut: int) -> Program:
    """Return a program that integrates, fires, and integrates again; word 0 is its input."""
    rng = np.random.default_rng(5)
    program = Program([20, 30], [30, 4])
    program.initial(1, np.arange(4, dtype=np.int32))
    program.fill(0, rng.integers(-100, 100, 30).astype(np.int32))
    program.linear(Linear.dense(rng.integers(-128, 128, (20, 30)).astype(np.int8)), 0, 0, cut)
    program.fire(0, 1, rng.integers(1, 90, 30).astype(np.int32), 5, False, 5)
    program.linear(Linear.dense(rng.integers(-128, 128, (30, 4)).astype(np.int8)), 1, 1, cut)
    program.count(1, np.full(30, 4, np.int32), "popcount", 5, 0)
    return program


@quick
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(0, 30))
def test_a_batch_depends_neither_on_threads_nor_on_the_cut(seed: int, threads: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(-3, 4, (7, 3, 20)).astype(np.int16)
    words, accs, counters = two_layers(20).run_batch([], [1], [1, 0], 1, 3, [(0, x)])
    others = two_layers(cut).run_batch([], [1], [1, 0], threads, 3, [(0, x)])
    np.testing.assert_array_equal(words[0], others[0][0])
    np.testing.assert_array_equal(accs[0], others[1][0])
    np.testing.assert_array_equal(accs[1], others[1][1])
    np.testing.assert_array_equal(counters, others[2])


def test_a_batch_equals_a_workspace_stepped_by_hand() -> None:
    program = two_layers(5)
    x = np.random.default_rng(1).integers(-3, 4, (3, 4, 20)).astype(np.int16)
    words, accs, counters = program.run_batch([], [1], [1], 2, 4, [(0, x)])
    assert program.done == 3
    for sample in range(3):
        workspace = program.workspace()
        for t in range(4):
            assert workspace.t == t
            workspace.word(0)[:] = x[sample, t]
            program.step(workspace)
        np.testing.assert_array_equal(workspace.word(1), words[0][sample])
        np.testing.assert_array_equal(workspace.acc(1), accs[0][sample])
        np.testing.assert_array_equal(workspace.counters, counters[sample])


def test_every_sample_of_a_batch_starts_anew() -> None:
    program = two_layers(5)
    x = np.ones((1, 20), np.int16)
    once = program.run_batch([(0, x)], [], [1], 1, 1, [])[1][0]
    many = program.run_batch([(0, np.repeat(x, 6, 0))], [], [1], 2, 1, [])[1][0]
    np.testing.assert_array_equal(many, np.repeat(once, 6, 0))


def test_an_empty_batch_has_empty_results() -> None:
    words, accs, counters = two_layers(5).run_batch([(0, np.zeros((0, 20), np.int16))], [1], [1], 2, 1, [])
    assert (words[0].shape, accs[0].shape, counters.shape) == ((0, 30), (0, 4), (0, 1, 2))


def test_reset_goes_back_to_the_initial_values() -> None:
    program = two_layers(5)
    workspace = program.workspace()
    workspace.word(0)[:] = 3
    program.step(workspace, 5)
    workspace.reset()
    assert workspace.t == 0
    assert not workspace.counters.any()
    assert not workspace.word(0).any()
    assert workspace.acc(1).tolist() == [0, 1, 2, 3]


def test_views_outlive_their_workspace_and_program() -> None:
    view = Program([4], []).workspace().word(0)
    view[:] = 7
    assert view.tolist() == [7, 7, 7, 7]


def test_nothing_is_appended_behind_a_workspace() -> None:
    program = Program([1], [1])
    program.workspace()
    with pytest.raises(RuntimeError, match="has a workspace already"):
        program.fill(0, i32(1))
    with pytest.raises(RuntimeError, match="has a workspace already"):
        program.initial(0, i32(1))


def test_a_workspace_serves_its_own_program_only() -> None:
    with pytest.raises(ValueError, match=r"^workspace: belongs to another program"):
        Program([1], [1]).step(Program([1], [1]).workspace())


def test_a_workspace_in_use_refuses_a_second_thread() -> None:
    program = Program([1], [200_000])
    program.fill(0, np.zeros(200_000, np.int32))
    workspace = program.workspace()
    started, refusals = threading.Event(), []

    def intrude() -> None:
        started.wait()
        while not refusals:
            try:
                program.step(workspace, 0)
            except RuntimeError as error:
                refusals.append(str(error))

    other = threading.Thread(target=intrude)
    other.start()
    started.set()
    while not refusals:
        try:
            program.step(workspace, 100)
        except RuntimeError as error:
            refusals.append(str(error))
    other.join()
    assert refusals[0] == "this workspace is in use by another thread"


def ones(n: int) -> Any:
    return np.ones(n, np.int32)


REFUSED: list[tuple[type[Exception], str, Any]] = [
    (IndexError, "acc", lambda p: p.fill(9, ones(3))),
    (IndexError, "acc", lambda p: p.fill(-1, ones(3))),
    (IndexError, "x", lambda p: p.linear(Linear.dense(np.ones((3, 3), np.int8)), 7, 0, 0)),
    (IndexError, "u", lambda p: p.latch(0, 2**62, 0, 1)),
    (ValueError, "bias", lambda p: p.fill(0, ones(2))),
    (TypeError, "bias", lambda p: p.fill(0, np.ones(3))),
    (ValueError, "x", lambda p: p.linear(Linear.dense(np.ones((2, 3), np.int8)), 0, 0, 0)),
    (ValueError, "acc", lambda p: p.linear(Linear.dense(np.ones((3, 2), np.int8)), 0, 0, 0)),
    (ValueError, "cut", lambda p: p.linear(Linear.dense(np.ones((3, 3), np.int8)), 0, 0, -1)),
    (ValueError, "threshold", lambda p: p.fire(0, 0, 0 * ones(3), 4, False, 4)),
    (ValueError, "threshold", lambda p: p.fire(0, 0, -ones(3), 4, False, 4)),
    (ValueError, "bits", lambda p: p.fire(0, 0, ones(3), 16, False, 4)),
    (ValueError, "bits", lambda p: p.fire(0, 0, ones(3), 0, True, 4)),
    (ValueError, "bits", lambda p: p.fire(0, 0, ones(3), 2**40, True, 4)),
    (ValueError, "max_spikes", lambda p: p.fire(0, 0, ones(3), 4, False, -1)),
    (ValueError, "u", lambda p: p.latch(0, 0, 0, 1)),
    (ValueError, "limit", lambda p: p.latch(0, 1, 0, 2**15)),
    (ValueError, "s", lambda p: p.send(0, 0, ones(3), 0, ones(1))),
    (ValueError, "significance", lambda p: p.send(0, 0, ones(3), 1, ones(2))),
    (ValueError, "significance", lambda p: p.send(0, 0, 2**16 * ones(3), 1, 2**15 * ones(1))),
    (ValueError, "significance", lambda p: p.send(0, 0, ones(3), 1, i32(-(2**31)))),
    (ValueError, "significance", lambda p: p.weigh(0, 1, 2**15 * ones(1))),
    (ValueError, "steps", lambda p: p.delay(0, 1, 0, 0)),
    (ValueError, "ring", lambda p: p.delay(0, 1, 0, 2)),
    (ValueError, "ring", lambda p: p.delay(0, 0, 1, 1)),
    (ValueError, "first", lambda p: p.delay(0, 1, 0, 1, period=2, first=1)),
    (ValueError, "reset", lambda p: p.if_step(0, 1, 0, ones(3), ones(3), -ones(3), "hard")),
    (ValueError, "reset", lambda p: p.if_step(0, 1, 0, ones(3), ones(3), -ones(3), "subtract_after_leak")),
    (ValueError, "v", lambda p: p.if_step(0, 0, 0, ones(3), ones(3), -ones(3), "zero")),
    (ValueError, "threshold", lambda p: p.if_step(0, 1, 0, 0 * ones(3), ones(3), -ones(3), "zero")),
    (ValueError, "du", lambda p: p.lif_step(0, 1, 2, 3, 0, 1, ones(3), ones(3), 4097 * ones(3), ones(3), "zero")),
    (ValueError, "threshold", lambda p: p.lif_step(0, 1, 2, 3, 0, 1, 2**17 * ones(3), *[ones(3)] * 3, "zero")),
    (ValueError, "refractory", lambda p: p.lif_step(0, 1, 2, 3, 0, 1, *[ones(3)] * 4, "zero", refractory=-1)),
    (ValueError, "i, u, v, wait", lambda p: p.lif_step(0, 1, 2, 2, 0, 1, *[ones(3)] * 4, "zero")),
    (ValueError, "mode", lambda p: p.count(0, ones(3), "bits", 4, 0)),
    (ValueError, "slot", lambda p: p.count(0, ones(3), "nonzero", 4, 2**40)),
    (ValueError, "period", lambda p: p.fill(0, ones(3), period=0)),
    (ValueError, "begin", lambda p: p.fill(0, ones(3), begin=-1)),
    (ValueError, "first", lambda p: p.fill(0, ones(3), period=2, first=2)),
    (ValueError, "last", lambda p: p.fill(0, ones(3), period=2, first=1, last=0)),
    (ValueError, "end", lambda p: p.fill(0, ones(3), begin=3, end=2)),
    (ValueError, "values", lambda p: p.initial(0, ones(4))),
    (ValueError, "n", lambda p: p.step(p.workspace(), -1)),
    (ValueError, "t", lambda p: setattr(p.workspace(), "t", -1)),
    (IndexError, "index", lambda p: p.workspace().word(4)),
    (IndexError, "index", lambda p: p.workspace().acc(-1)),
    (ValueError, "inputs", lambda p: p.run_batch([], [], [])),
    (ValueError, "inputs", lambda p: p.run_batch([(0, np.zeros((2, 4), np.int16))], [], [])),
    (IndexError, "inputs", lambda p: p.run_batch([(5, np.zeros((2, 3), np.int16))], [], [])),
    (TypeError, "inputs", lambda p: p.run_batch([(0, np.zeros((2, 3)))], [], [])),
    (IndexError, "outputs_words", lambda p: p.run_batch([(0, np.zeros((2, 3), np.int16))], [9], [])),
    (ValueError, "threads", lambda p: p.run_batch([(0, np.zeros((2, 3), np.int16))], [], [], threads=0)),
    (ValueError, "steps", lambda p: p.run_batch([(0, np.zeros((2, 3), np.int16))], [], [], steps=-1)),
    (
        ValueError,
        "step_inputs",
        lambda p: p.run_batch([], [], [], steps=2, step_inputs=[(0, np.zeros((2, 3, 3), np.int16))]),
    ),
    (
        ValueError,
        "step_inputs",
        lambda p: p.run_batch([(0, np.zeros((2, 3), np.int16))], [], [], 1, 1, [(0, np.zeros((3, 1, 3), np.int16))]),
    ),
]


@pytest.mark.parametrize(("error", "argument", "call"), REFUSED)
def test_arguments_out_of_range_are_named(error: type[Exception], argument: str, call: Any) -> None:
    with pytest.raises(error, match=f"^{argument}: "):
        call(Program([3, 3], [3, 3, 3, 3]))


@pytest.mark.parametrize("sizes", [[0], [-1], [2**29], [2**28] * 5])
def test_absurd_register_sizes_are_refused_before_they_are_allocated(sizes: list[int]) -> None:
    with pytest.raises(ValueError, match=r"^words: "):
        Program(sizes, [])


class Stop(Exception):
    """Raised by the signal handler of a test."""


@pytest.mark.parametrize("threads", [1, 2])
def test_a_signal_stops_a_long_batch_and_leaves_the_program_usable(threads: int) -> None:
    def stop(*_: object) -> None:
        raise Stop

    program = Program([1], [100_000])
    program.fill(0, np.zeros(100_000, np.int32))
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(Stop):
            program.run_batch([(0, np.zeros((3, 1), np.int16))], [], [], threads, steps=2**28)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert program.run_batch([(0, np.ones((3, 1), np.int16))], [0], [], threads)[0][0].tolist() == [[1]] * 3

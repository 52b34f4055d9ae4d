# SPDX-License-Identifier: Apache-2.0
"""Programs: when operations execute, what registers hold, batches, threads, and refusals."""

import signal
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import Bench, i32

from spikerun import kernels
from spikerun.errors import UnsupportedError
from spikerun.kernels import operations
from spikerun.kernels.cpu.native import Linear, Program
from spikerun.kernels.program import Program as Described
from spikerun.kernels.program import Register

quick = settings(max_examples=40, deadline=None)


@quick
@given(st.integers(1, 5), st.integers(0, 8), st.integers(0, 9), st.data())
def test_an_operation_executes_inside_its_window_only(
    period: int, begin: int, length: int, data: st.DataObject
) -> None:
    first = data.draw(st.integers(0, period - 1))
    last = data.draw(st.integers(first, period - 1))
    when = {"period": period, "begin": begin, "first": first, "last": last, "end": begin + length}
    bench = Bench(word=("int16", 1)).add("count", word="word", fan_out=i32(1), mode="nonzero", bits=1, slot=0, **when)
    totals = [0] + [int(bench.step(word=1).workspace.counters[0, 0]) for _ in range(20)]
    expected = [int(begin <= t < begin + length and first <= t % period <= last) for t in range(20)]
    assert np.diff(totals).tolist() == expected


def test_an_operation_without_a_kernel_says_which_row_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations.Fill, "name", "toy")
    register = Register("v", "int32", (2,), "membranes")
    program = Described((register,), (operations.Fill("v", i32()),), 1, (), (("v", "v"),), (), ())
    with pytest.raises(UnsupportedError, match="no CPU kernel for the operation 'toy': there is no row of it in"):
        kernels.load("cpu", kernels="event", threads=1).compile(program, ["v"])


def test_registers_that_are_not_alive_together_may_share_memory() -> None:
    program = Program([("int32", 4, 2), ("int32", 3, 3)])
    program.fill(acc=0, value=i32(1, 2, 3, 4))
    workspace = program.workspace()
    program.step(workspace)
    assert program.read(workspace, 1).tolist() == [2, 3, 4]


WORDS, FIRED, CURRENT, RESULT = range(4)
TWO_LAYERS = [("int16", 20, 0), ("int16", 30, 20), ("int32", 30, 0), ("int32", 4, 30)]


def two_layers(cut: int) -> Program:
    """Return a program that integrates, fires, and integrates again."""
    rng = np.random.default_rng(5)
    program = Program(TWO_LAYERS)
    program.initial(RESULT, np.arange(4, dtype=np.int32))
    program.fill(acc=CURRENT, value=rng.integers(-100, 100, 30).astype(np.int32))
    first, second = (Linear.dense(rng.integers(-128, 128, shape).astype(np.int8)) for shape in ((20, 30), (30, 4)))
    program.apply(x=WORDS, acc=CURRENT, map=first, cut=cut)
    threshold = rng.integers(1, 90, 30).astype(np.int32)
    program.fire(v=CURRENT, word=FIRED, threshold=threshold, bits=5, signed=False, max_spikes=5)
    program.apply(x=FIRED, acc=RESULT, map=second, cut=cut)
    program.count(word=FIRED, fan_out=i32(4), mode="popcount", bits=5, slot=0)
    return program


def same(a: Any, b: Any) -> None:
    for one, other in zip([*a[0], a[1]], [*b[0], b[1]], strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype


@quick
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(0, 30))
def test_a_batch_depends_neither_on_threads_nor_on_the_cut(seed: int, threads: int, cut: int) -> None:
    x = np.random.default_rng(seed).integers(-3, 4, (7, 3, 20)).astype(np.int16)
    outputs = [RESULT, FIRED, CURRENT]
    result = two_layers(20).run_batch([], outputs, 1, 3, [(WORDS, x)])
    assert [array.dtype for array in result[0]] == [np.int32, np.int16, np.int32]
    same(result, two_layers(cut).run_batch([], outputs, threads, 3, [(WORDS, x)]))


def test_a_batch_equals_a_workspace_stepped_by_hand() -> None:
    program = two_layers(5)
    x = np.random.default_rng(1).integers(-3, 4, (3, 4, 20)).astype(np.int16)
    outputs, counters = program.run_batch([], [FIRED, RESULT], 2, 5, [(WORDS, x)])
    total = np.zeros((1, 2), np.int64)
    for sample in range(3):
        workspace = program.workspace()
        for t in range(5):
            assert workspace.t == t
            program.write(workspace, WORDS, x[sample, t] if t < 4 else np.zeros(20, np.int16))
            program.step(workspace)
        np.testing.assert_array_equal(program.read(workspace, FIRED), outputs[0][sample])
        np.testing.assert_array_equal(program.read(workspace, RESULT), outputs[1][sample])
        total += workspace.counters
    np.testing.assert_array_equal(counters, total)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16])
def test_inputs_are_converted_while_they_are_loaded(dtype: Any) -> None:
    limits = np.iinfo(dtype)
    x = np.resize(np.array([limits.min, limits.max, 1, 0], dtype), (3, 20))
    (words,), _ = two_layers(5).run_batch([(WORDS, x)], [WORDS], 1, 2)
    np.testing.assert_array_equal(words, x)


def test_every_sample_of_a_batch_starts_anew() -> None:
    program = two_layers(5)
    x = np.ones((1, 20), np.int16)
    once = program.run_batch([(WORDS, x)], [RESULT])[0][0]
    many = program.run_batch([(WORDS, np.repeat(x, 6, 0))], [RESULT], 2)[0][0]
    np.testing.assert_array_equal(many, np.repeat(once, 6, 0))


def test_an_empty_batch_has_empty_results() -> None:
    (words, numbers), counters = two_layers(5).run_batch([(WORDS, np.zeros((0, 20), np.int16))], [FIRED, RESULT])
    assert (words.shape, numbers.shape, counters.tolist()) == ((0, 30), (0, 4), [[0, 0]])


def test_reset_goes_back_to_the_initial_values() -> None:
    program = two_layers(5)
    workspace = program.workspace()
    program.write(workspace, WORDS, np.full(20, 3, np.int16))
    program.step(workspace, 5)
    workspace.reset()
    assert workspace.t == 0
    assert not workspace.counters.any()
    assert not program.read(workspace, WORDS).any()
    assert program.read(workspace, RESULT).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("dtype", ["int16", "int32"])
@pytest.mark.parametrize(("given_", "held"), [([3], [3, 3, 3, 3]), ([1, -2], [1, -2, 1, -2]), ([1, 2, 3, 4],) * 2])
def test_initial_values_are_one_for_all_by_channel_or_by_neuron(dtype: str, given_: Any, held: Any) -> None:
    program = Program([(dtype, 4, 1)])
    program.initial(0, i32(*given_))
    assert program.read(program.workspace(), 0).tolist() == held


def test_what_is_read_is_a_copy() -> None:
    bench = Bench(x=("int16", 2)).put(x=1)
    bench["x"][:] = 5
    assert bench["x"].tolist() == [1, 1]


def test_time_and_counters_can_be_set() -> None:
    program = two_layers(5)
    workspace = program.workspace()
    workspace.t, workspace.counters = 7, np.array([[5, 6]])
    assert (workspace.t, workspace.counters.tolist()) == (7, [[5, 6]])


def test_nothing_is_appended_behind_a_workspace() -> None:
    program = Program([("int32", 1, 0)])
    program.workspace()
    with pytest.raises(RuntimeError, match="has a workspace already"):
        program.fill(acc=0, value=i32(1))
    with pytest.raises(RuntimeError, match="has a workspace already"):
        program.initial(0, i32(1))


def test_a_workspace_serves_its_own_program_only() -> None:
    program, other = (Program([("int16", 1, 0)]) for _ in range(2))
    for call in (program.step, lambda w: program.read(w, 0), lambda w: program.write(w, 0, np.zeros(1, np.int16))):
        with pytest.raises(ValueError, match=r"^workspace: belongs to another program"):
            call(other.workspace())


def test_a_workspace_in_use_refuses_a_second_thread() -> None:
    program = Program([("int32", 200_000, 0)])
    program.fill(acc=0, value=i32(0))
    workspace = program.workspace()
    started = threading.Event()
    refusals: list[str] = []

    def intrude() -> None:
        started.wait()
        while not refusals:
            try:
                program.read(workspace, 0)
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


def dense(n_in: int, n_out: int) -> Linear:
    return Linear.dense(np.ones((n_in, n_out), np.int8))


# The registers of the refused calls: words w0, w1, w2 and numbers n0, n1, n2, n3 of 3 elements each.
W0, W1, W2, N0, N1, N2, N3 = range(7)
IF = {"i": N0, "v": N1, "s": W0, "threshold": ones(3), "bias": ones(1), "v_min": ones(1), "reset": "zero"}
LIF = {"i": N0, "u": N1, "v": N2, "wait": N3, "pending": W0, "s": W1, "threshold": ones(1), "bias": ones(1)}
LIF |= {"keep_v": ones(1), "keep_u": ones(1), "bias_u": ones(1), "v_reset": ones(1), "v_min": -ones(1)}
LIF |= {"fraction_bits": 6, "reset": "value", "refractory": 0, "limits": "wide", "reset_interval": 0, "reset_offset": 0}
LIF |= {"inclusive": False}
FIRE = {"v": N0, "word": W0, "threshold": ones(3), "bits": 4, "signed": False, "max_spikes": 4}
SEND = {"u": N0, "left": W0, "s": W1, "threshold": ones(1), "significance": [1]}
APPLY = {"x": W0, "acc": N0, "map": dense(3, 3), "cut": 0}
COUNT = {"word": W0, "fan_out": ones(3), "mode": "nonzero", "bits": 4, "slot": 0}
DELAY = {"x": W0, "ring": W1, "y": W2, "steps": 1}
WEIGH = {"x": W0, "y": W1, "significance": [1]}
FILL = {"acc": N0, "value": ones(3)}

REFUSED: list[tuple[type[Exception], str, str, dict[str, Any], dict[str, Any]]] = [
    (IndexError, "acc", "fill", FILL, {"acc": 9}),
    (IndexError, "acc", "fill", FILL, {"acc": -1}),
    (ValueError, "acc", "fill", FILL, {"acc": W0}),
    (ValueError, "value", "fill", FILL, {"value": ones(2)}),
    (ValueError, "value", "fill", FILL, {"value": ones(0)}),
    (ValueError, "value", "fill", FILL, {"value": ones(6)}),
    (TypeError, "value", "fill", FILL, {"value": np.ones(3)}),
    (ValueError, "period", "fill", FILL, {"period": 0}),
    (ValueError, "begin", "fill", FILL, {"begin": -1}),
    (ValueError, "first", "fill", FILL, {"period": 2, "first": 2}),
    (ValueError, "last", "fill", FILL, {"period": 2, "first": 1, "last": 0}),
    (ValueError, "end", "fill", FILL, {"begin": 3, "end": 2}),
    (ValueError, "y", "copy", {"x": W0, "y": N0}, {}),
    (ValueError, "y", "copy", {"x": W0, "y": W0}, {}),
    (IndexError, "x", "clear", {"x": 7}, {}),
    (IndexError, "x", "apply", APPLY, {"x": 2**62}),
    (ValueError, "x", "apply", APPLY, {"x": N0}),
    (ValueError, "x", "apply", APPLY, {"map": dense(2, 3)}),
    (ValueError, "acc", "apply", APPLY, {"map": dense(3, 2)}),
    (ValueError, "cut", "apply", APPLY, {"cut": -1}),
    (ValueError, "threshold", "fire", FIRE, {"threshold": 0 * ones(3)}),
    (ValueError, "threshold", "fire", FIRE, {"threshold": -ones(1)}),
    (ValueError, "bits", "fire", FIRE, {"bits": 16}),
    (ValueError, "bits", "fire", FIRE, {"bits": 0, "signed": True}),
    (ValueError, "bits", "fire", FIRE, {"bits": 2**40, "signed": True}),
    (ValueError, "max_spikes", "fire", FIRE, {"max_spikes": -1}),
    (ValueError, "u", "latch", {"v": N0, "u": N0, "left": W0, "limit": 1}, {}),
    (ValueError, "limit", "latch", {"v": N0, "u": N1, "left": W0, "limit": 2**15}, {}),
    (ValueError, "s", "send", SEND, {"s": W0}),
    (ValueError, "significance", "send", SEND, {"significance": [1, 1]}),
    (ValueError, "significance", "send", SEND, {"threshold": 2**16 * ones(3), "significance": [2**15]}),
    (ValueError, "significance", "send", SEND, {"significance": [-(2**31)]}),
    (ValueError, "significance", "weigh", WEIGH, {"significance": [2**15 + 1]}),
    (ValueError, "y", "weigh", WEIGH, {"y": W0}),
    (ValueError, "total", "accumulate", {"x": W0, "total": W1, "significance": [1]}, {}),
    (ValueError, "significance", "accumulate", {"x": W0, "total": N0, "significance": []}, {}),
    (ValueError, "code", "encode", {"q": W0, "s": W1, "code": "rate", "significance": [1]}, {}),
    (ValueError, "s", "encode", {"q": W0, "s": W0, "code": "bits", "significance": [1]}, {}),
    (ValueError, "steps", "delay", DELAY, {"steps": 0}),
    (ValueError, "ring", "delay", DELAY, {"steps": 2}),
    (ValueError, "x, ring, y", "delay", DELAY, {"ring": W0}),
    (ValueError, "first", "delay", DELAY, {"period": 2, "first": 1}),
    (ValueError, "reset", "if_step", IF, {"reset": "hard"}),
    (ValueError, "reset", "if_step", IF, {"reset": "subtract_after_leak"}),
    (ValueError, "v", "if_step", IF, {"v": N0}),
    (ValueError, "threshold", "if_step", IF, {"threshold": 0 * ones(3)}),
    (ValueError, "reset", "lif_step", LIF, {"reset": "hard"}),
    (ValueError, "keep_u", "lif_step", LIF, {"keep_u": 65537 * ones(1)}),
    (ValueError, "threshold", "lif_step", LIF, {"threshold": 2**29 * ones(3)}),
    (ValueError, "threshold", "lif_step", LIF, {"threshold": 2**23 * ones(3), "limits": "chip"}),
    (ValueError, "v_min", "lif_step", LIF, {"v_min": ones(1)}),
    (ValueError, "fraction_bits", "lif_step", LIF, {"fraction_bits": 13}),
    (ValueError, "limits", "lif_step", LIF, {"limits": "none"}),
    (ValueError, "refractory", "lif_step", LIF, {"refractory": -1}),
    (ValueError, "i, u, v, wait", "lif_step", LIF, {"wait": N2}),
    (ValueError, "mode", "count", COUNT, {"mode": "bits"}),
    (ValueError, "slot", "count", COUNT, {"slot": 2**40}),
    (ValueError, "fan_out", "count", COUNT, {"fan_out": -ones(3)}),
]


def seven() -> Program:
    return Program([("int16", 3, 3 * k) for k in range(3)] + [("int32", 3, 3 * k) for k in range(4)])


@pytest.mark.parametrize(("error", "argument", "operation", "arguments", "changes"), REFUSED)
def test_arguments_of_operations_out_of_range_are_named(
    error: type[Exception], argument: str, operation: str, arguments: dict[str, Any], changes: dict[str, Any]
) -> None:
    with pytest.raises(error, match=f"^{argument}: "):
        getattr(seven(), operation)(**(arguments | changes))


X = np.zeros((2, 3), np.int16)


@pytest.mark.parametrize(
    ("error", "argument", "call"),
    [
        (ValueError, "values", lambda p: p.initial(N0, ones(4))),
        (ValueError, "values", lambda p: p.initial(W0, i32(2**15))),
        (IndexError, "register", lambda p: p.initial(7, ones(3))),
        (ValueError, "t", lambda p: setattr(p.workspace(), "t", -1)),
        (ValueError, "counters", lambda p: setattr(p.workspace(), "counters", np.zeros((3, 2), np.int64))),
        (IndexError, "register", lambda p: p.read(p.workspace(), 7)),
        (IndexError, "register", lambda p: p.write(p.workspace(), -1, ones(3))),
        (TypeError, "array", lambda p: p.write(p.workspace(), W0, ones(3))),
        (ValueError, "array", lambda p: p.write(p.workspace(), N0, ones(2))),
        (ValueError, "inputs", lambda p: p.run_batch([], [])),
        (ValueError, "inputs", lambda p: p.run_batch([(W0, np.zeros((2, 4), np.int16))], [])),
        (ValueError, "inputs", lambda p: p.run_batch([(N0, X)], [])),
        (IndexError, "inputs", lambda p: p.run_batch([(7, X)], [])),
        (TypeError, "inputs", lambda p: p.run_batch([(W0, np.zeros((2, 3)))], [])),
        (TypeError, "inputs", lambda p: p.run_batch([(W0, X[:, ::-1])], [])),
        (IndexError, "outputs", lambda p: p.run_batch([(W0, X)], [9])),
        (ValueError, "threads", lambda p: p.run_batch([(W0, X)], [], threads=0)),
        (ValueError, "steps", lambda p: p.run_batch([(W0, X)], [], steps=-1)),
        (ValueError, "step_inputs", lambda p: p.run_batch([], [], 1, 2, [(W0, np.zeros((2, 3, 3), np.int16))])),
        (ValueError, "step_inputs", lambda p: p.run_batch([(W0, X)], [], 1, 1, [(W1, np.zeros((3, 1, 3), np.int16))])),
    ],
)
def test_arguments_of_runs_out_of_range_are_named(error: type[Exception], argument: str, call: Any) -> None:
    with pytest.raises(error, match=f"^{argument}: "):
        call(seven())


@pytest.mark.parametrize(
    "register",
    [("int16", 0, 0), ("int32", -1, 0), ("int32", 2**29, 0), ("int16", 1, -1), ("int16", 1, 2**31), ("int8", 1, 0)],
)
def test_absurd_registers_are_refused_before_they_are_allocated(register: Any) -> None:
    with pytest.raises(ValueError, match=r"^registers: "):
        Program([register])


class Stop(Exception):
    """Raised by the signal handler of a test."""


@pytest.mark.parametrize("threads", [1, 2])
def test_a_signal_stops_a_long_batch_and_leaves_the_program_usable(threads: int) -> None:
    def stop(*_: object) -> None:
        raise Stop

    program = Program([("int16", 1, 0), ("int32", 100_000, 0)])
    program.fill(acc=1, value=i32(0))
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(Stop):
            program.run_batch([(0, np.zeros((3, 1), np.int16))], [], threads, steps=2**28)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert program.run_batch([(0, np.ones((3, 1), np.int16))], [0], threads)[0][0].tolist() == [[1]] * 3


@pytest.mark.parametrize("share", [0.1, 0.9])
@pytest.mark.parametrize("clustered", [False, True])
def test_a_sample_of_many_inputs_tells_how_many_are_active(share: float, clustered: bool) -> None:
    n, channels = 2**16, 64
    rng = np.random.default_rng(3)
    of_channels = rng.permutation(np.arange(channels) < share * channels)
    active = np.tile(of_channels, n // channels) if clustered else rng.random(n) < share
    program = Program([("int16", n, 0), ("int32", 1, 0)])
    program.apply(x=0, acc=1, map=Linear.dense(np.ones((n, 1), np.int8)), cut=n // 2)
    (sums,), _ = program.run_batch([(0, active[None].astype(np.int16))], [1])
    ((runs, by_event, looked, seen),) = program.passed()
    assert sums.item() == np.count_nonzero(active)
    assert (runs, by_event, looked) == (1, int(share < 0.5), 1)
    assert abs(seen / n - share) < 0.04

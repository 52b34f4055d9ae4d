# SPDX-License-Identifier: Apache-2.0
"""Many passes in one call: what goes in before each pass, what comes out after it, and what a signal leaves."""

import signal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import i32

from spikerun.kernels.cpu.native import Program
from spikerun.kernels.executor import SPIKE

quick = settings(max_examples=40, deadline=None)
N = 12
X, Y, TOTAL = range(3)


def doubling() -> Program:
    """Return a program of y = 2 x and total += x."""
    program = Program([("int16", N, 0), ("int16", N, N), ("int32", N, 0)])
    program.weigh(x=X, y=Y, significance=[2])
    program.accumulate(x=X, total=TOTAL, significance=[1])
    return program


def listed(rows: Any, order: Any, start: int = 0) -> list[tuple[int, int, int]]:
    """Return (pass, j, value) of the nonzero elements of each row, in the order given."""
    return [(start + t, j, int(row[k])) for t, row in enumerate(rows) for j, k in enumerate(order) if row[k]]


@quick
@given(st.integers(0, 2**32 - 1), st.integers(0, 6), st.integers(0, 8))
def test_rows_go_in_pass_by_pass_and_watched_elements_come_out(seed: int, given_: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.integers(-2, 3, (given_, N)).astype(np.int16)
    channels = int(rng.choice([1, 2, 3, 4, 12]))
    order = np.arange(N).reshape(-1, channels).T.ravel()  # channel by channel
    program = doubling()
    workspace = program.workspace()
    workspace.t = 3
    (watched,), captured, error = program.step(workspace, n, rows=[(X, rows)], watch=[(Y, channels)])
    expected = [*rows, *np.zeros((n, N), np.int16)][:n]
    assert watched.view(SPIKE).tolist() == listed(2 * np.array(expected), order, 3)
    assert (captured, error, workspace.t) == ([], None, 3 + n)


def test_captures_take_the_content_of_their_passes() -> None:
    program = doubling()
    workspace = program.workspace()
    ones = np.ones((20, N), np.int16)
    _, captured, _ = program.step(workspace, 12, rows=[(X, ones)], capture=[(TOTAL, 3, 4, 1), (TOTAL, 1, 10, 0)])
    (steps, content), (late, others) = captured
    assert steps.tolist() == [4, 7, 10]
    np.testing.assert_array_equal(content, np.repeat([[5], [8], [11]], N, 1))
    assert late.tolist() == [10, 11]
    assert others.shape == (2, N)


def test_many_passes_equal_one_at_a_time() -> None:
    rows = np.random.default_rng(0).integers(-9, 9, (7, N)).astype(np.int16)
    program = doubling()
    together, apart = program.workspace(), program.workspace()
    program.step(together, 7, rows=[(X, rows)])
    for row in rows:
        program.step(apart, rows=[(X, row[None])])
    np.testing.assert_array_equal(program.read(together, TOTAL), program.read(apart, TOTAL))


def test_without_lists_a_register_keeps_what_it_holds() -> None:
    program = doubling()
    workspace = program.workspace()
    program.write(workspace, X, np.full(N, 3, np.int16))
    assert program.step(workspace, 2) == ([], [], None)
    assert program.read(workspace, TOTAL).tolist() == [6] * N


def test_a_signal_stops_between_passes_and_loses_nothing() -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt("now")

    program = Program([("int16", 1, 0), ("int16", 1, 1), ("int32", 1, 0), ("int32", 20_000, 1)])
    program.fill(acc=3, value=i32(0))
    program.accumulate(x=0, total=2, significance=[1])
    workspace = program.workspace()
    program.write(workspace, 0, np.ones(1, np.int16))
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        (watched,), (captured,), error = program.step(workspace, 2**40, watch=[(0, 1)], capture=[(2, 1, 0, 0)])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert isinstance(error, KeyboardInterrupt)
    done = workspace.t
    assert 0 < done < 2**40
    assert program.read(workspace, 2).tolist() == [done]
    np.testing.assert_array_equal(watched.view(SPIKE)["step"], np.arange(done))
    np.testing.assert_array_equal(captured[1].reshape(-1), np.arange(1, done + 1))


ROW = np.zeros((1, N), np.int16)


@pytest.mark.parametrize(
    ("error", "argument", "keywords"),
    [
        (ValueError, "n", {"n": -1}),
        (ValueError, "n", {"n": 2**62 + 1}),
        (IndexError, "rows", {"rows": [(3, ROW)]}),
        (ValueError, "rows", {"rows": [(TOTAL, ROW)]}),
        (ValueError, "rows", {"rows": [(X, ROW[:, 1:].copy())]}),
        (TypeError, "rows", {"rows": [(X, ROW.astype(np.int32))]}),
        (ValueError, "watch", {"watch": [(X, 0)]}),
        (ValueError, "watch", {"watch": [(X, 5)]}),
        (ValueError, "watch", {"watch": [(TOTAL, 1)]}),
        (ValueError, "capture", {"capture": [(X, 1, 0, 0)]}),
        (ValueError, "capture", {"capture": [(TOTAL, 0, 0, 0)]}),
        (ValueError, "capture", {"capture": [(TOTAL, 2, 0, 2)]}),
    ],
)
def test_arguments_out_of_range_are_named(error: type[Exception], argument: str, keywords: dict[str, Any]) -> None:
    program = doubling()
    workspace = program.workspace()
    with pytest.raises(error, match=f"^{argument}: "):
        program.step(workspace, **keywords)
    assert workspace.t == 0

# SPDX-License-Identifier: Apache-2.0
"""decide: after which pass a run ends."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikerun.kernels.cpu.native import Program

X, V, STEPS = range(3)
NEVER = 2**31 - 1


def program(n: int, bounds: Any, rule: str, end: int) -> Program:
    """Return a program of v += x and decide, for `end` passes."""
    made = Program([("int16", n, 0), ("int32", n, 0), ("int32", 1, n)])
    made.accumulate(x=X, total=V, significance=[1])
    made.decide(v=V, steps=STEPS, bounds=np.array(bounds, np.int32), rule=rule, end=end)
    return made


def ends(v: Any, b: int, bounds: Any, rule: str) -> bool:
    """Return whether the run ends, as the operation is described."""
    for k in range(len(v)):
        bound = bounds[k][b if len(bounds[k]) > 1 else 0]
        lead = v[b] if rule == "reach" else v[b] - v[k]
        if k != b and (bound == NEVER or lead < bound + (rule != "lead" and k < b)):
            return False
    return True


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["gain", "reach", "lead"]), st.booleans())
def test_a_run_ends_after_the_first_pass_in_which_nobody_can_overtake(seed: int, rule: str, each: bool) -> None:
    rng = np.random.default_rng(seed)
    n, passes, samples = int(rng.integers(2, 5)), int(rng.integers(1, 6)), 4
    bounds = rng.integers(0, 5, (passes, n, n if each else 1))
    bounds[rng.random(bounds.shape) < 0.05] = NEVER
    x = rng.integers(-2, 4, (samples, passes, n)).astype(np.int16)
    made = program(n, bounds.reshape(passes * n, -1), rule, passes)
    for threads in (1, 3):
        (v, steps), _ = made.run_batch([], [V, STEPS], threads, passes, [(X, x)])
        for k in range(samples):
            sums = x[k].cumsum(axis=0).astype(int).tolist()
            done = (t for t in range(passes) if ends(sums[t], int(np.argmax(sums[t])), bounds[t].tolist(), rule))
            last = next(done, passes - 1)
            assert steps[k].tolist() == [last + 1] and v[k].tolist() == sums[last]


def test_a_workspace_goes_on_and_a_new_run_starts_undecided() -> None:
    made = program(2, [[0], [0]] * 3, "lead", 3)
    x = np.ones((5, 1, 2), np.int16)
    assert made.run_batch([], [STEPS], 1, 3, [(X, x)])[0][0].tolist() == [[1]] * 5
    work = made.workspace()
    made.step(work, 3)
    assert made.read(work, STEPS).tolist() == [3]


def test_differences_do_not_wrap() -> None:
    made = Program([("int16", 1, 0), ("int32", 2, 0), ("int32", 1, 2)])
    made.initial(V, np.array([2**31 - 1, -(2**31)], np.int32))
    made.decide(v=V, steps=STEPS, bounds=np.full((4, 1), 2**31 - 2, np.int32), rule="gain", end=2)
    assert made.run_batch([(X, np.zeros((1, 1), np.int16))], [STEPS], 1, 2)[0][0].tolist() == [[1]]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("bounds", {"bounds": np.zeros((5, 1), np.int32)}),
        ("bounds", {"bounds": np.zeros((6, 3), np.int32)}),
        ("bounds", {"bounds": np.full((6, 1), -1, np.int32)}),
        ("bounds", {"end": 2**62}),
        ("rule", {"rule": "best"}),
        ("steps", {"steps": V}),
        ("v", {"v": X}),
    ],
)
def test_wrong_arguments_are_named(name: str, change: dict[str, Any]) -> None:
    made = Program([("int16", 2, 0), ("int32", 2, 0), ("int32", 1, 2)])
    given_ = {"v": V, "steps": STEPS, "bounds": np.zeros((6, 1), np.int32), "rule": "gain", "end": 3}
    made.decide(**given_)
    with pytest.raises(ValueError, match=f"^{name}:"):
        made.decide(**{**given_, **change})

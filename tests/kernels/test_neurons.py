"""IF and LIF steps against their definitions in Python integers, extremes included."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikerun.kernels import Program

LIMIT = 2**23 - 1
quick = settings(max_examples=60, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def extreme(rng: np.random.Generator, n: int, low: int, high: int) -> Any:
    """Return n integers of low..high of all magnitudes, the ends and 0 among them."""
    wide = rng.integers(low, high + 1, n)
    values = np.where(rng.random(n) < 0.5, wide, wide >> rng.integers(0, 32, n))
    return np.clip(np.where(rng.random(n) < 0.2, rng.choice([low, 0, high], n), values), low, high).astype(np.int32)


@quick
@given(seeds, st.sampled_from(["subtract", "zero"]), st.integers(1, 40))
def test_if_step_adds_saturates_fires_and_resets(seed: int, reset: str, n: int) -> None:
    rng = np.random.default_rng(seed)
    v, bias = (extreme(rng, n, -(2**31), 2**31 - 1) for _ in range(2))
    threshold, floor = extreme(rng, n, 1, 2**31 - 1), extreme(rng, n, -(2**31), 0)
    program = Program([n], [n, n])
    program.if_step(0, 1, 0, threshold, bias, floor, reset)
    workspace = program.workspace()
    workspace.acc(1)[:] = v
    for _ in range(4):
        i = extreme(rng, n, -(2**31), 2**31 - 1)
        workspace.acc(0)[:] = i
        program.step(workspace)
        total = np.clip(v.astype(np.int64) + i + bias, np.maximum(floor, -LIMIT), LIMIT)
        s = total >= threshold
        v = np.where(s, 0 if reset == "zero" else total - threshold, total).astype(np.int32)
        np.testing.assert_array_equal(workspace.word(0), s)
        np.testing.assert_array_equal(workspace.acc(1), v)


def decayed(x: int, d: int) -> int:
    return (abs(x) * (4096 - d) >> 12) * (1 if x >= 0 else -1)


class Lif:
    """One LIF neuron in Python integers."""

    def __init__(self, threshold: int, bias: int, du: int, dv: int, reset: str, refractory: int) -> None:
        self.th, self.bias, self.du, self.dv = threshold << 6, bias, du, dv
        self.mode, self.refractory = reset, refractory
        self.clear()

    def clear(self) -> None:
        self.u = self.v = self.wait = self.pending = 0

    def step(self, i: int) -> int:
        u = (decayed(self.u, self.du) + (i << 6)) % 2**24
        self.u = u - 2**24 if u > 2**23 else u
        if self.wait > 0:
            self.wait -= 1
            return 0
        v = decayed(self.v, self.dv) + self.u + self.bias - self.th * self.pending
        self.v = min(max(v, -LIMIT), LIMIT)
        s = int(self.v > self.th)
        self.pending = s if self.mode == "subtract_after_leak" else 0
        if s and self.mode != "subtract_after_leak":
            self.v = 0 if self.mode == "zero" else self.v - self.th
        self.wait = self.refractory if s else self.wait
        return s


@quick
@given(
    seeds,
    st.sampled_from(["subtract", "zero", "subtract_after_leak"]),
    st.integers(0, 3),
    st.integers(0, 5),
    st.integers(0, 9),
    st.sampled_from([2**6, 2**12, 2**31 - 1]),
)
def test_lif_step_equals_the_fixed_point_model(
    seed: int, reset: str, refractory: int, interval: int, offset: int, current: int
) -> None:
    rng, n = np.random.default_rng(seed), 8
    threshold, bias = extreme(rng, n, 0, 2**17 - 1) >> rng.integers(0, 16, n), extreme(rng, n, -(2**31), 2**31 - 1)
    bias = (bias >> rng.integers(0, 31, n)).astype(np.int32)
    threshold = threshold.astype(np.int32)
    du, dv = extreme(rng, n, 0, 4096), extreme(rng, n, 0, 4096)
    program = Program([n, n], [n, n, n, n])
    program.lif_step(0, 1, 2, 3, 0, 1, threshold, bias, du, dv, reset, refractory, interval, offset)
    workspace = program.workspace()
    neurons = [Lif(*map(int, row), reset, refractory) for row in zip(threshold, bias, du, dv, strict=True)]
    for t in range(14):
        i = extreme(rng, n, -current, current)
        workspace.acc(0)[:] = i
        program.step(workspace)
        if interval and t % interval == offset % interval:
            for neuron in neurons:
                neuron.clear()
        s = [neuron.step(int(x)) for neuron, x in zip(neurons, i, strict=True)]
        assert workspace.word(1).tolist() == s
        for register, name in ((1, "u"), (2, "v"), (3, "wait")):
            assert workspace.acc(register).tolist() == [getattr(neuron, name) for neuron in neurons], name
        assert workspace.word(0).tolist() == [neuron.pending for neuron in neurons]


@pytest.mark.parametrize(
    ("current", "wrapped"), [(2**17, 2**23), (-(2**17), 2**23), (2**17 + 1, 64 - 2**23), (1 - 2**17, 64 - 2**23)]
)
def test_the_current_wraps_to_more_than_its_lower_and_at_most_its_upper_end(current: int, wrapped: int) -> None:
    program = Program([1, 1], [1, 1, 1, 1])
    zero = np.zeros(1, np.int32)
    program.lif_step(0, 1, 2, 3, 0, 1, zero, zero, zero, zero, "zero")
    workspace = program.workspace()
    workspace.acc(0)[:] = current
    program.step(workspace)
    assert workspace.acc(1)[0] == wrapped


@pytest.mark.parametrize("content", [-(2**31), 2**31 - 1])
def test_registers_may_hold_anything(content: int) -> None:
    program = Program([2, 2], [2, 2, 2, 2])
    zero = np.zeros(2, np.int32)
    program.lif_step(0, 1, 2, 3, 0, 1, zero, zero, zero, zero, "subtract")
    workspace = program.workspace()
    for k in range(4):
        workspace.acc(k)[:] = content
    workspace.word(0)[:] = -32768
    program.step(workspace, 3)
    workspace.acc(3)[:] = 0  # a neuron in its refractory period keeps its membrane, whatever that is
    program.step(workspace)
    assert abs(int(workspace.acc(2)[0])) <= 2**23 - 1


@quick
@given(seeds, st.integers(1, 16), st.sampled_from(["popcount", "nonzero"]))
def test_count_adds_spikes_and_their_fan_out(seed: int, bits: int, mode: str) -> None:
    rng = np.random.default_rng(seed)
    word = np.where(rng.random(50) < 0.5, rng.integers(-(2**15), 2**15, 50), 0).astype(np.int16)
    fan_out = rng.integers(0, 2**31, 50).astype(np.int32)
    program = Program([50], [])
    program.count(0, fan_out, mode, bits, 1)
    workspace = program.workspace()
    workspace.word(0)[:] = word
    program.step(workspace, 2)
    spikes = [int(w != 0) if mode == "nonzero" else (int(w) % 2**bits).bit_count() for w in word]
    total = [sum(spikes), sum(n * int(f) for n, f in zip(spikes, fan_out, strict=True))]
    np.testing.assert_array_equal(workspace.counters, [[0, 0], [2 * t for t in total]])

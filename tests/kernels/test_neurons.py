# SPDX-License-Identifier: Apache-2.0
"""IF and LIF steps against their definitions in Python integers, extremes included."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import Bench, extreme, i32, in_a_form, populations

LIMIT = 2**23 - 1
quick = settings(max_examples=60, deadline=None)
seeds = st.integers(0, 2**32 - 1)


@quick
@given(seeds, st.sampled_from(["subtract", "zero"]), populations())
def test_if_step_adds_saturates_fires_and_resets(seed: int, reset: str, population: tuple[int, int]) -> None:
    rng, (n, channels) = np.random.default_rng(seed), population
    ranges = {"threshold": (1, 2**31 - 1), "bias": (-(2**31), 2**31 - 1), "v_min": (-(2**31), 0)}
    forms = {name: in_a_form(rng, extreme(rng, n, *span), channels) for name, span in ranges.items()}
    threshold, bias, floor = (value.astype(np.int64) for _, value in forms.values())
    bench = Bench(i=("int32", n), v=("int32", n), s=("int16", n))
    bench.add("if_step", i="i", v="v", s="s", reset=reset, **{name: given_ for name, (given_, _) in forms.items()})
    v = extreme(rng, n, -(2**31), 2**31 - 1)
    bench.put(v=v)
    for _ in range(4):
        i = extreme(rng, n, -(2**31), 2**31 - 1)
        bench.step(i=i)
        total = np.clip(v.astype(np.int64) + i + bias, np.maximum(floor, -LIMIT), LIMIT)
        s = total >= threshold
        v = np.where(s, 0 if reset == "zero" else total - threshold, total)
        np.testing.assert_array_equal(bench["s"], s)
        np.testing.assert_array_equal(bench["v"], v)


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


STATE = ("u", "v", "wait", "pending")


def lif(n: int, **parameters: Any) -> Bench:
    numbers = {name: ("int32", n) for name in ("i", "u", "v", "wait")}
    bench = Bench(**numbers, pending=("int16", n), s=("int16", n))
    defaults = {name: i32(0) for name in ("threshold", "bias", "du", "dv")}
    others = {"reset": "zero", "refractory": 0, "reset_interval": 0, "reset_offset": 0}
    registers = {name: name for name in bench.registers}
    return bench.add("lif_step", **registers, **(defaults | others | parameters))


@quick
@given(
    seeds,
    st.sampled_from(["subtract", "zero", "subtract_after_leak"]),
    st.integers(0, 3),
    st.integers(0, 5),
    st.integers(0, 9),
    st.integers(0, 4),
    st.sampled_from([2**6, 2**12, 2**31 - 1]),
    st.sampled_from([(8, 1), (8, 4), (600, 3)]),
)
def test_lif_step_equals_the_fixed_point_model(
    seed: int,
    reset: str,
    refractory: int,
    interval: int,
    offset: int,
    begin: int,
    current: int,
    population: tuple[int, int],
) -> None:
    rng, (n, channels) = np.random.default_rng(seed), population
    drawn = {
        "threshold": extreme(rng, n, 0, 2**17 - 1) >> rng.integers(0, 16, n),
        "bias": extreme(rng, n, -(2**31), 2**31 - 1) >> rng.integers(0, 31, n),
        "du": extreme(rng, n, 0, 4096),
        "dv": extreme(rng, n, 0, 4096),
    }
    forms = {name: in_a_form(rng, values.astype(np.int32), channels) for name, values in drawn.items()}
    given_ = {name: form for name, (form, _) in forms.items()}
    rules = {"reset": reset, "refractory": refractory, "reset_interval": interval, "reset_offset": offset}
    bench = lif(n, **given_, **rules, begin=begin).step(begin)
    shown = rng.choice(n, 8, replace=False)  # the other neurons are updated alike
    threshold, bias, du, dv = (values for _, values in forms.values())
    neurons = [Lif(int(threshold[k]), int(bias[k]), int(du[k]), int(dv[k]), reset, refractory) for k in shown]
    for t in range(14):
        i = extreme(rng, n, -current, current)
        bench.step(i=i)
        if interval and t % interval == offset % interval:
            for neuron in neurons:
                neuron.clear()
        s = [neuron.step(int(x)) for neuron, x in zip(neurons, i[shown], strict=True)]
        assert bench["s"][shown].tolist() == s
        for name in STATE:
            assert bench[name][shown].tolist() == [getattr(neuron, name) for neuron in neurons], name


@pytest.mark.parametrize(
    ("current", "wrapped"), [(2**17, 2**23), (-(2**17), 2**23), (2**17 + 1, 64 - 2**23), (1 - 2**17, 64 - 2**23)]
)
def test_the_current_wraps_to_more_than_its_lower_and_at_most_its_upper_end(current: int, wrapped: int) -> None:
    assert lif(1).step(i=current)["u"][0] == wrapped


@pytest.mark.parametrize("content", [-(2**31), 2**31 - 1])
def test_registers_may_hold_anything(content: int) -> None:
    bench = lif(2, reset="subtract").step(3, i=content, u=content, v=content, wait=content, pending=-32768)
    bench.step(wait=0)  # a neuron in its refractory period keeps its membrane, whatever that is
    assert abs(int(bench["v"][0])) <= 2**23 - 1

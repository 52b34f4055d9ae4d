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
@given(seeds, st.sampled_from(["subtract", "zero"]), populations(), st.sampled_from([2**24, 2**24 + 1, 2**31 - 1]))
def test_if_step_adds_saturates_fires_and_resets(
    seed: int, reset: str, population: tuple[int, int], most_bias: int
) -> None:
    rng, (n, channels) = np.random.default_rng(seed), population
    ranges = {"threshold": (1, 2**31 - 1), "bias": (-most_bias, most_bias), "v_min": (-(2**31), 0)}
    forms = {name: in_a_form(rng, extreme(rng, n, *span), channels) for name, span in ranges.items()}
    threshold, bias, floor = (value.astype(np.int64) for _, value in forms.values())
    bench = Bench(i=("int32", n), v=("int32", n), s=("int16", n))
    bench.add("if_step", i="i", v="v", s="s", reset=reset, **{name: given_ for name, (given_, _) in forms.items()})
    v = extreme(rng, n, -LIMIT, LIMIT)
    bench.put(v=v)
    for _ in range(4):
        i = extreme(rng, n, -(2**31), 2**31 - 1)
        bench.step(i=i)
        total = np.clip(v.astype(np.int64) + i + bias, np.maximum(floor, -LIMIT), LIMIT)
        s = total >= threshold
        v = np.where(s, 0 if reset == "zero" else total - threshold, total)
        np.testing.assert_array_equal(bench["s"], s)
        np.testing.assert_array_equal(bench["v"], v)


def kept(x: int, keep: int) -> int:
    return (abs(x) * keep >> 16) * (1 if x >= 0 else -1)


WIDE = 2**29 - 1
LIF = {"threshold": 0, "keep_v": 0, "keep_u": 0, "bias": 0, "bias_u": 0, "v_reset": 0, "v_min": -WIDE}
RULES = {"fraction_bits": 0, "reset": "value", "refractory": 0, "limits": "wide", "inclusive": False}
STATE = ("u", "v", "wait", "pending")


class Lif:
    """One LIF neuron in Python integers; the parameters are those of the operation."""

    def __init__(self, **parameters: Any) -> None:
        self.p = parameters
        self.most = LIMIT if parameters["limits"] == "chip" else WIDE
        self.clear()

    def clear(self) -> None:
        self.u = self.v = self.wait = self.pending = 0

    def step(self, i: int) -> int:
        p = self.p
        u = kept(self.u, p["keep_u"]) + (i << p["fraction_bits"]) + p["bias_u"]
        if p["limits"] == "chip":
            self.u = u % 2**24 - (2**24 if u % 2**24 > 2**23 else 0)
        else:
            self.u = min(max(u, -WIDE), WIDE)
        if self.wait > 0:
            self.wait -= 1
            return 0
        v = kept(self.v, p["keep_v"]) + self.u + p["bias"] - p["threshold"] * self.pending
        self.v = max(min(max(v, -self.most), self.most), p["v_min"])
        s = int(self.v > p["threshold"] or (p["inclusive"] and self.v == p["threshold"]))
        self.pending = s if p["reset"] == "subtract_after_leak" else 0
        if s and p["reset"] == "value":
            self.v = p["v_reset"]
        elif s and p["reset"] == "subtract":
            self.v -= p["threshold"]
        self.wait = p["refractory"] if s else self.wait
        return s


def lif(n: int, **parameters: Any) -> Bench:
    numbers = {name: ("int32", n) for name in ("i", "u", "v", "wait")}
    bench = Bench(**numbers, pending=("int16", n), s=("int16", n))
    defaults = {name: i32(value) for name, value in LIF.items()}
    others = {**RULES, "reset_interval": 0, "reset_offset": 0}
    registers = {name: name for name in bench.registers}
    return bench.add("lif_step", **registers, **(defaults | others | parameters))


@quick
@given(
    seeds,
    st.sampled_from(["subtract", "value", "subtract_after_leak", "none"]),
    st.sampled_from(["wide", "chip"]),
    st.integers(0, 12),
    st.integers(0, 3),
    st.booleans(),
    st.tuples(st.integers(0, 5), st.integers(0, 9), st.integers(0, 4)),
    st.integers(0, 29),
    st.sampled_from([(8, 1), (8, 4), (600, 3)]),
)
def test_lif_step_equals_its_equation(
    seed: int,
    reset: str,
    limits: str,
    fraction_bits: int,
    refractory: int,
    inclusive: bool,
    phase: tuple[int, int, int],
    smaller: int,
    population: tuple[int, int],
) -> None:
    rng, (n, channels), (interval, offset, begin) = np.random.default_rng(seed), population, phase
    most = LIMIT if limits == "chip" else WIDE
    ranges = {"threshold": (0, most), "bias": (-most, most), "bias_u": (-most, most), "v_reset": (-most, most)}
    drawn = {name: extreme(rng, n, *span) >> rng.integers(0, 29, n) for name, span in ranges.items()}
    drawn |= {name: extreme(rng, n, 0, 65536) for name in ("keep_v", "keep_u")}
    drawn["v_min"] = extreme(rng, n, -WIDE, 0)
    forms = {name: in_a_form(rng, values.astype(np.int32), channels) for name, values in drawn.items()}
    rules: dict[str, Any] = {"fraction_bits": fraction_bits, "reset": reset, "refractory": refractory, "limits": limits}
    rules["inclusive"] = inclusive
    given_ = {name: form for name, (form, _) in forms.items()}
    bench = lif(n, **given_, **rules, reset_interval=interval, reset_offset=offset, begin=begin).step(begin)
    shown = rng.choice(n, 8, replace=False)  # the other neurons are updated alike
    neurons = [Lif(**{name: int(values[k]) for name, (_, values) in forms.items()}, **rules) for k in shown]
    current = 2**31 - 1 if limits == "chip" else WIDE >> fraction_bits  # what the contract allows
    for t in range(14):
        i = extreme(rng, n, -current, current) >> smaller
        bench.step(i=i)
        if interval and t % interval == offset % interval:
            for neuron in neurons:
                neuron.clear()
        s = [neuron.step(int(x)) for neuron, x in zip(neurons, i[shown], strict=True)]
        assert bench["s"][shown].tolist() == s
        for name in STATE:
            assert bench[name][shown].tolist() == [getattr(neuron, name) for neuron in neurons], name


@pytest.mark.parametrize(("inclusive", "fires"), [(False, [0, 0, 1]), (True, [0, 1, 1])])
def test_a_membrane_at_the_threshold_fires_where_that_is_inclusive(inclusive: bool, fires: list[int]) -> None:
    bench = lif(3, threshold=i32(5), reset="subtract", inclusive=inclusive).step(i=[4, 5, 6])
    assert bench["s"].tolist() == fires
    assert bench["v"].tolist() == [v - 5 * s for v, s in zip([4, 5, 6], fires, strict=True)]


@pytest.mark.parametrize(
    ("current", "wrapped"), [(2**17, 2**23), (-(2**17), 2**23), (2**17 + 1, 64 - 2**23), (1 - 2**17, 64 - 2**23)]
)
def test_the_current_of_a_chip_wraps_to_more_than_its_lower_and_at_most_its_upper_end(
    current: int, wrapped: int
) -> None:
    assert lif(1, limits="chip", fraction_bits=6).step(i=current)["u"][0] == wrapped


@pytest.mark.parametrize("mode", ["max", "mean"])
def test_collect_keeps_the_largest_or_adds_what_a_shift_leaves(mode: str) -> None:
    v = np.array([[-(2**31), 5, -1, 8], [2**31 - 1, 4, -9, 7], [0, 6, -8, -1]], np.int32)
    bench = Bench(v=("int32", 4), answer=("int32", 4)).add("collect", v="v", answer="answer", mode=mode, shift=2)
    bench.put(answer=np.full(4, -(2**31) if mode == "max" else 0, np.int32))
    for row in v:
        bench.step(v=row)
    expected = v.max(axis=0) if mode == "max" else (v.astype(np.int64) >> 2).sum(axis=0)
    assert bench["answer"].tolist() == expected.tolist()


def test_shifted_numbers_are_added_and_wrap() -> None:
    bench = Bench(x=("int32", 5), total=("int32", 5)).add("add_shifted", x="x", total="total", bits=24)
    bench.put(total=np.array([0, 1, -1, 5, 2**31 - 1], np.int32))
    bench.step(x=np.array([3, -2, 0, 128, 1], np.int32))
    wrapped = [3 << 24, 1 - (2 << 24), -1, 5 - 2**31, 2**24 - 1 - 2**31]
    assert bench["total"].tolist() == wrapped


@pytest.mark.parametrize("limits", ["wide", "chip"])
@pytest.mark.parametrize("content", [-(2**31), 2**31 - 1])
def test_registers_may_hold_anything(content: int, limits: str) -> None:
    bench = lif(2, reset="subtract", limits=limits).step(3, i=content, u=content, v=content, wait=content, pending=-9)
    bench.step(wait=0)  # a neuron in its refractory period keeps its membrane, whatever that is
    assert abs(int(bench["v"][0])) <= (LIMIT if limits == "chip" else WIDE)

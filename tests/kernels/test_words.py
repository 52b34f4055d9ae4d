# SPDX-License-Identifier: Apache-2.0
"""Filling, copying, delaying and weighing registers, against their definitions in plain NumPy."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import Bench, extreme, in_a_form, populations

from spikerun.kernels.cpu.native import Linear

quick = settings(max_examples=40, deadline=None)
seeds = st.integers(0, 2**32 - 1)
WORD = (-(2**15), 2**15 - 1)


@quick
@given(seeds, populations())
def test_fill_writes_the_value_of_each_neuron(seed: int, population: tuple[int, int]) -> None:
    rng, (n, channels) = np.random.default_rng(seed), population
    given_, value = in_a_form(rng, extreme(rng, n, -(2**31), 2**31 - 1), channels)
    bench = Bench(other=("int32", 3), acc=("int32", n)).add("fill", acc="acc", value=given_).step(other=5, acc=9)
    np.testing.assert_array_equal(bench["acc"], value)
    assert bench["other"].tolist() == [5, 5, 5]


@pytest.mark.parametrize("dtype", ["int16", "int32"])
def test_clear_writes_zeros(dtype: str) -> None:
    bench = Bench(before=(dtype, 2), x=(dtype, 5), behind=(dtype, 2)).add("clear", x="x")
    bench.step(before=1, x=[1, -2, 3, 4, 5], behind=1)
    assert [bench[name].tolist() for name in ("before", "x", "behind")] == [[1, 1], [0] * 5, [1, 1]]


@pytest.mark.parametrize("dtype", ["int16", "int32"])
def test_copy_copies(dtype: str) -> None:
    bench = Bench(x=(dtype, 4), y=(dtype, 4)).add("copy", x="x", y="y").step(x=[1, -2, 3, 32767], y=7)
    assert bench["y"].tolist() == bench["x"].tolist() == [1, -2, 3, 32767]


@quick
@given(st.integers(1, 5), st.integers(0, 3))
def test_delay_returns_the_word_of_so_many_passes_ago(steps: int, begin: int) -> None:
    bench = Bench(x=("int16", 3), ring=("int16", 3 * steps), y=("int16", 3))
    bench.add("delay", x="x", ring="ring", y="y", steps=steps, begin=begin)
    sent = np.random.default_rng(0).integers(*WORD, (12, 3))
    for t in range(12):
        expected = sent[t - steps] if t - steps >= begin else np.zeros(3)
        np.testing.assert_array_equal(bench.step(x=sent[t])["y"], expected)


def significances(rng: np.random.Generator) -> list[int]:
    return [int(g) for g in rng.choice([-(2**15), -3, -1, 0, 1, 2, 4, 2**14, 2**15], rng.integers(1, 5))]


def encoded(q: Any, code: str, g: int) -> Any:
    if code == "bits":
        return (q & abs(g)) != 0
    if code == "ttfs":
        return (q == g) & (g > 0)
    return (q * g).astype(np.int16)


@quick
@given(seeds, st.sampled_from(["bits", "ttfs", "graded", "current"]), st.integers(1, 40))
def test_encode_sends_the_events_of_the_code(seed: int, code: str, n: int) -> None:
    rng = np.random.default_rng(seed)
    g, q = significances(rng), extreme(rng, n, *WORD)
    bench = Bench(q=("int16", n), s=("int16", n))
    bench.add("encode", q="q", s="s", code=code, significance=g, period=len(g))
    for t in range(5):
        np.testing.assert_array_equal(bench.step(q=q)["s"], encoded(q, code, g[t % len(g)]))


def test_the_spikes_of_bits_add_up_to_the_integer() -> None:
    g = [-8, 4, 2, 1]
    bench = Bench(q=("int16", 16), s=("int16", 16)).add("encode", q="q", s="s", code="bits", significance=g, period=4)
    q = np.arange(-8, 8)
    total = sum(weight * bench.step(q=q)["s"].astype(int) for weight in g)
    np.testing.assert_array_equal(total, q)


@quick
@given(seeds, st.integers(1, 40))
def test_weigh_multiplies_by_the_significance_of_the_pass(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    g, x = significances(rng), extreme(rng, n, *WORD)
    bench = Bench(x=("int16", n), y=("int16", n)).add("weigh", x="x", y="y", significance=tuple(g), period=len(g))
    for t in range(5):
        np.testing.assert_array_equal(bench.step(x=x)["y"], (x * g[t % len(g)]).astype(np.int16))


@quick
@given(seeds, st.integers(1, 40))
def test_accumulate_adds_up_modulo_2_to_the_32(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    g = [*significances(rng), 2**31 - 1, -(2**31) + 1]
    total = extreme(rng, n, -(2**31), 2**31 - 1)
    bench = Bench(x=("int16", n), total=("int32", n))
    bench.add("accumulate", x="x", total="total", significance=g, period=len(g)).put(total=total)
    for t in range(len(g) + 1):
        x = extreme(rng, n, *WORD)
        total = (total.astype(np.int64) + x.astype(np.int64) * g[t % len(g)]).astype(np.int32)
        np.testing.assert_array_equal(bench.step(x=x)["total"], total)


@quick
@given(seeds, populations(), st.integers(1, 16), st.sampled_from(["popcount", "nonzero"]), st.sampled_from([9, 2**31]))
def test_count_adds_spikes_and_their_fan_out(
    seed: int, population: tuple[int, int], bits: int, mode: str, most: int
) -> None:
    rng, (n, channels) = np.random.default_rng(seed), population
    word = np.where(rng.random(n) < 0.5, rng.integers(*WORD, n), 0).astype(np.int16)
    given_, fan_out = in_a_form(rng, rng.integers(0, most, n).astype(np.int32), channels)
    bench = Bench(word=("int16", n)).add("count", word="word", fan_out=given_, mode=mode, bits=bits, slot=1)
    bench.step(2, word=word)
    spikes = [int(w != 0) if mode == "nonzero" else (int(w) % 2**bits).bit_count() for w in word]
    total = [sum(spikes), sum(k * int(f) for k, f in zip(spikes, fan_out, strict=True))]
    np.testing.assert_array_equal(bench.workspace.counters, [[0, 0], [2 * t for t in total]])


@quick
@given(seeds, st.integers(1, 40), st.integers(1, 50), st.integers(1, 16), st.sampled_from(["popcount", "nonzero"]))
def test_count_adds_runs_of_equal_fan_out(seed: int, channels: int, places: int, bits: int, mode: str) -> None:
    rng = np.random.default_rng(seed)
    word = np.where(rng.random(channels * places) < 0.5, rng.integers(*WORD, channels * places), 0).astype(np.int16)
    fan_out = np.repeat(rng.integers(0, rng.choice([2, 2**31]), places), channels).astype(np.int32)
    bench = Bench(word=("int16", word.size)).add("count", word="word", fan_out=fan_out, mode=mode, bits=bits, slot=0)
    bench.step(word=word)
    spikes = [int(w != 0) if mode == "nonzero" else (int(w) % 2**bits).bit_count() for w in word]
    total = [sum(spikes), sum(k * int(f) for k, f in zip(spikes, fan_out, strict=True))]
    assert bench.workspace.counters.tolist() == [total]


def test_apply_takes_the_dense_kernel_above_the_cut_with_the_same_result() -> None:
    weight = np.random.default_rng(0).integers(-128, 128, (30, 20)).astype(np.int8)
    x = np.arange(30) % 4
    results = []
    for cut in (0, 22, 30):
        bench = Bench(x=("int16", 30), acc=("int32", 20)).add(
            "apply", x="x", acc="acc", map=Linear.dense(weight), cut=cut
        )
        results.append(bench.step(x=x, acc=range(20))["acc"])
    for result in results:
        np.testing.assert_array_equal(result, np.arange(20) + x @ weight)

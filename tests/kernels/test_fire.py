# SPDX-License-Identifier: Apache-2.0
"""Firing and sending of few-spikes words, against their definitions in plain NumPy."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import Bench, i32, in_a_form, populations

quick = settings(max_examples=60, deadline=None)
seeds = st.integers(0, 2**32 - 1)
THRESHOLDS = [1, 2, 3, 1000, 16384, 16385, 65535, 65536, 65537, 2**22 + 1, 2**30, 2**31 - 1]


def limits(bits: int, signed: bool) -> tuple[int, int]:
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)


def kept(q: int, bits: int, signed: bool, max_spikes: int) -> int:
    """Return the word of the `max_spikes` most significant set bits of q's two's complement word."""
    word, result = q % 2**bits, 0
    for b in reversed(range(bits)):
        if word >> b & 1 and max_spikes > 0:
            result, max_spikes = result | 1 << b, max_spikes - 1
    return result - 2**bits if signed and result >> (bits - 1) else result


def fired(v: Any, threshold: Any, bits: int, signed: bool, max_spikes: int) -> Any:
    q = np.clip(v.astype(np.int64) // threshold, *limits(bits, signed))
    return np.array([kept(int(x), bits, signed, max_spikes) for x in q], np.int16)


def run_fire(v: Any, threshold: Any, bits: int, signed: bool, max_spikes: int) -> Any:
    bench = Bench(v=("int32", v.size), word=("int16", v.size))
    bench.add("fire", v="v", word="word", threshold=threshold, bits=bits, signed=signed, max_spikes=max_spikes)
    return bench.step(v=v)["word"]


@st.composite
def rules(draw: st.DrawFn) -> tuple[int, bool, int]:
    """Draw bits, signed and max_spikes of a word."""
    signed = draw(st.booleans())
    bits = draw(st.integers(1, 16 if signed else 15))
    return bits, signed, draw(st.integers(0, bits))


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 5, 8, 12, 15])
def test_single_precision_is_exact_beside_every_multiple_of_every_threshold(bits: int, signed: bool) -> None:
    rng = np.random.default_rng(0)
    low, high = limits(bits, signed)
    most = 2 ** (21 - bits)  # the largest that takes single precision
    thresholds = np.unique([*range(max(1, most - 30), most + 3), *rng.integers(1, most + 1, 100)]).astype(np.int32)
    levels = np.arange(low - 1, high + 3) if bits <= 8 else np.r_[low - 1 : low + 99, high - 99 : high + 3]
    for threshold in thresholds:
        beside = levels[:, None] * int(threshold) + np.array([-1, 0, 1])
        v = np.concatenate([beside.ravel(), [-(2**31), -(2**24) - 1, 2**24 + 1, 2**31 - 1]]).astype(np.int32)
        expected = np.clip(v // threshold, low, high)
        np.testing.assert_array_equal(run_fire(v, i32(int(threshold)), bits, signed, bits), expected)


@quick
@given(seeds, rules(), st.sampled_from(THRESHOLDS))
def test_fire_is_exact_beside_every_multiple_of_the_threshold(
    seed: int, rule: tuple[int, bool, int], threshold: int
) -> None:
    rng = np.random.default_rng(seed)
    low, high = limits(*rule[:2])
    k = np.unique(np.concatenate([[low, low + 1, -1, 0, 1, high, high + 1], rng.integers(low, high + 1, 40)]))
    v = np.clip((k[:, None] * threshold + np.array([-1, 0, 1])).reshape(-1), -(2**31), 2**31 - 1)
    np.testing.assert_array_equal(run_fire(v, i32(threshold), *rule), fired(v, threshold, *rule))


@quick
@given(seeds, rules(), populations())
def test_fire_divides_any_int32_by_any_threshold(
    seed: int, rule: tuple[int, bool, int], population: tuple[int, int]
) -> None:
    rng, (n, channels) = np.random.default_rng(seed), population
    given_, threshold = in_a_form(rng, (2 ** rng.uniform(0, 31, n)).astype(np.int32), channels)
    v = rng.integers(-(2**31), 2**31, n)
    np.testing.assert_array_equal(run_fire(v, given_, *rule), fired(v, threshold, *rule))


@quick
@given(seeds, rules(), st.sampled_from([-1, 0, 1]))
def test_fire_is_exact_on_both_sides_of_the_largest_short_division(
    seed: int, rule: tuple[int, bool, int], beside: int
) -> None:
    rng, (low, high) = np.random.default_rng(seed), limits(*rule[:2])
    longest = 2**21 >> rule[0]
    threshold = np.where(rng.integers(2, size=500), longest, rng.integers(1, longest + 1, 500))
    threshold[0] = max(1, longest + beside)
    k = np.where(rng.integers(2, size=500), rng.integers(low - 1, high + 2, 500), high - rng.integers(-1, 9, 500))
    for v in (k * threshold + rng.integers(-1, 2, 500), rng.integers(-1, 2, 500) + 2 ** rng.integers(20, 31, 500)):
        for one in (v, -v):
            given_ = threshold.astype(np.int32)
            np.testing.assert_array_equal(run_fire(one, given_, *rule), fired(one, threshold, *rule))


def test_fire_is_exact_beside_all_multiples_of_thresholds_up_to_2_to_the_16() -> None:
    bits, threshold = 5, np.arange(1, 2**16 + 1, dtype=np.int32)
    for k in range(-1, 2**bits + 1):
        for beside in (-1, 0, 1):
            v = k * threshold + beside
            word = run_fire(v, threshold, bits, False, bits)
            np.testing.assert_array_equal(word, np.clip(v // threshold, 0, 2**bits - 1))


def rows(rng: np.random.Generator, channels: int, low: int, high: int, count: int) -> Any:
    """Return a table of one row for all neurons, or of a row for each channel."""
    return rng.integers(low, high, (int(rng.choice([1, channels])), count)).astype(np.int32)


def run_levels(v: Any, levels: Any, words: Any) -> Any:
    bench = Bench(v=("int32", v.size), word=("int16", v.size))
    return bench.add("fire_levels", v="v", word="word", levels=levels, words=words).step(v=v)["word"]


def looked_up(v: Any, levels: Any, words: Any, channels: int) -> Any:
    """Return the word behind the levels that each neuron has reached, one neuron after another."""
    all_levels, all_words = (np.broadcast_to(a, (channels, a.shape[1])) for a in (levels, words))
    return [all_words[j % channels][(all_levels[j % channels] <= x).sum()] for j, x in enumerate(v)]


@quick
@given(seeds, populations(), st.sampled_from([1, 2, 3, 4, 7, 8, 100, 255, 256, 1023]))
def test_levels_are_counted_beside_every_one_of_them(seed: int, population: tuple[int, int], count: int) -> None:
    rng, (n, channels) = np.random.default_rng(seed), population
    if n * count > 10_000:
        n = channels
    levels = np.sort(rows(rng, channels, -(2**31), 2**31, count) >> int(rng.integers(0, 32)))
    words = rows(rng, channels, -(2**15), 2**15, count + 1)
    v = np.clip(np.resize(levels.astype(np.int64), n) + rng.integers(-1, 2, n), -(2**31), 2**31 - 1)
    np.testing.assert_array_equal(run_levels(v, levels, words), looked_up(v, levels, words, channels))


def test_the_largest_membrane_has_passed_every_level_and_no_more() -> None:
    top = 2**31 - 1
    for levels in ([1, 2, 3, 4], [1, 2, 3, top], [top] * 5, [top]):
        words = np.arange(len(levels) + 1, dtype=np.int32)[None]
        reached = sum(level < top for level in levels)
        v = i32(top, top - 1)
        assert run_levels(v, i32(levels)[None], words).tolist() == [len(levels), reached], levels


@pytest.mark.parametrize(
    ("levels", "words", "said"),
    [
        (i32(1, 2)[None], i32(0, 1)[None], "words: expected 3 elements, got 2"),
        (i32(1, 2, 3, 4).reshape(2, 2), i32(0, 1, 2), "words: expected a C-contiguous int32 array with 2 dim"),
        (i32(*range(8)).reshape(4, 2), i32(*range(6)).reshape(2, 3), "words: expected 4 elements, got 2"),
        (i32(*range(8)).reshape(4, 2), i32(0, 1, 2)[None], "levels: expected 1 or 6 elements or a number of channels"),
        (i32(1)[None], i32(0, 2**15)[None], "words: expected -32768..32767, got 32768"),
        (np.zeros((1, 0), np.int32), i32(0)[None], "levels: expected 1"),
    ],
)
def test_tables_that_do_not_fit_are_refused(levels: Any, words: Any, said: str) -> None:
    with pytest.raises((ValueError, TypeError), match=re.escape(said)):
        run_levels(np.zeros(6, np.int32), levels, words)


def test_latch_copies_the_membrane_and_sets_the_limit() -> None:
    bench = Bench(v=("int32", 3), u=("int32", 3), left=("int16", 3)).add("latch", v="v", u="u", left="left", limit=4)
    bench.step(v=[1, -2, 2**31 - 1], u=7, left=-7)
    assert (bench["u"].tolist(), bench["left"].tolist()) == ([1, -2, 2**31 - 1], [4, 4, 4])


def sender(n: int, threshold: Any, significance: list[int], limit: int) -> Bench:
    bench = Bench(v=("int32", n), u=("int32", n), left=("int16", n), s=("int16", n))
    period = len(significance)
    bench.add("latch", v="v", u="u", left="left", limit=limit, period=period, last=0)
    return bench.add("send", u="u", left="left", s="s", threshold=threshold, significance=significance, period=period)


@quick
@given(seeds, st.booleans(), st.integers(1, 10), st.integers(1, 10), populations())
def test_the_spikes_of_send_are_the_bits_of_the_word_of_fire(
    seed: int, signed: bool, bits: int, max_spikes: int, population: tuple[int, int]
) -> None:
    rng, (n, channels) = np.random.default_rng(seed), population
    given_, threshold = in_a_form(rng, rng.integers(1, 3000, n).astype(np.int32), channels)
    low, high = limits(bits, signed)
    v = rng.integers(low - 1, high + 2, n) * threshold + rng.integers(0, threshold)
    significance = [2**b for b in reversed(range(bits))]
    if signed:
        significance[0] *= -1
    bench = sender(n, given_, significance, max_spikes).put(v=v)
    word = sum(g * bench.step()["s"].astype(np.int64) for g in significance)
    np.testing.assert_array_equal(word, fired(v, threshold, bits, signed, max_spikes))


def test_one_timed_spike_carries_the_whole_integer() -> None:
    bits, threshold = 4, 7
    significance = list(range(2**bits - 1, 0, -1))
    v = np.arange(-20, 2**bits * threshold + 20)
    bench = sender(v.size, i32(threshold), significance, 1).put(v=v)
    spikes = [bench.step()["s"] for _ in significance]
    assert np.sum(spikes, axis=0).max() == 1
    np.testing.assert_array_equal(np.tensordot(significance, spikes, 1), np.clip(v // threshold, 0, 2**bits - 1))


def test_a_significance_of_zero_sends_nothing_and_changes_nothing() -> None:
    bench = Bench(u=("int32", 1), left=("int16", 1), s=("int16", 1))
    bench.add("send", u="u", left="left", s="s", threshold=i32(1), significance=[0]).step(u=100, left=5, s=9)
    assert (bench["u"][0], bench["left"][0], bench["s"][0]) == (100, 5, 0)

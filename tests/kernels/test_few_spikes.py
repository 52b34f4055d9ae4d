"""Firing and sending of few-spikes words, against their definitions in plain NumPy."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from spikerun.kernels import Program

quick = settings(max_examples=60, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def i32(values: Any) -> Any:
    return np.asarray(values).astype(np.int32)


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
    program = Program([len(v)], [len(v)])
    program.fire(0, 0, i32(threshold), bits, signed, max_spikes)
    workspace = program.workspace()
    workspace.acc(0)[:] = v
    program.step(workspace)
    return workspace.word(0).copy()


@st.composite
def rules(draw: st.DrawFn) -> tuple[int, bool, int]:
    """Draw bits, signed and max_spikes of a word."""
    signed = draw(st.booleans())
    bits = draw(st.integers(1, 16 if signed else 15))
    return bits, signed, draw(st.integers(0, bits))


@quick
@given(seeds, rules(), st.sampled_from([1, 2, 3, 1000, 65537, 2**22 + 1, 2**30, 2**31 - 1]))
def test_fire_is_exact_beside_every_multiple_of_the_threshold(
    seed: int, rule: tuple[int, bool, int], threshold: int
) -> None:
    rng = np.random.default_rng(seed)
    low, high = limits(*rule[:2])
    k = np.unique(np.concatenate([[low, low + 1, -1, 0, 1, high, high + 1], rng.integers(low, high + 1, 40)]))
    v = np.clip((k[:, None] * threshold + np.array([-1, 0, 1])).reshape(-1), -(2**31), 2**31 - 1)
    np.testing.assert_array_equal(run_fire(v, np.full(v.size, threshold), *rule), fired(v, threshold, *rule))


@quick
@given(seeds, rules(), st.integers(1, 70))
def test_fire_divides_any_int32_by_any_threshold(seed: int, rule: tuple[int, bool, int], n: int) -> None:
    rng = np.random.default_rng(seed)
    v = rng.integers(-(2**31), 2**31, n)
    threshold = (2 ** rng.uniform(0, 31, n)).astype(np.int64)
    np.testing.assert_array_equal(run_fire(v, threshold, *rule), fired(v, threshold, *rule))


def significances(bits: int, signed: bool) -> Any:
    g = 2 ** np.arange(bits)[::-1]
    return i32(np.concatenate([-g[:1], g[1:]]) if signed else g)


@quick
@given(seeds, st.booleans(), st.integers(1, 10), st.integers(1, 10), st.integers(1, 3000))
def test_the_spikes_of_send_are_the_bits_of_the_word_of_fire(
    seed: int, signed: bool, bits: int, max_spikes: int, threshold: int
) -> None:
    rng = np.random.default_rng(seed)
    low, high = limits(bits, signed)
    q = np.arange(low - 1, high + 2)
    v = np.concatenate([q * threshold, q * threshold + rng.integers(0, threshold, q.size)])
    n = v.size
    program = Program([n, n], [n, n])  # left, s; v, u
    when = {"period": bits}
    program.latch(0, 1, 0, max_spikes, first=0, last=0, **when)
    program.send(1, 0, i32(np.full(n, threshold)), 1, significances(bits, signed), **when)
    workspace = program.workspace()
    workspace.acc(0)[:] = v
    word = np.zeros(n, np.int64)
    for g in significances(bits, signed):
        program.step(workspace)
        word += workspace.word(1) * int(g)
    np.testing.assert_array_equal(word, fired(v, threshold, bits, signed, max_spikes))


def test_one_timed_spike_carries_the_whole_integer() -> None:
    bits, threshold = 4, 7
    g = i32(np.arange(2**bits - 1, 0, -1))
    v = np.arange(-20, 2**bits * threshold + 20)
    program = Program([v.size, v.size], [v.size, v.size])
    program.latch(0, 1, 0, 1, period=g.size, first=0, last=0)
    program.send(1, 0, i32(np.full(v.size, threshold)), 1, g, period=g.size)
    workspace = program.workspace()
    workspace.acc(0)[:] = v
    spikes = []
    for _ in g:
        program.step(workspace)
        spikes.append(workspace.word(1).copy())
    assert np.sum(spikes, axis=0).max() == 1
    np.testing.assert_array_equal(np.tensordot(g, spikes, 1), np.clip(v // threshold, 0, 2**bits - 1))


def test_a_significance_of_zero_sends_nothing_and_changes_nothing() -> None:
    program = Program([1, 1], [1])
    program.send(0, 0, i32([1]), 1, i32([0]))
    workspace = program.workspace()
    workspace.acc(0)[:], workspace.word(0)[:], workspace.word(1)[:] = 100, 5, 9
    program.step(workspace)
    assert (workspace.acc(0)[0], workspace.word(0)[0], workspace.word(1)[0]) == (100, 5, 0)


@quick
@given(seeds, rules(), st.integers(1, 1000))
def test_a_graded_event_is_the_word_of_fire(seed: int, rule: tuple[int, bool, int], threshold: int) -> None:
    v = np.random.default_rng(seed).integers(-(2**20), 2**20, 50)
    program = Program([50], [50])
    program.send_graded(0, i32(np.full(50, threshold)), *rule, 0)
    workspace = program.workspace()
    workspace.acc(0)[:] = v
    program.step(workspace)
    np.testing.assert_array_equal(workspace.word(0), fired(v, threshold, *rule))

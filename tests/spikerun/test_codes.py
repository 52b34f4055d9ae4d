# SPDX-License-Identifier: Apache-2.0
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikerun.codes import (
    decode,
    encode,
    keep_most_significant,
    significance,
    spike_count,
    word_range,
    word_steps,
)

WORDS = [
    (code, bits, signed)
    for code, bits, signed in itertools.product(("bits", "ttfs", "graded"), range(1, 9), (False, True))
    if not (signed and (code == "ttfs" or bits == 1))
]


def all_words(bits: int, signed: bool) -> np.ndarray:
    low, high = word_range(bits, signed)
    return np.arange(low, high + 1)


@pytest.mark.parametrize(("code", "bits", "signed"), WORDS)
@pytest.mark.parametrize("spare", [0, 1, 7])
def test_decode_returns_what_was_encoded(code: str, bits: int, signed: bool, spare: int) -> None:
    q = all_words(bits, signed)
    events = encode(q, code, bits, signed, word_steps(code, bits) + spare)
    np.testing.assert_array_equal(decode(events, code, bits, signed), q)


@pytest.mark.parametrize(("code", "bits", "signed"), WORDS)
def test_spike_count_is_the_number_of_events(code: str, bits: int, signed: bool) -> None:
    q = all_words(bits, signed)
    events = encode(q, code, bits, signed, word_steps(code, bits))
    np.testing.assert_array_equal(spike_count(q, code, bits), (events != 0).sum(axis=0))


@pytest.mark.parametrize(("code", "bits", "signed"), WORDS)
def test_windows_of_different_length_end_together(code: str, bits: int, signed: bool) -> None:
    q, steps = all_words(bits, signed), word_steps(code, bits)
    long = encode(q, code, bits, signed, steps + 3)
    assert not long[:3].any()
    np.testing.assert_array_equal(long[3:], encode(q, code, bits, signed, steps))


@pytest.mark.parametrize("bits", range(1, 9))
def test_bits_are_the_binary_digits_most_significant_first(bits: int) -> None:
    q = all_words(bits, signed=False)
    digits = [[int(digit) for digit in f"{word:0{bits}b}"] for word in q]
    np.testing.assert_array_equal(encode(q, "bits", bits, False, bits).T, digits)


def test_the_first_spike_of_a_signed_word_is_its_sign() -> None:
    np.testing.assert_array_equal(significance("bits", 4, True, 5), [0, -8, 4, 2, 1])
    np.testing.assert_array_equal(encode([-8, -1, 7], "bits", 4, True, 4).T, [[1, 0, 0, 0], [1, 1, 1, 1], [0, 1, 1, 1]])


def test_ttfs_sends_the_larger_word_earlier() -> None:
    events = encode([0, 1, 7], "ttfs", 3, False, 7)
    assert not events[:, 0].any()
    assert [int(np.argmax(events[:, k])) for k in (1, 2)] == [6, 0]


def test_current_repeats_the_integer_in_every_step() -> None:
    np.testing.assert_array_equal(encode([3, -2], "current", 4, True, 3), [[3, -2]] * 3)
    np.testing.assert_array_equal(significance("current", 4, True, 3), [1, 1, 1])


@given(st.integers(1, 8), st.booleans(), st.integers(1, 8))
def test_keep_most_significant_keeps_that_many_and_the_largest(bits: int, signed: bool, spikes: int) -> None:
    if signed and bits == 1:
        return
    q = all_words(bits, signed)
    kept = keep_most_significant(q, bits, signed, spikes)
    events, before = (encode(x, "bits", bits, signed, bits) for x in (kept, q))
    np.testing.assert_array_equal(events.sum(axis=0), np.minimum(before.sum(axis=0), spikes))
    np.testing.assert_array_equal(events, before * (before.cumsum(axis=0) <= spikes))


def test_keep_as_many_as_there_are_bits_keeps_all() -> None:
    q = all_words(5, True)
    np.testing.assert_array_equal(keep_most_significant(q, 5, True, 5), q)


def test_shape_of_the_integers_follows_the_window() -> None:
    assert encode(np.zeros((2, 3, 4), int), "bits", 3, False, 5).shape == (5, 2, 3, 4)

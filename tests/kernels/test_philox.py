# SPDX-License-Identifier: Apache-2.0
"""Philox-4x32-10 against the known answers of its authors (Random123, kat_vectors)."""

import numpy as np
import pytest

from spikerun.kernels.philox import looked_up, philox

ONES = 2**32 - 1


@pytest.mark.parametrize(
    ("key", "counter", "words"),
    [
        ((0, 0), (0, 0, 0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ((ONES, ONES), (ONES, ONES, ONES, ONES), "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            (0xA4093822, 0x299F31D0),
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
    ids=["zeros", "ones", "pi"],
)
def test_the_words_are_those_of_its_authors(key: tuple[int, int], counter: tuple[int, ...], words: str) -> None:
    found = philox(key[0] | key[1] << 32, *counter)
    assert " ".join(f"{int(word):08x}" for word in found[:, 0]) == words


def test_many_counters_at_once_are_those_one_by_one() -> None:
    n = np.arange(7)
    found = philox(2**40 + 5, n, 3, n // 2, 1)
    assert found.dtype == np.uint32
    assert found.T.tolist() == [philox(2**40 + 5, k, 3, k // 2, 1)[:, 0].tolist() for k in range(7)]
    assert n.tolist() == list(range(7))


def test_a_word_equal_to_a_threshold_is_below_it_and_the_last_threshold_of_all_never_counts() -> None:
    words = np.array([0, 4, 5, 6, ONES], np.uint32)
    assert looked_up(np.array([5, 5, ONES], np.uint32), words).tolist() == [0, 0, 0, 2, 2]

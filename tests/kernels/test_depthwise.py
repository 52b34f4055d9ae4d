# SPDX-License-Identifier: Apache-2.0
"""Depthwise convolutions against their definition in plain NumPy, whose sums have 16 bits where that is exact."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from maps import check, convolution, densities, events, quick, seeds, windows, words

SQUARES = [
    {"image": (7, 6), "out": (7, 6), "kernel": (3, 3), "stride": (1, 1), "padding": (1, 1), "dilation": (1, 1)},
    {"image": (8, 9), "out": (4, 5), "kernel": (5, 5), "stride": (2, 2), "padding": (2, 2), "dilation": (1, 1)},
    {"image": (7, 9), "out": (4, 3), "kernel": (2, 3), "stride": (2, 3), "padding": (1, 0), "dilation": (1, 1)},
]
largest_words = st.sampled_from([1, 15, 31, 63, 127, 128, 255, 32767])


@quick
@given(seeds, st.one_of(windows(5), st.sampled_from(SQUARES)), st.integers(1, 50), densities, largest_words)
def test_depthwise_correlates_words(
    seed: int, window: dict[str, Any], channels: int, density: float, largest: int
) -> None:
    rng = np.random.default_rng(seed)
    linear, correlated = convolution(rng, window, (channels, 1, 1), 2, 1)
    for x in (words(rng, linear.n_in, density, largest), events(rng, linear.n_in, density, largest)):
        check(linear, x, correlated(x), rng)


@pytest.mark.parametrize("window", SQUARES)
@pytest.mark.parametrize("weight", [-128, 127])
def test_depthwise_is_exact_around_where_16_bits_end(window: dict[str, Any], weight: int) -> None:
    rng, (kh, kw) = np.random.default_rng(0), window["kernel"]
    linear, correlated = convolution(rng, window, (17, 1, 1), 0, 0, weight)
    for taps in (kh * kw, kw):
        for word in range(2**15 // (128 * taps) - 1, 2**15 // (127 * taps) + 3):
            for x in (np.full(linear.n_in, word, np.int16), np.full(linear.n_in, -word, np.int16)):
                check(linear, x, correlated(x), rng)


def test_depthwise_finds_the_few_inputs_that_are_active() -> None:
    rng = np.random.default_rng(0)
    window = SQUARES[0] | {"image": (30, 11), "out": (30, 11)}
    linear, correlated = convolution(rng, window, (20, 1, 1), 1, 1)
    for row in range(30):
        x = np.zeros((30, 11, 20), np.int16)
        x[row, row % 11, row % 20] = 63
        check(linear, x.reshape(-1), correlated(x), rng)

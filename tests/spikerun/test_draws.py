# SPDX-License-Identifier: Apache-2.0
"""Tables that draw integers: what they say, and that what they draw has the distribution that was asked for."""

import math
from typing import Any

import numpy as np
import pytest

from spikerun.draws import normal, poisson
from spikerun.errors import NetworkError
from spikerun.kernels.philox import looked_up, philox
from spikerun.neurons import Now, Poisson

WORDS = 2**32


def shares(thresholds: Any) -> Any:
    """Return the share of the words that draw each number."""
    ends = np.concatenate([[-1], np.asarray(thresholds, np.int64), [WORDS - 1]])
    return np.diff(ends) / WORDS


def chi_square(counts: Any, expected: Any) -> float:
    """Return Pearson's statistic by its degrees of freedom, of what is expected five times and more."""
    counts, expected = np.asarray(counts, float), np.asarray(expected, float)
    often = expected >= 5
    rest = [counts[~often].sum()], [expected[~often].sum()]
    observed, wanted = np.append(counts[often], rest[0]), np.append(expected[often], rest[1])
    kept = wanted > 0
    return float(((observed[kept] - wanted[kept]) ** 2 / wanted[kept]).sum() / max(1, kept.sum() - 1))


@pytest.mark.parametrize("rate", [0.01, 1.68, 20.0, 100.0])
def test_a_poisson_table_has_the_shares_of_the_distribution(rate: float) -> None:
    found = shares(poisson(rate))
    exact = [math.exp(k * math.log(rate) - rate - math.lgamma(k + 1)) for k in range(len(found))]
    np.testing.assert_allclose(found, exact, atol=2 / WORDS)


def test_the_thresholds_are_those_that_the_page_says() -> None:
    total, share, said = math.exp(-1.5), math.exp(-1.5), []
    for k in range(1, 40):
        said.append(round(total * WORDS) - 1)
        share *= 1.5 / k
        total += share
    assert poisson(1.5).tolist() == [threshold for threshold in said if threshold < WORDS - 1]


def test_rates_of_channels_fill_rows_with_a_threshold_that_nothing_passes() -> None:
    table = poisson([0.0, 0.1, 2.0])
    assert table.shape[0] == 3
    assert (table[0] == WORDS - 1).all()
    assert looked_up(table[0], np.array([WORDS - 1], np.uint32)).tolist() == [0]
    assert table[2].tolist() == poisson(2.0).tolist()


@pytest.mark.parametrize("rate", [-0.1, 100.5, math.nan, "much", [[1.0]], []])
def test_rates_that_are_none_are_refused(rate: Any) -> None:
    with pytest.raises(NetworkError, match="rate must"):
        poisson(rate)


def test_poisson_neurons_send_what_their_rate_says() -> None:
    neuron, shape = Poisson.of(1.68, 12), (5000,)
    sent = np.concatenate([neuron.step(shape, {}, np.zeros(shape, np.int64), Now(t, t)) for t in range(20)])
    expected = shares(neuron.thresholds) * sent.size
    assert chi_square(np.bincount(sent, minlength=len(expected)), expected) < 2
    assert neuron.word.range[1] >= sent.max()


def test_a_normal_table_has_the_shares_of_rounded_normal_numbers() -> None:
    values, thresholds = normal(15, 7.5, 1, 63)
    numbers = np.random.default_rng(0).normal(15, 7.5, 400_000)
    drawn = np.rint(numbers[(numbers >= 0.5) & (numbers < 63.5)]).astype(int)
    counts = np.bincount(drawn, minlength=64)[values]
    assert chi_square(counts, shares(thresholds) * len(drawn)) < 2


def test_a_normal_table_leaves_out_what_no_word_draws() -> None:
    values, thresholds = normal(20, 2, -128, 127)
    assert len(values) == len(thresholds) + 1
    assert 0 < values[0] < 12 and 28 < values[-1] < 40
    assert (shares(thresholds) > 0).all()
    assert [part.tolist() for part in normal(3.2, 0, 0, 9)] == [[3], []]


@pytest.mark.parametrize("given", [(0, -1, 0, 9), (math.nan, 1, 0, 9), (0, 1, 5, 4), (1e6, 1, 0, 9), (0, 1, 0, 2**20)])
def test_normal_numbers_that_are_none_are_refused(given: tuple[Any, ...]) -> None:
    with pytest.raises(NetworkError, match="mean"):
        normal(*given)


def test_words_of_philox_are_even() -> None:
    words = philox(3, np.arange(40_000), 0, 0, 2)
    for word in words:
        counts = np.bincount(word >> 24, minlength=256)
        assert chi_square(counts, np.full(256, word.size / 256)) < 1.5

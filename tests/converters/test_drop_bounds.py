# SPDX-License-Identifier: Apache-2.0
"""Bounds of a paired drop hold at least as often as they say, and are no wider than that takes."""

from itertools import product
from math import comb
from statistics import NormalDist

import numpy as np
import pytest

from spikerun.converters.accuracy import drop_bounds


def lost(worse: int, better: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return scores of an ANN and an SNN that is wrong where the ANN is right, and the other way round."""
    pairs = np.repeat([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [worse, better, count - worse - better], axis=0)
    return pairs[:, 0], pairs[:, 1]


@pytest.mark.parametrize(
    ("count", "worse", "better"),
    [(2048, 0.00301, 0.0), (2048, 0.003, 0.001), (2048, 0.03, 0.02), (500, 0.02, 0.01), (500, 0.01, 0.03),
     (100, 0.3, 0.1)],
)  # fmt: skip
def test_bounds_of_right_and_wrong_hold_as_often_as_they_say(count: int, worse: float, better: float) -> None:
    drawn = np.random.default_rng(0).multinomial(count, [worse, better, 1 - worse - better], 1000)
    points, times = np.unique(drawn, axis=0, return_counts=True)
    for confidence in (0.95, 0.99, 1 - 0.05 / 15):
        bounds = np.array([drop_bounds(*lost(w, b, count), confidence) for w, b, _ in points.tolist()])
        true, doubt = 100 * (worse - better), 1 - confidence
        allowed = doubt + 3 * np.sqrt(doubt / 1000)
        assert ((bounds[:, 1] < true) * times).sum() / 1000 <= allowed
        assert ((bounds[:, 0] > true) * times).sum() / 1000 <= allowed


def test_of_small_counts_every_possible_outcome_is_counted() -> None:
    """The exact probability of a bound that does not hold, over a grid of true shares."""
    count, doubt = 12, 0.05
    uppers = {
        (w, b): drop_bounds(*lost(w, b, count), 1 - doubt)[1] / 100
        for w, b in product(range(count + 1), repeat=2) if w + b <= count
    }  # fmt: skip
    for p, q in product(np.linspace(0, 1, 21).tolist(), repeat=2):
        if p + q <= 1:
            wrong = sum(
                comb(count, w) * comb(count - w, b) * p**w * q**b * max(1 - p - q, 0) ** (count - w - b)
                for (w, b), upper in uppers.items() if upper < p - q - 1e-9
            )  # fmt: skip
            assert wrong <= doubt, (p, q)


def test_where_none_is_better_the_bound_is_that_of_clopper_and_pearson() -> None:
    p = drop_bounds(*lost(1, 0, 100), 0.95)[1] / 100
    assert (1 - p) ** 100 + 100 * p * (1 - p) ** 99 == pytest.approx(0.025)
    assert drop_bounds(*lost(100, 0, 100), 0.95)[1] == 100


def test_equal_results_prove_no_more_than_their_number() -> None:
    low, high = drop_bounds(*lost(0, 0, 100), 0.95)
    assert high == -low and (1 - high / 100) ** 100 == pytest.approx(0.025)


def test_a_drop_is_as_much_a_gain_of_the_other() -> None:
    low, high = drop_bounds(*lost(30, 20, 1000), 0.99)
    ann, snn = lost(30, 20, 1000)
    assert drop_bounds(snn, ann, 0.99) == (-high, -low) and low < 1 < high


@pytest.mark.parametrize(("count", "wider"), [(2048, 1.7), (8192, 1.45), (59488, 1.3)])
def test_of_many_samples_bounds_are_little_wider_than_normal_ones(count: int, wider: float) -> None:
    differ = count // 50
    reach = drop_bounds(*lost(differ // 2, differ // 2, count), 0.996)[1]
    normal = 100 * NormalDist().inv_cdf(0.996) * np.sqrt(0.02 / count)
    assert normal < reach < wider * normal


def test_fractions_have_the_normal_bound() -> None:
    assert drop_bounds(np.full(9, 0.5), np.full(9, 0.25), 0.95) == (25, 25)
    ann, snn = np.random.default_rng(0).random((2, 100))
    error = (ann - snn).std() / 10
    assert drop_bounds(ann, snn, 0.95)[1] == pytest.approx(100 * ((ann - snn).mean() + 1.6449 * error), rel=1e-4)

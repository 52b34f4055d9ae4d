# SPDX-License-Identifier: Apache-2.0
"""Weights rounded together: sums of inputs that come together differ less, and integers stay what they are."""

import numpy as np
import pytest

from spikerun.converters.spiking.rounding import together


def inputs(rng: np.random.Generator, n: int) -> np.ndarray:  # type: ignore[type-arg]
    """Return samples (200, n) that depend on a few numbers each, as neighbouring pixels do."""
    return rng.normal(0, 1, (200, 4)) @ rng.normal(0, 1, (4, n)) + rng.normal(0, 0.1, (200, n))


@pytest.mark.parametrize("seed", range(5))
def test_sums_differ_less_than_with_each_weight_rounded_by_itself(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, weight = inputs(rng, 30), rng.normal(0, 20, (50, 30))
    moments = x.T @ x
    found, nearest = together(weight, moments), np.rint(weight)
    error, alone = (np.square(x @ (each - weight).T).sum(axis=0) for each in (found, nearest))
    assert (found == np.rint(found)).all()
    assert (error <= alone * (1 + 1e-9)).all()
    assert error.sum() < 0.3 * alone.sum()


def test_integers_stay_what_they_are() -> None:
    rng = np.random.default_rng(3)
    x, weight = inputs(rng, 12), rng.integers(-127, 128, (6, 12)).astype(np.float64)
    np.testing.assert_array_equal(together(weight, x.T @ x), weight)


def test_no_weight_leaves_the_range_of_int8() -> None:
    rng = np.random.default_rng(4)
    x, weight = inputs(rng, 12), rng.choice([-127.0, -126.5, 126.4, 127.0], (20, 12))
    assert np.abs(together(weight, x.T @ x)).max() <= 127


def test_inputs_that_were_never_seen_are_rounded_each_by_itself() -> None:
    weight = np.random.default_rng(5).normal(0, 9, (4, 6))
    np.testing.assert_array_equal(together(weight, np.zeros((6, 6))), np.rint(weight))

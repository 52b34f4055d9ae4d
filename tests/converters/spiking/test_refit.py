# SPDX-License-Identifier: Apache-2.0
"""Weights fitted to rates: which map is found, and where the one that is there stays."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from spikerun.converters.graph import Conv, Linear
from spikerun.converters.spiking import refit
from spikerun.converters.spiking.refit import refitted

Array = npt.NDArray[Any]


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_the_map_of_a_convolution_is_found_in_each_group(groups: int) -> None:
    rng = np.random.default_rng(groups)
    weight = rng.normal(size=(8, 4 // groups, 3, 2))
    true = Conv(weight, rng.normal(size=8), (2, 1), (1, 0), (1, 2), groups)
    x = rng.random((80, 4, 9, 7))
    start = Conv(0.5 * weight, np.zeros(8), (2, 1), (1, 0), (1, 2), groups)
    found = refitted(start, x, true.apply(x), False)
    np.testing.assert_allclose(found.weight, true.weight, atol=0.03)
    np.testing.assert_allclose(found.bias, true.bias, atol=0.1)


def test_what_is_right_already_stays() -> None:
    rng = np.random.default_rng(0)
    op, x = Linear(rng.normal(size=(3, 6)), rng.normal(size=3)), rng.random((60, 6))
    found = refitted(op, x, op.apply(x), True)
    np.testing.assert_allclose(found.weight, op.weight, atol=1e-9)
    np.testing.assert_allclose(found.bias, op.bias, atol=1e-9)


def test_where_held_out_samples_gain_nothing_the_bias_alone_is_fitted() -> None:
    rng = np.random.default_rng(1)
    op, x = Linear(rng.normal(size=(3, 8)), np.zeros(3)), rng.normal(size=(60, 8))
    other = Linear(rng.normal(size=(3, 8)), np.full(3, 2.0)).apply(x)
    other[45:] *= -1  # what three quarters say, the last contradicts
    wanted = op.apply(x) + other
    found = refitted(op, x, wanted, False)
    np.testing.assert_array_equal(found.weight, op.weight)
    np.testing.assert_allclose(found.bias, (wanted - op.apply(x)).mean(axis=0))


@pytest.mark.parametrize(("samples", "most"), [(4, 2560), (60, 5)], ids=["few samples", "many inputs"])
def test_of_few_samples_or_many_inputs_the_bias_alone_is_fitted(
    samples: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refit, "MOST_INPUTS", most)
    rng = np.random.default_rng(2)
    op, x = Linear(rng.normal(size=(3, 6)), np.zeros(3)), rng.random((samples, 6))
    wanted = Linear(2 * op.weight, op.bias).apply(x)
    found = refitted(op, x, wanted, False)
    np.testing.assert_array_equal(found.weight, op.weight)
    np.testing.assert_allclose(found.bias, (wanted - op.apply(x)).mean(axis=0))


def ridge(x: Array, y: Array, size: float, rectified: bool) -> tuple[Array, Array]:
    """Return the weights and biases of ridge regression, `size` in mean eigenvalues; rectified: what is not above
    zero counts as met wherever the sums of the round before are not, either.
    """
    middle, centred = x.mean(axis=0), x - x.mean(axis=0)
    moment, has = centred.T @ centred, np.zeros_like(y)
    damped = moment + size * np.trace(moment) / len(moment) * np.eye(len(moment))
    for _ in range(4 if rectified else 1):
        wanted = np.where(y > 0, y, np.minimum(has, 0)) if rectified else y
        weight = np.linalg.solve(damped, centred.T @ wanted).T
        bias = wanted.mean(axis=0) - weight @ middle
        has = x @ weight.T + bias
    return weight, bias


@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("noise", [0.0, 1.0, 2.0, 4.0])
def test_the_ridge_is_the_one_of_least_error_on_the_held_out_quarter(noise: float, rectified: bool) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(80, 30))
    y = Linear(rng.normal(size=(2, 30)), np.ones(2)).apply(x) + noise * rng.normal(size=(80, 2))
    found, errors = refitted(Linear(np.zeros((2, 30)), np.zeros(2)), x, y, rectified), {}
    low = 0.0 if rectified else -np.inf
    for size in refit.RIDGES:
        weight, bias = ridge(x[:60], y[:60], size, rectified)
        errors[size] = float(np.square(np.maximum(x[60:] @ weight.T + bias, low) - np.maximum(y[60:], low)).mean())
    weight, bias = ridge(x, y, min(errors, key=errors.__getitem__), rectified)
    np.testing.assert_allclose(found.weight, weight, atol=1e-9)
    np.testing.assert_allclose(found.bias, bias, atol=1e-9)

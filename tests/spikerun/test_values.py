# SPDX-License-Identifier: Apache-2.0
"""Whatever a user gives for the numbers of neurons and connections is taken, or refused by name."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spikerun.connections import Conv, Dense, Diagonal, Sparse, SumPool, Window
from spikerun.errors import NetworkError
from spikerun.neurons import IF, LIF, FewSpikes, Readout

BYTE = np.ones((2, 3), np.int8)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda a: IF(a), "threshold"),
        (lambda a: LIF.loihi(1, du=a), "du"),
        (lambda a: FewSpikes(4, 1, bias=a), "bias"),
        (lambda a: Readout(a), "scale"),
        (lambda a: Dense(a), "weight"),
        (lambda a: Conv(a), "weight"),
        (lambda a: Diagonal(a), "gain"),
        (lambda a: Sparse(a, a, a, 1), "indptr"),
    ],
)
@pytest.mark.parametrize("value", [[1, [2]], [[1], [2, 3]]])
def test_ragged_arrays_are_refused_by_name(make: Callable[[Any], object], said: str, value: Any) -> None:
    with pytest.raises(NetworkError, match=f"{said} must be a number or an array, with rows of equal length"):
        make(value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("x", "must hold real numbers, got dtype <U1"),
        (1 + 2j, "must hold real numbers, got dtype complex128"),
        (None, "must hold real numbers, got dtype object"),
        (True, "must hold real numbers, got dtype bool"),
        ([], "must not be empty"),
        (1e50, "must be finite, and fit float32, got values from 1e"),
        (1e-50, "must be positive, got 0"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_scale_that_is_no_positive_float32_is_refused(value: Any, said: str) -> None:
    with pytest.raises(NetworkError, match=f"scale {said}"):
        Readout(value)


@pytest.mark.parametrize(
    ("connection", "count"),
    [
        (Dense(BYTE), 6),
        (Conv(BYTE.reshape(1, 1, 2, 3)), 6),
        (Sparse(np.array([0, 2]), np.array([0, 1], np.int32), np.ones(2, np.int8), 2), 2),
        (Diagonal(np.array([1, 2])), 0),
        (SumPool(2, 2), 0),
        (Window(2, 2), 0),
    ],
)
def test_a_connection_says_how_many_weights_it_stores(connection: Any, count: int) -> None:
    assert connection.weights == count

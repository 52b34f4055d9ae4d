# SPDX-License-Identifier: Apache-2.0
"""Samples that are made when they are asked for are indexed as NumPy's arrays are, or not at all."""

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pytest

from spikerun.datasets.lazy import Lazy, Small
from spikerun.errors import DataError

WHOLE = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)


class Given(Lazy):
    """Samples of an array."""

    def made(self, places: npt.NDArray[np.int64]) -> Small:
        return WHOLE[places].reshape(len(places), *self.shape[1:])

    def _like(self, places: npt.NDArray[np.int64], shape: tuple[int, ...]) -> Self:
        return type(self)(places, shape)


SAMPLES = Given(np.arange(3), (4, 5))


@pytest.mark.parametrize(
    "key",
    [
        0,
        -1,
        np.int64(2),
        np.s_[1:],
        np.s_[::-2],
        [2, 0],
        [],
        np.array([True, False, True]),
        np.array([1], np.uint8),
        np.s_[1, 2],
        np.s_[1, ..., 2],
        np.s_[1:, 2, 3:],
        np.s_[:, ..., 0],
        np.s_[1, None, 1:],
        np.s_[[2, 0], 1],
        np.s_[[2, 0], :, 1],
        np.s_[[2, 0], None, ..., 1],
        np.s_[np.array([False, True, True]), 1, -1],
    ],
    ids=lambda key: repr(key)[:30],
)
def test_an_index_gives_what_numpy_gives(key: Any) -> None:
    np.testing.assert_array_equal(SAMPLES[key], WHOLE[key])


@pytest.mark.parametrize(
    "key",
    [
        np.s_[..., 0],
        np.s_[[1, 2], [0, 1]],
        np.s_[:, [0, 1]],
        np.s_[0, True],
        None,
        True,
        (),
        np.zeros((2, 2), np.int64),
        np.zeros((3, 4, 5), np.bool_),
        np.array(1),
        [0.0, 1.0],
        [[1], [0, 2]],
        1.5,
        "a",
        np.s_[0.5:],
    ],
    ids=lambda key: repr(key)[:30],
)
def test_indices_that_would_need_all_samples_are_refused(key: Any) -> None:
    with pytest.raises(DataError, match=r"^samples\[\.\.\.\]: got .*make an array first, such as samples\[:64\]"):
        SAMPLES[key]


@pytest.mark.parametrize("key", [3, -4, [3], np.array([True]), np.s_[0, 4]], ids=lambda key: repr(key)[:30])
def test_indices_out_of_range_are_those_of_arrays(key: Any) -> None:
    with pytest.raises(IndexError):
        SAMPLES[key]


def test_some_samples_are_taken_along_the_first_axis() -> None:
    np.testing.assert_array_equal(SAMPLES.take([2, 0, -1], axis=0), WHOLE.take([2, 0, -1], axis=0))
    assert SAMPLES.take(range(0)).shape == (0, 4, 5)


@pytest.mark.parametrize(
    ("take", "message"),
    [
        (lambda: SAMPLES.take([0, 1], axis=1), "axis is 1, expected 0"),
        (lambda: SAMPLES.take([0, 1], axis=None), "axis is None, expected 0"),  # type: ignore[arg-type]
        (lambda: SAMPLES.take(1), r"got 1, expected an array of integers \(count,\)"),
        (lambda: SAMPLES.take([[0, 1]]), r"got \[\[0, 1\]\], expected"),
        (lambda: SAMPLES.take(np.ones(3, np.bool_)), r"got bool \(3,\), expected an array of integers"),
    ],
)
def test_what_is_not_taken_is_refused(take: Callable[[], object], message: str) -> None:
    with pytest.raises(DataError, match=rf"^samples\.take: {message}"):
        take()


@pytest.mark.parametrize("shape", [(3, 20), (-1, 20), (3, -1), (3, 2, -1, 5), ((3, 5, 4),), (np.int64(3), 4, 5)])
def test_a_shape_keeps_the_first_axis(shape: tuple[Any, ...]) -> None:
    np.testing.assert_array_equal(SAMPLES.reshape(*shape), WHOLE.reshape(*shape))
    assert SAMPLES.reshape(*shape).shape == WHOLE.reshape(*shape).shape


@pytest.mark.parametrize(
    "shape", [(3, 4, 5.0), (3, 4, 5.9), (), (60,), (12, 5), (3, -2, -10), (-1, -1), (3, 0, -1), (3, "a"), (3, True, 20)]
)
def test_a_shape_that_samples_do_not_have_is_refused(shape: tuple[Any, ...]) -> None:
    with pytest.raises(DataError, match=r"samples of shape \(3, 4, 5\) have no shape"):
        SAMPLES.reshape(*shape)

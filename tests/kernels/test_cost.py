# SPDX-License-Identifier: Apache-2.0
"""The cost model: where the two kernels take the same time."""

import numpy as np
import pytest

from spikerun.kernels.cpu.cost import calibrate, cut, fastest
from spikerun.kernels.cpu.native import Linear


@pytest.mark.parametrize(
    ("event", "dense", "expected"),
    [
        ([2.0, 3.0, 4.0], 6.0, 50),
        ([2.0, 3.0, 4.0], 0.5, 0),
        ([2.0, 3.0, 4.0], 60.0, 100),
        ([3.0, 3.0, 3.0], 4.0, 100),
        ([3.0, 3.0, 3.0], 2.0, 0),
    ],
)
def test_the_cut_is_where_the_line_meets_the_dense_time(event: list[float], dense: float, expected: int) -> None:
    assert cut([10, 20, 30], event, dense, 100) == expected


def test_a_single_input_needs_no_line() -> None:
    assert cut([1, 1, 1], [1.0, 1.0, 1.0], 2.0, 1) == 1


def test_calibration_gives_a_number_of_inputs() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 7, 300):
        linear = Linear.dense(rng.integers(-128, 128, (n, 20)).astype(np.int8))
        which, most = calibrate([linear], 255)
        assert which == 0 and 0 <= most <= n


def test_a_layout_must_save_a_tenth_over_all_densities() -> None:
    dense = [1.0, 4.0, 8.0, 6.0]  # by events at three densities, and by the dense kernel
    assert fastest([dense, [0.5, 3.8, 7.0, 6.0]]) == 0
    assert fastest([dense, [0.9, 2.0, 5.0, 9.0], [1.5, 1.5, 1.5, 1.5]]) == 2


def test_a_layout_that_is_far_faster_is_found_by_measuring() -> None:
    weight = np.zeros((512, 512), np.int8)
    weight[::7, :16] = 1
    which, _ = calibrate([Linear.dense(weight), Linear.blocks(weight)], 15)
    assert which == 1

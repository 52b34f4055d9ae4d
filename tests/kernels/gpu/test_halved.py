# SPDX-License-Identifier: Apache-2.0
"""Weights of which two of each four are zero: which are, and their product on a GPU."""

import numpy as np
import pytest
import torch

from spikerun.kernels.gpu.halved import halved, is_halved, multiply, why_not


def weights(rng: np.random.Generator, inputs: int, outputs: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.int8]]":
    weight = rng.integers(-128, 128, (inputs // 4, 4, outputs)).astype(np.int8)
    kept = rng.permuted(np.broadcast_to([[1], [1], [0], [0]], weight.shape), axis=1)
    found: np.ndarray[tuple[int, ...], np.dtype[np.int8]] = (weight * kept).reshape(inputs, outputs).astype(np.int8)
    return found


def test_two_zeros_of_each_four_inputs_of_an_output_are_2_4() -> None:
    weight = weights(np.random.default_rng(0), 64, 32)
    assert is_halved(weight) and not is_halved(weight[:62])
    weight[4:7, 3] = 1
    assert not is_halved(weight)


def test_what_does_not_pay_says_why() -> None:
    weight = weights(np.random.default_rng(0), 64, 32)
    assert why_not(weight, 4096) is None
    assert why_not(weight, 4064) == "2:4 does not pay below 4096 rows (samples times steps)"
    assert why_not(weight[:60], 4096) == "inputs, outputs and rows are no multiples of 32"
    assert why_not(np.ones_like(weight), 4096) == "not two of each four weights are zero"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_sums_are_those_of_all_weights() -> None:
    rng = np.random.default_rng(1)
    weight, x = weights(rng, 512, 96), rng.integers(-128, 128, (4096, 512)).astype(np.int8)
    got = multiply(torch.from_numpy(x).cuda(), halved(weight, "cuda"))
    np.testing.assert_array_equal(got.cpu().numpy(), x.astype(np.int64) @ weight.astype(np.int64))

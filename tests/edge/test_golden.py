# SPDX-License-Identifier: Apache-2.0
"""Golden samples: what the reference is asked, and which class an answer is."""

import numpy as np
import pytest

from spikerun.connections import Dense
from spikerun.edge import golden
from spikerun.errors import DataError
from spikerun.network import Network, Population, Projection
from spikerun.neurons import Input, Readout
from spikerun.session import Session


def classes(scale: np.ndarray, bias: list[int]) -> tuple[int, int]:
    """Return the class of a golden sample, and that of a session, where the biases are the results."""
    populations = {"in": Population((1,), Input()), "out": Population((2,), Readout(scale, np.array(bias, np.int32)))}
    net = Network(populations, [Projection("in", "out", Dense(np.ones((1, 2), np.int8)))], ["out"], 8)
    silence = np.zeros((1, 1), np.uint8)
    return int(golden.make(net, silence).classes[0]), int(Session(net).run(silence).classes[0])


@pytest.mark.parametrize(("bias", "expected"), [([2**24, 2**24 + 1], 1), ([2**24 + 1, 2**24], 0), ([-7, -7], 0)])
def test_with_one_scale_the_class_is_the_largest_integer_and_the_first_of_equals(
    bias: list[int], expected: int
) -> None:
    assert classes(np.float32(0.1), bias) == (expected, expected)


@pytest.mark.parametrize(("bias", "expected"), [([3, 1], 0), ([3, 2], 1), ([-4, -2], 0), ([2**24 + 1, 2**23], 0)])
def test_where_scales_differ_the_class_is_the_largest_float32_product(bias: list[int], expected: int) -> None:
    assert classes(np.array([1, 2], np.float32), bias) == (expected, expected)


def test_a_number_means_so_many_random_samples(mixed: Network) -> None:
    frames = golden.frames_of(mixed, 3)
    assert {name: array.shape for name, array in frames.items()} == {"image": (3, 3, 6, 5), "events": (3, 8, 2, 3, 3)}
    assert frames["image"].min() < 0


def test_inputs_need_equally_many_samples(mixed: Network) -> None:
    with pytest.raises(DataError, match="equally many"):
        golden.frames_of(mixed, {"image": np.zeros((2, 3, 6, 5), int), "events": np.zeros((1, 8, 2, 3, 3), int)})


def test_spikes_are_those_of_an_active_neuron() -> None:
    populations = {"in": Population((4,), Input()), "out": Population((2,), Readout())}
    net = Network(populations, [Projection("in", "out", Dense(np.ones((4, 2), np.int8)))], ["out"], 8)
    assert golden.seen(net, {"in": np.array([[7, 1, 0, 0]])})["in"] == (0.5, 2.0)

# SPDX-License-Identifier: Apache-2.0
"""Which registers of a program note where they are not zero."""

from typing import Any

import numpy as np
import pytest

from spikerun.connections import Conv, Diagonal
from spikerun.kernels.cpu.rests import tracked
from spikerun.network import Network, Population, Projection
from spikerun.neurons import IF, LIF, Input
from spikerun.plan.stepped import lower_frame, lower_stream


def net(neuron: IF | LIF, **how: Any) -> Network:
    populations = {"in": Population((2, 3, 4), Input(1, "spikes")), "out": Population((2, 3, 4), neuron)}
    return Network(populations, [Projection("in", "out", Diagonal(np.int32(1)), **how)], ["out"], 4)


ALL = ["in", "out:i", "out"]


@pytest.mark.parametrize(
    ("neuron", "expected"),
    [
        (IF(100), ALL),
        (IF(640, bias=-10), ALL),
        (IF(639, bias=10), ["in"]),
        (IF(100, answer="max", reset="zero"), ["in"]),  # others read its membranes
        (LIF(100, keep_u=9000, refractory=2), ALL),
        (LIF(6400, bias=50, bias_u=-50), ALL),
        (LIF(6399, bias=50, bias_u=-50), ["in"]),
        (LIF(6400, bias=1, keep_u=9000), ["in"]),
        (LIF(6400, bias=1, refractory=2), ["in"]),
        (LIF(0), ALL),
        (LIF(0, inclusive=True), ["in"]),  # fires at rest
        (LIF(100, reset_interval=7), ["in"]),
    ],
)
def test_neurons_that_may_be_left_alone(neuron: IF | LIF, expected: list[str]) -> None:
    assert tracked(lower_stream(net(neuron))) == expected


def test_currents_that_are_shifted_are_written_otherwise() -> None:
    assert tracked(lower_stream(net(IF(100), exponent=2))) == ["in"]


def test_runs_track_nothing() -> None:
    assert tracked(lower_frame(net(IF(100)))) == []


def test_convolutions_add_to_currents_that_are_tracked() -> None:
    populations = {"in": Population((2, 3, 4), Input(1, "spikes")), "out": Population((5, 3, 4), IF(9))}
    conv = Conv(np.ones((5, 2, 3, 3), np.int8), padding=1)
    made = Network(populations, [Projection("in", "out", conv)], ["out"], 1)
    assert tracked(lower_stream(made)) == ALL

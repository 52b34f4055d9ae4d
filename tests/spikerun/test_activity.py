# SPDX-License-Identifier: Apache-2.0
"""What a run cost, counted by hand."""

from dataclasses import replace

import numpy as np
import pytest

from spikerun.connections import Conv, Dense, Diagonal, SumPool
from spikerun.network import Network, Population, Projection
from spikerun.neurons import FewSpikes, Input, Readout
from spikerun.session import Session


def small(code: str = "bits") -> Network:
    """Two inputs, two hidden neurons that pass them on, three readouts."""
    populations = {
        "in": Population((2,), Input(3, "bits")),
        "hidden": Population((2,), FewSpikes(3, np.int32(1), code=code)),
        "out": Population((3,), Readout()),
    }
    projections = [
        Projection("in", "hidden", Dense(np.eye(2, dtype=np.int8))),
        Projection("hidden", "out", Dense(np.ones((2, 3), np.int8))),
    ]
    return Network(populations, projections, ["out"], 7)


SAMPLES = np.array([[7, 0], [5, 1]])  # 3 + 0 and 2 + 1 set bits


def test_spikes_of_words_in_code_bits_are_their_set_bits() -> None:
    activity = Session(small(), threads=1).run(SAMPLES).activity
    assert (activity.populations["in"].spikes, activity.populations["hidden"].spikes) == (6, 6)


def test_other_codes_send_one_spike_a_word() -> None:
    for code in ("ttfs", "graded"):
        activity = Session(small(code), threads=1).run(SAMPLES).activity
        assert activity.populations["hidden"].spikes == 3, code


def test_synaptic_operations_are_spikes_times_fan_out() -> None:
    activity = Session(small(), threads=1).run(SAMPLES).activity
    assert (activity.populations["in"].synops, activity.populations["hidden"].synops) == (6 * 2, 6 * 3)
    assert activity.synops_per_sample == (6 * 2 + 6 * 3) / 2


def test_spikes_per_neuron_are_of_those_that_are_neither_input_nor_readout() -> None:
    assert Session(small(), threads=1).run(SAMPLES).activity.spikes_per_neuron == 6 / (2 * 2)


def test_dense_operations_are_those_of_one_spike_of_each_neuron() -> None:
    activity = Session(small(), threads=1).run(SAMPLES).activity
    assert activity.dense == 2 * 2 + 2 * 3
    assert (activity.macs, activity.synops_per_mac) == (None, None)  # it was converted from no ANN


def test_macs_are_those_that_the_meta_of_the_network_says() -> None:
    net = replace(small(), meta={"macs": 8})
    activity = Session(net, threads=1).run(SAMPLES).activity
    assert (activity.macs, activity.dense) == (8, 10) and activity.synops_per_mac == (6 * 2 + 6 * 3) / 2 / 8


@pytest.mark.parametrize("said", ["8", 8.0, True, 0, -8])
def test_a_meta_that_says_no_number_of_macs_says_nothing(said: str | float) -> None:
    assert replace(small(), meta={"macs": said}).macs is None


def test_pools_and_residuals_are_dense_operations_and_images_have_no_synapses_beyond_their_border() -> None:
    populations = {"in": Population((2, 4, 4), Input(1)), "out": Population((2, 4, 4), FewSpikes(1, 1))}
    conv = Projection("in", "out", Conv(np.ones((2, 2, 3, 3), np.int8), padding=1))
    net = Network(populations, [conv, Projection("in", "out", Diagonal(1))], ["out"], 1)
    assert net.dense_of("in") == net.dense == 2 * 2 * (10 * 10) + 2 * 4 * 4
    populations = {"in": Population((2, 4, 4), Input(1)), "out": Population((2, 2, 2), FewSpikes(1, 1))}
    assert Network(populations, [Projection("in", "out", SumPool(2, 2))], ["out"], 1).dense == 2 * 4 * 4


def test_no_samples_cost_nothing() -> None:
    activity = Session(small(), threads=1).run(np.zeros((0, 2), np.int64)).activity
    assert (activity.samples, activity.spikes_per_neuron, activity.synops_per_sample) == (0, 0.0, 0.0)

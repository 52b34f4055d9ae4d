# SPDX-License-Identifier: Apache-2.0
"""The neuron of the NIR paper in the fixed point of Loihi: traces that were taken of Lava, and of a chip.

Its sample script held weight 10, dv 163, and threshold 25: 0.04 * 256, 4095 * 0.04, and 0.1 * 131071 / 512, cut.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikerun.edge.loihi.emulate import Trace, emulate
from spikerun.edge.loihi.graph import Graph, Neurons, Source, Synapses

TRACES = Path(__file__).parents[2] / "data/nir/lif_traces.npz"


@pytest.fixture
def traces() -> Any:
    return np.load(TRACES)


def emulated(x: Any) -> Trace:
    numbers = {"du": 4095, "dv": 163, "vth": 25, "bias_mant": 0, "bias_exp": 0, "v_first": 0}
    lif = Neurons("lif", (1,), "lif", {**numbers, "reset_interval": 0, "reset_offset": 0}, 2)
    synapses = Synapses("in", "lif", "dense", np.array([[10]], np.int32), sign_mode=2)
    return emulate(Graph(len(x), (Source("in", (1,)),), (lif,), (synapses,), True), {"in": x[:, None]}, states=True)


def test_the_emulator_has_the_trace_of_lava(traces: Any) -> None:
    trace = emulated(traces["input"])
    np.testing.assert_array_equal(trace.states["lif"]["v"][:, 0], traces["lava_cpu_fixed_membrane"])
    assert np.flatnonzero(trace.events["lif"]).tolist() == traces["lava_cpu_fixed_spikes"].tolist()


def test_the_emulator_has_the_trace_of_the_chip_but_for_the_steps_of_spikes(traces: Any) -> None:
    trace = emulated(traces["input"])
    spikes = np.flatnonzero(trace.events["lif"])
    assert spikes.tolist() == traces["lava_loihi_fixed_spikes"].tolist()
    v, chip = trace.states["lif"]["v"][:, 0], traces["lava_loihi_fixed_membrane"]
    assert np.flatnonzero(v != chip).tolist() == spikes.tolist()
    assert set(chip[spikes].tolist()) == {128}  # where a neuron has fired, a chip counts its refractory steps

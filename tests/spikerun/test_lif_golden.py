# SPDX-License-Identifier: Apache-2.0
"""LIF against Lava: tests/data/lava_lif.npz was recorded from lava-nc 0.10.0 (tests/data/README.md)."""

from pathlib import Path

import numpy as np
import pytest

from spikerun.connections import Diagonal
from spikerun.network import Network, Population, Projection
from spikerun.neurons import LIF, Input, Now
from spikerun.session import Session

with np.load(Path(__file__).parents[1] / "data" / "lava_lif.npz") as file:
    RECORDED = {key: file[key] for key in file.files}
NAMES = [str(name) for name in RECORDED["names"]]


def population(case: int) -> Population:
    """Return the neurons of a recorded case; Lava counts steps from 1, and so its reset_offset."""
    threshold, du, dv, refractory, interval, offset = (int(x) for x in RECORDED[f"{case}_parameters"])
    bias = RECORDED[f"{case}_bias"]
    offset = (offset - 1) % interval if interval else 0
    neuron = LIF.loihi(np.int32(threshold), bias, np.int32(du), np.int32(dv), "zero", refractory, interval, offset)
    return Population(bias.shape, neuron)


@pytest.mark.parametrize("case", range(len(NAMES)), ids=NAMES)
def test_lif_is_bit_exact_with_lava(case: int) -> None:
    neurons = population(case)
    state = neurons.neuron.initial(neurons.shape)
    for t, current in enumerate(RECORDED[f"{case}_current"]):
        spikes = neurons.neuron.step(neurons.shape, state, current.astype(np.int64), Now(t, 0))
        np.testing.assert_array_equal(state["u"], RECORDED[f"{case}_u"][t], err_msg=f"u after step {t}")
        np.testing.assert_array_equal(state["v"], RECORDED[f"{case}_v"][t], err_msg=f"v after step {t}")
        np.testing.assert_array_equal(spikes, RECORDED[f"{case}_spikes"][t], err_msg=f"spikes of {t}")


@pytest.mark.parametrize("case", range(len(NAMES)), ids=NAMES)
def test_compiled_lif_is_bit_exact_with_lava(case: int) -> None:
    """The currents enter as two bytes, whose projections weigh them 256 and 1."""
    neurons, current = population(case), RECORDED[f"{case}_current"]
    low = (current + 128) % 256 - 128
    byte = Population(neurons.shape, Input(8, "current", signed=True))
    projections = [Projection("high", "lif", Diagonal(np.int32(256))), Projection("low", "lif", Diagonal(np.int32(1)))]
    net = Network({"high": byte, "low": byte, "lif": neurons}, projections, ["lif"], window=1)
    stream = Session(net, kernels="dense", threads=1).stream()
    for t in range(len(current)):
        stream.step({"high": (current[t] - low[t]) // 256, "low": low[t]})
        np.testing.assert_array_equal(stream.membrane("lif"), RECORDED[f"{case}_v"][t], err_msg=f"v after step {t}")
        np.testing.assert_array_equal(
            stream.spikes("lif"), RECORDED[f"{case}_spikes"][t], err_msg=f"spikes of step {t}"
        )


def test_the_recordings_reach_the_limits_of_both_registers() -> None:
    u = np.concatenate([RECORDED[f"{k}_u"].ravel() for k in range(len(NAMES))])
    v = np.concatenate([RECORDED[f"{k}_v"].ravel() for k in range(len(NAMES))])
    assert np.abs(u).max() > 2**23 - 10_000  # beyond lies the wrap
    assert v.min() == -(2**23) + 1

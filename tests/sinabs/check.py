# SPDX-License-Identifier: Apache-2.0
"""sinabs beside the reader. It pins a nir that the other frameworks have left, so scripts/sinabs makes it a home.

Its name keeps pytest's collection, which has no sinabs, from it: `pytest tests/sinabs/check.py` runs it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sinabs.activation as sa
import sinabs.layers as sl
import torch
from torch import nn

from spikerun.converters.spiking.step import Readout, cells, outputs, simulate
from spikerun.converters.torch.spiking import read_step
from spikerun.errors import ConversionError

STEPS, NEURONS = 200, 64
SINGLE: dict[str, Any] = {"spike_fn": sa.SingleSpike}


def recurrent() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(NEURONS, NEURONS, bias=False)


CASES: dict[str, Callable[[], nn.Module]] = {
    "LIF": lambda: sl.LIF(tau_mem=10.0, **SINGLE),
    "LIF without norm": lambda: sl.LIF(tau_mem=10.0, norm_input=False, **SINGLE),
    "LIF with currents": lambda: sl.LIF(tau_mem=torch.linspace(5, 20, NEURONS), tau_syn=5.0, **SINGLE),
    "LIF with a floor": lambda: sl.LIF(tau_mem=10.0, norm_input=False, min_v_mem=-0.5, **SINGLE),
    "LIF to zero": lambda: sl.LIF(tau_mem=10.0, norm_input=False, reset_fn=sa.MembraneReset(), **SINGLE),
    "LIF with trained shares": lambda: sl.LIF(tau_mem=8.0, tau_syn=3.0, train_alphas=True, **SINGLE),
    "IAF": lambda: sl.IAF(**SINGLE),
    "IAF with currents": lambda: sl.IAF(tau_syn=4.0, spike_threshold=torch.tensor(1.5), **SINGLE),
    "LIFRecurrent": lambda: sl.LIFRecurrent(tau_mem=10.0, norm_input=False, rec_connect=recurrent(), **SINGLE),
    "IAFRecurrent": lambda: sl.IAFRecurrent(rec_connect=recurrent(), **SINGLE),
}


@pytest.mark.parametrize("name", CASES)
def test_neurons_of_sinabs(name: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(NEURONS, NEURONS), CASES[name]())
    dtype = torch.float32 if "Recurrent" in name else torch.float64  # spikes are float32, which feedback must take
    model.to(dtype)
    loud = {"LIF": 12, "LIF with currents": 12, "LIF with trained shares": 12}.get(name, 1)
    x = np.random.default_rng(0).normal(0.5, loud, (1, STEPS, NEURONS)).astype(np.float32).astype(np.float64)
    step = read_step(model, {"input": (NEURONS,)}, None, {"dtype": dtype})
    assert step.timed == {"input"} and step.steps is None
    found = np.stack([values["1"] for values in simulate(step, {"input": x}, STEPS)], axis=1)
    with torch.no_grad():
        expected = model(torch.from_numpy(x).to(dtype)).numpy()
    assert np.count_nonzero(expected) > STEPS
    np.testing.assert_array_equal(found, expected)


def test_a_leaky_integrator_shows_its_membrane() -> None:
    model = sl.ExpLeak(tau_mem=10.0).double()
    x = np.random.default_rng(0).normal(0, 1, (2, 20, 5))
    step = read_step(model, {"input": (5,)}, None, {"dtype": torch.float64})
    (end,) = (node.name for node in step.graph.nodes.values() if node.name.endswith("="))
    found = np.stack([values[end] for values in simulate(step, {"input": x}, 20)], axis=1)
    with torch.no_grad():
        np.testing.assert_allclose(found, model(torch.from_numpy(x)).numpy(), atol=1e-8)


def test_a_network_with_a_readout() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(
                nn.Linear(8, 12), sl.IAF(**SINGLE), nn.Linear(12, 4), sl.LIF(tau_mem=5.0, norm_input=False, **SINGLE)
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.layers(x).sum(1)
            return result

    torch.manual_seed(0)
    model = Net().eval()
    x = np.random.default_rng(0).uniform(0, 3, (5, 15, 8)).astype(np.float32).astype(np.float64)
    step = read_step(model, {"input": (8,)}, None, {})
    assert step.readouts == {"output": Readout("count")} and len(cells(step.graph)) == 2
    with torch.no_grad():
        expected = model(torch.from_numpy(x).float()).numpy()
    assert expected.any()
    np.testing.assert_array_equal(outputs(step, {"input": x}, 15)["output"], expected)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: sl.LIF(tau_mem=10.0), "its spike_fn MultiSpike sends several spikes in one step"),
        (lambda: sl.IAFRecurrent(rec_connect=nn.Linear(8, 8), **SINGLE), "wired otherwise in step 0 .* a bias"),
        (lambda: sl.IAFSqueeze(batch_size=1, **SINGLE), "merges time and batch"),
        (lambda: sl.ALIF(tau_mem=10.0, tau_adapt=10.0), "use LIF or IAF with SingleSpike"),
        (lambda: sl.IAF(min_v_mem=0.5, **SINGLE), "is above 0"),
        (lambda: sl.IAF(reset_fn=sa.MembraneReset(0.2), **SINGLE), "its reset_fn"),
    ],
)
def test_what_is_refused(make: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(ConversionError, match=message):
        read_step(nn.Sequential(nn.Linear(8, 8), make()), {"input": (8,)}, None, {})

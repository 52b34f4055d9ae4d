# SPDX-License-Identifier: Apache-2.0
"""Modules of spiking neurons as sources: what they give themselves, and how much of it integers keep."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from spiking_networks import CASES, STEPS, Case
from spiking_networks.make import snn

from spikerun.converters import convert_spiking
from spikerun.converters.encoding import Encoding
from spikerun.converters.spiking.cell import Membrane
from spikerun.converters.spiking.report import SpikingConversion
from spikerun.converters.spiking.step import Readout, Step, outputs
from spikerun.converters.torch.spiking.source import TorchStepSource
from spikerun.errors import ConversionError
from spikerun.session import Session

BATCH = 6


def built(name: str) -> tuple[Case, TorchStepSource]:
    torch.manual_seed(sum(map(ord, name)))
    return CASES[name], TorchStepSource(CASES[name].build())


@cache
def read(name: str) -> tuple[TorchStepSource, Step]:
    """Return a module as it was given, and its step; torch takes a second to trace it."""
    case, source = built(name)
    return source, source.step({"input": case.shape}, None)


def samples(case: Case, batch: int = BATCH) -> Any:
    shape = case.shape if case.time is None else (STEPS, *case.shape)
    return np.random.default_rng(1).integers(0, 40, (batch, *shape))


@pytest.mark.parametrize("name", CASES)
def test_a_module_run_as_it_is_gives_the_results_of_its_step(name: str) -> None:
    case, (source, step) = CASES[name], read(name)
    readouts = {one: step.readouts.get(one, Readout("mean")) for one in step.graph.outputs}
    asked = replace(step, readouts=readouts)
    real = {"input": samples(case) * (case.gain / 40)}
    found, expected = source.results(real, STEPS, asked), outputs(asked, real, STEPS)
    assert found.keys() == expected.keys()
    for one, values in expected.items():
        np.testing.assert_allclose(found[one], values, atol=1e-4, err_msg=one)


REFUSED = {"snntorch: all steps ahead": "currents go through a ReLU before they reach a neuron"}


def converted(name: str) -> SpikingConversion:
    (case, source), (_, step) = built(name), read(name)
    encoding = Encoding(scale=case.gain / 40, code="current" if case.time is None else "frames")
    membranes = any(isinstance(node.op, Membrane) for node in step.graph.nodes.values())
    readout = Readout("max") if membranes and not step.readouts and len(step.graph.outputs) == 1 else None
    return convert_spiking(source, samples(case, 16), duration=STEPS, encoding=encoding, readout=readout)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CASES.keys() - REFUSED.keys()))
def test_integers_keep_nearly_all_spikes_of_a_float_state(name: str) -> None:
    conversion = converted(name)
    assert conversion.report.cells
    for cell in conversion.report.cells:
        spikes = cell.spikes * 16
        assert spikes * (1 - cell.same_as_float_state / 100) <= max(2, 0.03 * spikes), cell


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_what_no_projection_does_is_refused(name: str) -> None:
    with pytest.raises(ConversionError, match=REFUSED[name]):
        converted(name)


def test_membranes_of_norse_are_read_with_the_potential_that_they_leak_to() -> None:
    import norse.torch as norse

    torch.manual_seed(0)
    rest = torch.tensor([0.5, -2.0, 0.0])
    li = norse.LICell(norse.LIParameters(v_leak=rest))
    model = norse.SequentialState(torch.nn.Linear(6, 20), norse.LIFCell(), torch.nn.Linear(20, 3), li)
    samples = np.random.default_rng(1).integers(0, 99, (16, 6))
    encoding = Encoding(scale=0.05, code="current")
    network = convert_spiking(model, samples, duration=40, readout=Readout("last"), encoding=encoding).network
    found = Session(network).run(samples).logits
    state: Any = None
    with torch.no_grad():
        for _ in range(40):
            wanted, state = model(torch.from_numpy(samples * 0.05).float(), state)
    assert np.abs(found - wanted.numpy()).mean() < 0.02


class Stacked(torch.nn.Module):
    """All steps of a layer, along an axis."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis, self.fc, self.lif = axis, torch.nn.Linear(6, 4), snn().Leaky(beta=0.8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mem, out = self.lif.reset_mem(), []
        for _ in range(STEPS):
            spk, mem = self.lif(self.fc(x), mem)
            out.append(spk)
        return torch.stack(out, dim=self.axis)


@pytest.mark.parametrize("axis", [1, -1])
def test_steps_may_be_stacked_along_any_axis(axis: int) -> None:
    torch.manual_seed(3)
    net = Stacked(axis)
    x = np.random.default_rng(1).integers(0, 3, (7, 6))
    report = convert_spiking(net, x, encoding=Encoding(scale=1, code="current")).report
    assert report.same_as_read == 100
    assert report.cells[0].spikes > 0

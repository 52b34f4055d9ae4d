# SPDX-License-Identifier: Apache-2.0
"""Modules of spiking neurons as sources: what they give themselves, and how much of it integers keep."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from spiking_networks import CASES, STEPS, Case

from spikerun.converters import convert_spiking
from spikerun.converters.encoding import Encoding
from spikerun.converters.spiking.step import Readout, outputs
from spikerun.converters.torch.spiking.source import TorchStepSource

BATCH = 6


def built(name: str) -> tuple[Case, TorchStepSource]:
    torch.manual_seed(sum(map(ord, name)))
    return CASES[name], TorchStepSource(CASES[name].build())


def samples(case: Case, batch: int = BATCH) -> Any:
    shape = case.shape if case.time is None else (STEPS, *case.shape)
    return np.random.default_rng(1).integers(0, 40, (batch, *shape))


@pytest.mark.parametrize("name", CASES)
def test_a_module_run_as_it_is_gives_the_results_of_its_step(name: str) -> None:
    case, source = built(name)
    step = source.step({"input": case.shape}, None)
    readouts = {one: step.readouts.get(one, Readout("mean")) for one in step.graph.outputs}
    asked = replace(step, readouts=readouts)
    real = {"input": samples(case) * (case.gain / 40)}
    found, expected = source.results(real, STEPS, asked), outputs(asked, real, STEPS)
    assert found.keys() == expected.keys()
    for one, values in expected.items():
        np.testing.assert_allclose(found[one], values, atol=1e-4, err_msg=one)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_integers_keep_nearly_all_spikes_of_a_float_state(name: str) -> None:
    case, source = built(name)
    encoding = Encoding(scale=case.gain / 40, code="current" if case.time is None else "frames")
    conversion = convert_spiking(source, samples(case, 16), duration=STEPS, encoding=encoding)
    assert conversion.report.cells
    for cell in conversion.report.cells:
        assert cell.same_as_float_state >= 97, cell

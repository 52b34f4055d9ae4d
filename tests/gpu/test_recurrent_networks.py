# SPDX-License-Identifier: Apache-2.0
"""Networks through the kernel of recurrent networks: what a stream returns and saves is what the CPU does."""

from typing import Any

import numpy as np
import pytest
import torch
from gpu.on_host import machine

import spikerun as sr
from spikerun.draws import normal
from spikerun.kernels.gpu.machine import Machine, gpu
from spikerun.kernels.gpu.recurrent import Recurrent, takes
from spikerun.plan import lower
from spikerun.stream import Stream

SIZES = (90, 30)


def network() -> sr.Network:
    """Return two populations that excite and inhibit each other, and noise."""
    weights, delays = normal(20, 2, 0, 127), normal(9, 4, 1, 30)
    both: dict[str, Any] = {"delays": delays[0].astype(np.uint8), "delay_thresholds": delays[1]}
    neuron = sr.LIF(threshold=60_000, keep_v=64_884, keep_u=53_656, fraction_bits=6, refractory=20, inclusive=True)
    populations, projections = {}, []
    for k, (name, size) in enumerate(zip("ei", SIZES, strict=True)):
        populations[f"{name}.noise"] = sr.Population((size,), sr.Poisson.of(1.5, k))
        populations[name] = sr.Population((size,), neuron)
        projections.append(sr.Projection(f"{name}.noise", name, sr.Diagonal(np.int32(20)), 15))
        for sign, (target, targets) in enumerate(zip("ei", SIZES, strict=True)):
            drawn = (weights[0] * (-4 if k else 1)).clip(-128, 127).astype(np.int8), weights[1]
            rule = sr.Random(size, targets, 12 * targets, 10 + 2 * k + sign, *drawn, **both)
            projections.append(sr.Projection(name, target, rule))
    ring = sr.Dense(np.eye(90, k=1, dtype=np.int8) * 100, np.full((90, 90), 2, np.uint8))
    projections.append(sr.Projection("e", "e", ring, 5))
    return sr.Network(populations, projections, ["e", "i"], window=1)


@pytest.fixture(params=["host", pytest.param("gpu", marks=pytest.mark.gpu)])
def where(request: pytest.FixtureRequest) -> Machine:
    """Return where kernels run."""
    if request.param == "host":
        return machine(3, 2**16)
    if not torch.cuda.is_available():
        pytest.skip("torch finds no GPU")
    return gpu(torch.device("cuda", 0))


def test_a_stream_is_that_of_the_cpu(where: Machine) -> None:
    net = network()
    program = lower(net, "stream")
    assert takes(program) is None
    here, there = sr.Session(net).stream(step_us=100), Stream(net, Recurrent(program, where), 100)
    for steps in (70, 45):
        expected, sent = here.advance(steps), there.advance(steps)
        assert len(expected.spikes["e"]) > 20
        for name in net.outputs:
            np.testing.assert_array_equal(sent.spikes[name], expected.spikes[name])
        assert there.activity == here.activity
        saved = here.snapshot()
        for key, values in there.snapshot().items():
            np.testing.assert_array_equal(values, saved[key], key)
        there.restore(saved)
        here.restore(saved)

# SPDX-License-Identifier: Apache-2.0
"""Sessions that choose between event-driven and dense products, event-driven kernels on the host."""

from typing import Any

import numpy as np
import pytest
import torch
from gpu.on_host import machine

from spikerun import IF, Dense, FewSpikes, Input, Network, Population, Projection, Readout, Session
from spikerun.kernels.gpu import choice
from spikerun.kernels.gpu.choice import Events
from spikerun.neurons import Neuron


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> None:
    if torch.cuda.is_available():
        return  # it has the kernels itself
    monkeypatch.setattr(
        "spikerun.kernels.gpu.executor.events",
        lambda device, kernels, constants: Events(machine(2, 2**16), kernels, constants),
    )


def opened(net: Network, kernels: str = "auto") -> Session:
    """Return a session with the kernels of a GPU; `auto` takes torch's operators where there is none."""
    session = Session(net, device="cuda", kernels=kernels)
    device: Any = session.device
    device.fast = True
    return session


def network(pixels: Input, hidden: Neuron, last: Neuron, window: int) -> Network:
    rng = np.random.default_rng(2)
    first, second = (rng.integers(-20, 21, shape).astype(np.int8) for shape in ((40, 37), (37, 5)))
    populations = {"in": Population((40,), pixels), "hidden": Population((37,), hidden), "out": Population((5,), last)}
    projections = [Projection("in", "hidden", Dense(first)), Projection("hidden", "out", Dense(second))]
    return Network(populations, projections, ["out"], window)


def words() -> Network:
    return network(Input(4), FewSpikes(4, 60, bias=20), Readout(), 4)


@pytest.mark.parametrize(("kernels", "small"), [("event", 0), ("auto", 0), ("auto", 2**20), ("dense", 0)])
def test_every_choice_gives_what_the_cpu_gives(kernels: str, small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "SMALL", small)
    rng = np.random.default_rng(4)
    steps = network(Input(1, "spikes"), IF(25), IF(11), 6)
    for net, samples in (
        (words(), rng.integers(0, 16, (2, 40)) * (rng.random((2, 40)) < 0.3)),
        (steps, (rng.random((2, 6, 40)) < 0.1).astype(np.uint8)),
    ):
        expected, session = Session(net).run(samples), opened(net, kernels)
        for _ in range(2):
            found = session.run(samples)
        np.testing.assert_array_equal(found.logits, expected.logits)
        assert found.activity == expected.activity


def test_the_plan_says_what_was_chosen_and_how_active_inputs_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "SMALL", 0)
    session = opened(words())
    (first, _) = session.plan.maps
    assert first.choice is not None and first.choice.kernel == "event-driven up to 60.0%, else dense"
    assert first.active is None
    samples = np.zeros((1, 40), np.uint8)
    samples[0, :10] = 5
    session.run(samples)
    samples[0, :30] = 5
    session.run(samples)
    (first, _) = session.plan.maps
    assert first.active == 0.5
    assert first.choice is not None and first.choice.seen is not None
    assert (first.choice.seen.runs, first.choice.seen.event) == (2, 1)


def test_batches_of_more_rows_than_the_kernel_takes_are_dense() -> None:
    session = opened(words())
    samples = np.random.default_rng(5).integers(0, 16, (17, 40))
    np.testing.assert_array_equal(session.run(samples).logits, Session(words()).run(samples).logits)
    assert session.plan.maps[0].active is None

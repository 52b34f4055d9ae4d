# SPDX-License-Identifier: Apache-2.0
"""What a choice for one population is said to cost, and to do to the results, is what it does."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from spikerun.converters.found import Choice, Price
from spikerun.converters.journal import Journal
from spikerun.converters.pipeline import Converter
from spikerun.converters.quantise import Settings
from spikerun.converters.sensitivity import prices
from spikerun.converters.torch.source import TorchSource
from spikerun.memory import memory_of_all
from spikerun.session import Session

NETS = {
    "pools": lambda: nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 3, 2), nn.Flatten(), nn.Linear(12, 5)
    ),
    "average": lambda: nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU6(), nn.AvgPool2d(2), nn.Conv2d(4, 6, 2), nn.ReLU(), nn.Flatten(), nn.Linear(24, 5)
    ),
}


class Skipping(nn.Module):
    """A residual block, whose skip is read long after it was computed."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.inner, self.last = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3, padding=1), nn.Linear(144, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.enter(x))
        return self.last(torch.relu(x + self.inner(torch.relu(self.inner(x)))).flatten(1))  # type: ignore[no-any-return]


@pytest.fixture(params=["pools", "average", "residual"])
def converter(request: pytest.FixtureRequest) -> Converter:
    torch.manual_seed(0)
    model = Skipping() if request.param == "residual" else NETS[request.param]()
    data = np.random.default_rng(0).integers(0, 256, (40, 1, 8, 8))
    return Converter(TorchSource(model.eval()), data)


def priced(converter: Converter, objective: str = "synops", code: str | None = None) -> list[Price]:
    return priced_with_standing(converter, objective, code)[0]


def priced_with_standing(
    converter: Converter, objective: str = "synops", code: str | None = None
) -> tuple[list[Price], float]:
    return prices(converter.calibration, code, objective, False, Journal(None, ""), lambda done, total: None)


@pytest.mark.parametrize(("objective", "counted"), [("synops", "synops"), ("spikes", "spikes")])
def test_costs_are_those_of_the_network_that_has_the_choice(objective: str, counted: str, converter: Converter) -> None:
    table = priced(converter, objective)
    for name in dict.fromkeys(price.population for price in table):
        rows = [p for p in table if p.population == name and p.choice.bits in (2, 3, 6)]
        for price in rows:
            network = converter.network(Settings(8, choices={name: price.choice}))
            activity = Session(network).run(converter.samples["input"]).activity.populations
            passing = [name, *(pool.name for pool in converter.layers.passing(name))]
            assert price.cost == pytest.approx(sum(getattr(activity[n], counted) for n in passing) / 40, rel=1e-6)


@pytest.mark.parametrize("objective", ["synops", "spikes"])
def test_what_no_choice_changes_is_what_the_input_costs(objective: str, converter: Converter) -> None:
    activity = Session(converter.network(Settings(8))).run(converter.samples["input"]).activity.populations
    standing = priced_with_standing(converter, objective)[1]
    assert standing == pytest.approx(getattr(activity["input"], objective) / 40) and standing > 0


def test_memory_is_that_of_the_network_that_has_the_choices(converter: Converter) -> None:
    table, standing = priced_with_standing(converter, "memory")
    for bits in (3, 8):
        chosen = {p.population: p for p in table if (p.choice.bits, p.choice.stretch) == (bits, 1)}
        network = converter.network(Settings(8, choices={name: p.choice for name, p in chosen.items()}))
        wanted = memory_of_all(network).total
        assert sum(p.cost for p in chosen.values()) + standing == pytest.approx(wanted, rel=0.01)
        assert standing > memory_of_all(network).weights


def test_divergences_are_near_those_of_the_network_that_has_the_choice(converter: Converter) -> None:
    ann = np.asarray(converter.evaluation(converter.samples["input"], None).ann["output"])
    power = np.square(ann - ann.mean(axis=0)).sum()
    for price in priced(converter):
        if price.choice.bits not in (2, 3):
            continue
        network = converter.network(Settings(8, choices={price.population: price.choice}))
        snn: Any = network.populations["output"].real(  # type: ignore[union-attr]
            Session(network).run(converter.samples["input"]).outputs["output"]
        )
        found = np.square(snn.reshape(ann.shape) - ann).sum() / power
        assert price.divergence == pytest.approx(found, rel=0.1, abs=0.005), price


def test_bounded_activations_are_not_stretched_and_signed_sums_have_a_bit_of_sign(converter: Converter) -> None:
    choices: dict[str, set[Choice]] = {}
    for price in priced(converter):
        choices.setdefault(price.population, set()).add(price.choice)
    for layer in converter.layers.sums:
        if layer.activation.fires:
            own = choices[layer.name]
            assert min(c.bits for c in own) == (2 if layer.activation.signed else 1)
            assert (max(c.stretch for c in own) > 1) == (layer.activation.bound == np.inf)
            assert {c.code for c in own} == ({"bits"} if layer.activation.signed else {"bits", "ttfs"})


def test_more_bits_diverge_less_and_wider_steps_cost_less(converter: Converter) -> None:
    table = {(p.population, p.choice.bits, p.choice.stretch): p for p in priced(converter, "spikes", "graded")}
    for name in dict.fromkeys(population for population, _, _ in table):
        assert table[name, 8, 1.0].divergence < table[name, 2, 1.0].divergence
        if (name, 4, 1.5) in table:
            assert table[name, 4, 1.5].cost < table[name, 4, 1.0].cost

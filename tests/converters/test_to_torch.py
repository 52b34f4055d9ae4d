# SPDX-License-Identifier: Apache-2.0
"""Networks as torch modules: the integers of the law, gradients that reach every number, and the way back."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import densities, random_inputs, random_network, seeds
from torch import nn

import spikerun as sr
from spikerun.converters.torch.module import NetworkModule
from spikerun.errors import DataError, NetworkError, UnsupportedError, UsageError
from spikerun.reference import blocked


@settings(max_examples=60)
@given(seeds, seeds, densities, st.integers(1, 3))
def test_a_module_computes_the_integers_of_the_law(seed: int, other: int, density: float, batch: int) -> None:
    net = random_network(seed, "words")
    samples = random_inputs(net, other, batch, density)
    found = sr.to_torch(net).words({name: torch.from_numpy(values) for name, values in samples.items()})
    for k in range(batch):
        for name, turn in blocked(net, {name: values[k] for name, values in samples.items()}).items():
            wanted = turn.membrane if net.populations[name].neuron.reported else turn.word
            np.testing.assert_array_equal(found[name][k].detach().numpy(), wanted, err_msg=name)


@settings(max_examples=30)
@given(seeds, seeds)
def test_logits_are_those_of_a_session(seed: int, other: int) -> None:
    net = random_network(seed, "words")
    samples = random_inputs(net, other, 3, 0.5)
    np.testing.assert_array_equal(sr.to_torch(net)(samples).detach().numpy(), sr.Session(net).run(samples).logits)


@settings(max_examples=30)
@given(seeds)
def test_an_untrained_module_gives_its_network_back(seed: int) -> None:
    net = random_network(seed, "words")
    again = sr.to_torch(net).network()
    for before, after in zip(net.projections, again.projections, strict=True):
        for (name, old), (_, new) in zip(before.connection.parameters(), after.connection.parameters(), strict=True):
            np.testing.assert_array_equal(old, new, err_msg=name)
    for name, population in net.populations.items():
        arrays = again.populations[name].neuron.arrays()
        assert population.neuron.arrays().keys() == arrays.keys()
        for key, value in population.neuron.arrays().items():
            np.testing.assert_array_equal(arrays[key], value, err_msg=f"{name}.{key}")


def pixels(net: sr.Network, *numbers: int) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64).reshape(1, *net.populations["in"].shape)


def line(neuron: Any, weight: int = 3) -> sr.Network:
    """Return a network of one input, one neuron, one readout."""
    populations = {
        "in": sr.Population((1,), sr.Input(8)),
        "h": sr.Population((1,), neuron),
        "out": sr.Population((1,), sr.Readout(np.float32(0.5))),
    }
    dense = [sr.Dense(np.full((1, 1), w, np.int8)) for w in (weight, 2)]
    projections = [sr.Projection("in", "h", dense[0]), sr.Projection("h", "out", dense[1])]
    return sr.Network(populations, projections, ["out"], window=8)


def test_gradients_are_those_without_rounding() -> None:
    net = line(sr.FewSpikes(5, 20, 10))
    module, x = sr.to_torch(net), pixels(net, 100).requires_grad_()
    y = module(x)
    y.sum().backward()  # out = 0.5 * 2 * (3 x + 10) / 20
    assert y.item() == 15.0 and x.grad is not None and x.grad.item() == pytest.approx(3 / 20)
    got = {name: p.grad.item() / unit_of(module, name) for name, p in module.named_parameters() if p.grad is not None}
    assert got["populations.0.maps.0.numbers.parameter"] == pytest.approx(100 / 20)
    assert got["populations.0.bias.parameter"] == pytest.approx(1 / 20)
    assert got["populations.0.threshold.parameter"] == pytest.approx(-310 / 400)
    assert got["populations.1.maps.0.numbers.parameter"] == pytest.approx(0.5 * 15)


def unit_of(module: nn.Module, name: str) -> float:
    return float(module.get_submodule(name.rpartition(".")[0]).unit)  # type: ignore[arg-type]


@pytest.mark.parametrize(("pixel", "slope"), [(100, 3 / 4), (255, 0.0), (0, 0.0)])
def test_words_at_their_limits_pass_no_gradient(pixel: int, slope: float) -> None:
    net = line(sr.FewSpikes(7, 4, -1))
    x = pixels(net, pixel).requires_grad_()
    sr.to_torch(net)(x).sum().backward()
    assert x.grad is not None and x.grad.item() == pytest.approx(slope)


def test_gradients_of_levels_are_straight_lines_from_word_to_word() -> None:
    levels = np.array([30, 60, 120])
    net = line(sr.Levels(4, levels, np.array([0, 2, 6, 7])))
    for pixel, word, slope in ((5, 0, 0.0), (15, 2, 3 / 30), (30, 6, 2.5 / 60), (50, 7, 0.0)):
        x = pixels(net, pixel).requires_grad_()
        y = sr.to_torch(net)(x)
        y.sum().backward()
        assert x.grad is not None and y.item() == word and x.grad.item() == pytest.approx(3 * slope)


def test_gradients_reach_every_number_of_a_network() -> None:
    """Where neurons are within their limits; weights that no event reaches have the gradient 0."""
    reached = set()
    for seed in range(40):
        net = random_network(seed, "words")
        module = sr.to_torch(net)
        found = module.words(random_inputs(net, seed, 4, 1.0))
        if summed := [value.sum() for value in found.values() if value.requires_grad]:
            torch.stack(summed).sum().backward()
        for population in module.populations:
            for name, parameter in population.named_parameters():
                kind = name.partition(".")[0]
                if kind == "maps":
                    kind = type(population.get_submodule(".".join(name.split(".")[:2]))).__name__
                if parameter.grad is not None and parameter.grad.abs().max() > 0:
                    reached.add(kind)
    assert reached == {"bias", "threshold", "_Dense", "_Sparse", "_Conv", "_Diagonal", "_SumPool"}


def test_fine_tuning_makes_up_for_few_bits() -> None:
    """A network of 1 bit learns to answer what that of 8 bits answers, and what comes out runs elsewhere."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 2))
    x = np.random.default_rng(0).integers(0, 256, (256, 6)).astype(np.uint8)
    wanted = sr.to_torch(sr.convert(model, x, bits=8).network)(x).detach()
    module = sr.to_torch(sr.convert(model, x, bits=1).network)
    before = nn.functional.mse_loss(module(x), wanted).item()
    optimiser = torch.optim.Adam(module.parameters(), 1e-2)
    for _ in range(40):
        optimiser.zero_grad()
        nn.functional.mse_loss(module(x), wanted).backward()
        optimiser.step()
    tuned = module.network()
    found = sr.Session(tuned).run(x).logits
    np.testing.assert_array_equal(found, module(x).detach().numpy())
    assert nn.functional.mse_loss(torch.from_numpy(found), wanted).item() < 0.6 * before


def test_numbers_stay_within_what_the_contract_holds() -> None:
    module = sr.to_torch(line(sr.FewSpikes(5, 20, 10)))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(-1e9)
    with pytest.raises(NetworkError, match=r"bias|accumulator"):  # within int32 each, and too large together
        module.network()
    for population in module.populations:
        for name, held in population.named_modules():
            if name.endswith("numbers"):
                assert -128 <= held().min().item() <= held().max().item() <= 127
        if hasattr(population, "threshold"):
            assert population.threshold().min().item() == 1  # type: ignore[operator]


@pytest.mark.parametrize("kind", ["spikes", "mixed"])
def test_networks_that_spike_step_by_step_are_refused_with_advice(kind: str) -> None:
    refused = 0
    for seed in range(12):
        net = random_network(seed, kind)
        if any(p.neuron.integrates == "step" for p in net.populations.values()):
            with pytest.raises(UnsupportedError, match=r"fine-tune the network that it was converted from"):
                sr.to_torch(net)
            refused += 1
    assert refused > 3


@pytest.mark.parametrize("value", [300, -1, 0.5, math.nan])
def test_values_that_the_input_does_not_take_are_refused(value: float) -> None:
    net = line(sr.FewSpikes(5, 20, 10))
    with pytest.raises(DataError, match=r"integers of 0\.\.255: give raw values"):
        sr.to_torch(net)(torch.tensor([[value]]))


def test_other_shapes_inputs_and_things_are_refused() -> None:
    module = sr.to_torch(line(sr.FewSpikes(5, 20, 10)))
    with pytest.raises(DataError, match=r"shape \('B', 1\), got \(2, 3\)"):
        module(np.zeros((2, 3)))
    with pytest.raises(DataError, match="values are given for x; the inputs are in"):
        module({"x": np.zeros((2, 1))})
    with pytest.raises(UsageError, match="takes a Network"):
        sr.to_torch("model.snn")
    assert isinstance(module, NetworkModule)


def test_signals_are_taken_as_they_were_converted() -> None:
    torch.manual_seed(0)
    signals = np.random.default_rng(0).integers(0, 256, (30, 3, 12), dtype=np.uint8)
    model = nn.Sequential(nn.Conv1d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(40, 5))
    net = sr.convert(model, signals).network
    module = sr.to_torch(net)
    np.testing.assert_array_equal(module(signals).detach().numpy(), sr.Session(net).run(signals).logits)
    assert torch.equal(module(signals), module(signals[:, :, None]))

# SPDX-License-Identifier: Apache-2.0
"""The layers that are trained send the words of the spiking network, bit for bit, before training and after it."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from tuned_networks import NETWORKS, made

from spikerun import Session
from spikerun.converters import Encoding, convert, tunable
from spikerun.converters.tuning.tunable import Tunable

Bars = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]


def few_steps(module: Tunable, bars: Bars, steps: int = 4) -> None:
    """Train a little, far enough that words change."""
    optimiser = torch.optim.Adam(module.groups(0.02))
    for k in range(steps):
        x, y = (torch.from_numpy(values[k * 32 : k * 32 + 32]) for values in bars)
        loss = torch.nn.functional.cross_entropy(module(x), y) + 0.1 * module.cost
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


@pytest.mark.parametrize("name", NETWORKS)
def test_results_and_costs_are_those_of_the_network_that_is_deployed(name: str, bars: Bars) -> None:
    module = tunable(made(name), bars[0], input_bits=0 if name == "plain" else 4)
    few_steps(module, bars)
    finished = module.finished()
    network = finished.converter.convert(finished.tuned.settings()).network
    ran = Session(network).run(bars[0])
    with torch.no_grad():
        logits = module(torch.from_numpy(bars[0]))
    np.testing.assert_allclose(logits.numpy(), ran.logits, rtol=1e-4, atol=1e-4)
    assert float(module.cost) >= (ran.activity.synops_per_mac or 0) - 1e-6  # channels that are gone cost nothing
    model = made(name)
    assert finished.state is not None
    model.load_state_dict(finished.state)
    again = convert(model, bars[0], encoding=finished.tuned.encodings, tuned=finished.tuned).network
    np.testing.assert_array_equal(ran.logits, Session(again).run(bars[0]).logits)


@pytest.mark.parametrize("name", ["plain", "mlp", "scaled"])
@pytest.mark.parametrize("input_bits", [0, 4])
def test_weights_that_read_values_above_their_words_are_written_back(name: str, input_bits: int, bars: Bars) -> None:
    encoding = Encoding(1 / 255, mean=0.4, std=0.3)  # 0 is no word of these, and padding is 0
    module = tunable(made(name), bars[0], encoding=encoding, input_bits=input_bits)
    few_steps(module, bars)
    finished = module.finished()
    model = made(name)
    assert finished.state is not None
    model.load_state_dict(finished.state)
    again = convert(model, bars[0], encoding=finished.tuned.encodings, tuned=finished.tuned).network
    with torch.no_grad():
        logits = module(torch.from_numpy(bars[0])).numpy()
    np.testing.assert_allclose(logits, Session(again).run(bars[0]).logits, rtol=1e-4, atol=1e-4)


def test_tables_of_activations_are_followed_closely(bars: Bars) -> None:
    module = tunable(made("smooth"), bars[0], bits=6)
    few_steps(module, bars)
    finished = module.finished()
    ran = Session(finished.converter.convert(finished.tuned.settings()).network).run(bars[0])
    with torch.no_grad():
        logits = module(torch.from_numpy(bars[0])).numpy()
    assert np.abs(logits - ran.logits).max() < 0.1 * np.abs(ran.logits).max()


def test_the_teacher_is_the_network_as_it_was(bars: Bars) -> None:
    for name in ("residual", "branches", "smooth"):
        module = tunable(made(name), bars[0])
        few_steps(module, bars, 1)
        x = torch.from_numpy(bars[0][:20]).float()
        with torch.no_grad():
            expected = made(name)(x / 255)
        torch.testing.assert_close(module.teacher({"input": x}), expected, rtol=1e-3, atol=1e-3)


def test_weights_that_are_zero_stay_zero(bars: Bars) -> None:
    model = made("plain")
    kept = torch.rand(model[4].weight.shape) < 0.3  # type: ignore[index]
    with torch.no_grad():
        model[4].weight *= kept  # type: ignore[index]
    module = tunable(model, bars[0])
    few_steps(module, bars)
    state = module.finished().state
    assert state is not None
    assert bool((state["4.weight"][~kept] == 0).all())
    assert bool((state["4.weight"][kept] != model.state_dict()["4.weight"][kept]).any())


def test_weights_that_two_modules_share_are_trained_as_one(bars: Bars) -> None:
    module = tunable(made("shared"), bars[0])
    few_steps(module, bars)
    state = module.finished().state
    assert state is not None
    torch.testing.assert_close(state["a.weight"], state["b.weight"], rtol=0, atol=0)


def test_the_price_draws_spikes_down(bars: Bars) -> None:
    costs = {}
    for price in (0.0, 1.0):
        module = tunable(made("plain"), bars[0])
        optimiser = torch.optim.Adam(module.groups(0.01))
        x = torch.from_numpy(bars[0])
        for _ in range(10):
            loss = (module(x) - module.teacher({"input": x.float()})).square().mean() + price * module.cost
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        costs[price] = float(module.cost.detach())
    assert costs[1.0] < 0.8 * costs[0.0]


@pytest.mark.parametrize("objective", ["synops", "events", "spikes", "latency"])
def test_each_objective_counts_what_it_says(objective: str, bars: Bars) -> None:
    module = tunable(made("plain"), bars[0], objective=objective)
    with torch.no_grad():
        module(torch.from_numpy(bars[0]))
    ran = Session(module.start.network).run(bars[0])
    if objective == "spikes":
        wanted = ran.activity.spikes_per_neuron
    elif objective == "events":
        assert 0 < float(module.cost) < (ran.activity.synops_per_mac or 0)
        return
    else:
        wanted = ran.activity.synops_per_mac or 0
    assert float(module.cost) == pytest.approx(wanted, rel=1e-3)


def test_channels_that_the_conversion_leaves_out_cost_nothing_and_stay_as_they_are(bars: Bars) -> None:
    model = made("plain")
    with torch.no_grad():
        for tensor in (model[0].weight, model[1].weight, model[1].bias):  # type: ignore[index]
            tensor[:3] = 0
    module = tunable(model, bars[0])
    few_steps(module, bars)
    finished = module.finished()
    ran = Session(finished.converter.convert(finished.tuned.settings()).network).run(bars[0])
    with torch.no_grad():
        module(torch.from_numpy(bars[0]))
    assert float(module.cost) == pytest.approx(ran.activity.synops_per_mac or 0, rel=0.02)
    assert finished.state is not None
    assert not any(finished.state[name][:3].any() for name in ("0.weight", "1.weight", "1.bias"))

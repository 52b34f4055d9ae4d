# SPDX-License-Identifier: Apache-2.0
"""The numbers of a conversion: scales that follow the integers, bounds, dead channels, normalised inputs."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from spikerun.connections import SumPool
from spikerun.converters import Encoding, convert
from spikerun.converters.maps import ConvMap
from spikerun.converters.quantise import QLayer
from spikerun.converters.rules import Rules
from spikerun.converters.torch.aten import ATEN
from spikerun.converters.verify import evaluate
from spikerun.neurons import FewSpikes, Readout


def layer(conversion: Any, index: int) -> QLayer:
    found = [x for x in conversion.quantised.layers if isinstance(x, QLayer)][index]
    return found


@pytest.mark.parametrize("bound", [6.0, 0.5, 0.07])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_the_largest_word_does_not_exceed_the_bound_of_the_activation(bound: float, bits: int, check: Any) -> None:
    model = nn.Sequential(nn.Linear(12, 9), nn.Hardtanh(0, bound), nn.Linear(9, 4))
    made = layer(check(model, 12, bits=bits, near=None), 0)
    assert (made.step_size * (2**bits - 1) <= bound * (1 + 1e-9)).all()


def test_weights_use_the_whole_of_int8(check: Any) -> None:
    model = nn.Sequential(nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 4))
    for projection in check(model, 12, bits=4, near=None).network.projections:
        weight = np.abs(projection.connection.weight.astype(int))
        assert (weight.max(axis=0) == 127).all()


def test_dead_channels_stay_silent_and_harm_nobody(check: Any) -> None:
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 4))
    model[0].weight.data[1] = 0  # no weights, and a bias below zero
    model[0].bias.data[1] = -1
    model[0].bias.data[2] = -100  # weights, and never active
    model[2].weight.data[:, 3] = 0  # nobody listens
    conversion = check(model, 2, 6, 6, bits=5, near=0.5)
    words = evaluate(conversion.quantised, np.full((1, 2, 6, 6), 255))[layer(conversion, 0).name]
    assert not words[:, 1].any() and not words[:, 2].any()


def test_a_network_that_is_all_zero_is_converted(check: Any) -> None:
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    conversion = convert(model, np.full((4, 6), 9, np.uint8), bits=3)
    assert not evaluate(conversion.quantised, np.full((1, 6), 255))["output"].any()


def test_a_constant_bias_without_weights_is_kept(check: Any) -> None:
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    nn.init.zeros_(model[2].weight)
    model[2].bias.data = torch.tensor([1.0, -2.0, 3.0])
    conversion = convert(model, np.full((4, 6), 9, np.uint8), bits=3)
    readout = conversion.network.populations["output"].neuron
    assert isinstance(readout, Readout)
    assert np.allclose(
        evaluate(conversion.quantised, np.zeros((1, 6)))["output"] * readout.scale, [1, -2, 3], rtol=1e-3
    )


def test_mean_and_std_of_the_input_are_exact_at_padded_borders() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
    data = np.random.default_rng(0).integers(0, 256, (16, 3, 6, 6), dtype=np.uint8)
    mean, std = np.array([0.4, 0.5, 0.6]), np.array([0.2, 0.3, 0.25])
    conversion = convert(model, data, bits=8, encoding=Encoding(mean=mean, std=std))
    real = (data / 255 - mean[:, None, None]) / std[:, None, None]
    ann = model(torch.from_numpy(real).float()).detach().numpy()
    readout = conversion.network.populations["output"].neuron
    assert isinstance(readout, Readout)
    snn = evaluate(conversion.quantised, data)["output"] * readout.scale
    assert np.abs(snn - ann).max() < 0.1 * ann.std()
    neuron = conversion.network.populations["m0"].neuron
    assert isinstance(neuron, FewSpikes) and neuron.bias.shape == (4, 6, 6)
    assert conversion.network.meta["input_mean"] == "0.4 0.5 0.6"


def test_an_average_without_more_to_it_is_plain_counting(check: Any) -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(12, 4))
    network = check(model, 2, 6, 6, bits=4, near=None).network
    (pool,) = [p.connection for p in network.projections if isinstance(p.connection, SumPool)]
    assert (pool.gain == 1).all()


def test_conversion_is_deterministic(check: Any) -> None:
    def words() -> dict[str, Any]:
        torch.manual_seed(1)
        model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 4))
        data = np.random.default_rng(1).integers(0, 256, (16, 2, 6, 6), dtype=np.uint8)
        return evaluate(convert(model, data).quantised, data)

    first, second = words(), words()
    assert all((first[name] == second[name]).all() for name in first)


def test_names_of_modules_that_populations_cannot_have_are_written_otherwise() -> None:
    model = nn.Sequential()
    model.add_module("größe", nn.Linear(6, 5))
    model.add_module("r", nn.ReLU())
    inner: nn.Module = nn.Linear(5, 3)
    for _ in range(8):
        wrapped = nn.Sequential()
        wrapped.add_module("a_rather_long_name", inner)
        inner = wrapped
    model.add_module("größer", inner)
    model.add_module("s", nn.ReLU())
    names = list(convert(model, np.full((4, 6), 9, np.uint8)).network.populations)
    assert names[1] == "gr__e" and names[2].endswith("a_rather_long_name") and len(names[2]) <= 100


def test_one_sample_is_enough(check: Any) -> None:
    convert(nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)), np.full((1, 6), 9, np.uint8))


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.data())
def test_a_convolution_is_the_sum_of_its_slices(groups: int, inner: int, outer: int, data: Any) -> None:
    channels = groups * inner
    cut = data.draw(st.integers(0, channels))
    rng = np.random.default_rng(0)
    conv = ConvMap(rng.normal(size=(groups * outer, inner, 2, 2)), (1, 1), (1, 1), (1, 1), groups)
    x = rng.normal(size=(2, channels, 3, 3))
    whole = conv.apply(x)
    total = np.zeros_like(whole)
    for first, end in ((0, cut), (cut, channels)):
        if first < end:
            part, low, high = conv.sliced(first, end)
            total[:, low:high] += part.apply(x[:, first:end])
    np.testing.assert_allclose(total, whole, atol=1e-12)


def test_two_rules_for_one_operator_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"two rules for aten\.relu\.default"):
        ATEN.rule("aten.relu.default")(lambda call: None)  # type: ignore[arg-type,return-value]


def test_a_rule_is_for_its_version_and_later_ones() -> None:
    rules = Rules("toy", {"loop": "unroll it"}, "write it otherwise")

    def first(call: Any) -> Any: ...

    def seventh(call: Any) -> Any: ...

    rules.rule("Clip", version=1)(first)
    rules.rule("Clip", version=7)(seventh)
    assert [rules.find("Clip", version) for version in (0, 1, 6, 7, 20)] == [None, first, first, seventh, seventh]
    assert rules.find("Relu", 9) is None
    assert (rules.advice_for("a_loop"), rules.advice_for("Relu")) == ("unroll it", "write it otherwise")

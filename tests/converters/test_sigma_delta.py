# SPDX-License-Identifier: Apache-2.0
"""What coding 'sdnn' promises: integers that a sigma-delta network of 24-bit sums holds, and no others."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from spikerun.converters import Conversion, Encoding, convert
from spikerun.converters.sigma_delta import HEADROOM
from spikerun.converters.verify import evaluate
from spikerun.edge.loihi.emulate import run
from spikerun.edge.loihi.layout import lava_order
from spikerun.edge.loihi.mapping import to_graph
from spikerun.errors import ConversionError, UsageError
from spikerun.neurons import FewSpikes

Samples = npt.NDArray[np.uint8]


class Residual(nn.Module):
    """A convolution of stride 2, a block with a shortcut, an average pool, a wide layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(2, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.inner = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 6, 1))
        self.head = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(54, 20), nn.ReLU(), nn.Linear(20, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        result: torch.Tensor = self.head(torch.relu(self.inner(x) + x))
        return result


class Shuffled(nn.Module):
    """Channels that become places, beside a convolution of theirs: a relay copies them, of one step size."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.inner = nn.Conv2d(2, 8, 3, stride=2, padding=1), nn.Conv2d(2, 2, 3, padding=1)
        self.last = nn.Linear(288, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.pixel_shuffle(torch.relu(self.first(x)), 2)
        result: torch.Tensor = self.last(torch.relu(self.inner(x) + x).flatten(1))
        return result


MODELS = {"residual": Residual, "relay": Shuffled}


def image(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 4, 3), *layers, nn.Flatten(), nn.LazyLinear(3))


@pytest.fixture(params=["residual", "relay"])
def made(check: Callable[..., Conversion], request: pytest.FixtureRequest) -> Conversion:
    torch.manual_seed(0)
    return check(MODELS[request.param](), 2, 12, 12, near=0.1, bits=None, coding="sdnn")


def test_words_equal_the_quantised_ann_and_results_are_near_the_ann(made: Conversion) -> None:
    assert (made.report.window, made.report.code, made.report.input_code) == (1, "graded", "graded")


def test_each_population_has_one_threshold_a_power_of_two_and_unsigned_words(made: Conversion) -> None:
    firing = [p.neuron for p in made.network.populations.values() if isinstance(p.neuron, FewSpikes)]
    assert len(firing) == (3 if any(layer.kind == "relay" for layer in made.report.layers) else 5)
    for neuron in firing:
        assert neuron.threshold.ndim == 0 and int(neuron.threshold).bit_count() == 1
        assert (neuron.bits, neuron.code, neuron.signed) == (8, "graded", False)


def test_weights_and_gains_are_int8_that_count_twice(made: Conversion) -> None:
    for projection in made.network.projections:
        arrays = [value for name, value in projection.connection.parameters() if name in ("weight", "gain", "data")]
        assert projection.exponent == 1
        assert max(int(np.abs(array).max()) for array in arrays) <= 127


def test_the_chips_graph_of_it_computes_the_same(made: Conversion, samples: Callable[..., Samples]) -> None:
    data = samples(2, 12, 12)[:4]
    trace = run(to_graph(made.network), {"input": lava_order(data[:, None].astype(np.int32), 3)})
    expected = made.gone.left(evaluate(made.quantised, data))
    for name in expected.keys() - {"input", "output"}:
        got = trace.events[name][:, 0]
        np.testing.assert_array_equal(got, lava_order(expected[name], expected[name].ndim - 1), err_msg=name)


def test_sums_of_a_layer_with_many_inputs_fit_24_bits(samples: Callable[..., Samples]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(900, 5), nn.ReLU(), nn.Linear(5, 3))
    with torch.no_grad():
        model[0].weight.sign_()
        model[0].bias.fill_(40)
    conversion = convert(model, samples(900), coding="sdnn")
    bounds = conversion.network.bounds
    assert 0.9 * 2**23 < bounds["m0"] < 2**23
    assert max(bounds.values()) < 2**23


def test_the_largest_activation_that_calibrates_leaves_room_for_larger_ones(
    made: Conversion, samples: Callable[..., Samples]
) -> None:
    values = evaluate(made.quantised, samples(2, 12, 12))
    largest = [v.max() for name, v in values.items() if name not in ("input", "output")]
    assert max(largest) <= HEADROOM * 1.05 and min(largest) > HEADROOM / 4


def test_channels_of_very_different_size_keep_their_words(samples: Callable[..., Samples]) -> None:
    model = nn.Sequential(nn.Linear(30, 8), nn.ReLU(), nn.Linear(8, 3))
    with torch.no_grad():
        model[0].weight.mul_(torch.logspace(-3, 3, 8)[:, None])
        model[0].bias.zero_()
    words = evaluate(convert(model, samples(30), coding="sdnn").quantised, samples(30))["m0"]
    assert (words.max(axis=0) > 30).all()


def test_a_layer_that_is_always_silent_is_converted(samples: Callable[..., Samples]) -> None:
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))
    with torch.no_grad():
        model[0].weight.zero_()
        model[0].bias.fill_(-1)
    conversion = convert(model, samples(6), coding="sdnn")
    assert not evaluate(conversion.quantised, samples(6))["m0"].any()


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (image(nn.ReLU(), nn.MaxPool2d(2)), "this network: 'm0_max_pool2d' is a max pool: use an average pool"),
        (image(nn.AvgPool2d(2)), "'m0' sends signed values: put a ReLU behind it"),
        (image(nn.ReLU6()), "'m0' is bounded by 6: train with ReLU"),
    ],
)
def test_what_sigma_delta_neurons_cannot_compute_is_refused_by_name(
    model: nn.Module, words: str, samples: Callable[..., Samples]
) -> None:
    model(torch.zeros(1, 2, 6, 6))  # its last layer learns its size
    with pytest.raises(ConversionError, match=words):
        convert(model, samples(2, 6, 6), coding="sdnn")


def test_signed_samples_are_refused() -> None:
    data = np.arange(-12, 12).reshape(4, 6)
    with pytest.raises(ConversionError, match="the input is signed"):
        convert(nn.Linear(6, 3), data, coding="sdnn", encoding=Encoding(signed=True))


@pytest.mark.parametrize(
    "options", [{"bits": 5}, {"code": "bits"}, {"overrides": {"m0": 4}}, {"max_drop": 1.0}, {"coding": "sdn"}]
)
def test_options_that_the_coding_does_not_take_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="coding"):
        convert(nn.Linear(6, 3), np.zeros((4, 6), np.uint8), **{"coding": "sdnn", **options})

# SPDX-License-Identifier: Apache-2.0
"""What cannot be converted stops the conversion, with the operator, its line and what to do; all at once."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from spikerun.converters import Encoding, convert
from spikerun.errors import ConversionError, DataError, UsageError

HERE = "test_refusals.py"


def refused(model: nn.Module, *shape: int, error: type[Exception] = ConversionError, **options: Any) -> str:
    with pytest.raises(error) as caught:
        convert(model, np.zeros((4, *shape), np.uint8), **options)
    return str(caught.value)


class Two(nn.Module):
    """An image model with a product of matrices, a LayerNorm, and cumulated sums at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(1, 2, 3), nn.LayerNorm(4), nn.Linear(32, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.conv(x) @ self.conv(x))
        return self.head(x.flatten(1)).cumsum(1)  # type: ignore[no-any-return]


def test_all_unsupported_operators_are_named_at_once_with_their_lines_and_advice() -> None:
    message = refused(Two(), 1, 6, 6)
    assert "3 operators that are not converted" in message
    for operator in ("aten.matmul", "aten.layer_norm", "aten.cumsum"):
        assert operator in message
    assert message.count(f"{HERE}:") == 3
    assert "return self.head(x.flatten(1)).cumsum(1)" in message
    assert "use nn.Linear" in message and "use BatchNorm" in message and "triangle of ones" in message


@pytest.mark.parametrize(
    ("layer", "operator", "advice"),
    [
        (nn.LayerNorm(6), "layer_norm", "BatchNorm"),
        (nn.GroupNorm(1, 2), "group_norm", "BatchNorm"),
        (nn.InstanceNorm2d(2), "instance_norm", "BatchNorm"),
        (nn.Upsample(scale_factor=2, mode="bilinear"), "upsample", "nearest"),
        (nn.BatchNorm2d(2, track_running_stats=False), "batch_norm", "track_running_stats"),
        (nn.Upsample(scale_factor=2, mode="bicubic"), "upsample", "nearest"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_an_unsupported_layer_is_named_with_advice(layer: nn.Module, operator: str, advice: str) -> None:
    model = nn.Sequential(nn.Conv2d(2, 2, 1), layer, nn.Flatten())
    message = refused(model, 2, 6, 6)
    assert operator in message and advice in message and "module '1'" in message


class Given(nn.Module):
    """A model whose forward is a function given to it."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.layer, self.function = nn.Linear(8, 8), function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self.layer(x), x)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda y, x: y * x, ("mul", "multiplies values that it computes")),
        (lambda y, x: torch.cat([y, x], 0), ("cat", "axis 0")),
        (lambda y, x: y.reshape(-1, 4), ("view", "mixes the samples of a batch")),
        (lambda y, x: y.T, ("permute", "batch from the first axis")),
        (lambda y, x: y.flip(0), ("flip", "mixes the samples")),
        (lambda y, x: y + y.mean(0), ("mean", "reduces the batch")),
        (lambda y, x: y.mean(), ("mean", "reduces the batch")),
        (lambda y, x: y / 0, ("div", "divides by 0")),
        (lambda y, x: y + torch.ones(2, 1), ("add", "differs between the samples")),
        (lambda y, x: y.softmax(1) + 1, ("softmax", "return what is before it")),
        (lambda y, x: y.max(1)[1].float(), ("max", "result number 2")),
        (lambda y, x: F.dropout(y, 0.5, True), ("dropout", "active at inference")),
        (lambda y, x: y @ y.T, ("matmul", "product of two activations")),
        (lambda y, x: F.linear(x, y), ("linear", "trained constants")),
        (lambda y, x: (y, x), ("'output_1' does not depend on its input",)),
        (lambda y, x: torch.ones(2, 3), ("does not depend on its input",)),
        (lambda y, x: x, ("does not depend on its input",)),
    ],
)
def test_a_function_that_is_no_synapse_is_refused(function: Any, words: tuple[str, ...]) -> None:
    message = refused(Given(function), 8)
    assert all(word in message for word in words), message


def test_recurrent_layers_are_refused() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.lstm(x.view(1, -1, 4))[0].flatten(1)  # type: ignore[no-any-return]

    message = refused(Recurrent(), 8)
    assert "lstm" in message and f"{HERE}:" in message


def test_control_flow_on_values_is_refused_with_its_line(capfd: pytest.CaptureFixture[str]) -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.layer(x)
            if y.sum() > 0:
                return y  # type: ignore[no-any-return]
            return -y  # type: ignore[no-any-return]

    message = refused(Branching(), 8)
    assert "decides by the values of the data" in message
    assert HERE in message and "if y.sum() > 0" in message and "\n" not in message
    assert capfd.readouterr() == ("", "")


def test_control_flow_on_shapes_is_followed() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x) if x.shape[1] == 8 else F.gelu(x)  # type: ignore[no-any-return]

    convert(Branching(), np.ones((4, 8), np.uint8))


def test_a_model_that_does_not_take_the_samples_is_told_in_one_paragraph() -> None:
    message = refused(nn.Sequential(nn.Flatten(), nn.Linear(99, 3)), 1, 6, 6)
    assert "Sequential does not take samples of shape (1, 6, 6), its forward raises RuntimeError" in message
    assert "Give calibration data of the shape that it was trained on" in message and "\n" not in message


def test_images_without_their_channel_axis_are_told_to_add_it() -> None:
    assert "Images need their channel axis: samples[:, None]" in refused(nn.Conv2d(1, 2, 3), 6, 6)


def test_weights_that_are_not_finite_are_named() -> None:
    model = nn.Sequential(nn.Linear(8, 3))
    model[0].weight.data[1, 1] = float("nan")
    assert "'0.weight'" in refused(model, 8)


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.zeros((4, 1, 1, 6, 6), np.uint8), r"give an array of \(N, C, H, W\), \(N, C, L\) or \(N, F\)"),
        ([{"x": 1}], "shape"),
        ([[1, 2], [3]], "are a list that is no array"),
        (iter([1]), "are a list_iterator"),
        (np.zeros((0, 8), np.uint8), "shape"),
        (np.full((4, 8), np.nan, np.float32), "NaN or infinite"),
        (np.full((4, 8), 1 << 16), "at most 16 bits"),
        (np.full((4, 8), True), "have dtype bool"),
    ],
)
def test_calibration_data_of_the_wrong_form_are_refused(samples: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        convert(nn.Linear(8, 3), samples)


@pytest.mark.parametrize("value", [0.3, 256, -1])
def test_samples_that_do_not_fit_the_encoding_that_is_given_are_refused(value: float) -> None:
    with pytest.raises(DataError, match=r"8-bit integers"):
        convert(nn.Linear(8, 3), np.full((4, 8), value), encoding=Encoding())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bits": 0}, "bits"),
        ({"bits": 9}, "bits"),
        ({"bits": True}, "bits"),
        ({"code": "rate"}, "code"),
        ({"overrides": {1: 3}}, "names of layers"),
        ({"overrides": 5}, "names of layers, {'conv1': 6}, got 5"),
        ({"overrides": [("a", 1)]}, "names of layers"),
        ({"metric": 5}, "metric is a function, got 5"),
        ({"on_progress": 5}, "on_progress is a function, got 5"),
        ({"encoding": 0.5}, "Encoding(scale=1 / 16)"),
        ({"max_drop": 0.1}, "labelled"),
    ],
)
def test_options_outside_their_range_are_refused(options: dict[str, Any], words: str) -> None:
    assert words in refused(nn.Linear(8, 3), 8, error=UsageError, **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"std": 0.0}, "the std of the input must be above 0, got 0"),
        ({"scale": -1.0}, "the scale of the input must be above 0, got -1"),
        ({"mean": [0.1, 0.2], "std": [1, 1, 1]}, "the mean of the input has 2 numbers, the std 3"),
        ({"scale": None}, "scale of the input must be"),
        ({"scale": "a"}, "must be a number"),
        ({"scale": [1.0, 2.0]}, "must be one number"),
        ({"mean": "a"}, "must be a number"),
        ({"mean": float("nan")}, "mean of the input must be finite"),
        ({"std": []}, "std of the input must be finite"),
    ],
)
def test_an_impossible_normalisation_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Encoding(**options)


def test_a_mean_for_another_number_of_channels_is_refused() -> None:
    message = refused(nn.Linear(8, 3), 8, error=UsageError, encoding=Encoding(mean=[1.0, 2.0]))
    assert "mean of the input has 2 numbers (1, 2); give one, or 8" in message


def test_real_samples_that_were_normalised_are_to_be_given_raw() -> None:
    with pytest.raises(DataError, match=r"give the raw samples, 8-bit .*normalised by: Encoding.*--mean and --std"):
        convert(nn.Linear(8, 3), np.random.default_rng(0).normal(size=(4, 8)), encoding=Encoding())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bits": 17}, "1..16"),
        ({"bits": 0}, "1..16"),
        ({"code": "words"}, "bits, ttfs, graded, current, frames, spikes"),
    ],
)
def test_an_encoding_that_no_input_has_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        Encoding(**options)
    assert words in str(caught.value)


def test_a_code_of_every_step_is_refused_for_a_network_without_time() -> None:
    message = refused(nn.Linear(8, 3), 8, error=UsageError, encoding=Encoding(code="current"))
    assert "one of bits, ttfs, graded: 'current' is for networks with a time loop of their own" in message


def test_an_accumulator_that_could_overflow_is_named_with_advice() -> None:
    model = nn.Linear(70_000, 2)
    nn.init.ones_(model.weight)
    message = refused(model, 70_000)
    assert "'output'" in message and "accumulator" in message and "smaller layer" in message


def test_labels_must_fit_the_samples() -> None:
    for labels in ([1, 2], [0, 1, 2, 3], [0.0, 1.0, 2.0, 2.0]):
        assert "labels" in refused(nn.Linear(8, 3), 8, error=DataError, evaluation=(np.zeros((4, 8), int), labels))


@pytest.mark.parametrize("labels", [[[1], [1, 2], 0, 0], ["a"] * 4])
def test_labels_that_are_no_array_of_numbers_are_refused(labels: Any) -> None:
    assert "labels" in refused(nn.Linear(8, 3), 8, error=DataError, evaluation=(np.zeros((4, 8), int), labels))


@pytest.mark.parametrize("scores", [["x"] * 4, [[1], [1, 2]], None, 1.0])
def test_a_metric_that_gives_no_numbers_is_refused(scores: Any) -> None:
    given = (np.zeros((4, 8), int), [0, 1, 2, 0])
    message = refused(nn.Linear(8, 3), 8, error=DataError, evaluation=given, metric=lambda logits, labels: scores)
    assert "metric" in message


def test_data_for_no_input_are_refused() -> None:
    with pytest.raises(DataError, match="the calibration data are for no input"):
        convert(nn.Linear(8, 3), {})


def test_the_model_is_left_in_the_mode_it_was_in() -> None:
    model = nn.Sequential(nn.Linear(8, 3), nn.BatchNorm1d(3), nn.ReLU()).train()
    convert(model, np.ones((4, 8), np.uint8))
    assert model.training

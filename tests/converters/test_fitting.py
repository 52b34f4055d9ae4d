# SPDX-License-Identifier: Apache-2.0
"""An encoding from the data: what integers stand for where nobody says it."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from spikerun.connections import Dense
from spikerun.converters import Encoding, convert
from spikerun.converters.fitting import notes_on
from spikerun.errors import DataError, UsageError
from spikerun.network import Network, Population, Projection
from spikerun.neurons import Input, Readout
from spikerun.session import Session

MEAN, STD = (0.48, 0.45, 0.4), (0.22, 0.23, 0.25)


def photos(count: int = 40) -> Any:
    """Return images (count, 3, 5, 5) of 8 bits, the extremes among them."""
    images = np.random.default_rng(0).integers(0, 256, (count, 3, 5, 5))
    images[0, :, 0, 0], images[0, :, 0, 1] = 0, 255
    return images


def standardised(images: Any) -> Any:
    """Return images as torchvision's transforms give them, float32."""
    mean, std = (np.array(values, np.float32).reshape(-1, 1, 1) for values in (MEAN, STD))
    return (images.astype(np.float32) / 255 - mean) / std


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_integers_of_8_bits_are_pixels(dtype: Any) -> None:
    assert Encoding.of_data(photos().astype(dtype)) == Encoding()


@pytest.mark.parametrize(
    ("low", "high", "bits", "signed"),
    [(0, 256, 9, False), (0, 4095, 12, False), (0, 65535, 16, False), (-1, 3, 8, True), (-128, 127, 8, True),
     (-129, 3, 9, True), (-5, 128, 9, True), (-32768, 32767, 16, True)],
)  # fmt: skip
def test_other_integers_take_the_bits_that_they_need_and_are_what_the_model_sees(
    low: int, high: int, bits: int, signed: bool
) -> None:
    found = Encoding.of_data(np.array([[low, high]]))
    assert found == Encoding(1.0, bits=bits, signed=signed)
    np.testing.assert_array_equal(found.integers(np.array([[low, high]]), "x"), [[low, high]])


@pytest.mark.parametrize("samples", [[[0, 65536]], [[-32769, 0]], [[-1, 32768]]])
def test_integers_of_more_than_16_bits_are_refused(samples: Any) -> None:
    with pytest.raises(DataError, match="at most 16 bits: give real numbers"):
        Encoding.of_data(np.array(samples))


def test_bits_are_an_order_that_integers_may_not_fit() -> None:
    assert Encoding.of_data(np.array([[0, 300]]), bits=12).bits == 12
    with pytest.raises(DataError, match="take 9 bits, not 8"):
        Encoding.of_data(np.array([[0, 300]]), bits=8)
    with pytest.raises(UsageError, match=r"1\.\.16"):
        Encoding.of_data(np.array([[0, 300]]), bits=17)


def test_pixels_divided_by_255_are_such_again() -> None:
    found = Encoding.of_data((photos() / 255).astype(np.float32))
    assert (found.scale, found.bits, found.signed, found.rounds) == (1 / 255, 8, False, True)


def test_standardised_images_are_their_pixels_exactly() -> None:
    images = photos()
    found = Encoding.of_data(standardised(images))
    np.testing.assert_array_equal(found.integers(standardised(images), "x"), images)
    np.testing.assert_allclose(found.real(images), standardised(images), atol=1e-5)
    assert notes_on({"in": found}, {"in": standardised(images)})[0].endswith("exactly.")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1e-6, 1e6), st.floats(-1e3, 1e3), st.booleans())
def test_multiples_of_any_step_are_found(seed: int, step: float, offset: float, single: bool) -> None:
    """Of float32 as of float64, as long as it tells neighbouring steps apart."""
    rng = np.random.default_rng(seed)
    steps = rng.integers(0, 200, (60, 2))
    steps[0], steps[1], steps[2] = 0, 199, 1
    samples = (steps + offset) * step
    samples = samples.astype(np.float32) if single else samples
    found = Encoding.of_data(samples)
    assert np.abs(found.real(found.integers(samples, "x")) - samples).max() <= 0.02 * step


def test_zero_stays_zero_where_it_is_a_multiple() -> None:
    whole = np.random.default_rng(0).integers(3, 200, (50, 2)).astype(np.float32)
    assert Encoding.of_data(whole) == Encoding(1.0, rounds=True)
    assert Encoding.of_data(whole - 100) == Encoding(1.0, signed=True, rounds=True)


@pytest.mark.parametrize(("low", "signed"), [(0.0, False), (-1.0, True)])
@pytest.mark.parametrize("bits", [None, 1, 4, 12, 16])
def test_other_real_numbers_are_rounded_on_a_scale_on_which_zero_is_silent(
    low: float, signed: bool, bits: int | None
) -> None:
    samples = np.random.default_rng(0).uniform(low, 3, (200, 4))
    found = Encoding.of_data(samples, bits)
    assert (found.signed, found.bits) == (signed, max(bits or 8, 1 + signed))
    assert not found.integers(np.zeros((1, 4)), "x").any()
    assert np.abs(found.real(found.integers(samples, "x")) - samples).max() <= (0.5 + 1e-9) * found.scale


def test_channels_of_very_different_ranges_have_scales_of_their_own() -> None:
    samples = np.random.default_rng(0).normal(size=(200, 3)) * [1, 300, 0.01]
    found = Encoding.of_data(samples)
    error = np.abs(found.real(found.integers(samples, "x")) - samples).max(axis=0)
    assert (error <= np.abs(samples).max(axis=0) / 250).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(DataError, match="1 of 4 values are NaN or infinite"):
        Encoding.of_data(np.array([[0.5, value], [1.0, 2.0]]))


@pytest.mark.parametrize("samples", [np.zeros((4, 2)), np.full((4, 2), 2.5), np.full((4, 2), -2.5)])
def test_samples_of_one_value_are_encoded(samples: Any) -> None:
    found = Encoding.of_data(samples)
    np.testing.assert_allclose(found.real(found.integers(samples, "x")), samples, rtol=0.01)


def test_an_encoding_that_rounds_cuts_what_lies_beyond_and_one_that_does_not_refuses_it() -> None:
    samples = np.array([[-9.0, 0.26, 1e9]])
    np.testing.assert_array_equal(Encoding(0.5, rounds=True).integers(samples, "x"), [[0, 1, 255]])
    with pytest.raises(DataError, match="are not"):
        Encoding(0.5).integers(samples, "x")


def test_real_samples_just_convert_and_the_network_encodes_them_as_the_converter_does() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    model, samples = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 3)), rng.normal(size=(300, 6))
    conversion = convert(model, samples.astype(np.float32), bits=8)
    network, unseen = conversion.network, rng.normal(size=(200, 6)).astype(np.float32)
    encoding = Encoding.of_data(samples.astype(np.float32))
    np.testing.assert_array_equal(network.encode(unseen), encoding.integers(unseen, "x"))
    with torch.no_grad():
        expected = model(torch.from_numpy(unseen)).numpy()
    error = np.abs(Session(network).run(unseen).logits - expected)
    assert error.mean() < 0.02 * np.abs(expected).mean() + 0.02
    assert any("signed 8-bit integers" in note and "dB" in note for note in conversion.report.notes)


def test_sensors_of_12_bits_just_convert() -> None:
    torch.manual_seed(0)
    model, samples = nn.Linear(6, 3), np.random.default_rng(0).integers(0, 4096, (50, 6))
    network = convert(model, samples).network
    assert network.populations["input"].neuron.bits == 12  # type: ignore[attr-defined]
    with torch.no_grad():
        expected = model(torch.from_numpy(samples).float()).numpy()
    np.testing.assert_allclose(Session(network).run(samples).logits, expected, atol=0.02 * np.abs(expected).max())


@pytest.mark.parametrize("code", ["bits", "graded"])
def test_16_bits_are_finer_than_8(code: str) -> None:
    rng = np.random.default_rng(0)
    model, samples = nn.Linear(6, 3, bias=False).double(), rng.normal(size=(50, 6))
    weight = rng.integers(-127, 128, (3, 6))
    weight[:, 0] = 127  # so that the weights themselves are exact
    with torch.no_grad():
        model.weight.copy_(torch.from_numpy(weight))
        expected = model(torch.from_numpy(samples)).numpy()
    errors = []
    for bits in (4, 8, 16):
        network = convert(model, samples, encoding=Encoding.of_data(samples, bits, code)).network
        errors.append(float(np.abs(Session(network).run(samples).logits - expected).max()))
    assert errors[0] > 8 * errors[1] > 64 * errors[2]


def test_a_loader_of_labelled_batches_calibrates_and_evaluates() -> None:
    torch.manual_seed(0)
    samples, labels = torch.randn(700, 6), torch.randint(0, 3, (700,))
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(samples, labels), 64)
    conversion = convert(nn.Linear(6, 3), loader, evaluation=loader)
    assert conversion.report.accuracy is not None and conversion.report.accuracy.samples == 700
    pair = convert(nn.Linear(6, 3), samples, evaluation=(samples, labels))
    assert pair.report.accuracy is not None and pair.report.accuracy.samples == 700


def test_a_loader_without_labels_is_no_evaluation() -> None:
    loader = torch.utils.data.DataLoader(torch.randn(20, 6), 5)  # type: ignore[var-annotated,arg-type]
    with pytest.raises(UsageError, match=r"evaluation is a pair of .*, got DataLoader; a loader"):
        convert(nn.Linear(6, 3), loader, evaluation=loader)  # type: ignore[arg-type]


def labelled(scale: float) -> tuple[nn.Module, Any, Any]:
    """Return a model that is right for samples on this scale, samples and labels."""
    samples = np.random.default_rng(0).integers(0, 256, (400, 4))
    model = nn.Linear(4, 4)
    with torch.no_grad():
        model.weight.copy_(torch.eye(4))
        model.bias.copy_(torch.tensor([0.0, 0.0, 0.0, 300 * scale]) if scale == 1 / 255 else torch.zeros(4))
    return model, samples, samples.argmax(axis=1)


def test_an_ann_that_is_right_by_chance_alone_is_told() -> None:
    model, samples, labels = labelled(1 / 255)  # its bias of 1.2 outweighs all pixels of 0..1
    notes = convert(model, samples, evaluation=(samples, labels)).report.notes
    assert any("no more often than by chance" in note and "integer * 0.00392157" in note for note in notes)


def test_an_ann_that_is_right_is_not() -> None:
    model, samples, labels = labelled(1.0)
    notes = convert(model, samples, evaluation=(samples, labels)).report.notes
    assert not any("by chance" in note for note in notes)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_session_takes_tensors_even_where_they_need_a_gradient(dtype: torch.dtype) -> None:
    populations = {"in": Population((3,), Input()), "out": Population((2,), Readout(np.float32(1), np.int32(0)))}
    weight = Dense(np.array([[3, -2], [5, 7], [-1, 4]], np.int8))
    net = Network(populations, [Projection("in", "out", weight)], "out", 8, {"in_scale": 0.5})
    real = torch.tensor([[1.0, 2.0, 3.0]], dtype=dtype, requires_grad=True)
    expected = Session(net).run(net.encode(np.array([[1.0, 2.0, 3.0]]))).outputs["out"]
    np.testing.assert_array_equal(Session(net).run(real).outputs["out"], expected)  # type: ignore[arg-type]

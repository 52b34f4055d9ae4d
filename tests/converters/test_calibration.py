# SPDX-License-Identifier: Apache-2.0
"""What calibration is for: step sizes of least error, biases without mean error, the ANN computed once."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from spikerun.converters import calibrate, convert, maps
from spikerun.converters.activations import Grid, Rectifier
from spikerun.converters.calibrate import Calibration
from spikerun.converters.encoding import Encoding
from spikerun.converters.graph import Array
from spikerun.converters.pipeline import Converter
from spikerun.converters.quantise import Settings
from spikerun.converters.torch.source import TorchSource
from spikerun.converters.verify import evaluate
from spikerun.errors import UsageError


def squared_error(v: Array, threshold: Array, bits: int) -> Array:
    """Return the squared error of words for accumulators v (C, M) whose real value is v."""
    words = Rectifier().words((v + threshold[:, None] // 2).T, np.ones(len(v)), Grid.of(threshold), bits).T
    error: Array = np.square(words * threshold[:, None] - np.maximum(v, 0)).sum(axis=1)
    return error


@pytest.mark.parametrize("bits", [2, 4])
@pytest.mark.parametrize("outlier", [1, 3])
def test_the_step_size_has_less_error_than_one_that_covers_the_largest_value(bits: int, outlier: int) -> None:
    rng = np.random.default_rng(0)
    v = np.rint(rng.normal(0, 1000, (3, 2000))).astype(np.float32)
    v[:, 0] = outlier * 4000
    target = np.maximum(v, 0)
    top = target.max(axis=1).astype(np.float64)
    chosen = Rectifier().fit(v, target, top, np.ones(3), bits, together=False)
    covering = np.rint(top / (2**bits - 1))
    found, plain = squared_error(v, chosen.step, bits), squared_error(v, covering, bits)
    assert (found < 0.95 * plain).all()


def test_one_outlier_does_not_set_the_step_size_of_a_layer() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 9, bias=False), nn.ReLU(), nn.Linear(9, 4))
    data = np.random.default_rng(0).integers(0, 64, (400, 12))
    data[0] = 255
    model[0].weight.data.abs_()  # the largest sums are those of the outlier
    conversion = convert(model, data, bits=3)
    hidden = conversion.quantised.layers[1]
    largest = model[0](torch.from_numpy(data).float() / 255).detach().numpy()
    assert (hidden.step_size * 7 < 0.8 * largest.max()).all()  # type: ignore[union-attr]


def test_the_bias_makes_up_for_the_mean_error_of_the_accumulator() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(40, 30), nn.ReLU(), nn.Linear(30, 4))
    data = np.random.default_rng(0).integers(0, 256, (100, 40))
    conversion = convert(model, data, bits=2)
    readout = conversion.quantised.layers[-1]
    v = evaluate(conversion.quantised, data)["output"].mean(axis=0)
    z = model(torch.from_numpy(data).float() / 255).detach().numpy().mean(axis=0, dtype=np.float64)
    assert (np.abs(v - z / readout.scale) <= 0.5 + 1e-2).all()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("for_all", "better"),
    [((0.9, 200.0), True), ((1.5, 80.0), True), ((1.5, 95.0), False), ((4.5, 1.0), False)],
    ids=["less error", "a bargain", "no bargain", "too much error"],
)
def test_one_step_size_for_all_channels_is_taken_where_it_is_the_better_bargain(
    for_all: tuple[float, float], better: bool
) -> None:
    assert calibrate._cheaper((1.0, 100.0), for_all) is better


def converter(data: Array) -> Converter:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 9), nn.ReLU())
    return Converter(TorchSource(model), data, Encoding())


@pytest.fixture
def images() -> Array:
    return np.random.default_rng(0).integers(0, 256, (16, 2, 6, 6))


def test_the_ann_is_computed_once_for_all_bits(images: Array, monkeypatch: pytest.MonkeyPatch) -> None:
    calibration = converter(images).calibration
    counts: Counter[int] = Counter()
    plain = maps.accumulate

    def counting(*given: Any) -> Array:
        counts[bits] += 1
        return plain(*given)

    monkeypatch.setattr(calibrate, "accumulate", counting)
    for bits in (8, 7):
        calibration.fit(Settings(bits))
    assert counts[8] - counts[7] == len(calibration.layers.sums)


@pytest.mark.parametrize("room", [0, 2000, 10**9])
def test_memory_for_the_ann_changes_no_result(room: int, images: Array) -> None:
    whole = converter(images)
    bounded = Calibration(whole.layers, whole.samples, room)
    for _ in range(2):
        quantised, fits = bounded.fit(Settings(4))
        expected, expected_fits = whole.calibration.fit(Settings(4))
        assert fits == expected_fits
        ours, theirs = evaluate(quantised, images), evaluate(expected, images)
        assert all((ours[name] == theirs[name]).all() for name in theirs)
    assert sum(z.nbytes for z in bounded._sums.values()) <= room


def test_layers_can_have_bits_of_their_own(images: Array) -> None:
    made = converter(images)
    network = made.convert(Settings(4, overrides={"m0": 6, "m4": 2})).network
    bits = {name: getattr(p.neuron, "bits", None) for name, p in network.populations.items()}
    assert (bits["m0"], bits["m4"]) == (6, 2)
    with pytest.raises(UsageError, match="unknown layer 'm5'"):
        made.convert(Settings(4, overrides={"m5": 6}))


def test_the_window_is_that_of_the_longest_word() -> None:
    data = np.random.default_rng(0).integers(0, 16, (16, 6))
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    network = convert(model, data, bits=3, encoding=Encoding(scale=1 / 16, bits=4)).network
    assert network.window == 4
    assert convert(model, data, bits=3, overrides={"m0": 7}, encoding=Encoding(bits=4)).network.window == 7


@pytest.mark.parametrize(
    ("samples", "words"),
    [(np.full((1, 6), 3), "one sample calibrates"), (np.zeros((9, 6), int), "one and the same value")],
)
def test_samples_that_can_hardly_calibrate_are_remarked_upon(samples: Array, words: str) -> None:
    report = convert(nn.Linear(6, 3), samples).report
    assert any(words in note for note in report.notes) and words in report.text()

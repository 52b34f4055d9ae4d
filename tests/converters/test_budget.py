# SPDX-License-Identifier: Apache-2.0
"""The budget: the fewest bits that keep it, chosen on other samples than those of the report, by any metric."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from spikerun.converters import convert
from spikerun.converters.budget import sweep
from spikerun.converters.evaluate import paired
from spikerun.converters.pipeline import Converter
from spikerun.converters.quantise import Settings
from spikerun.converters.torch.source import TorchSource
from spikerun.errors import CheckFailed, DataError, UsageError


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 24), nn.ReLU(), nn.Linear(24, 10))


def labelled(model: nn.Module, count: int, seed: int) -> tuple[Any, Any]:
    """Return random samples and the classes that the model itself gives them: it is right about all."""
    samples = np.random.default_rng(seed).integers(0, 256, (count, 12))
    with torch.no_grad():
        return samples, model(torch.from_numpy(samples).float() / 255).argmax(dim=1).numpy()


def test_a_budget_takes_the_fewest_bits_that_keep_it(model: nn.Module) -> None:
    validation = labelled(model, 400, 1)
    calibration = labelled(model, 60, 2)[0]
    converter = Converter(TorchSource(model), calibration)
    drops = {row.bits: row.accuracy.drop for row in sweep(converter, Settings(), converter.evaluation(*validation))}
    wanted = {}
    for budget in drops.values():
        fewest = next((bits for bits in drops if drops[bits] <= budget), None)
        found = convert(model, calibration, validation=validation, max_drop=max(budget, 0))
        assert found.report.bits == fewest
        wanted[fewest] = [row.bits for row in found.report.sweep]
    assert len(wanted) >= 4, drops  # the budgets of this test do tell bits apart
    assert all(tried == list(range(2, fewest + 1)) for fewest, tried in wanted.items() if fewest)


def test_bits_are_chosen_on_other_samples_than_those_of_the_report(model: nn.Module) -> None:
    calibration, (samples, labels) = labelled(model, 60, 2)[0], labelled(model, 50, 3)
    wrong = (labels + 1) % 10  # on these samples, the ANN is never right: no drop, whatever the bits
    validation = labelled(model, 100, 1)
    report = convert(model, calibration, validation=validation, evaluation=(samples, wrong), max_drop=3).report
    assert report.bits > 2 and {row.accuracy.samples for row in report.sweep} == {100}
    assert report.accuracy is not None and (report.accuracy.samples, report.accuracy.ann) == (50, 0)


def test_a_budget_that_nothing_keeps_is_a_failed_check(model: nn.Module) -> None:
    samples = np.random.default_rng(0).integers(0, 256, (20, 12))
    exact = TorchSource(model).logits({"input": samples / 255})["output"]

    def same(logits: Any, labels: Any) -> Any:
        return np.isclose(logits, labels, rtol=1e-12).all(axis=1)

    with pytest.raises(CheckFailed, match="the best has") as caught:
        convert(model, samples, validation=(samples, exact), max_drop=99, metric=same)
    assert caught.value.exit_code == 1


def test_a_metric_of_real_values_is_reported(model: nn.Module) -> None:
    samples = np.random.default_rng(0).integers(0, 256, (20, 12))
    exact = TorchSource(model).logits({"input": samples / 255})["output"]

    def near(logits: Any, targets: Any) -> Any:
        return np.exp(-np.abs(logits - targets).mean(axis=1))

    accuracy = convert(model, samples, bits=8, evaluation=(samples, exact), metric=near).report.accuracy
    assert accuracy is not None and accuracy.ann == pytest.approx(100) and 90 < accuracy.snn < 100


def test_a_metric_gives_a_score_for_each_sample(model: nn.Module) -> None:
    samples, labels = labelled(model, 20, 0)
    with pytest.raises(DataError, match="20 scores"):
        convert(model, samples, evaluation=(samples, labels), metric=lambda logits, labels: 0.5)


def test_the_standard_error_is_that_of_paired_differences() -> None:
    ann, snn = np.array([1.0, 1, 1, 0, 1, 1, 0, 1]), np.array([1.0, 0, 1, 1, 0, 1, 0, 1])
    accuracy = paired(ann, snn, ann == snn)
    assert accuracy.drop == pytest.approx(12.5) and accuracy.agreement == 62.5
    assert accuracy.standard_error == pytest.approx(100 * np.sqrt((3 / 8 - 1 / 64) / 8))


@pytest.mark.parametrize("budget", [-1, 101, float("nan"), "1", True])
def test_a_budget_that_is_none_is_refused_before_the_work(budget: Any, model: nn.Module) -> None:
    with pytest.raises(UsageError, match="max_drop is in points"):
        convert(model, np.zeros((0,)), max_drop=budget)


def test_a_budget_needs_samples_to_choose_by(model: nn.Module) -> None:
    with pytest.raises(UsageError, match="validation="):
        convert(model, np.ones((4, 12), int), max_drop=1)


@pytest.mark.parametrize("option", ["evaluation", "validation"])
def test_what_is_no_pair_of_samples_and_labels_is_refused(option: str, model: nn.Module) -> None:
    samples: dict[str, Any] = {option: np.ones((4, 12), int)}
    with pytest.raises(UsageError, match=rf"{option} is a pair of \(samples, labels\), got ndarray"):
        convert(model, np.ones((4, 12), int), **samples)

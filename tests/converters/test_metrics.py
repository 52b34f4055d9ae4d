# SPDX-License-Identifier: Apache-2.0
"""Metrics: scores of classes, of label maps and of real results, in points that mean the same for all."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from spikerun.converters import convert
from spikerun.converters.metrics import METRICS, classes_of, metric_named, reference
from spikerun.errors import DataError, UsageError


def scores(name: str, logits: Any, labels: Any) -> Any:
    return np.asarray(METRICS[name](np.asarray(logits, float), np.asarray(labels)))


def test_top5_counts_labels_among_the_five_largest() -> None:
    logits = np.tile(np.arange(10.0), (3, 1))
    assert scores("top5", logits, [9, 5, 4]).tolist() == [True, True, False]
    with pytest.raises(DataError, match="always among five"):
        scores("top5", np.ones((2, 5)), [0, 1])


def test_label_maps_are_scored_pixel_by_pixel() -> None:
    logits = np.random.default_rng(0).normal(size=(4, 3, 2, 5))
    labels = logits.argmax(axis=1)
    labels[0, 0, 0] = (labels[0, 0, 0] + 1) % 3
    assert scores("top1", logits, labels).tolist() == [0.9, 1, 1, 1]
    assert (classes_of(logits, labels) == logits.argmax(axis=1)).all()


def test_an_output_of_one_place_takes_a_label_for_each_sample() -> None:
    logits = np.random.default_rng(0).normal(size=(4, 3, 1, 1))
    assert scores("top1", logits, logits.reshape(4, 3).argmax(axis=1)).tolist() == [1] * 4


def test_errors_are_the_share_that_is_explained() -> None:
    targets = np.random.default_rng(0).normal(3, 2, (50, 4))
    for name in ("mse", "mae"):
        centre = targets.mean(axis=0) if name == "mse" else np.median(targets, axis=0)
        assert scores(name, targets, targets).mean() == pytest.approx(1)
        assert scores(name, np.broadcast_to(centre, targets.shape), targets).mean() == pytest.approx(0)
    errors = np.square(targets * 0.1).sum(axis=1).mean() / targets.var(axis=0).sum()
    assert scores("mse", targets * 1.1, targets).mean() == pytest.approx(1 - errors)


def test_the_cosine_does_not_see_sizes() -> None:
    targets = np.random.default_rng(0).normal(size=(5, 4))
    assert scores("cosine", 7 * targets, targets) == pytest.approx(1) and scores("cosine", -targets, targets).max() < 0
    assert scores("cosine", 0 * targets, targets).tolist() == [0] * 5


@pytest.mark.parametrize(
    ("name", "logits", "labels", "words"),
    [
        ("mse", np.ones((4, 2)), np.ones((4, 3)), r"shape \(4, 3\), the results of the model \(4, 2\)"),
        ("mae", np.ones((4, 2)), np.ones((4, 2)), "all targets are the same"),
        ("top1", np.ones((4, 2)), np.full(4, 2), "labels go from 2 to 2, the model has 2 outputs"),
        (
            "top1",
            np.ones((4, 2)),
            np.ones(4),
            r"labels are float64 .* give integers of the shape \(4,\), one for each sample",
        ),
        ("top1", np.ones((4, 8)), np.ones((4, 2, 2), int), r"gives \(8,\) for each of 4 samples"),
        ("top1", np.ones((4, 3, 2, 5)), np.ones((4, 5, 2), int), r"give integers of the shape \(4, 2, 5\)"),
        ("top5", np.ones((4, 9, 2, 5)), np.ones(4, int), "one for each place of a sample's result"),
    ],
)
def test_labels_that_do_not_fit_are_refused(name: str, logits: Any, labels: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        scores(name, logits, labels)


def test_the_ann_takes_the_place_of_labels() -> None:
    logits = np.random.default_rng(0).normal(size=(4, 6, 2, 2))
    assert (reference(METRICS["top1"], logits) == logits.argmax(axis=1)).all()
    assert (reference(METRICS["mse"], logits) == logits.reshape(4, -1)).all()
    with pytest.raises(UsageError, match="a metric of your own needs labels"):
        reference(lambda z, y: z, logits)


def test_a_metric_is_named_or_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text("import numpy as np\n\ndef half(logits, labels):\n    return np.full(len(labels), 0.5)\n")
    assert metric_named("top5") is METRICS["top5"]
    assert np.asarray(metric_named(f"{path}:half")(None, np.ones(3))).tolist() == [0.5] * 3


@pytest.mark.parametrize(
    ("text", "words"),
    [("top2", "unknown metric 'top2'"), ("none.py:f", "there is no file"), ("own.py:g", "no function 'g'"),
     ("bad.py:f", "cannot be executed: NameError")],
)  # fmt: skip
def test_names_of_no_metric_are_refused(text: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text("f = 1\n")
    Path("bad.py").write_text("f = missing\n")
    with pytest.raises(UsageError, match=words):
        metric_named(text)


def test_a_segmenting_network_is_measured_by_its_pixels() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 1)).eval()
    samples = np.random.default_rng(0).integers(0, 256, (30, 1, 6, 6))
    with torch.no_grad():
        model[2].bias -= model(torch.from_numpy(samples).float() / 255).mean(dim=(0, 2, 3))  # all classes are there
        labels = model(torch.from_numpy(samples).float() / 255).argmax(dim=1).numpy()
    for given in (labels, None):
        report = convert(model, samples, bits=3, evaluation=(samples, given)).report
        assert report.accuracy is not None and report.accuracy.ann == 100 and 50 < report.accuracy.snn < 100
        assert report.accuracy.agreement == pytest.approx(report.accuracy.snn)


def _nan(logits: Any, labels: Any) -> Any:
    return np.full(len(labels), np.nan)


def _fails(logits: Any, labels: Any) -> Any:
    raise KeyError("zz")


@pytest.mark.parametrize(("metric", "said"), [(_nan, "finite scores"), (_fails, "metric of your own fails: KeyError")])
def test_a_metric_of_ones_own_that_fails_or_gives_nan_is_refused(metric: Any, said: str) -> None:
    model, samples = nn.Linear(12, 4), np.random.default_rng(0).integers(0, 256, (30, 12))
    with pytest.raises((DataError, UsageError), match=said):
        convert(model, samples, evaluation=(samples, np.zeros(30, int)), metric=metric)

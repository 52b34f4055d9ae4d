# SPDX-License-Identifier: Apache-2.0
"""`spikerun tune` from the command line: files, stages, interruptions, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file
from tuned_networks import figures, mlp

from spikerun.cli import main

pytestmark = pytest.mark.usefixtures("one_thread")

MODEL = """from torch import nn
def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.ReLU(), nn.Linear(20, 10), nn.ReLU(), nn.Linear(10, 3))
"""
TRAINING = ["--epochs", "2", "--batch", "20", "--rate", "0.01", "--device", "cpu"]


@pytest.fixture
def folder(laid: Callable[..., Path]) -> Path:
    """Return a folder, where the command runs, with a model, its weights, and data of two splits."""
    x, y = figures()
    return laid(MODEL, mlp, (x[:200], y[:200]), (x[200:], y[200:]))


def tuned(*options: Any, model: str = "model.py:build", out: str = "out.safetensors") -> int:
    words = ["tune", model, "--weights", "w.safetensors", "--data", "data.npz", "-o", out, *TRAINING, *options]
    return main(list(map(str, words)))


def test_weights_fit_the_model_and_reports_lie_beside(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tuned("--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"].startswith("spikerun.tune") and found["output"] == "out.safetensors"
    assert load_file("out.safetensors").keys() == load_file("w.safetensors").keys()
    kinds = {"safetensors", "tuning.json", "tuning.txt", "tuning.html"}
    assert {p.name for p in folder.glob("out*")} == {f"out.{kind}" for kind in kinds}


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--device", "gpu"), 2, "torch has no device 'gpu' here"),
        (("--mean", "half"), 2, "--mean takes numbers separated by commas"),
        (("-o", "out.pt"), 2, "the result is written as .safetensors"),
        (("-o", "w.safetensors", "--force"), 2, "is read by this command"),
        (("--validation", "data.npz"), 2, "--validation is what --max-drop chooses by"),
    ],
)
def test_what_makes_no_sense_is_refused_before_training(
    folder: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], code: int, message: str
) -> None:
    assert tuned(*options) == code
    told = capsys.readouterr()
    assert message in told.err
    assert "epoch" not in told.err and not list(folder.glob("out*"))


def test_data_of_one_split_need_others_to_choose_by(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x, y = figures()
    np.savez("data.npz", samples=x, labels=y)
    assert tuned("--max-drop", 1) == 2
    assert "data.npz has one split: give --validation" in capsys.readouterr().err

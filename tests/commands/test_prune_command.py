# SPDX-License-Identifier: Apache-2.0
"""`spikerun prune` from the command line: files, reports, interruptions, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pruned_networks import images, mlp
from safetensors.torch import load_file, save_file
from torch.nn.utils import prune as torch_prune

from spikerun.cli import main
from spikerun.converters.torch.user_model import load_model

pytestmark = pytest.mark.usefixtures("one_thread")

MODEL = """from torch import nn
def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 20), nn.ReLU(), nn.Linear(20, 3))
"""
TRAINING = ["--epochs", "2", "--batch", "20", "--rate", "0.01", "--device", "cpu"]


@pytest.fixture
def folder(laid: Callable[..., Path]) -> Path:
    """Return a folder, where the command runs, with a model, its weights, and data of two splits."""
    return laid(MODEL, mlp, images(), images(40, seed=1))


def pruned(*options: Any, weights: str = "w.safetensors", out: str = "out.safetensors") -> int:
    words = ["model.py:build", "--weights", weights, "--data", "data.npz", "-o", out, *TRAINING, *options]
    return main(["prune", *map(str, words)])


def test_weights_fit_the_model_and_a_report_lies_beside(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pruned("--sparsity", 0.7, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "spikerun.prune/1"
    assert found["zeros"] == sum(layer["zeros"] for layer in found["layers"]) >= 0.7 * found["weights"]
    assert found["sparsity"] >= found["sparsity_asked"] == 0.7
    assert json.loads(Path("out.pruning.json").read_text())["layers"] == found["layers"]
    state = load_file("out.safetensors")
    load_model("model.py:build").load_state_dict(state, strict=True)
    assert sum(int((v == 0).sum()) for v in state.values() if v.ndim > 1) == found["zeros"]
    assert sorted(p.name for p in folder.glob("out*")) == ["out.pruning.json", "out.safetensors"]


def test_the_table_says_each_layer_and_what_it_cost(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pruned("--pattern", "neurons", "--method", "one-shot") == 0
    told = capsys.readouterr()
    assert "1.weight  32x64    2,048  1,024" in told.out
    assert "neurons, one-shot: 50.0% of the neurons that can be left out are gone (asked: 50.0%)" in told.out
    assert "held-out training samples:" in told.out and "(standard error" in told.out
    assert "next: spikerun convert model.py:build --weights out.safetensors --calibration data.npz" in told.err


def test_the_lottery_keeps_each_ticket_and_goes_on(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lottery = ("--method", "lottery", "--rounds", 2, "--sparsity", 0.6)
    assert pruned(*lottery) == 0
    names = {f"out.{kind}.safetensors" for kind in ("early", "round-0", "round-1", "round-2")}
    assert {p.name for p in folder.glob("out.*")} == {*names, "out.safetensors", "out.pruning.json"}
    expected = load_file("out.safetensors")
    from spikerun.converters.pruning.judge import Judge

    score, calls = Judge.score, []

    def interrupted(*given: Any) -> float:
        calls.append(1)
        if len(calls) == 5:  # of two epochs and a round each
            raise KeyboardInterrupt
        return score(*given)

    monkeypatch.setattr(Judge, "score", interrupted)
    assert pruned(*lottery, out="again.safetensors") == 130
    assert "again.round-1.pt keeps epoch 1; the same command goes on from there" in capsys.readouterr().err
    assert pruned(*lottery, out="again.safetensors") == 0
    assert "goes on after round 0 of 2" in capsys.readouterr().err
    found = load_file("again.safetensors")
    assert all(torch.equal(value, expected[name]) for name, value in found.items())
    assert not list(folder.glob("*.pt"))


def test_a_training_of_other_options_is_not_taken_up(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pruned("--rate", "1e30", "--method", "one-shot") == 1
    assert "the training diverged: in epoch 1" in capsys.readouterr().err
    from spikerun.converters.pruning import run

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "layer_rows", _interrupt)
        assert pruned() == 130
    assert Path("out.training.pt").exists()
    assert pruned("--sparsity", 0.5) == 2
    assert "'out.training.pt' keeps a training of another aim: give what was given then" in capsys.readouterr().err
    assert pruned("--sparsity", 0.5, "--force") == 0


def _interrupt(*given: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_checkpoints_with_masks_of_torchs_load_as_they_are(folder: Path, suffix: str) -> None:
    model = mlp()
    torch_prune.l1_unstructured(model[1], "weight", 0.5)
    path = f"masked.{suffix}"
    if suffix == "pt":
        torch.save(model.state_dict(), path)
    else:
        save_file(model.state_dict(), path)
    loaded = load_model("model.py:build", Path(path))
    assert torch.equal(loaded.state_dict()["1.weight"], model[1].weight)
    assert pruned("--sparsity", 0.6, weights=path) == 0
    assert main(["convert", "model.py:build", "--weights", path, "--calibration", "data.npz", "-o", "m.snn"]) == 0


def test_a_mask_of_another_shape_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = mlp().state_dict()
    state["1.weight_orig"], state["1.weight_mask"] = state.pop("1.weight"), torch.ones(3)
    save_file(state, "broken.safetensors")
    assert pruned(weights="broken.safetensors") == 3
    assert "'1.weight_mask' has the shape (3,), '1.weight_orig' (32, 64)" in capsys.readouterr().err


def test_data_of_one_split_say_that_nothing_else_measures(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x, y = images()
    np.savez("data.npz", samples=x, labels=y)
    assert pruned("--json", "--sparsity", 0.5) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["test"] is None
    assert "data.npz has one split, so held-out samples of it are all that measures" in found["notes"]


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--pattern", "2:4", "--sparsity", "0.7"), 2, "a sparsity of 0.5 and no other, got 0.7"),
        (("--sparsity", "1.2"), 2, "the sparsity is a share above 0 and below 1"),
        (("--pattern", "channels"), 3, "has no channels to leave out: take the pattern neurons"),
        (("--pattern", "neurons", "--sparsity", "0.99"), 3, "would leave none of the 32 neurons of '1.weight'"),
        (("--device", "gpu"), 2, "torch has no device 'gpu' here"),
        (("--rounds", "2"), 2, "rounds are for the method lottery"),
        (("-o", "out.snn"), 2, "the weights are written as .safetensors, got 'out.snn'"),
        (("-o", "w.safetensors", "--force"), 2, "is read by this command"),
    ],
)
def test_what_makes_no_sense_is_refused_before_training(
    folder: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], code: int, message: str
) -> None:
    assert pruned(*options) == code
    told = capsys.readouterr()
    assert message in told.err
    assert "epoch" not in told.err and not list(folder.glob("out*"))


def test_other_networks_than_torchs_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prune", "net.nir", "--data", "data.npz", "-o", "out.safetensors"]) in (2, 3)
    assert capsys.readouterr().err.startswith("error: ")

# SPDX-License-Identifier: Apache-2.0
"""`spikerun bench`, as a user types it: a small network of digits beside the one that it was converted from."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikerun import Dense, FewSpikes, Input, Network, Population, Projection, Readout, Session, datasets
from spikerun.cli import main
from spikerun.commands.bench_figures import activity_of, judge
from spikerun.commands.footprint import peak_bytes
from spikerun.commands.turns import ratio
from spikerun.converters.onnx.int8 import fastest
from spikerun.kernels.cpu.native import isa

MODEL = """
import torch
from torch import nn


def build():
    torch.manual_seed(0)
    conv = nn.Conv2d(1, 4, 3, padding=1)
    return nn.Sequential(conv, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 10))


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = build()

    def forward(self, x):
        return self.net(x) + torch.special.i1(x).sum() * 0  # which ONNX has no operator for


class Large(nn.Module):
    def __init__(self):
        super().__init__()
        self.net, self.weight = build(), nn.Parameter(torch.zeros(25_000_000))

    def forward(self, x):
        return self.net(x)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with model.py, and with the network that it becomes, net.snn."""
    made = tmp_path_factory.mktemp("bench")
    (made / "model.py").write_text(MODEL)
    words = ["convert", f"{made}/model.py:build", "--calibration", "digits", "--samples", "64", "--limit", "50"]
    assert main([*words, "-o", str(made / "net.snn"), "--quiet"]) == 0
    return made


def words(folder: Path, *more: object) -> list[str]:
    """Return the words of a short bench."""
    threads = [] if "--threads" in more else ["--threads", "1"]
    asked = ["bench", str(folder / "net.snn"), "--data", "digits", "--repeat", "12", "--batch", "8"]
    return [*asked, *threads, *map(str, more)]


def against(folder: Path, *more: object) -> list[str]:
    """Return those of one beside the ANN."""
    return words(folder, "--against", f"{folder}/model.py:build", *more)


def result(capsys: pytest.CaptureFixture[str], words: list[str]) -> dict[str, Any]:
    """Return the one JSON object that a command prints."""
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_bench_times_the_network_beside_its_ann_in_every_runtime(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = result(capsys, against(folder, "--reference"))
    assert found["schema"] == "spikerun.bench/2"
    names = ["spikerun", "torch", "onnx", "onnx-int8", "reference"]
    assert [row["name"] for row in found["results"]] == list(found["contestants"]) == names
    assert all(0 < row["p20_ms"] <= row["p50_ms"] <= row["p80_ms"] for row in found["results"])
    assert found["results"][0]["times_spikerun"] == 1
    assert all(found["contestants"][name]["peak_bytes"] > 0 for name in names[:-1])


def test_accuracy_is_that_of_run_and_of_the_model(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = result(capsys, against(folder, "--limit", 60, "--no-memory"))
    ran = result(capsys, ["run", str(folder / "net.snn"), "--data", "digits", "--limit", "60"])
    known = found["contestants"]
    assert known["spikerun"]["accuracy"] == pytest.approx(ran["accuracy"])
    assert known["torch"]["accuracy"] == known["onnx"]["accuracy"] and known["onnx"]["points"] == 0
    differs = known["spikerun"]["accuracy"] - known["torch"]["accuracy"]
    assert known["spikerun"]["points"] == pytest.approx(differs)
    assert known["spikerun"]["points_95"][0] <= differs <= known["spikerun"]["points_95"][1]
    assert known["onnx-int8"]["peak_bytes"] is None


def test_contestants_are_those_that_are_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = result(capsys, against(folder, "--contestants", "onnx-int8, torch", "--no-memory"))
    assert list(found["contestants"]) == ["spikerun", "onnx-int8", "torch"]
    assert "int8 (Q" in found["contestants"]["onnx-int8"]["said"]
    assert "calibrated on 256 samples" in found["contestants"]["onnx-int8"]["said"]


def test_an_onnx_file_is_timed_in_float_and_int8(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    from spikerun.converters.torch.source import TorchSource
    from spikerun.converters.torch.to_onnx import write
    from spikerun.converters.torch.user_model import load_model

    model = load_model(f"{folder}/model.py:build")
    write(TorchSource(model), torch.zeros(2, 1, 8, 8).numpy(), folder / "ann.onnx")
    found = result(capsys, words(folder, "--against", folder / "ann.onnx", "--no-memory"))
    assert list(found["contestants"]) == ["spikerun", "onnx", "onnx-int8"]
    assert main(words(folder, "--against", folder / "ann.onnx", "--contestants", "torch")) == 2
    assert "unknown contestant" in capsys.readouterr().err


def test_threads_are_those_that_are_used(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spikerun.kernels.cpu.threads.usable", lambda: {0})
    assert main(against(folder, "--threads", 7, "--contestants", "torch", "--no-memory", "--json")) == 0
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert found["threads"] == [1] and {row["threads"] for row in found["results"]} == {1}
    assert "of 7 threads 1 are used, by all" in " ".join(shown.err.split())


def test_an_ann_without_weights_is_said_to_be_as_it_is_made(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from safetensors.torch import save_file

    from spikerun.converters.torch.user_model import load_model

    save_file(load_model(f"{folder}/model.py:build").state_dict(), folder / "w.safetensors")
    for more, said in (((), True), (("--weights", folder / "w.safetensors"), False)):
        capsys.readouterr()
        assert main(against(folder, "--contestants", "torch", "--no-memory", *more)) == 0
        assert ("no --weights: the model is taken as its function" in " ".join(capsys.readouterr().err.split())) == said


@pytest.mark.parametrize("name", ["ann.onnx", "ANN.ONNX"])
def test_an_onnx_file_is_to_be_converted_first(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", name, "--data", "digits"]) == 2
    assert f"convert it first, spikerun convert {name}" in " ".join(capsys.readouterr().err.split())


def test_every_number_of_threads_has_its_rows(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spikerun.kernels.cpu.threads.usable", lambda: {0, 1})
    found = result(capsys, words(folder, "--threads", 1, "--threads", 2, "--no-memory"))
    assert found["threads"] == [1, 2] and found["isa"] == isa()
    assert [(row["name"], row["threads"]) for row in found["results"]] == [("spikerun", 1), ("spikerun", 2)]


def test_the_table_is_written_as_markdown(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bench.md"
    assert main(against(folder, "--markdown", "-o", file, "--contestants", "torch")) == 0
    printed = capsys.readouterr().out
    assert printed.strip() == file.read_text().strip()
    assert "| --- | ---: |" in printed and "| torch |" in printed
    assert "- torch: torch, float32, eager" in printed and "spikerun 0" in printed
    assert f" cores, {isa()}; Python" in printed
    assert main(against(folder, "-o", file)) == 2
    assert "exists already; use --force" in capsys.readouterr().err


def test_the_text_says_what_each_is_and_how_int8_answers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(against(folder, "--limit", 30)) == 0
    shown = capsys.readouterr().out
    assert "onnx-int8: ONNX Runtime, int8 (" in shown and "points from torch (95 %:" in shown
    assert "peak memory: by how much a new process grows" in shown
    assert "30 samples" in shown and "active words %" in shown


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--contestants", "torch"), "--contestants are runtimes of the ANN: give --against MODEL, too"),
        (("--json", "--markdown"), "--json and --markdown exclude each other"),
        (("-o", "bench.txt"), "give a name that ends in .md"),
        (("--threads", "0"), "Invalid value for '--threads': '0' is no integer in 1..1024"),
        (("--threads", "1025"), "'1025' is no integer in 1..1024"),
        (("--threads", "1,2"), "'1,2' is several numbers: give the option for each, --threads 1 --threads 2"),
    ],
)
def test_what_makes_no_sense_is_refused(
    more: tuple[str, ...], said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(folder, *more)) == 2
    assert said in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("names", "said"), [("tensorflow", "unknown contestant"), ("onx", "Did you mean 'onnx'?"), (" , ", "names none")]
)
def test_contestants_that_nobody_knows_are_refused(
    names: str, said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(against(folder, "--contestants", names)) == 2
    assert said in capsys.readouterr().err


def test_without_onnx_runtime_torch_is_left_and_the_rest_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spikerun.converters.rivals.find_spec", lambda name: None)
    found = result(capsys, against(folder, "--no-memory"))
    assert list(found["contestants"]) == ["spikerun", "torch"]
    assert main(against(folder, "--contestants", "onnx-int8")) == 2
    said = "the contestant 'onnx-int8' cannot be had: it needs onnx and onnxruntime: install spikerun with its extra"
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_model_that_torch_does_not_export_is_timed_in_torch(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(folder, "--against", f"{folder}/model.py:Counting", "--no-memory")) == 0
    shown = capsys.readouterr()
    assert "torch" in shown.out and "onnx" not in shown.out
    assert "onnx is left out: torch.onnx does not export the model" in " ".join(shown.err.split())


def test_data_without_a_training_split_leave_int8_out(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = np.random.default_rng(0).integers(0, 17, (9, 1, 8, 8)).astype(np.uint8)
    np.savez(tmp_path / "own.npz", test_samples=samples, scale=1 / 16)
    asked = ["bench", str(folder / "net.snn"), "--data", str(tmp_path / "own.npz"), "--repeat", "2", "--no-memory"]
    assert main([*asked, "--against", f"{folder}/model.py:build"]) == 0
    shown = capsys.readouterr()
    assert "onnx-int8 is left out: the data have no training split" in " ".join(shown.err.split())
    assert "accuracy" not in shown.out  # there are no labels


@pytest.mark.parametrize(
    ("measured", "calibrating", "said"),
    [(60, 40, "on 40 samples)"), (69, 31, "on 100 samples that are measured)")],
)
def test_data_of_one_split_calibrate_int8_on_what_is_not_measured(
    measured: int, calibrating: int, said: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    samples = np.random.default_rng(0).integers(0, 17, (100, 1, 8, 8)).astype(np.uint8)
    np.savez(tmp_path / "own.npz", samples=samples, scale=1 / 16)
    given: list[Any] = []

    def spied(file: Path, values: Any, into: Path) -> Any:
        given.append(values)
        return fastest(file, values, into)

    monkeypatch.setattr("spikerun.converters.onnx.int8.fastest", spied)
    asked = ["bench", str(folder / "net.snn"), "--data", str(tmp_path / "own.npz"), "--repeat", "2", "--no-memory"]
    more = ["--against", f"{folder}/model.py:build", "--contestants", "onnx-int8", "--limit", str(measured)]
    assert main([*asked, *more, "--threads", "1"]) == 0
    shown = capsys.readouterr()
    np.testing.assert_allclose(given[0], samples[-calibrating if calibrating > 31 else 0 :] / 16)
    assert said in shown.out and ("measured, too" in " ".join(shown.err.split())) == (calibrating < 32)


def test_labels_of_other_classes_are_refused(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = np.zeros((3, 1, 8, 8), np.uint8)
    np.savez(tmp_path / "own.npz", samples=samples, labels=[1, 2, 10], scale=1 / 16)
    assert main(["bench", str(folder / "net.snn"), "--data", str(tmp_path / "own.npz")]) == 3
    assert "labels of 'own.npz' reach 10, the network has 10 outputs" in capsys.readouterr().err


def test_peak_memory_holds_what_the_network_allocates(folder: Path) -> None:
    image = np.zeros((1, 1, 8, 8))
    small, large = (peak_bytes(("torch", f"{folder}/model.py:{name}", ""), image, 1) for name in ("build", "Large"))
    assert small is not None and large is not None
    assert small < 90e6 and 95e6 < large - small < 135e6  # torch itself is larger than that, and was there before


def test_memory_of_what_does_not_start_is_unknown_and_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert peak_bytes(("spikerun", f"{folder}/none.snn", ""), np.zeros((1, 1, 8, 8), np.uint8), 1) is None
    assert "none.snn' is not known, its process ended with 1" in caplog.text


def test_activity_is_the_share_of_words_that_are_not_0() -> None:
    weight = np.eye(4, dtype=np.int8)
    populations = {
        "input": Population((4,), Input()),
        "hidden": Population((4,), FewSpikes(4, 10)),
        "output": Population((4,), Readout()),
    }
    projections = [Projection("input", "hidden", Dense(weight)), Projection("hidden", "output", Dense(weight))]
    session = Session(Network(populations, projections, ["output"], 8))
    samples = np.array([[0, 9, 10, 255], [0, 0, 0, 20]], np.uint8)
    found = activity_of(session, samples, session.run(samples))
    assert found["active"] == found["populations"]["hidden"]["active"] == 3 / 8
    assert (found["populations"]["input"]["active"], found["unit"]) == (0.5, "words")
    assert list(found["populations"]) == ["input", "hidden"]


def test_activity_of_steps_is_the_share_of_steps_with_a_spike() -> None:
    from spikerun import IF

    populations = {"input": Population((2,), Input(bits=1, code="spikes")), "cell": Population((2,), IF(2))}
    net = Network(populations, [Projection("input", "cell", Dense(np.eye(2, dtype=np.int8)))], ["cell"], 4)
    session = Session(net)
    samples = np.zeros((1, 4, 2), np.uint8)
    samples[0, :, 0] = 1  # two spikes of the first, none of the second
    found = activity_of(session, samples, session.run(samples))
    assert (found["active"], found["unit"]) == (2 / 8, "steps")


def test_the_ratio_is_the_median_of_the_turns() -> None:
    turns = [np.array([2.0, 2.0]), np.array([30.0]), np.array([2.0])]
    baseline = [np.array([1.0, 1.0]), np.array([1.0]), np.array([4.0])]
    assert ratio(turns, baseline) == 2


def test_points_are_those_above_the_float_network() -> None:
    from spikerun.converters.rivals import Rival

    populations = {"input": Population((2,), Input()), "output": Population((2,), Readout())}
    net = Network(populations, [Projection("input", "output", Dense(np.eye(2, dtype=np.int8)))], ["output"], 8)
    samples = np.array([[9, 1], [1, 9], [9, 1], [9, 1]], np.uint8)  # classes 0, 1, 0, 0
    given = datasets.Dataset("own", "test", samples, np.array([0, 1, 0, 1]), ("a", "b"), 1.0, "")
    answers = {"torch": [[1, 0], [1, 0], [0, 1], [0, 1]], "onnx-int8": [[0, 1], [1, 0], [0, 1], [1, 0]]}

    def rival(name: str) -> Rival:
        values = np.array(answers[name], float)
        return Rival(name, name, lambda threads: lambda first, end: None, lambda: values, values, exact=name == "torch")

    known: dict[str, dict[str, Any]] = {name: {} for name in ("spikerun", "onnx-int8", "torch")}
    judge(known, Session(net).run(samples), [rival(name) for name in known if name != "spikerun"], given)
    assert [one["accuracy"] for one in known.values()] == [75, 0, 50]
    assert [known[name]["points"] for name in ("spikerun", "onnx-int8")] == [25, -50]
    assert (
        known["onnx-int8"]["points_95"][0] < -50 < known["onnx-int8"]["points_95"][1] < 0
        and "points" not in known["torch"]
    )

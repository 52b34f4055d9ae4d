# SPDX-License-Identifier: Apache-2.0
"""Data of one's own on the command line: signals, several inputs, label maps, scales."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spikerun import datasets
from spikerun.cli import main
from spikerun.converters.torch.source import TorchSource
from spikerun.file import load
from tests.onnxfiles import made, node, weights, write

RNG = np.random.default_rng(0)

MODELS = """
import torch
from torch import nn


def seeded(*layers):
    torch.manual_seed(0)
    return nn.Sequential(*layers).apply(lambda m: None)


def signals():
    return seeded(
        nn.Conv1d(3, 6, 5, padding=2), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(6, 8, 3), nn.ReLU(), nn.Flatten(),
        nn.Linear(8 * 8, 4))


def rated():
    return seeded(nn.Conv1d(3, 6, 5), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 16, 4))


def images():
    return seeded(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 4 * 6, 4))


def dense():
    return seeded(nn.Flatten(), nn.Linear(48, 8), nn.ReLU(), nn.Linear(8, 4))


class EachStep(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(8, 12), nn.Linear(12, 4)

    def forward(self, x):
        return self.outer(self.inner(x).relu().mean(1))


def each_step():
    torch.manual_seed(0)
    return EachStep()


class Turned(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.out = nn.Linear(64, 4)

    def forward(self, x):
        return self.out(x.transpose(1, 2).flatten(1))


def turned():
    return Turned()


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.out = nn.Linear(6, 8), nn.Conv2d(1, 2, 3), nn.Linear(8 + 2 * 4, 4)

    def forward(self, left, right, mask=None):
        return self.out(torch.cat([self.a(left), self.b(right).flatten(1)], 1).relu())


def pair():
    return Pair()


def segments():
    return seeded(nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 3, 1))
"""


def convert(folder: Path, model: str, *options: str, **arrays: Any) -> int:
    """Convert a model of MODELS, or a file of the folder, with arrays of a file of one's own."""
    (folder / "nets.py").write_text(MODELS)
    np.savez(folder / "own.npz", **arrays)
    where = f"{folder}/{model}" if model.endswith(".onnx") else f"{folder}/nets.py:{model}"
    words = ["convert", where, "--calibration", f"{folder}/own.npz", "-o", f"{folder}/own.snn"]
    return main([*words, "--samples", "40", *options])


def pixels(*shape: int, count: int = 80) -> Any:
    return RNG.integers(0, 256, (count, *shape), dtype=np.uint8)


def classes(count: int = 80) -> Any:
    return np.arange(count) % 4


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def said(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "own.report.json").read_text())
    return found


def test_signals_convert_run_and_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arrays = {"samples": pixels(3, 20), "labels": classes()}
    assert convert(tmp_path, "signals", **arrays) == 0
    assert load(tmp_path / "own.snn").populations["input"].shape == (3, 1, 20)
    network, data = f"{tmp_path}/own.snn", f"{tmp_path}/own.npz"
    ran = shown(capsys, "run", network, "--data", data)
    assert ran["accuracy"] == said(tmp_path)["snn_accuracy"]
    compared = shown(capsys, "compare", network, network, "--data", data)
    assert compared["accuracy"] == [ran["accuracy"]] * 2 and compared["identical"]
    words = ("bench", network, "--data", data, "--repeat", "2", "--batch", "8", "--against")
    assert "torch" in str(shown(capsys, *words, f"{tmp_path}/nets.py:signals")["results"])


def test_real_signals_keep_a_scale_for_each_channel(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = RNG.normal(size=(80, 3, 20)) * np.array([1, 10, 100])[:, None]
    assert convert(tmp_path, "signals", samples=samples, labels=classes()) == 0
    assert len(str(load(tmp_path / "own.snn").meta["input_std"]).split()) == 3
    ran = shown(capsys, "run", f"{tmp_path}/own.snn", "--data", f"{tmp_path}/own.npz")
    assert ran["accuracy"] == said(tmp_path)["snn_accuracy"]


def test_signals_of_an_onnx_file_convert(tmp_path: Path) -> None:
    constants = {"w": weights(4, 3, 20), "f": weights(4, 5, seed=1)}
    nodes = [node("Conv", "x w", "a"), node("Relu", "a", "b"), node("Flatten", "b", "c"), node("MatMul", "c f", "y")]
    write(tmp_path / "signals.onnx", made(nodes, {"x": ("n", 3, 20)}, constants=constants))
    assert convert(tmp_path, "signals.onnx", samples=pixels(3, 20), labels=classes()) == 0
    assert load(tmp_path / "own.snn").populations["input"].shape == (3, 1, 20)


@pytest.mark.parametrize("model", ["images", "dense"])
def test_grey_images_without_an_axis_of_channels_stay_images(model: str, tmp_path: Path) -> None:
    assert convert(tmp_path, model, samples=pixels(6, 8), labels=classes()) == 0
    assert load(tmp_path / "own.snn").populations["input"].shape == (1, 6, 8)


def test_what_a_network_takes_both_ways_is_taken_as_it_stands_where_results_differ(tmp_path: Path) -> None:
    assert convert(tmp_path, "each_step", samples=pixels(5, 8), labels=classes()) == 0
    assert load(tmp_path / "own.snn").populations["output"].size == 4


def answers_of_turned(samples: Any) -> Any:
    """Return the classes that the model `turned` gives signals."""
    space: dict[str, Any] = {}
    exec(MODELS, space)
    with torch.no_grad():
        return space["turned"]()(torch.tensor(samples / 255).float()).argmax(1).numpy()


@pytest.mark.parametrize("first", ["blank", "symmetric", "of one value"])
def test_the_form_is_told_by_noise_and_not_by_the_first_samples(
    first: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = pixels(8, 8)
    if first == "symmetric":
        samples[:3] = samples[:3] // 2 + samples[:3].swapaxes(1, 2) // 2
    else:
        samples[:3] = 0 if first == "blank" else 200
    labels = answers_of_turned(samples)
    assert convert(tmp_path, "turned", samples=samples, labels=labels) == 0
    assert said(tmp_path)["ann_accuracy"] == 100
    note = " ".join(capsys.readouterr().err.split())
    assert "takes samples (8, 8) as signals and as grey images, with other results" in note
    assert "for grey images give arrays with their channel, (N, 1, A, B): here (8, 8) as signals" in note


def test_samples_with_their_channel_are_images_whatever_else_the_network_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = pixels(8, 8)
    arrays = {"samples": samples[:, None], "labels": answers_of_turned(samples.swapaxes(1, 2))}
    assert convert(tmp_path, "turned", **arrays) == 0
    assert said(tmp_path)["ann_accuracy"] == 100
    assert "as signals" not in capsys.readouterr().err


def test_that_both_forms_give_the_same_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(tmp_path, "dense", samples=pixels(6, 8), labels=classes()) == 0
    assert "with the same results: here (6, 8) as images" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("bare", ["train", "test"])
def test_signals_of_which_one_split_has_a_channel_are_turned_in_both(bare: str, tmp_path: Path) -> None:
    arrays = {f"{split}_samples": pixels(3, 20) for split in ("train", "test")}
    arrays = {name: values if name.startswith(bare) else values[:, None] for name, values in arrays.items()}
    assert convert(tmp_path, "signals", **arrays, train_labels=classes(), test_labels=classes()) == 0
    assert load(tmp_path / "own.snn").populations["input"].shape == (3, 1, 20)


def test_bench_times_a_network_of_both_forms_on_the_one_that_was_converted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = pixels(16, 1, 4)
    samples[:3] = 0  # on which the forms agree
    assert convert(tmp_path, "turned", samples=samples, labels=classes()) == 0
    timed: list[tuple[int, ...]] = []

    def runner(source: TorchSource, batch: dict[str, Any], threads: int) -> Callable[[int, int], object]:
        timed.append(batch["input"].shape)
        return lambda first, end: None

    monkeypatch.setattr(TorchSource, "runner", runner)
    words = ("bench", f"{tmp_path}/own.snn", "--data", f"{tmp_path}/own.npz", "--repeat", "2", "--batch", "8")
    assert main([*words, "--against", f"{tmp_path}/nets.py:turned"]) == 0
    assert [shape[1:] for shape in timed] == [(16, 1, 4)]
    assert "also as signals (16, 4), with other results" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("way", [(), ("--input", "rate")])
def test_signals_become_rates_and_run(way: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--neuron", "if", "--duration", "8", *way)
    assert convert(tmp_path, "rated", *words, samples=pixels(3, 20), labels=classes()) == 0
    assert load(tmp_path / "own.snn").populations["input"].shape == (3, 1, 20)
    ran = shown(capsys, "run", f"{tmp_path}/own.snn", "--data", f"{tmp_path}/own.npz")
    assert ran["accuracy"] == pytest.approx(said(tmp_path)["accuracy"]["snn"])


def test_samples_that_fit_in_no_form_are_refused_with_their_shape(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(tmp_path, "signals", samples=pixels(5, 20), labels=classes()) == 3
    assert "takes samples (5, 20) neither as signals nor, with a channel, as images" in capsys.readouterr().err


def test_several_inputs_convert_and_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arrays = {"left": pixels(6), "right": pixels(4, 4), "labels": classes()}
    assert convert(tmp_path, "pair", **arrays) == 0
    assert load(tmp_path / "own.snn").inputs == ("left", "right")
    ran = shown(capsys, "run", f"{tmp_path}/own.snn", "--data", f"{tmp_path}/own.npz")
    assert ran["accuracy"] == said(tmp_path)["snn_accuracy"]


def test_inputs_have_scales_of_their_own(tmp_path: Path) -> None:
    arrays = {"left": pixels(6), "right": pixels(4, 4), "labels": classes(), "scale_left": 0.5, "scale_right": 0.125}
    assert convert(tmp_path, "pair", **arrays) == 0
    meta = load(tmp_path / "own.snn").meta
    assert (meta["left_scale"], meta["right_scale"]) == (0.5, 0.125)


def pair_of_onnx(folder: Path) -> None:
    constants = {"v": weights(6, 5), "w": weights(3, 5, seed=1), "u": weights(5, 4, seed=2)}
    nodes = [
        node("MatMul", "left v", "a"), node("MatMul", "in.2 w", "b"), node("Add", "a b", "c"), node("Relu", "c", "d"),
        node("MatMul", "d u", "y"),
    ]  # fmt: skip
    write(folder / "pair.onnx", made(nodes, {"left": ("n", 6), "in.2": ("n", 3)}, constants=constants))


def test_several_inputs_of_an_onnx_file_convert_under_their_plain_names(tmp_path: Path) -> None:
    pair_of_onnx(tmp_path)
    assert convert(tmp_path, "pair.onnx", left=pixels(6), in_2=pixels(3), labels=classes()) == 0
    assert load(tmp_path / "own.snn").inputs == ("left", "in_2")


@pytest.mark.parametrize(("name", "array"), [("samples", "'in_2', 'left'"), ("left", "'in_2'")])
def test_an_array_that_lacks_for_an_input_is_named_with_the_shapes_of_all(
    name: str, array: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pair_of_onnx(tmp_path)
    assert convert(tmp_path, "pair.onnx", **{name: pixels(6)}, labels=classes()) == 3
    error = " ".join(capsys.readouterr().err.split())
    assert f"has no array {array}: the network has 2 inputs, left (N, 6), in_2 (N, 3)" in error
    assert "numpy.savez(path, left=..., in_2=..., labels=...)" in error


def test_a_data_set_of_one_input_names_those_of_the_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(tmp_path, "pair", "--calibration", "digits", samples=pixels(6)) == 3
    assert "the network has 2 inputs, left, right" in " ".join(capsys.readouterr().err.split())


def test_a_budget_is_searched_for_several_inputs(tmp_path: Path) -> None:
    arrays = {"left": pixels(6, count=400), "right": pixels(4, 4, count=400), "labels": classes(400)}
    assert convert(tmp_path, "pair", "--max-drop", "30", **arrays) == 0


def test_label_maps_convert_run_and_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arrays = {"samples": pixels(6, 8), "labels": RNG.integers(0, 3, (80, 6, 8))}
    assert convert(tmp_path, "segments", **arrays) == 0
    network, data = f"{tmp_path}/own.snn", f"{tmp_path}/own.npz"
    ran = shown(capsys, "run", network, "--data", data)
    assert ran["accuracy"] == pytest.approx(said(tmp_path)["snn_accuracy"])
    assert shown(capsys, "compare", network, network, "--data", data)["accuracy"] == [ran["accuracy"]] * 2


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((80, 5, 7), int), r"give integers of the shape \(80, 6, 8\)"),
        (np.zeros((80, 8, 6), int), r"are int64 of the shape \(80, 8, 6\), and the network gives \(3, 6, 8\)"),
        (np.zeros(80, int), "one for each place of a sample's result"),
        (np.full((80, 6, 8), 3), "labels .* 3"),
    ],
)
def test_label_maps_that_do_not_fit_the_result_are_refused(
    labels: Any, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(tmp_path, "segments", samples=pixels(6, 8), labels=RNG.integers(0, 3, (80, 6, 8))) == 0
    network, other = f"{tmp_path}/own.snn", f"{tmp_path}/other.npz"
    np.savez(other, samples=pixels(6, 8), labels=labels)
    measured = ["convert", f"{tmp_path}/nets.py:segments", "--calibration", other, "-o", f"{tmp_path}/other.snn"]
    swept = [*measured, "--sweep"]
    for words in (["run", network, "--data", other], ["compare", network, network, "--data", other], measured, swept):
        capsys.readouterr()
        assert main(words) == 3
        assert re.search(message, " ".join(capsys.readouterr().err.split()))


def test_real_samples_beside_the_multiples_of_the_scale_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(tmp_path, "dense", "--scale", "0.5", samples=RNG.normal(size=(80, 48)) * 9, labels=classes()) == 0
    note = next(note for note in said(tmp_path)["notes"] if "rounded" in note)
    assert "for --scale 0.5, and are rounded to such, each at most 0.25 beside" in note


def test_multiples_of_the_scale_are_taken_without_a_word_in_as_many_bits_as_they_need(tmp_path: Path) -> None:
    samples = RNG.integers(-900, 900, (80, 48)) * 0.1
    assert convert(tmp_path, "dense", "--scale", "0.1", samples=samples, labels=classes()) == 0
    assert not [note for note in said(tmp_path)["notes"] if "rounded" in note]
    assert load(tmp_path / "own.snn").populations["input"].neuron.bits == 11  # type: ignore[attr-defined]


def test_samples_that_are_cut_are_said(tmp_path: Path) -> None:
    samples = RNG.integers(0, 900, (80, 48)) * 0.5 + 0.1
    assert convert(tmp_path, "dense", "--scale", "0.5", "--input-bits", "9", samples=samples, labels=classes()) == 0
    assert any("lie beyond 9 bits, and are cut" in note for note in said(tmp_path)["notes"])


@pytest.mark.parametrize("options", [(), ("--scale", "0.01")])
def test_that_samples_that_measure_are_cut_closes_the_report(options: tuple[str, ...], tmp_path: Path) -> None:
    train = RNG.uniform(0, 2, (80, 48))
    test = train * np.where(np.arange(80) < 40, 1, -1)[:, None]
    arrays = {"train_samples": train, "test_samples": test, "train_labels": classes(), "test_labels": classes()}
    assert convert(tmp_path, "dense", *options, **arrays) == 0
    note = next(note for note in said(tmp_path)["notes"] if "samples that measure" in note)
    assert re.search(r"for 'input' of the samples that measure (49\.\d|50\.0)% are cut", note)


def test_samples_that_measure_within_the_range_are_not_said_to_be_cut(tmp_path: Path) -> None:
    assert convert(tmp_path, "dense", samples=RNG.uniform(-2, 2, (80, 48)), labels=classes()) == 0
    assert not [note for note in said(tmp_path)["notes"] if "are cut" in note]


def test_a_scale_too_fine_for_16_bits_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = RNG.normal(size=(80, 48)) * 9
    assert convert(tmp_path, "dense", "--scale", "1e-6", samples=samples, labels=classes()) == 2
    assert "inputs have 16" in capsys.readouterr().err


def test_real_samples_within_0_and_1_are_multiples_of_the_scale_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = RNG.integers(0, 4096, (80, 48)) / 4095
    assert convert(tmp_path, "dense", "--scale", str(1 / 4095), samples=samples, labels=classes()) == 0
    network = load(tmp_path / "own.snn")
    assert network.populations["input"].neuron.bits == 12  # type: ignore[attr-defined]
    ran = shown(capsys, "run", f"{tmp_path}/own.snn", "--data", f"{tmp_path}/own.npz")
    assert ran["accuracy"] == said(tmp_path)["snn_accuracy"]


def test_a_unit_makes_real_numbers_integers_of_it(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", samples=np.arange(12).reshape(2, 6) / 16)
    found = datasets.load(tmp_path / "own.npz", unit=1 / 16)
    assert found.scale == 1 / 16
    np.testing.assert_array_equal(np.asarray(found.samples).ravel(), np.arange(12))


def two_results(folder: Path) -> None:
    constants = {"w": weights(12, 6), "v": weights(6, 4, seed=1), "u": weights(6, 3, seed=2)}
    nodes = [
        node("MatMul", "x w", "a"),
        node("Relu", "a", "b"),
        node("MatMul", "b v", "6"),
        node("MatMul", "b u", "z:0"),
    ]
    write(folder / "two.onnx", made(nodes, {"x": ("n", 12)}, ("6", "z:0"), constants))


def test_of_several_results_the_options_to_type_are_said_by_the_names_of_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two_results(tmp_path)
    assert convert(tmp_path, "two.onnx", samples=pixels(12), labels=classes()) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "has several outputs, and top1 scores one: say which, --outputs '6' or --outputs 'z:0'" in error
    assert convert(tmp_path, "two.onnx", "--outputs", "6", samples=pixels(12), labels=classes()) == 0


def test_several_results_convert_where_nothing_is_scored(tmp_path: Path) -> None:
    two_results(tmp_path)
    assert convert(tmp_path, "two.onnx", samples=pixels(12)) == 0
    assert load(tmp_path / "own.snn").outputs == ("_6", "z_0")


def test_several_results_are_scored_by_a_metric_of_ones_own(tmp_path: Path) -> None:
    two_results(tmp_path)
    (tmp_path / "own.py").write_text("def first(logits, labels):\n    return logits['_6'].argmax(1) == labels\n")
    metric = f"{tmp_path}/own.py:first"
    assert convert(tmp_path, "two.onnx", "--metric", metric, samples=pixels(12), labels=classes()) == 0


@pytest.mark.parametrize("operator", ["Identity", "Flatten"])
def test_that_a_model_gives_its_samples_back_is_said(
    operator: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "same.onnx", made([node(operator, "x", "y")], {"x": ("n", 12)}))
    assert convert(tmp_path, "same.onnx", samples=pixels(12), labels=classes()) == 0
    assert "gives its samples back as they are, through no layer, so 0 MACs" in capsys.readouterr().err


def test_a_model_without_weights_is_said(tmp_path: Path) -> None:
    write(tmp_path / "bare.onnx", made([node("Relu", "x", "y")], {"x": ("n", 12)}))
    assert convert(tmp_path, "bare.onnx", samples=pixels(12), labels=classes()) == 0
    assert any("has no weights, so 0 MACs" in note for note in said(tmp_path)["notes"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"epoch 1: 0.93\nepoch 2: 0.95\n", "is a text file ('epoch 1: 0.93'), and holds no weights"),
        ("größe\n".encode() * 2000, "is a text file ('größe'), and holds no weights"),
        (b"", "is empty"),
        (b"\x80\x02}i", "is not a file of weights that can be read safely"),
    ],
)
@pytest.mark.parametrize("suffix", ["pt", "pth", "safetensors"])
def test_files_that_hold_no_weights_are_said_to_be_what_they_are(
    suffix: str, content: bytes, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / f"w.{suffix}").write_bytes(content)
    assert convert(tmp_path, "dense", "--weights", f"{tmp_path}/w.{suffix}", samples=pixels(48)) == 3
    error = capsys.readouterr().err
    assert message in error and "Weights are what torch.save(model.state_dict(), ...)" in error
    assert "(105)" not in error

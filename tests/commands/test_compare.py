# SPDX-License-Identifier: Apache-2.0
"""`spikerun compare`, as a user types it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikerun as sr
from spikerun import datasets
from spikerun.cli import main


def network(bits: int) -> sr.Network:
    rng = np.random.default_rng(0)
    populations = {
        "pixels": sr.Population((1, 8, 8), sr.Input(8)),
        "features": sr.Population((4, 8, 8), sr.FewSpikes(bits, 3200 >> bits)),
        "digit": sr.Population((10,), sr.Readout(np.float32(0.5**bits))),
    }
    weights = [rng.integers(-40, 50, shape).astype(np.int8) for shape in ((4, 1, 3, 3), (256, 10))]
    return sr.Network(
        populations,
        [
            sr.Projection("pixels", "features", sr.Conv(weights[0], padding=1)),
            sr.Projection("features", "digit", sr.Dense(weights[1])),
        ],
        ["digit"],
        window=8,
    )


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Return the files of two networks that differ in bits."""
    return sr.save(network(2), tmp_path / "a.snn"), sr.save(network(5), tmp_path / "b.snn")


def test_the_json_holds_what_the_library_says(pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *map(str, pair), "--data", "digits", "--limit", "80", "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    data = datasets.load("digits", limit=80)
    wanted = sr.compare(network(2), network(5), data.samples, data.labels)
    assert wanted.accuracy is not None
    assert (found["schema"], found["samples"], found["identical"]) == ("spikerun.compare/1", 80, False)
    assert found["accuracy"] == [wanted.accuracy.a, wanted.accuracy.b]
    assert found["accuracy_difference_95"] == list(wanted.accuracy.bounds)
    assert found["b"]["layers"]["features"]["synops"] == wanted.b.layers["features"].synops
    assert found["a"]["memory"] == vars(wanted.a.memory) and found["shared"] == ["pixels", "features", "digit"]


def test_the_text_has_both_beside_each_other(pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *map(str, pair), "--data", "digits", "--limit", "80"]) == 0
    out = capsys.readouterr().out
    assert "on 80 samples B is" in out and "(95 %:" in out and "same class" in out and "outputs differ by" in out
    (row,) = [line.split() for line in out.splitlines() if line.startswith("features")]
    assert row[1:4] == ["2", "/", "5"] and len(row) == 8


def test_identical_networks_are_said_to_be(pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(pair[0]), str(pair[0]), "--data", "digits", "--limit", "9"]) == 0
    assert "the integers of all outputs are identical" in capsys.readouterr().out


def test_populations_of_one_network_alone_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = network(3)
    renamed = {("layer" if name == "features" else name): p for name, p in net.populations.items()}
    projections = [
        replace(p, **{end: "layer" for end in ("source", "target") if getattr(p, end) == "features"})
        for p in net.projections
    ]
    sr.save(net, tmp_path / "a.snn")
    sr.save(sr.Network(renamed, projections, ["digit"], 8), tmp_path / "b.snn")
    assert main(["compare", f"{tmp_path}/a.snn", f"{tmp_path}/b.snn", "--data", "digits", "--limit", "9"]) == 0
    out = capsys.readouterr().out
    assert "in one of them only: features (A), layer (B)" in out and "are identical" in out


def test_a_regression_is_compared_by_its_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = np.random.default_rng(0).integers(0, 256, (20, 1, 8, 8)).astype(np.uint8)
    np.savez(tmp_path / "mine.npz", samples=samples, labels=np.ones((20, 10)) / 3, scale=1 / 255)
    for bits, name in ((2, "a"), (5, "b")):
        sr.save(network(bits), tmp_path / f"{name}.snn")
    words = ["compare", f"{tmp_path}/a.snn", f"{tmp_path}/b.snn", "--data", f"{tmp_path}/mine.npz"]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["accuracy"] is None
    for net, one in ((network(2), found["a"]), (network(5), found["b"])):
        error = np.sqrt(np.mean((sr.Session(net).run(samples).logits - np.float32(1 / 3)) ** 2))
        assert one["rmse"] == pytest.approx(error, rel=1e-5)
    assert main(words) == 0 and capsys.readouterr().out.count("error") == 1


@pytest.mark.parametrize("name", ["model.py:build", "model.onnx", "net.nir"])
def test_what_is_no_network_of_spikes_is_refused_with_what_to_do(
    name: str, pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", name, str(pair[0]), "--data", "digits"]) == 2
    assert "convert it first" in capsys.readouterr().err


def test_a_missing_file_and_a_network_of_other_outputs_are_bad_input(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", f"{tmp_path}/no.snn", str(pair[0]), "--data", "digits"]) == 3
    rng = np.random.default_rng(0)
    other = sr.Network(
        {"in": sr.Population((64,), sr.Input(8)), "out": sr.Population((12,), sr.Readout(np.float32(1)))},
        [sr.Projection("in", "out", sr.Dense(rng.integers(-9, 9, (64, 12)).astype(np.int8)))],
        ["out"],
        window=8,
    )
    sr.save(other, tmp_path / "c.snn")
    assert main(["compare", str(pair[0]), f"{tmp_path}/c.snn", "--data", "digits"]) == 3
    assert "A answers with 10 values and B with 12" in capsys.readouterr().err

# SPDX-License-Identifier: Apache-2.0
"""`spikerun convert --input`: samples enter encoded, and run, bench and deploy encode them the same way unasked."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from snntorch import spikegen

from spikerun import datasets, file
from spikerun.cli import main
from spikerun.converters import convert_spiking
from spikerun.datasets import Bins, Dataset, Latency, Rate
from spikerun.session import Session

MODEL = """
import snntorch as snn
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, inputs=64):
        super().__init__()
        torch.manual_seed(0)
        self.fc, self.lif = nn.Linear(inputs, 10), snn.Leaky(beta=0.9, threshold=0.3)

    def forward(self, x, mem=None):
        spk, mem = self.lif(self.fc(x), self.lif.init_leaky() if mem is None else mem)
        return spk, mem


def events():
    return Net(24)


def plain():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a model, images, films, and event recordings of 10 ms within (2, 3, 4)."""
    rng = np.random.default_rng(0)
    (tmp_path / "model.py").write_text(MODEL)
    np.savez(tmp_path / "film.npz", samples=rng.integers(0, 9, (8, 4, 1, 8, 8)).astype(np.uint8), labels=np.arange(8))
    events = {key: rng.integers(0, most, 800) for key, most in (("x", 4), ("y", 3), ("p", 2))}
    events["t"] = np.sort(rng.integers(0, 10_000, (20, 40)), axis=1).ravel()
    offset, label = np.arange(21) * 40, np.arange(20) % 2
    np.savez(tmp_path / "events.npz", **events, offset=offset, label=label, shape=np.array([2, 3, 4]))
    return tmp_path


def convert(folder: Path, *options: str, data: str = "digits", model: str = "model.py:Net") -> int:
    given = data if data == "digits" else f"{folder}/{data}"
    words = ["convert", f"{folder}/{model}", "--calibration", given, "-o", f"{folder}/net.snn", "--samples", "16"]
    return main([*words, "--limit", "60", *options])


def result(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    capsys.readouterr()
    assert main([*map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_conversion_is_told_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["convert", f"{folder}/model.py:Net", "--calibration", "digits", "-o", f"{folder}/net.snn"]
    told = result(capsys, *words, "--duration", "6", "--samples", "16", "--limit", "60")
    assert told["schema"] == "spikerun.convert/2"
    assert told["network"] == f"{folder}/net.snn"
    assert told["accuracy"]["samples"] == 60
    assert told["same_as_read"] == 100


@pytest.mark.parametrize("form", ["rate", "latency"])
def test_values_beyond_1_are_no_rates(folder: Path, capsys: pytest.CaptureFixture[str], form: str) -> None:
    assert convert(folder, "--duration", "6", "--input", form, "--scale", "1") == 2
    said = f"--input {form} takes real numbers 0..1, and those of 'digits' reach 16: say what one is worth"
    assert said in capsys.readouterr().err
    assert not (folder / "net.snn").exists()


@pytest.mark.parametrize("option", [("--code", "ttfs"), ("--input-code", "graded")])
def test_codes_of_words_mean_nothing_where_there_is_a_time_loop(
    folder: Path, capsys: pytest.CaptureFixture[str], option: tuple[str, str]
) -> None:
    assert convert(folder, "--duration", "6", *option) == 2
    assert "--code, --input-code and --coding are for networks without a time loop" in capsys.readouterr().err


FORMS = [
    (("--input", "rate", "--seed", "3"), "digits", Rate(6, 1 / 16, 3)),
    (("--input", "rate"), "digits", Rate(6, 1 / 16, 0)),
    (("--input", "latency"), "digits", Latency(6, 1 / 16)),
    (("--input", "events", "--dt", "1500us"), "events.npz", Bins(6, 1500)),
    (("--dt", "2ms", "--bins", "binary"), "events.npz", Bins(6, 2000, "binary")),
]


@pytest.mark.parametrize(("options", "data", "encoder"), FORMS, ids=lambda value: str(value)[:24])
def test_run_encodes_as_the_file_says(
    folder: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], data: str, encoder: Any
) -> None:
    model = "model.py:Net" if data == "digits" else "model.py:events"
    assert convert(folder, "--duration", "6", *options, data=data, model=model) == 0
    report = json.loads((folder / "net.report.json").read_text())
    assert encoder.said in report["assumed"]
    assert report["cells"][0]["same_as_model"] > 95 and report["cells"][0]["spikes"] > 0
    net = file.load(folder / "net.snn")
    assert datasets.encoder_of(net.meta) == encoder
    given = data if data == "digits" else folder / data
    found = result(capsys, "run", folder / "net.snn", "--data", given, "--limit", 60)
    assert found["accuracy"] == pytest.approx(report["accuracy"]["snn"])
    samples = datasets.load(given, limit=60, encoder=encoder).samples
    own = Session(net).run(samples.reshape(len(samples), 6, -1))
    assert found["populations"]["lif"]["spikes"] == own.counted["lif"][0]


def test_bench_and_deploy_encode_as_the_file_says(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(folder, "--input", "rate", "--duration", "6") == 0
    words = ("--data", "digits")
    assert result(capsys, "bench", folder / "net.snn", *words, "--repeat", 2, "--batch", 4)["batch"] == 4
    result(capsys, "deploy", folder / "net.snn", "--target", "host", "-o", folder / "fw", *words, "--samples", 3)
    spikes = np.asarray(datasets.load("digits", limit=3, encoder=Rate(6, 1 / 16)).samples).reshape(3, 6, 64)
    expected = Session(file.load(folder / "net.snn")).run(spikes).outputs["lif"]
    assert json.loads((folder / "fw" / "golden.json").read_text())["outputs"] == expected.tolist()


def test_lazy_samples_convert_in_python(folder: Path) -> None:
    space: dict[str, Any] = {}
    exec(MODEL, space)
    train, test = (
        datasets.load(folder / "events.npz", split=part, encoder=Bins(5, 2000)) for part in ("train", "test")
    )
    conversion = convert_spiking(
        space["events"](), train.samples.take(range(8)), evaluation=(test.samples, test.labels)
    )
    assert datasets.encoder_of(conversion.network.meta) == Bins(5, 2000)
    word = conversion.network.sender_of("input")
    assert word is not None and (word.code, word.bits) == ("frames", 8)
    assert conversion.report.accuracy is not None and conversion.report.accuracy.samples == 4


def test_films_of_features_enter_step_by_step(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(1)
    np.savez(folder / "sound.npz", samples=rng.integers(0, 255, (6, 5, 64)).astype(np.uint8), labels=np.arange(6))
    assert convert(folder, "--input", "frames", data="sound.npz") == 0
    assert file.load(folder / "net.snn").window == 5
    assert result(capsys, "run", folder / "net.snn", "--data", folder / "sound.npz")["samples"] == 6


REFUSED = [
    (("--input", "rate"), "digits", "how many time steps does --input rate give? Say --duration"),
    (("--input", "pace"), "digits", "unknown form of input 'pace'"),
    (("--input", "events", "--dt", "1ms", "--duration", "5"), "digits", "and no events: --input events bins event"),
    (
        ("--input", "events", "--duration", "5"),
        "events.npz",
        "into which events are binned? Say --dt, such as --dt 1ms",
    ),
    (("--duration", "5"), "events.npz", "into which events are binned? Say --dt"),
    (("--input", "rate", "--duration", "5"), "events.npz", "holds event recordings: --input events --dt 1ms bins them"),
    (("--input", "current", "--duration", "5"), "events.npz", "holds event recordings: --input events --dt 1ms, not"),
    (("--input", "rate", "--duration", "4"), "film.npz", "have time already: --input frames"),
    (("--input", "latency", "--duration", "4"), "film.npz", "have time already: --input frames"),
    (("--bins", "count", "--duration", "5"), "digits", "--bins says how events are binned, for --input events"),
    (("--dt", "1ms", "--duration", "5"), "digits", "--dt is the time step of --input events, or of a .nir file"),
    (("--input", "rate", "--dt", "1ms", "--duration", "5"), "digits", "takes no such option"),
    (("--seed", "1", "--duration", "5"), "digits", "--seed is that of the spikes of --input rate"),
    (("--input", "rate", "--duration", "5", "--mean", "0.5"), "digits", "leave --mean and --std out"),
    (("--input", "events", "--dt", "0ms", "--duration", "5"), "events.npz", "--dt must be more than no time"),
    (("--dt", "1ms", "--bins", "sum", "--duration", "5"), "events.npz", "unknown way to bin events 'sum'"),
    (("--dt", "1ms", "--duration", "9999999"), "events.npz", "an integer in 1..1048576, got 9999999"),
]


@pytest.mark.parametrize(("options", "data", "message"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_does_not_go_together_is_refused_and_leaves_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], data: str, message: str
) -> None:
    assert convert(folder, *options, data=data) == 2
    assert message in capsys.readouterr().err
    assert not list(folder.glob("net.*"))


@pytest.mark.parametrize("options", [("--dt", "1ms"), ("--bins", "count"), ("--seed", "1"), ("--input", "rate")])
def test_networks_without_time_take_no_such_option(
    folder: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    assert convert(folder, *options, model="model.py:plain") == 2
    assert options[0] in (err := capsys.readouterr().err) and ("loop of their own" in err or "no such option" in err)


def test_networks_without_time_take_no_recordings(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(folder, data="events.npz", model="model.py:plain") == 3
    assert "holds event recordings, which are no samples until they are binned" in capsys.readouterr().err


@pytest.mark.parametrize("scale", [1 / 255, 1 / 16, 1 / 99, 1 / 100])  # 1 / 100: the threshold itself
@pytest.mark.parametrize("steps", [2, 3, 9, 17, 25, 100])
def test_latency_is_that_of_snntorch(steps: int, scale: float) -> None:
    levels = np.arange(round(1 / scale) + 1, dtype=np.uint8).reshape(1, -1)
    data = Dataset("all", "test", levels, np.zeros(0, np.int64), (), scale, "memory")
    theirs = spikegen.latency(torch.tensor(data.real()), num_steps=steps, normalize=True, linear=True, clip=True)
    ours = np.asarray(data.encoded(Latency(steps, scale)).samples)
    np.testing.assert_array_equal(ours[0], theirs[:, 0].numpy())


def test_rate_has_the_distribution_of_snntorch() -> None:
    levels = np.tile(np.arange(256, dtype=np.uint8), (20, 1))
    data = Dataset("all", "test", levels, np.zeros(0, np.int64), (), 1 / 255, "memory")
    theirs = spikegen.rate(torch.tensor(data.real()), num_steps=100).numpy().mean(axis=(0, 1))
    ours = np.asarray(data.encoded(Rate(100)).samples).mean(axis=(0, 1))
    spread = np.sqrt(levels[0] / 255 * (1 - levels[0] / 255) / 2000)
    assert (np.abs(ours - theirs) <= 5 * np.sqrt(2) * spread).all()

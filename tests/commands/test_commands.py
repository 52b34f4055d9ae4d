# SPDX-License-Identifier: Apache-2.0
"""The commands that run networks, as a user types them."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikerun import (
    LIF,
    Conv,
    Dense,
    FewSpikes,
    Input,
    Network,
    Population,
    Projection,
    Readout,
    Session,
    Window,
    datasets,
    load,
    save,
)
from spikerun.cli import COMMANDS, main
from spikerun.connections import Diagonal, SumPool
from spikerun.neurons import Levels, MaxPool


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """Return the file of a small network for the 8x8 digits."""
    rng = np.random.default_rng(0)

    def weights(*shape: int) -> Any:
        return rng.integers(-40, 50, shape).astype(np.int8)

    net = Network(
        {
            "pixels": Population((1, 8, 8), Input(8, "bits")),
            "features": Population((4, 8, 8), FewSpikes(4, np.full(4, 200), np.full(4, 100))),
            "largest": Population((4, 4, 4), MaxPool()),
            "sums": Population((4, 2, 2), FewSpikes(5, np.full(4, 3))),
            "digit": Population((10,), Readout(np.float32(0.01))),
        },
        [
            Projection("pixels", "features", Conv(weights(4, 1, 3, 3), padding=1)),
            Projection("features", "largest", Window(2, 2)),
            Projection("largest", "sums", SumPool(2, 2)),
            Projection("sums", "digit", Dense(weights(16, 10))),
        ],
        ["digit"],
        window=8,
    )
    return save(net, tmp_path / "net.snn")


def result(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    """Return the one JSON object that a command prints."""
    assert main([*map(str, words), "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_run_reports_accuracy_and_cost(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = result(capsys, "run", network, "--data", "digits", "--limit", 50)
    assert found["schema"] == "spikerun.run/1"
    assert found["samples"] == 50
    assert 0 <= found["accuracy"] <= 100
    assert found["spikes_per_neuron"] > 0
    assert found["dense"] > 0 and found["macs"] is found["synops_per_mac"] is None  # it was converted from no ANN


def test_run_gives_the_same_with_every_schedule_and_kernel(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("run", network, "--data", "digits", "--limit", 20)
    found = [
        result(capsys, *words, "--schedule", schedule, "--kernels", kernels)
        for schedule in ("blocked", "stepped")
        for kernels in ("event", "dense")
    ]
    for key in ("accuracy", "populations"):
        assert all(f[key] == found[0][key] for f in found), key


def test_run_prints_a_table_and_the_next_command(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(network), "--data", "digits", "--limit", "5"]) == 0
    printed = capsys.readouterr()
    assert "synaptic operations" in printed.out
    assert "next: spikerun deploy" in printed.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--data", "nothing"), 2, "unknown data set 'nothing'"),
        (("--data", "digits", "--schedule", "fast"), 2, "unknown schedule 'fast'"),
        (("--data", "digits", "--kernels", "fast"), 2, "unknown choice of kernels"),
        (("--data", "digits", "--split", "validation"), 2, "split"),
        (("--data", "digits", "--limit", "0"), 2, "--limit"),
        (("--data", "digits", "--threads", "5000"), 2, "threads must be an integer in 1..1024"),
    ],
)
def test_run_refuses_nonsense(
    network: Path, words: tuple[str, ...], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(network), *words]) == code
    assert said in capsys.readouterr().err


def test_run_refuses_samples_of_another_shape(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "own.npz", samples=np.zeros((3, 1, 9, 9), np.uint8), labels=np.zeros(3, np.int64))
    assert main(["run", str(network), "--data", str(tmp_path / "own.npz")]) == 3
    assert "samples of shape (1, 9, 9), the input of the network takes (1, 8, 8)" in capsys.readouterr().err


def film(tmp_path: Path, code: str, *shape: int) -> tuple[Path, Path, Network]:
    """Return the file of a network whose input is given anew at each of 6 steps, and that of 5 samples for it."""
    size = int(np.prod(shape))
    populations = {"in": Population(shape, Input(1, code)), "h": Population((3,), LIF(np.int32(9)))}
    dense = Dense(np.arange(3 * size, dtype=np.int8).reshape(size, 3))
    net = Network(populations, [Projection("in", "h", dense)], ["h"], 6)
    samples = np.random.default_rng(0).integers(0, 2, (5, 6, *shape)).astype(np.uint8)
    np.savez(tmp_path / "film.npz", samples=samples, labels=np.arange(5) % 3)
    return save(net, tmp_path / "film.snn"), tmp_path / "film.npz", net


@pytest.mark.parametrize("code", ["frames", "spikes"])
@pytest.mark.parametrize("shape", [(4,), (1, 3, 2)])
def test_run_feeds_what_changes_at_each_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], code: str, shape: tuple[int, ...]
) -> None:
    network, data, net = film(tmp_path, code, *shape)
    with np.load(data) as file:
        expected = Session(net).run(file["samples"])
    found = result(capsys, "run", network, "--data", data)
    assert found["accuracy"] == 100 * np.mean(expected.classes == np.arange(5) % 3)
    assert found["populations"]["h"]["spikes"] == expected.counted["h"][0]


def test_deploy_takes_samples_that_change_at_each_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network, data, net = film(tmp_path, "frames", 4)
    words = ("deploy", network, "--target", "host", "-o", tmp_path / "fw", "--data", data, "--samples", 5)
    assert result(capsys, *words)["samples"] == 5
    with np.load(data) as file:
        expected = Session(net).run(file["samples"]).outputs["h"]
    assert json.loads((tmp_path / "fw" / "golden.json").read_text())["outputs"] == expected.tolist()


def test_inspect_shows_a_scale_where_membranes_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    neuron = LIF(np.int32(9), answer="max", scale=np.float32(0.5))
    kinds = {"in": Input(1, "spikes"), "inner": neuron, "max": neuron, "count": LIF(np.int32(9))}
    dense = Dense(np.ones((3, 3), np.int8))
    links = [Projection(a, b, dense) for a, b in (("in", "inner"), ("inner", "max"), ("inner", "count"))]
    net = Network({n: Population((3,), kind) for n, kind in kinds.items()}, links, ["max", "count"], 4)
    found = result(capsys, "inspect", save(net, tmp_path / "net.snn"))
    assert {p["name"]: p["scale"] for p in found["populations"] if "scale" in p} == {"max": [0.5]}


def test_inspect_shows_populations_bounds_and_targets(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = result(capsys, "inspect", network)
    assert found["schema"] == "spikerun.inspect/1"
    assert [p["name"] for p in found["populations"]] == ["pixels", "features", "largest", "sums", "digit"]
    assert found["dense"] == 22 * 22 * 4 + 64 + 16 * 10 and found["macs"] is None
    assert found["targets"]["generic-cortex-m4"] == "fits"
    assert found["latency_windows"] == 2


def test_inspect_shows_how_many_weights_are_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weight = np.array([[1, 0], [0, 0], [3, 4]], np.int8)
    populations = {"in": Population((3,), Input(4)), "out": Population((2,), Readout())}
    path = save(Network(populations, [Projection("in", "out", Dense(weight))], ["out"], 4), tmp_path / "net.snn")
    assert main(["inspect", str(path)]) == 0
    assert re.search(r"^in +out +dense +6 +50.0 % +6 +2.0 +0$", capsys.readouterr().out, re.MULTILINE)
    found = result(capsys, "inspect", path)
    assert (found["zeros"], found["projections"][0]["zeros"], found["projections"][0]["bytes"]) == (3, 3, 6)


def test_inspect_shows_from_where_to_where_levels_go(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, neuron = Diagonal(np.int32(1)), Levels(2, [[-7, 0, 3], [-2, 5, 90]])
    populations = {"in": Population((2,), Input(4)), "h": Population((2,), neuron)}
    path = save(Network(populations, [Projection("in", "h", one)], ["h"], 4), tmp_path / "net.snn")
    assert main(["inspect", str(path)]) == 0
    assert re.search(r"^h +levels +2 +bits, 2 bits +-7 to 90 ", capsys.readouterr().out, re.MULTILINE)
    assert result(capsys, "inspect", path)["populations"][1]["levels"] == [-7, 90]


def test_inspect_of_a_text_file_ends_with_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.snn"
    path.write_text("not a network")
    assert main(["inspect", str(path)]) == 3
    assert "not an HDF5 file" in capsys.readouterr().err


def test_bench_takes_only_the_first_samples(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("bench", network, "--data", "digits", "--repeat", 5, "--batch", 8, "--no-memory")
    assert result(capsys, *words, "--limit", 3)["samples"] == 3 and result(capsys, *words)["samples"] == 8


def test_bench_weights_without_a_model_are_refused(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", str(network), "--data", "digits", "--weights", "w.safetensors"]) == 2
    assert "--against" in capsys.readouterr().err


@pytest.mark.slow
def test_demo_goes_from_training_to_firmware(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = result(capsys, "demo", "--output", tmp_path / "demo")
    assert found["schema"] == "spikerun.demo/1"
    assert found["identical"] is True
    assert found["ann_accuracy"] > 95
    assert found["snn_accuracy"] > found["ann_accuracy"] - 2
    for key in ("bits", "window", "spikes_per_neuron", "synops_per_mac", "latency_ms", "flash_bytes", "ram_bytes"):
        assert found[key] > 0, key
    assert (tmp_path / "demo" / "digits.snn").is_file()
    assert (tmp_path / "demo" / "firmware" / "model" / "model.c").is_file()


def test_demo_refuses_an_unknown_emulator_before_it_trains(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--emulator", "hardware"]) == 2
    assert "hardware" in capsys.readouterr().err


def test_convert_refuses_an_empty_output_before_it_begins(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "model.py:build", "--calibration", "digits", "-o", ""]) == 2
    assert "name the file to write with -o" in capsys.readouterr().err


def test_deploy_says_where_it_cannot_write(network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "firmware"
    assert main(["deploy", str(network), "--target", "host", "-o", str(out)]) == 2
    assert f"cannot write a bundle to '{out}'" in capsys.readouterr().err


def test_run_refuses_labels_that_the_network_does_not_know(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "own.npz", samples=np.zeros((3, 1, 8, 8), np.uint8), labels=np.array([1, 2, 10]))
    assert main(["run", str(network), "--data", str(tmp_path / "own.npz")]) == 3
    assert "reach 10, the network has 10 outputs" in capsys.readouterr().err


def test_features_of_a_file_are_converted_and_run_as_features(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, data, out = tmp_path / "model.py", tmp_path / "own.npz", tmp_path / "own.snn"
    layers = "nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)"
    model.write_text(f"from torch import nn\nprint('hello')\n\n\ndef build():\n    return nn.Sequential({layers})\n")
    rng = np.random.default_rng(0)
    np.savez(data, samples=rng.integers(0, 256, (40, 6), dtype=np.uint8), labels=rng.integers(0, 3, 40))
    found = result(capsys, "convert", f"{model}:build", "--calibration", data, "-o", out)
    assert found["schema"] == "spikerun.convert/2"
    assert result(capsys, "run", out, "--data", data)["samples"] == 40


def unlabelled(tmp_path: Path, shape: tuple[int, ...] = (7, 1, 8, 8)) -> Path:
    samples = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    np.savez(tmp_path / "plain.npz", samples=samples, scale=1 / 255)
    return tmp_path / "plain.npz"


def test_run_keeps_what_the_network_answers(network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "kept.npz"
    found = result(capsys, "run", network, "--data", "digits", "--limit", 9, "--output", kept)
    assert found["output"] == str(kept)
    expected = Session(load(network)).run(datasets.load("digits", limit=9).samples)
    with np.load(kept, allow_pickle=False) as file:
        assert set(file.files) == {"logits", "classes", "labels", "outputs.digit"}
        np.testing.assert_array_equal(file["logits"], expected.logits)
        np.testing.assert_array_equal(file["classes"], expected.classes)
        np.testing.assert_array_equal(file["labels"], datasets.load("digits", limit=9).labels)
        np.testing.assert_array_equal(file["outputs.digit"], expected.outputs["digit"])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("kept.csv", "a name that ends in .npz"),
        ("plain.npz", "is read by this command"),
        ("none/kept.npz", "there is no folder"),
        ("there.npz", "exists already; use --force"),
    ],
)
def test_run_refuses_an_output_before_it_begins(
    network: Path, tmp_path: Path, name: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = unlabelled(tmp_path)
    (tmp_path / "there.npz").touch()
    force = [] if name == "there.npz" else ["-f"]
    network.unlink()  # so that the run itself would fail
    assert main(["run", str(network), "--data", str(data), "-o", str(tmp_path / name), *force]) == 2
    assert said in capsys.readouterr().err


def test_run_prints_answers_where_there_are_no_labels(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(network), "--data", str(unlabelled(tmp_path))]) == 0
    out = capsys.readouterr().out
    assert "accuracy" not in out
    lines = [line.split() for line in out.splitlines()]
    assert [line[0] for line in lines if line and line[0].isdecimal()] == ["0", "1", "2", "3", "4"]
    assert lines[lines.index([]) + 1][:6] == ["sample", "class", "value", "0", "value", "1"]


def test_run_prints_values_of_a_regression(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    populations = {"in": Population((3,), Input(8)), "out": Population((1,), Readout(np.float32(0.5), np.int32(7)))}
    weight = np.zeros((3, 1), np.int8)
    path = save(Network(populations, [Projection("in", "out", Dense(weight))], ["out"], 8), tmp_path / "r.snn")
    assert main(["run", str(path), "--data", str(unlabelled(tmp_path, (2, 3)))]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    first = lines.index(["sample", "value"])
    assert lines[first + 1 : first + 3] == [["0", "3.5"], ["1", "3.5"]]


def test_run_measures_a_regression(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    populations = {"in": Population((1,), Input(8)), "out": Population((1,), Readout(np.float32(0.5)))}
    net = Network(populations, [Projection("in", "out", Dense(np.full((1, 1), 2, np.int8)))], ["out"], 8)
    path, data = save(net, tmp_path / "r.snn"), tmp_path / "own.npz"  # it answers what it is given
    np.savez(data, samples=np.array([[1], [3]], np.uint8), labels=np.array([1.0, 5.0]), scale=1)
    found = result(capsys, "run", path, "--data", data)
    assert (found["accuracy"], found["rmse"], found["r2"]) == (None, np.sqrt(2.0), 0.5)
    assert main(["run", str(path), "--data", str(data)]) == 0
    assert "error                1.41421 (root of the mean square), R2 0.5000" in capsys.readouterr().out
    np.savez(data, samples=np.array([[1], [3]], np.uint8), labels=np.zeros((2, 3)), scale=1)
    assert main(["run", str(path), "--data", str(data)]) == 3
    assert "has 3 targets a sample, the network has 1 output" in capsys.readouterr().err


def test_missing_scale_is_noted_once_and_not_with_quiet(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "own.npz", samples=np.zeros((3, 1, 8, 8), np.uint8))
    words = ["run", str(network), "--data", str(tmp_path / "own.npz"), "--json"]
    assert main(words) == 0
    assert capsys.readouterr().err.count("note: ") == 1
    assert main([*words, "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_verbose_says_what_was_read(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(network), "--json", "--verbose"]) == 0
    assert f"reading '{network}': container 2, contract 2" in capsys.readouterr().err


def test_inspect_tells_bits_from_time_steps_and_shows_scales(
    tmp_path: Path, network: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(network)]) == 0
    out = capsys.readouterr().out
    assert "4 to 5-bit activations, 8 time steps, the answer comes 2 windows after the frame" in out
    assert "output digit      real value = 0.0099999998 x v" in out
    net = load(network)
    meta: dict[str, str | int | float] = {"pixels_scale": 0.0625, "pixels_mean": "0.5", "pixels_std": "\x1b[2J"}
    other = Network(net.populations, net.projections, net.outputs, net.window, meta)
    assert main(["inspect", str(save(other, tmp_path / "other.snn"))]) == 0
    assert r"input pixels      real value = (0.0625 x integer - (0.5)) / (\x1b[2J)" in capsys.readouterr().out


def test_inspect_counts_in_plain_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    populations = {
        "in": Population((1,), Input(1)),
        "h": Population((2,), FewSpikes(1, np.array([200, 200]))),
        "out": Population((2,), FewSpikes(1, np.array([100, 300]))),
    }
    projections = [
        Projection("in", "h", Dense(np.ones((1, 2), np.int8))),
        Projection("h", "out", Dense(np.ones((2, 2), np.int8))),
    ]
    assert main(["inspect", str(save(Network(populations, projections, ["h", "out"], 1), tmp_path / "one.snn"))]) == 0
    out = capsys.readouterr().out
    assert "1-bit activations, 1 time step, the answer comes 2 windows after the frame" in out
    assert "dense operations  6 a sample, if each neuron sends one spike" in out and "MACs" not in out
    assert "bits, 1 bit " in out and "200-200" not in out and "100 to 300" in out


def test_the_plan_says_in_words_what_each_program_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = Network({"in": Population((2,), Input(1, "spikes"))}, [], ["in"], 4)
    assert main(["inspect", str(save(net, tmp_path / "in.snn")), "--plan"]) == 0
    out = capsys.readouterr().out
    assert "a run, schedule 'stepped': each step of a sample" in out and "a stream: each step, without end" in out
    assert "schedule frame" not in out


def test_the_help_of_the_demo_and_the_readme_agree_on_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--help"]) == 0
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    told = "ten seconds"
    assert f"the demo itself takes {told}" in readme
    assert told in " ".join(capsys.readouterr().out.split()) and told in COMMANDS["demo"].summary


def test_inspect_prints_the_plan_instead(
    network: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("spikerun.plan.describe", lambda net: f"window {net.window}\nfill", raising=False)
    assert main(["inspect", str(network), "--plan"]) == 0
    assert capsys.readouterr().out == "window 8\nfill\n"
    found = result(capsys, "inspect", network, "--plan")
    assert (found["schema"], found["plan"]) == ("spikerun.inspect.plan/1", ["window 8", "fill"])


def test_inspect_gives_scales_and_bits_as_numbers(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = result(capsys, "inspect", network)
    assert (found["bits"], found["window"]) == ([4, 5], 8)
    assert found["populations"][-1]["scale"] == [float(np.float32(0.01))]


def test_bench_refuses_a_model_of_other_outputs(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model.py"
    model.write_text(
        "from torch import nn\n\n\ndef build():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 1))\n"
    )
    words = ["bench", str(network), "--data", "digits", "--repeat", "5", "--against", f"{model}:build"]
    assert main(words) == 3
    assert "gives 1 values a sample, the network 10: they are not the same model" in capsys.readouterr().err


def test_names_of_data_sets_may_be_spelt_as_usual(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert result(capsys, "run", network, "--data", "Digits", "--limit", 3)["data"] == "digits"


def test_data_of_another_scale_than_the_network_was_made_for_is_noted(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = load(network)
    made_for_photos = Network(net.populations, net.projections, net.outputs, net.window, {"pixels_scale": 1 / 255})
    path = save(made_for_photos, tmp_path / "photos.snn")
    assert main(["run", str(path), "--data", "digits", "--limit", "2"]) == 0
    assert "note: an integer of 'digits' stands for 0.0625, and one of the network's input for 0.00392157" in (
        capsys.readouterr().err
    )


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """Return the file of a network of two inputs, of which the larger is the class."""
    populations = {
        "left": Population((1,), Input()),
        "right": Population((1,), Input()),
        "larger": Population((2,), Readout()),
    }
    projections = [
        Projection(name, "larger", Dense(np.eye(2, dtype=np.int8)[[k]])) for k, name in enumerate(("left", "right"))
    ]
    np.savez(tmp_path / "pair.npz", left=np.uint8([[3], [9]]), right=np.uint8([[5], [2]]), labels=[1, 0], scale=1.0)
    return save(Network(populations, projections, ["larger"], 8), tmp_path / "pair.snn")


def test_run_feeds_several_inputs_by_name(pair: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = result(capsys, "run", pair, "--data", pair.with_suffix(".npz"))
    assert (found["accuracy"], found["samples"], found["data"]) == (100.0, 2, "pair.npz")


def test_deploy_takes_golden_samples_of_several_inputs(pair: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--target", "host", "-o", pair.parent / "fw", "--data", pair.with_suffix(".npz")]
    result(capsys, "deploy", pair, *words)
    assert json.loads((pair.parent / "fw" / "golden.json").read_text())["outputs"] == [[3, 5], [9, 2]]


def test_bench_of_several_inputs_says_what_to_do(pair: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", str(pair), "--data", str(pair.with_suffix(".npz"))]) == 3
    assert "this one has left, right: time Session.run with a dict of arrays" in capsys.readouterr().err


def test_inspect_shows_how_weights_lie_in_memory_where_half_are_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weight = np.zeros((4, 2), np.int8)
    weight[0] = 1
    populations = {"in": Population((4,), Input(4)), "out": Population((2,), Readout())}
    path = save(Network(populations, [Projection("in", "out", Dense(weight))], ["out"], 4), tmp_path / "net.snn")
    assert result(capsys, "inspect", path)["layouts"] == {"out": [["dense", 8]]}

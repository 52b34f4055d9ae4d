# SPDX-License-Identifier: Apache-2.0
"""`spikerun convert` and `convert()` on a network that is really trained, on real digits."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from spikerun import datasets, file, load
from spikerun.cli import main
from spikerun.converters import Encoding, convert
from spikerun.errors import UsageError
from spikerun.session import Session

MODEL = """
from torch import nn


def build():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10),
    )


def number():
    return 7


def failing():
    raise RuntimeError("no weights here")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with model.py and its trained weights in two formats."""
    path = tmp_path_factory.mktemp("trained")
    (path / "model.py").write_text(MODEL)
    space: dict[str, Any] = {}
    exec(MODEL, space)
    torch.manual_seed(0)
    model, data = space["build"](), datasets.load("digits", split="train")
    optimiser = torch.optim.Adam(model.parameters(), 4e-3)
    x, y = torch.from_numpy(data.real()), torch.from_numpy(data.labels)
    for _ in range(6):
        for batch in torch.randperm(len(x)).split(64):
            loss = nn.functional.cross_entropy(model(x[batch]), y[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    save_file(model.state_dict(), path / "w.safetensors")
    torch.save(model.state_dict(), path / "w.pt")
    return path


def run(folder: Path, *options: str, model: str = "model.py:build", weights: str | None = "w.safetensors") -> int:
    words = ["convert", f"{folder}/{model}", "--calibration", "digits", "-o", f"{folder}/net.snn", *options]
    return main(words + (["--weights", f"{folder}/{weights}"] if weights else []))


@pytest.fixture(scope="module")
def trained(folder: Path) -> nn.Module:
    from spikerun.converters.torch.user_model import load_model

    return load_model(f"{folder}/model.py:build", folder / "w.safetensors")


@pytest.mark.parametrize(("bits", "points"), [(5, 0.4), (4, 0.8)])
def test_digits_keep_their_accuracy(bits: int, points: float, trained: nn.Module) -> None:
    train, test = datasets.load("digits", split="train"), datasets.load("digits", split="test")
    seen, encoding = (test.samples, test.labels), Encoding(train.scale)
    conversion = convert(trained, train.samples[:256], bits=bits, encoding=encoding, evaluation=seen)
    accuracy = conversion.report.accuracy
    assert accuracy is not None and accuracy.ann > 95 and accuracy.drop <= points and accuracy.agreement > 98


def test_the_session_gives_the_integers_of_the_quantised_ann(trained: nn.Module) -> None:
    from spikerun.converters.verify import evaluate

    data = datasets.load("digits", limit=64)
    conversion = convert(trained, data.samples, bits=4, encoding=Encoding(data.scale))
    outputs = Session(conversion.network).run(data.samples).outputs
    np.testing.assert_array_equal(outputs["output"], evaluate(conversion.quantised, data.samples)["output"])


def test_json_tells_accuracy_cost_and_paths(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--bits", "4", "--json", "--force") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["schema"] == "spikerun.convert/2" and result["bits"] == 4 and result["window"] == 8
    assert result["samples"] == 500 and abs(result["ann_accuracy"] - result["snn_accuracy"]) < 1
    assert 0 < result["synops_per_mac"] < 2 and 0 < result["spikes_per_neuron"] < 4
    report = json.loads(Path(result["report"]).read_text())
    assert report["schema"] == result["schema"] and report["snn_accuracy"] == result["snn_accuracy"]
    assert {o["operator"] for o in report["operators"]} >= {"aten.conv2d.default", "aten.max_pool2d.default"}
    network = file.load(result["network"])
    assert (
        network.meta["bits"] == 4 and network.meta["input_scale"] == 1 / 16 and network.meta["macs"] == result["macs"]
    )
    data = datasets.load("digits")
    accuracy = (Session(network).run(data.samples).classes == data.labels).mean() * 100
    assert accuracy == pytest.approx(result["snn_accuracy"])


def test_the_text_report_lies_beside_the_network(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--force", "--sweep", "--limit", "100", "--samples", "64") == 0
    out = capsys.readouterr().out
    assert "accuracy on 100 samples" in out and "net.report.json" in out
    text = (folder / "net.report.txt").read_text()
    assert "operator converted" in text and "synops/MAC" in text and text.count("\n   8  ") == 1


def test_the_page_lies_beside_the_network(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--force", "--sweep", "--limit", "100", "--samples", "64", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    page = Path(found["page"]).read_text(encoding="utf-8")
    assert found["page"] == f"{folder}/net.report.html" and "<h1>Conversion of net.snn</h1>" in page
    assert f"ANN {found['ann_accuracy']:.2f} %, SNN {found['snn_accuracy']:.2f} % on 100 samples" in page
    assert page.count('class="one" cx=') == 7 and "64 samples that did not calibrate" in page


@pytest.mark.parametrize("kind", ["json", "html", "txt"])
def test_nothing_is_overwritten_without_force(
    kind: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / f"own.report.{kind}").write_text("mine")
    assert run(folder, "-o", f"{tmp_path}/own.snn") == 2
    assert "--force" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [f"own.report.{kind}"]
    assert (tmp_path / f"own.report.{kind}").read_text() == "mine"


def test_what_cannot_be_written_whole_leaves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise UsageError("no space left")

    monkeypatch.setattr(file, "save", full)
    assert run(folder, "-o", f"{tmp_path}/own.snn", "--limit", "20", "--samples", "16") == 2
    assert "no space left" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_notes_are_said_on_the_console_too(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "-o", f"{tmp_path}/own.snn", "--limit", "100", "--samples", "16", weights=None) == 0
    assert "no more often than by chance" in " ".join(capsys.readouterr().err.split())


def test_a_budget_is_chosen_on_the_rest_of_the_train_split(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--max-drop", "50", "--json", "--force", "--samples", "64", "--limit", "100") == 0
    result = json.loads(capsys.readouterr().out)
    search = json.loads(Path(result["report"]).read_text())["search"]
    measured = [one for one in search["frontier"] if one["accuracy"]]
    assert search["kept"] and search["objective"] == "synops" and result["samples"] == 100
    assert {one["accuracy"]["samples"] for one in measured} == {1297 - 64}
    bits = {p["population"] for p in search["prices"]}
    assert bits == set(search["frontier"][search["chosen"]]["choices"]) and len(bits) == 2
    assert not (folder / "net.search.json").exists()


def test_a_budget_leaves_half_of_a_small_train_split_to_choose_by(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, "--max-drop", "50", "--json", "--force", "--samples", "2000", "--limit", "50") == 0
    report = json.loads(Path(json.loads(capsys.readouterr().out)["report"]).read_text())
    chosen = report["search"]["frontier"][report["search"]["chosen"]]
    assert (report["calibration_samples"], chosen["accuracy"]["samples"]) == (648, 649)


def test_a_budget_that_nothing_keeps_fails_and_the_nearest_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "net.snn").unlink(missing_ok=True)
    options = ("--max-drop", "0", "--force", "--samples", "64", "--limit", "50", "--objective", "spikes")
    assert run(folder, *options) == 1
    said = capsys.readouterr()
    assert "no network keeps the budget of 0 points with a confidence of 95%" in said.err
    assert file.load(folder / "net.snn").meta["bits"] == 8 and "and does not keep the budget" in (
        (folder / "net.report.txt").read_text()
    )


def test_a_metric_of_ones_own_is_read_from_a_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "own.py").write_text("def never(logits, labels):\n    return labels < 0\n")
    assert run(folder, "--metric", f"{folder}/own.py:never", "--json", "--force", "--limit", "50") == 0
    assert json.loads(capsys.readouterr().out)["snn_accuracy"] == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--objective", "spikes"), "say how --max-drop searches"),
        (("--dead-zones",), "say how --max-drop searches"),
        (("--max-drop", "1", "--objective", "energy"), "unknown objective 'energy'"),
        (("--max-drop", "1", "--confidence", "95"), "confidence is a share"),
        (("--metric", "top2"), "unknown metric 'top2'"),
    ],
)
def test_what_a_search_cannot_be_is_bad_usage(
    options: tuple[str, ...], said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, "--force", *options, model="none.py:build") == 2
    assert said in capsys.readouterr().err


def test_a_negative_budget_is_refused_before_the_work(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--max-drop=-1", "--force", model="none.py:build") == 2
    assert "max_drop is in points" in capsys.readouterr().err


def test_coding_sdnn_makes_8_bit_payloads_for_average_pools_and_refuses_max_pools(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, "--coding", "sdnn", "-f") == 3
    assert "is a max pool: use an average pool" in capsys.readouterr().err
    (folder / "average.py").write_text(MODEL.replace("MaxPool", "AvgPool"))
    assert run(folder, "--coding", "sdnn", "-f", model="average.py:build") == 0
    network = file.load(folder / "net.snn")
    assert network.window == 1 and network.meta["coding"] == "sdnn"
    words = [word for name in network.populations if (word := network.sender_of(name))]
    assert {(word.bits, word.code) for word in words} == {(8, "graded")}


@pytest.mark.parametrize("option", [("--bits", "5"), ("--code", "bits"), ("--input-code", "ttfs"), ("--sweep",)])
def test_options_that_coding_sdnn_does_not_take_are_bad_usage(
    option: tuple[str, ...], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, "--coding", "sdnn", "-f", *option) == 2
    assert "sdnn" in capsys.readouterr().err


def test_steps_is_the_former_name_of_bits(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--json", "--force", "--samples", "64", "--limit", "50")
    results = []
    for name in ("--steps", "--bits"):
        assert run(folder, name, "3", *options) == 0
        results.append(json.loads(capsys.readouterr().out))
    assert results[0] == results[1] and results[0]["bits"] == 3


def test_data_measure_and_calibration_calibrates(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = datasets.load("digits", limit=30)
    np.savez(folder / "other.npz", samples=data.samples, labels=data.labels, scale=data.scale)
    assert run(folder, "--data", f"{folder}/other.npz", "--json", "--force", "--samples", "64") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["samples"] == 30 and json.loads(Path(result["report"]).read_text())["calibration_samples"] == 64


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--std", "0"], "the std of the input must be above 0, got 0"),
        (["--mean", "0.1,0.2", "--std", "1,1,1"], "the mean of the input has 2 numbers, the std 3"),
        (["--mean", "0.1;0.2"], "--mean takes numbers separated by commas"),
        (["-o", "net.h5"], "a network is written to a name that ends in .snn, such as 'model.snn', got 'net.h5'"),
        (["--weights", "none.pt"], "there is no weights file 'none.pt'"),
    ],
)
def test_what_the_options_say_is_judged_before_data_are_read(
    words: list[str], said: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "load", lambda *given, **options: pytest.fail("data are read"))
    assert run(folder, "--force", *words, weights=None) == 2
    assert said in capsys.readouterr().err


def test_a_mean_of_other_channels_than_the_samples_is_bad_usage(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, "--force", "--mean", "0.1,0.2") == 2
    assert "the mean of the input has 2 numbers (0.1, 0.2); give one: the samples have one" in capsys.readouterr().err


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
def test_the_state_dict_of_a_checkpoint_is_found_and_named(
    key: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = torch.load(folder / "w.pt", weights_only=True)
    torch.save({key: state, "epoch": 3, "optimizer": {"lr": 0.1}}, folder / "checkpoint.pt")
    assert run(folder, "--force", "--samples", "8", "--limit", "5", weights="checkpoint.pt") == 0
    assert f"is a checkpoint: the state dict under its key '{key}' is taken" in capsys.readouterr().err


def test_a_checkpoint_without_a_state_dict_says_what_it_holds(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"net": {}, "epoch": 3}, folder / "checkpoint.pt")
    assert run(folder, "--force", weights="checkpoint.pt") == 3
    said = capsys.readouterr().err
    assert "does not hold a state dict; it is a dict with 'epoch', 'net'" in said
    assert "'model', 'model_state_dict', 'state_dict'" in said


def test_a_pickled_module_is_to_be_saved_as_its_state_dict(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(nn.Linear(2, 2), folder / "whole.pt")
    assert run(folder, "--force", weights="whole.pt") == 3
    said = capsys.readouterr().err
    assert "holds a whole module, or other objects" in said and "(torch.nn.modules.linear.Linear)" in said
    assert "save its state_dict instead" in said
    assert "Weights only" not in said and "\\x1b" not in said


@pytest.mark.parametrize("output", ["w.pt", "model.py", "own.npz", "link.pt", "w.report.json"])
def test_what_is_read_is_never_overwritten(output: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = datasets.load("digits", limit=30)
    np.savez(folder / "own.npz", samples=data.samples, labels=data.labels)
    (folder / "link.pt").unlink(missing_ok=True)
    (folder / "link.pt").symlink_to(folder / "w.pt")
    weights = "w.pt"
    if output == "w.report.json":  # the report of `w.snn` would lie there
        weights, output = "w.report.json", "w.snn"
        (folder / weights).write_bytes((folder / "w.pt").read_bytes())
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    words = [f"{folder}/model.py:build", "--weights", f"{folder}/{weights}", "--calibration", f"{folder}/own.npz"]
    assert main(["convert", *words, "-o", f"{folder}/{output}", "--force"]) == 2
    said = capsys.readouterr().err
    assert "is read by this command and would be destroyed" in said or "is a symbolic link" in said
    assert before == {path: path.read_bytes() for path in before}


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"model": "model.py"}, 2, "file.py:function"),
        ({"model": "model.h5"}, 2, "FILE.py:FUNCTION"),
        ({"model": "none.py:build"}, 2, "no file"),
        ({"model": "model.py:buidl"}, 2, "Did you mean 'build'"),
        ({"model": "model.py:number"}, 3, "returned int"),
        ({"model": "model.py:failing"}, 3, "no weights here"),
        ({"weights": "none.pt"}, 2, "no weights file"),
        ({"weights": "model.py"}, 2, ".safetensors, .pt or .pth"),
    ],
)
def test_bad_model_or_weights_arguments(
    options: dict[str, str], code: int, words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, "--force", **options) == code
    message = capsys.readouterr().err
    assert words in message and "Traceback" not in message


def test_bits_and_budget_exclude_each_other(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--bits", "4", "--max-drop", "1", "--force") == 2
    assert "exclude" in capsys.readouterr().err


def altered(folder: Path, name: str, change: Any) -> str:
    from safetensors.torch import load_file

    state = load_file(folder / "w.safetensors")
    change(state)
    save_file(state, folder / name)
    return name


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("0.weight"), "lacks '0.weight'"),
        (lambda s: s.update(extra=torch.zeros(1)), "has 'extra'"),
        (lambda s: s.update({"8.bias": torch.zeros(11)}), "(11,), the model expects (10,)"),
        (lambda s: s["8.weight"].__setitem__((0, 0), float("nan")), "'8.weight' of the model holds NaN"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    change: Any, words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, "--force", weights=altered(folder, "bad.safetensors", change)) == 3
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_what_wrappers_put_before_all_names_is_left_out(
    prefix: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = torch.load(folder / "w.pt", weights_only=True)
    torch.save({prefix + name: value for name, value in state.items()}, folder / "wrapped.pt")
    assert run(folder, "--force", "--samples", "8", "--limit", "5", weights="wrapped.pt") == 0
    said = capsys.readouterr().err
    for part in prefix.split(".")[:-1]:
        assert f"all names begin with '{part}.', as" in said


def test_names_that_only_some_weights_have_stay(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = torch.load(folder / "w.pt", weights_only=True)
    state["module.8.bias"] = state.pop("8.bias")
    torch.save(state, folder / "mixed.pt")
    assert run(folder, "--force", weights="mixed.pt") == 3
    assert "has 'module.8.bias', which the model has not" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda zeros: zeros.to_sparse(), "torch.sparse_coo"),
        (lambda zeros: zeros.to("meta"), "on 'meta'"),
        (lambda zeros: zeros.to(torch.complex64), "torch.complex64"),
        (lambda zeros: torch.quantize_per_tensor(zeros, 1.0, 0, torch.qint8), "torch.qint8"),
    ],
    ids=["sparse", "meta", "complex", "quantised"],
)
@pytest.mark.filterwarnings("ignore")
def test_tensors_that_are_no_weights_are_refused(
    made: Any, words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = torch.load(folder / "w.pt", weights_only=True)
    torch.save({**state, "8.bias": made(torch.zeros(10))}, folder / "odd.pt")
    assert run(folder, "--force", weights="odd.pt") == 3
    message = capsys.readouterr().err
    assert "'8.bias'" in message and words in message


@pytest.mark.parametrize("raised", [AssertionError("expected dict, got int"), IndexError("pop from empty list")])
def test_whatever_a_broken_weights_file_raises_is_one_sentence(
    raised: Exception, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumbling(*given: Any, **options: Any) -> Any:
        raise raised

    monkeypatch.setattr(torch, "load", stumbling)
    assert run(folder, "--force", weights="w.pt") == 3
    assert f"that can be read safely ({raised})" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["broken.pt", "broken.safetensors", "object.pt"])
def test_weights_files_that_are_none_are_refused(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if name == "object.pt":
        torch.save(Path("x"), folder / name)  # a pickled object: loading it would execute code
    else:
        (folder / name).write_bytes(b"not weights at all")
    assert run(folder, "--force", weights=name) == 3
    said = capsys.readouterr().err
    assert ("have to be unpickled" if name == "object.pt" else "is a text file") in said
    assert "Weights only load failed" not in said


def test_a_state_dict_of_torch_is_read_as_safetensors_are(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--force", "--json", "--samples", "64", "--limit", "50")
    results = []
    for weights in ("w.pt", "w.safetensors"):
        assert run(folder, *options, weights=weights) == 0
        results.append(json.loads(capsys.readouterr().out))
    assert results[0] == results[1]


def test_the_help_says_that_the_file_is_executed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "--help"]) == 0
    assert "executed" in capsys.readouterr().out


def targets(folder: Path, tmp_path: Path, **labels: Any) -> list[str]:
    """Return the words that convert the model with the samples of the digits and other labels, or none."""
    digits = datasets.load("digits", split="test", limit=200)
    np.savez(tmp_path / "r.npz", samples=digits.samples, scale=digits.scale, **labels)
    words = ["convert", f"{folder}/model.py:build", "-o", f"{tmp_path}/r.snn", "--calibration", f"{tmp_path}/r.npz"]
    return [*words, "--weights", f"{folder}/w.safetensors", "--samples", "64", "--json", "--force"]


def test_real_labels_are_the_targets_of_a_regression(
    folder: Path, tmp_path: Path, trained: nn.Module, capsys: pytest.CaptureFixture[str]
) -> None:
    digits = datasets.load("digits", split="test", limit=200)
    with torch.no_grad():
        exact = trained(torch.from_numpy(digits.real())).numpy()
    words = targets(folder, tmp_path, labels=exact)
    assert main([*words, "--max-drop", "5"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert json.loads(Path(result["report"]).read_text())["search"]["metric"] == "mse"
    assert result["ann_accuracy"] == pytest.approx(100, abs=0.01) and 0 < result["drop"] <= 5


def test_without_labels_a_budget_is_one_of_agreement(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = targets(folder, tmp_path)
    assert main([*words, "--max-drop", "20", "--confidence", "0.5"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["ann_accuracy"] == 100 and result["snn_accuracy"] == result["agreement"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["ann_accuracy"] is None


BUILD_LINEAR = """
import torch
from torch import nn


def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 4))
"""


def converted_npz(folder: Path, samples: Any, *options: str, **more: Any) -> int:
    """Convert a model of six inputs with samples of a file of one's own."""
    (folder / "linear.py").write_text(BUILD_LINEAR)
    np.savez(folder / "own.npz", samples=samples, labels=np.arange(len(samples)) % 4, **more)
    words = ["convert", f"{folder}/linear.py:build", "--calibration", f"{folder}/own.npz", "-o", f"{folder}/own.snn"]
    return main([*words, "--samples", "32", *options])


def test_real_samples_of_a_file_convert_and_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)
    assert converted_npz(tmp_path, samples) == 0
    assert "signed 8-bit integers" in (tmp_path / "own.report.txt").read_text()
    capsys.readouterr()
    assert main(["run", f"{tmp_path}/own.snn", "--data", f"{tmp_path}/own.npz", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    saved = json.loads((tmp_path / "own.report.json").read_text())
    assert shown["accuracy"] == saved["snn_accuracy"]


@pytest.mark.parametrize(("options", "bits"), [((), 8), (("--input-bits", "12"), 12)])
def test_the_bits_of_real_samples_can_be_asked_for(options: tuple[str, ...], bits: int, tmp_path: Path) -> None:
    assert converted_npz(tmp_path, np.random.default_rng(0).uniform(0, 9, (60, 6)), *options) == 0
    neuron = load(tmp_path / "own.snn").populations["input"].neuron
    assert (neuron.bits, neuron.signed) == (bits, False)  # type: ignore[attr-defined]


def test_integers_of_a_file_take_the_bits_that_they_need_and_their_scale(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).integers(-2000, 2000, (60, 6))
    assert converted_npz(tmp_path, samples, scale=0.25) == 0
    network = load(tmp_path / "own.snn")
    neuron = network.populations["input"].neuron
    assert (neuron.bits, neuron.signed, network.meta["input_scale"]) == (12, True, 0.25)  # type: ignore[attr-defined]


def test_real_samples_enter_by_the_scale_that_is_said(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 6))
    assert converted_npz(tmp_path, (pixels / 255 - 0.5) / 0.25, "--mean", "0.5", "--std", "0.25") == 0
    network = load(tmp_path / "own.snn")
    np.testing.assert_array_equal(network.encode((pixels / 255 - 0.5) / 0.25), pixels)


MIXED = """
import torch
from torch import nn


class Mixed(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.inner = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.up, self.pool, self.last = nn.Upsample(scale_factor=2), nn.AvgPool2d(2), nn.Linear(64, 10)

    def forward(self, x):
        x = torch.relu(self.first(x))
        x = torch.relu(x + self.inner(x))
        x = nn.functional.max_pool2d(self.up(x), 3, 1, 1)
        return self.last(self.pool(self.pool(x)).flatten(1)).softmax(1)
"""


def test_convert_run_and_compare_count_the_same_macs_of_a_network_with_a_pool_a_relay_and_a_residual(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mixed.py").write_text(MIXED)
    net, data = f"{tmp_path}/net.snn", ("--data", "digits", "--limit", "20")

    def told(*words: str) -> tuple[dict[str, Any], str]:
        assert main([*words, "--json"]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert main([*words, *(["--force"] if "convert" in words else [])]) == 0
        return found, capsys.readouterr().out

    converted, said = told("convert", f"{tmp_path}/mixed.py:Mixed", "--calibration", *data[1:], "-o", net)
    ran, run_said = told("run", net, *data)
    compared, compare_said = told("compare", net, net, *data)
    macs = 64 * 4 * 9 + 64 * 4 * 4 * 9 + 64 * 10
    report = json.loads(Path(converted["report"]).read_text())
    kinds = {layer["kind"] for layer in report["layers"]}
    assert "relay" in kinds and "positive" in kinds  # the pools are no maxima
    assert {converted["macs"], report["macs"], ran["macs"], compared["a"]["macs"], compared["b"]["macs"]} == {macs}
    assert converted["synops_per_mac"] == pytest.approx(ran["synops_per_mac"])
    ratio = f"against {macs:,} MACs of the ANN (ratio {ran['synops_per_mac']:.3f})"
    assert ratio in said and ratio in run_said and ratio in Path(f"{tmp_path}/net.report.html").read_text()
    assert next(row for row in compare_said.splitlines() if row.startswith("MACs of the ANN")).count(f"{macs:,}") == 2
    assert ran["dense"] == compared["a"]["dense"] == sum(layer["dense"] for layer in report["layers"]) > macs

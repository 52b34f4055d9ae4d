# SPDX-License-Identifier: Apache-2.0
"""Where networks come from: the table of importers, sources of any framework, several inputs and outputs by name."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from spikerun import converters, file, plugins
from spikerun.cli import main
from spikerun.converters import Encoding, Importer, Source, convert, lower, open_source, pipeline
from spikerun.converters.graph import Graph, Input, Linear, Node, Output, Relu
from spikerun.converters.torch.source import TorchSource
from spikerun.converters.verify import evaluate
from spikerun.errors import ConversionError, UnsupportedError, UsageError
from spikerun.session import Session


class Toy(Source):
    """A source of no framework: one layer; `factor` is what its own results have too much."""

    name = "toy"

    def __init__(self, factor: float = 1) -> None:
        self.weight, self.factor = np.random.default_rng(0).normal(size=(4, 6)), factor

    def graph(self, shapes: Any) -> Graph:
        nodes = [
            Node("x", Input("input"), (), shapes["input"]),
            Node("y", Linear(self.weight, np.zeros(4)), ("x",), (4,)),
            Node("z", Relu(), ("y",), (4,)),
            Node("z=", Output("output"), ("z",), (4,)),
        ]
        return Graph({node.name: node for node in nodes})

    def logits(self, batch: Any) -> Any:
        return {"output": np.maximum(batch["input"] @ self.weight.T, 0) * self.factor}


def data(*shape: int, seed: int = 0, high: int = 256) -> Any:
    return np.random.default_rng(seed).integers(0, high, (24, *shape))


def test_a_source_of_any_framework_is_converted() -> None:
    network = convert(Toy(), data(6)).network
    assert network.meta["converted_from"] == "toy" and network.outputs == ("output",)


def test_what_is_read_wrongly_is_told_from_what_is_regrouped_wrongly(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConversionError, match="the importer read the model as something else"):
        convert(Toy(factor=1.1), data(6))

    def wrong(graph: Any, encodings: Any) -> Any:
        layers = lower.lower(graph, encodings)
        every = (*layers.every[:-1], dataclasses.replace(layers.every[-1], bias=np.ones(4)))
        return dataclasses.replace(layers, every=every)

    monkeypatch.setattr(pipeline, "lower", wrong)
    with pytest.raises(ConversionError, match="was regrouped into layers that do not"):
        convert(Toy(), data(6))


class Spiking(Toy):
    """A toy that claims to be a trained spiking network."""

    time_loop = True


@pytest.mark.parametrize("options", [{"bits": 5}, {"overrides": {"output": 3}}, {"max_drop": 1.0}])
def test_bits_are_not_chosen_for_a_network_that_has_a_time_loop_of_its_own(options: Any) -> None:
    labelled = (data(6), np.zeros(24, int))
    with pytest.raises(UsageError, match=r"\(toy\) has a time loop.*no --bits \(or --steps\).*its --duration"):
        convert(Spiking(), data(6), validation=labelled, **options)


def test_a_network_with_a_time_loop_is_converted_where_no_bits_are_asked_for() -> None:
    assert convert(Spiking(), data(6)).report.bits == 5


@pytest.mark.parametrize("words", [("--bits", "4"), ("--steps", "4"), ("--sweep",)])
def test_the_command_refuses_steps_for_a_network_that_has_a_time_loop(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("spikerun.converters.command.open_source", lambda where, weights, **options: Spiking())
    convert_digits = ["convert", "a.toy", "--calibration", "digits", "-o", str(tmp_path / "a.snn"), "--quiet"]
    assert main([*convert_digits, *words]) == 2
    assert "this network (toy) has a time loop of its own" in capsys.readouterr().err


def test_bench_runs_beside_a_source_of_any_framework(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "own.npz", samples=data(6).astype(np.uint8), scale=1 / 255)
    file.save(convert(Toy(), data(6)).network, tmp_path / "toy.snn")
    monkeypatch.setattr(converters, "open_source", lambda where, weights: Toy())
    words = ["bench", f"{tmp_path}/toy.snn", "--data", f"{tmp_path}/own.npz", "--against", "a.toy", "--repeat", "3"]
    assert main([*words, "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)["results"]] == ["spikerun", "toy"]


def test_bench_beside_a_network_with_a_time_loop_of_its_own_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "spikes.py").write_text(SPIKING)
    file.save(convert(Toy(), data(6)).network, tmp_path / "toy.snn")
    words = [f"{tmp_path}/toy.snn", "--data", "none.npz", "--against", f"{tmp_path}/spikes.py:leaky"]
    assert main(["bench", *words]) == 2
    assert "spikes.py:leaky has a time loop of its own: bench times networks without one" in capsys.readouterr().err


@pytest.mark.parametrize("names", [("input",), ("left", "right")])
def test_what_is_timed_gives_the_results_of_the_source(names: tuple[str, ...]) -> None:
    model = nn.Linear(6, 3) if len(names) == 1 else TwoInputs()
    shapes = {"input": (6,), "left": (6,), "right": (1, 4, 4)}
    batch = {name: np.random.default_rng(0).normal(size=(24, *shapes[name])) for name in names}
    source = TorchSource(model.train())
    found: Any = source.runner(batch, torch.get_num_threads())(5, 9)
    wanted = source.logits({name: values[5:9] for name, values in batch.items()})["output"]
    np.testing.assert_allclose(found.double().numpy(), wanted, rtol=1e-4)


def test_the_table_says_how_each_importer_is_addressed() -> None:
    assert {i.reads for i in converters.IMPORTERS.values()} == {"FILE.py:FUNCTION", "FILE.onnx", "FILE.nir"}
    with pytest.raises(UsageError, match=r"nothing reads the model 'net\.h5'.*FILE\.py:FUNCTION"):
        open_source("net.h5")


SPIKING = """
from torch import nn


def leaky():
    import snntorch

    return nn.Sequential(nn.Linear(6, 3), snntorch.Leaky(beta=0.9))


def both():
    import norse.torch

    return nn.Sequential(leaky(), norse.torch.LIFCell())


def plain():
    return nn.Linear(6, 3)
"""


@pytest.mark.parametrize(
    ("function", "origins"), [("leaky", ["snntorch"]), ("both", ["norse", "snntorch"]), ("plain", ["torch"])]
)
def test_a_source_must_be_of_what_is_said(function: str, origins: list[str], tmp_path: Path) -> None:
    (tmp_path / "spikes.py").write_text(SPIKING)
    where = f"{tmp_path}/spikes.py:{function}"
    for origin in ("torch", "snntorch", "norse", "sinabs"):
        if origin in origins:
            assert origin in open_source(where, origin=origin).name
        else:
            with pytest.raises(UsageError, match=f"--from says {origin}, but '.*:{function}' is of {origins[-1]}"):
                open_source(where, origin=origin)


def test_what_a_file_cannot_be_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--from says snntorch, but 'none\.nir' is of nir"):
        open_source("none.nir", origin="snntorch")
    with pytest.raises(UsageError, match=r"unknown framework 'nrose'\. Did you mean 'norse'"):
        open_source("none.py:build", origin="nrose")


def test_what_an_importer_lacks_is_said_with_its_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Importer(".toy", "FILE.toy", "a toy", "toys_that_nobody_has:open", "buy toys")
    monkeypatch.setattr(converters, "IMPORTERS", {".toy": row})
    with pytest.raises(
        UnsupportedError, match=r"FILE\.toy cannot be used here: No module .*'toys_that_nobody_has'; buy toys"
    ):
        open_source("a.toy")


@pytest.mark.parametrize("fits", [True, False])
def test_other_packages_add_importers(fits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    class Entry:
        name, value = (".toy" if fits else ".py"), "somewhere:row"

        @staticmethod
        def load() -> Importer:
            return Importer(".toy", "FILE.toy", "a toy", f"{__name__}:Toy", "")

    monkeypatch.setattr(plugins, "entry_points", lambda group: [Entry] if group == "spikerun.importers" else [])
    if fits:
        assert ".toy" in converters.importers()
    else:
        with pytest.raises(UnsupportedError, match="exists already"):
            converters.importers()


def test_a_model_is_named_in_python_as_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "toy_model.py").write_text("from torch import nn\n\n\ndef build():\n    return nn.Linear(6, 3)\n")
    network = convert(f"{tmp_path}/toy_model.py:build", data(6)).network
    assert network.populations["output"].shape == (3,)


class Returning(nn.Module):
    def __init__(self, wrapped: Any) -> None:
        super().__init__()
        self.layer, self.wrapped = nn.Linear(6, 3), wrapped

    def forward(self, x: torch.Tensor) -> Any:
        return self.wrapped(self.layer(x))


@pytest.mark.parametrize(
    ("wrapped", "outputs"),
    [
        (lambda y: {"logits": y}, ("logits",)),
        (lambda y: (y,), ("output",)),
        (lambda y: [y, F.relu(y)], ("output_0", "output_1")),
        (lambda y: {"early": y, "late": F.relu(y)}, ("early", "late")),
    ],
)
def test_results_have_the_names_that_the_model_gives_them(wrapped: Any, outputs: tuple[str, ...]) -> None:
    torch.manual_seed(0)
    model, samples = Returning(wrapped), data(6)
    conversion = convert(model, samples, bits=8)
    assert conversion.network.outputs == outputs
    ran = Session(conversion.network).run(samples)
    expected = evaluate(conversion.quantised, samples)
    real = TorchSource(model).logits({"input": samples / 255})
    for name in outputs:
        np.testing.assert_array_equal(ran.outputs[name], expected[name])
        scaled = conversion.network.populations[name].real(ran.outputs[name])
        assert np.abs(scaled - real[name]).mean() < 0.1 * real[name].std()


@pytest.mark.parametrize("wrapped", [lambda y: {"a": {"b": y}}, lambda y: {"a b": y}, lambda y: ()])
def test_results_that_have_no_plain_name_are_refused(wrapped: Any) -> None:
    with pytest.raises(ConversionError, match="return"):
        convert(Returning(wrapped), data(6))


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = nn.Linear(6, 5), nn.Conv2d(1, 2, 3), nn.Linear(13, 3)

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        both = torch.cat([F.relu(self.a(left)), F.relu(self.b(right)).flatten(1)], 1)
        return self.head(both)  # type: ignore[no-any-return]


@pytest.mark.parametrize("order", [("left", "right"), ("right", "left")])
def test_inputs_are_told_apart_by_name_and_encoded_each_in_its_way(order: tuple[str, str]) -> None:
    torch.manual_seed(0)
    model = TwoInputs()
    values = {"left": data(6), "right": data(1, 4, 4, high=16) - 8}
    encodings = {"left": Encoding(), "right": Encoding(bits=4, signed=True, scale=1 / 8, mean=0.1)}
    conversion = convert(model, {name: values[name] for name in order}, bits=8, encoding=encodings)
    network = conversion.network
    assert set(network.inputs) == {"left", "right"} and network.meta["right_mean"] == "0.1"
    ran = Session(network).run(values, trace=True)
    expected = conversion.gone.left(evaluate(conversion.quantised, values))
    for name in expected.keys() - {"output"}:
        np.testing.assert_array_equal(ran.words[name], expected[name], err_msg=name)
    with torch.no_grad():
        ann = model(*(torch.from_numpy(encodings[n].real(values[n])).float() for n in ("left", "right"))).numpy()
    assert np.abs(ran.logits - ann).mean() < 0.1 * ann.std()


def test_names_of_inputs_must_be_those_of_the_encodings() -> None:
    with pytest.raises(ValueError, match="the inputs are left"):
        convert(TwoInputs(), {"left": data(6), "right": data(1, 4, 4)}, encoding={"left": Encoding()})


def test_a_model_of_lower_precision_is_compared_in_float32() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)).bfloat16()
    convert(model, data(1, 8, 8))
    assert model[1].weight.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (lambda: nn.LazyLinear(3), "run the model once"),
        (lambda: nn.Linear(6, 3, device="meta"), "load its weights first"),
        (lambda: nn.Linear(6, 3, dtype=torch.complex64), "real and dense"),
    ],
)
@pytest.mark.filterwarnings("ignore:Lazy modules")
@pytest.mark.filterwarnings("ignore:Complex modules")
def test_weights_without_real_values_are_refused_by_name(layer: Any, words: str) -> None:
    with pytest.raises(ConversionError, match=f"'weight' of the model.*{words}"):
        convert(layer(), data(6))

# SPDX-License-Identifier: Apache-2.0
"""ANNs whose activations become rates: how near they come, what fitting gains, what is refused, the command."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from spikerun import Encoding, convert_spiking
from spikerun.chip import CHIPS, check_chip
from spikerun.cli import main
from spikerun.converters.graph import (
    Add,
    Affine,
    Conv,
    Flatten,
    Graph,
    Input,
    Linear,
    Multiply,
    Node,
    Output,
    Rearrange,
    Relu,
)
from spikerun.converters.spiking.rate import folded, rates
from spikerun.converters.spiking.refit import refitted
from spikerun.converters.spiking.step import Readout, Step, outputs
from spikerun.errors import ConversionError, UsageError
from spikerun.session import Session

Array = npt.NDArray[Any]
CURRENT = Encoding(code="current")


def ann(rng: np.random.Generator, inputs: int = 12, hidden: int = 16, classes: int = 4) -> Graph:
    """Return input -> linear -> relu -> linear -> relu -> linear -> output."""

    def linear(out: int, inner: int) -> Linear:
        return Linear(rng.normal(0, (2 / inner) ** 0.5, (out, inner)), rng.normal(0, 0.1, out))

    nodes = [
        Node("input", Input("input"), (), (inputs,)),
        Node("fc1", linear(hidden, inputs), ("input",), (hidden,)),
        Node("relu1", Relu(), ("fc1",), (hidden,)),
        Node("fc2", linear(hidden, hidden), ("relu1",), (hidden,)),
        Node("relu2", Relu(), ("fc2",), (hidden,)),
        Node("fc3", linear(classes, hidden), ("relu2",), (classes,)),
        Node("out", Output("output"), ("fc3",), (classes,)),
    ]
    return Graph({node.name: node for node in nodes})


def noise(graph: Graph, fitted: Graph, samples: Array, steps: int) -> float:
    """Return the power of what the means of the results lack, relative to the variance of the ANN's results."""
    wanted = graph.evaluate({"input": samples})["output"]
    found = outputs(Step(fitted, {"output": Readout("mean")}), {"input": samples}, steps)["output"]
    return float(np.square(found - wanted).mean() / wanted.var())


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 2**31))
def test_rates_come_near_to_the_ann_with_a_reset_by_subtraction_and_many_steps(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph, samples = ann(rng), rng.random((400, 12))
    fitted, _ = rates(graph, {"input": samples[:300]}, 128, "subtract")
    assert noise(graph, fitted, samples[300:], 128) < 0.02


def test_more_steps_are_nearer_with_either_reset() -> None:
    rng = np.random.default_rng(1)
    graph, samples = ann(rng), rng.random((400, 12))
    for reset in ("zero", "subtract"):
        few, many = (
            noise(graph, rates(graph, {"input": samples[:300]}, steps, reset)[0], samples[300:], steps)
            for steps in (8, 64)
        )
        assert many < few / 4, reset


def test_weights_fitted_to_rates_beat_thresholds_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    graph = ann(rng, 30, 40)
    samples = np.maximum(rng.random((700, 6)) @ rng.normal(size=(6, 30)), 0) / 3  # that come together, as pixels do

    def both() -> float:
        return noise(graph, rates(graph, {"input": samples[:600]}, 16, "zero")[0], samples[600:], 16)

    fitted = both()
    monkeypatch.setattr("spikerun.converters.spiking.rate.refitted", lambda op, x, y, rectified: op)
    assert fitted < 0.5 * both()


def test_what_looks_far_below_zero_takes_no_room_on_a_chip() -> None:
    torch.manual_seed(0)
    model, data = cnn().eval(), images()
    with torch.no_grad():
        model[1].bias[0] = -40.0  # its neurons sink by many thresholds in every step
    report = convert_spiking(
        model, data, duration=32, neuron="if", reset="zero", encoding=CURRENT, limits="loihi2"
    ).report
    assert max(layer.weight_error for layer in report.on_chip) < 10


def test_what_is_fitted_finds_the_map_that_led_from_rates_to_sums() -> None:
    rng = np.random.default_rng(3)
    x, true = rng.random((500, 10)), Linear(rng.normal(size=(3, 10)), rng.normal(size=3))
    found = refitted(Linear(true.weight * 0.8, np.zeros(3)), x, true.apply(x), False)
    np.testing.assert_allclose(found.apply(x), true.apply(x), atol=0.02)


def test_sums_below_zero_are_free_where_a_rectifier_follows() -> None:
    rng = np.random.default_rng(4)
    x = rng.random((800, 6))
    wanted = Linear(rng.normal(size=(2, 6)), np.zeros(2)).apply(x)
    bent = np.where(wanted < 0, wanted**3 - 1, wanted)  # nothing linear leads there
    start = Linear(np.zeros((2, 6)), np.zeros(2))
    errors = [
        np.square(np.maximum(refitted(start, x, bent, r).apply(x), 0) - np.maximum(wanted, 0)).mean()
        for r in (True, False)
    ]
    assert errors[0] < 0.3 * errors[1]


def chained(*parts: tuple[str, Any, tuple[str, ...], tuple[int, ...]]) -> Graph:
    """Return a graph of named operators, their inputs and shapes."""
    return Graph({name: Node(name, op, inputs, shape) for name, op, inputs, shape in parts})


@pytest.mark.parametrize("size", [1, 4])
def test_a_batch_norm_is_folded_into_the_map_that_it_alone_reads(size: int) -> None:
    rng = np.random.default_rng(size)
    conv, norm = Conv(rng.normal(size=(4, 2, 3, 3)), rng.normal(size=4)), Affine(*rng.normal(size=(2, size)))
    linear, again = Linear(rng.normal(size=(5, 16)), rng.normal(size=5)), Affine(*rng.normal(size=(2, 5)))
    graph = chained(
        ("in", Input("input"), (), (2, 4, 4)), ("conv", conv, ("in",), (4, 2, 2)), ("norm", norm, ("conv",), (4, 2, 2)),
        ("flat", Flatten(), ("norm",), (16,)), ("fc", linear, ("flat",), (5,)), ("bn", again, ("fc",), (5,)),
        ("both", Add(), ("bn", "fc"), (5,)), ("out", Output("output"), ("both",), (5,)),
    )  # fmt: skip
    made, x = folded(graph), rng.normal(size=(3, 2, 4, 4))
    assert list(made.nodes) == ["in", "conv", "flat", "fc", "bn", "both", "out"]  # of `fc` there are two readers
    np.testing.assert_allclose(made.evaluate({"input": x})["output"], graph.evaluate({"input": x})["output"])


def two_ways(rng: np.random.Generator) -> Graph:
    """Return input -> linear -> relu -> two linears that add up -> relu -> linear; all have biases."""

    def linear(out: int, inner: int) -> Linear:
        return Linear(rng.normal(0, (2 / inner) ** 0.5, (out, inner)), rng.normal(0.3, 0.1, out))

    return chained(
        ("in", Input("input"), (), (12,)), ("fc1", linear(16, 12), ("in",), (16,)), ("relu1", Relu(), ("fc1",), (16,)),
        ("a", linear(16, 16), ("relu1",), (16,)), ("b", linear(16, 16), ("relu1",), (16,)),
        ("sum", Add(), ("a", "b"), (16,)), ("relu2", Relu(), ("sum",), (16,)), ("fc3", linear(4, 16), ("relu2",), (4,)),
        ("out", Output("output"), ("fc3",), (4,)),
    )  # fmt: skip


def test_biases_go_into_membranes_from_all_that_leads_to_a_cell() -> None:
    rng = np.random.default_rng(5)
    graph, samples = two_ways(rng), rng.random((400, 12))
    fitted, layers = rates(graph, {"input": samples[:300]}, 64, "subtract")
    ops: dict[str, Any] = {name: node.op for name, node in fitted.nodes.items()}
    assert not any(ops[name].bias.any() for name in ("fc1", "a", "b"))
    assert all(ops[name].bias.all() for name in ("relu1", "relu2", "fc3"))
    assert noise(graph, fitted, samples[300:], 64) < 0.02
    assert [layer.name for layer in layers] == ["relu1", "relu2"]


def test_a_bias_that_others_read_as_well_stays_where_it_is() -> None:
    rng = np.random.default_rng(9)
    graph, samples = ann(rng), rng.random((300, 12))
    nodes = {name: node for name, node in graph.nodes.items() if name != "out"}
    nodes["fc3"] = replace(nodes["fc3"], op=replace(nodes["fc3"].op, weight=rng.normal(0, 0.3, (16, 16)),  # type: ignore[type-var,call-arg]
                                                    bias=np.zeros(16)), shape=(16,))  # fmt: skip
    nodes["both"] = Node("both", Add(), ("fc3", "fc2"), (16,))
    nodes["out"] = Node("out", Output("output"), ("both",), (16,))
    fitted, _ = rates(Graph(nodes), {"input": samples}, 64, "subtract")
    shared: Any = fitted.nodes["fc2"].op
    assert shared.bias.all()
    assert noise(Graph(nodes), fitted, samples, 64) < 0.02


def test_figures_are_those_of_the_cells() -> None:
    rng = np.random.default_rng(6)
    graph, samples = ann(rng), rng.random((300, 12))
    fitted, layers = rates(graph, {"input": samples}, 20, "zero")
    assert layers[0].keep == 0 < layers[1].keep  # there is nothing to smooth of currents that are the same in each step
    for layer, name in zip(layers, ("relu1", "relu2"), strict=True):
        cell: Any = fitted.nodes[name].op
        gain: Any = fitted.nodes[f"{name}_scaled"].op
        assert layer.threshold == pytest.approx((1 / gain.scale.max(), 1 / gain.scale.min()))
        assert (layer.keep, cell.threshold) == (float(cell.keep_u), 1)
        nodes = {k: n for k, n in fitted.nodes.items() if not isinstance(n.op, Output)}
        seen = Graph({**nodes, "end": Node("end", Output("end"), (name,), (16,))})
        sent = outputs(Step(seen, {"end": Readout("mean")}), {"input": samples}, 20)["end"]
        assert layer.rate == pytest.approx((sent / np.broadcast_to(cell.factor, 16)).mean(), rel=1e-2)
        assert layer.signal_to_noise > 5


def test_rectifiers_that_are_bounded_or_behind_what_is_positive_become_cells_or_nothing() -> None:
    rng = np.random.default_rng(7)
    weight = np.abs(rng.normal(size=(6, 12)))
    graph = chained(
        ("in", Input("input"), (), (12,)), ("fc", Linear(weight, np.zeros(6)), ("in",), (6,)),
        ("relu", Relu(), ("fc",), (6,)), ("same", Relu(), ("relu",), (6,)), ("bound", Relu(2.0), ("same",), (6,)),
        ("out", Output("output"), ("bound",), (6,)),
    )  # fmt: skip
    fitted, layers = rates(graph, {"input": rng.random((200, 12))}, 16, "subtract")
    assert [layer.name for layer in layers] == ["relu", "bound"]
    assert isinstance(fitted.nodes["same"].op, Relu)


def test_samples_over_time_are_fitted_to_their_mean() -> None:
    rng = np.random.default_rng(8)
    graph, x = ann(rng), rng.random((400, 1, 12))
    spikes = (rng.random((400, 64, 12)) < x).astype(np.float64)
    fitted, layers = rates(graph, {"input": spikes[:300]}, 64, "subtract", frozenset({"input"}))
    assert layers[0].keep > 0
    wanted = graph.evaluate({"input": spikes[300:].mean(axis=1)})["output"]
    step = Step(fitted, {"output": Readout("mean")}, timed=frozenset({"input"}))
    found = outputs(step, {"input": spikes[300:]}, 64)["output"]
    assert np.square(found - wanted).mean() < 0.05 * wanted.var()


def cnn() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(24, 3),
    )  # fmt: skip


def images(count: int = 96) -> Array:
    rng = np.random.default_rng(0)
    return (rng.integers(0, 256, (count, 1, 8, 8)) * (rng.random((count, 1, 8, 8)) > 0.3)).astype(np.uint8)


@pytest.mark.parametrize("limits", [None, "loihi2"])
def test_a_cnn_in_integers_gives_results_near_its_own(limits: str | None) -> None:
    torch.manual_seed(0)
    model, data = cnn().eval(), images()
    found = convert_spiking(model, data, duration=32, neuron="if", reset="zero", encoding=CURRENT, limits=limits)
    kinds = {name: p.neuron.kind for name, p in found.network.populations.items()}
    assert list(kinds.values()) == ["input", "lif", "lif", "readout"]
    assert limits is None or not check_chip(found.network, CHIPS[limits])
    (integers,) = Session(found.network).run(data).outputs.values()
    snn = found.network.populations[list(kinds)[-1]].real(integers)
    with torch.no_grad():
        own = model(torch.from_numpy(data).float() / 255).numpy()
    assert np.square(snn - own).mean() < 0.1 * own.var()


def test_the_report_says_how_near_the_rates_are_and_what_they_cost() -> None:
    torch.manual_seed(0)
    data, labels = images(), np.arange(96) % 3
    report = convert_spiking(
        cnn().eval(), data, duration=16, neuron="if", encoding=CURRENT, evaluation=(data, labels)
    ).report
    assert [layer.signal_to_noise > 5 for layer in report.rates] == [True, True]
    assert report.macs is not None and report.macs > 0
    assert report.synops_per_sample is not None and report.synops_per_sample > 0
    assert report.accuracy is not None
    text = report.text()
    assert "MACs of the ANN" in text and "signal to noise dB" in text and "what was read" not in text


@pytest.mark.parametrize("last", [nn.Softmax(dim=1), nn.Sigmoid()])
def test_what_a_network_ends_with_and_rates_need_not_compute_is_left_out_and_said(last: nn.Module) -> None:
    torch.manual_seed(0)
    model, data = cnn().eval(), images()
    ended = nn.Sequential(model, last)
    plain, made = (convert_spiking(m, data, duration=8, neuron="if", encoding=CURRENT) for m in (model, ended))
    results = [Session(one.network).run(data).logits for one in (plain, made)]
    np.testing.assert_array_equal(*results)
    assert any("was left out" in note for note in made.report.notes) and not plain.report.notes
    assert made.network.macs == made.report.macs == plain.network.macs


def test_a_max_pool_is_refused_with_what_to_do() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 2))
    with pytest.raises(ConversionError, match=r"max_pool2d.*train with average pools or strided convolutions"):
        convert_spiking(model, images(), duration=8, neuron="if", encoding=CURRENT)


def test_a_curve_is_refused_with_what_to_do() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.SiLU(), nn.Flatten(), nn.Linear(72, 2))
    with pytest.raises(ConversionError, match=r"aten.silu.*'silu' is no rate of .*train with ReLU"):
        convert_spiking(model, images(), duration=8, neuron="if", encoding=CURRENT)


def test_products_are_refused_by_place() -> None:
    nodes = [
        Node("input", Input("input"), (), (3,)),
        Node("relu", Relu(), ("input",), (3,)),
        Node("gate", Multiply(), ("input", "relu"), (3,)),
        Node("out", Output("output"), ("gate",), (3,)),
    ]
    with pytest.raises(ConversionError, match=r"multiplies values.*\n  - gate"):
        rates(Graph({node.name: node for node in nodes}), {"input": np.ones((4, 3))}, 8, "zero")


def test_values_that_are_moved_stay_at_their_places_while_rates_are_fitted() -> None:
    order = np.array([2, 0, 1, -1])
    nodes = [
        Node("input", Input("input"), (), (3,)),
        Node("relu", Relu(), ("input",), (3,)),
        Node("moved", Rearrange(order, 0.0), ("relu",), (4,)),
        Node("out", Output("output"), ("moved",), (4,)),
    ]
    samples = np.random.default_rng(0).random((64, 3))
    graph = Graph({node.name: node for node in nodes})
    fitted, _ = rates(graph, {"input": samples}, 64, "subtract")
    assert noise(graph, fitted, samples, 64) < 0.01


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"neuron": "izhikevich", "duration": 8}, "izhikevich"),
        ({"neuron": "if", "reset": "half", "duration": 8}, "half"),
        ({"reset": "zero", "duration": 8}, "--neuron if"),
        ({"neuron": "if"}, "--duration"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        convert_spiking(cnn().eval(), images(), encoding=CURRENT, **options)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    (tmp_path / "model.py").write_text(
        "from torch import nn\n\n\ndef build():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.ReLU(), "
        "nn.Linear(20, 3))\n"
    )
    torch.manual_seed(1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.ReLU(), nn.Linear(20, 3))
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    np.savez(tmp_path / "data.npz", samples=images(), labels=np.arange(96) % 3)
    return [
        "convert", f"{tmp_path / 'model.py'}:build", "--weights", str(tmp_path / "w.safetensors"), "--calibration",
        str(tmp_path / "data.npz"), "-o", str(tmp_path / "out.snn"),
    ]  # fmt: skip


@pytest.mark.parametrize("form", [[], ["--input", "rate"]], ids=["current", "rate"])
def test_the_command_converts_and_measures(
    files: list[str], form: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*files, "--neuron", "if", "--reset", "zero", "--duration", "24", "--quiet", *form]) == 0
    said = capsys.readouterr().out
    assert "MACs of the ANN" in said and "accuracy on 96 samples" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--neuron", "if", "--duration", "8", "--bits", "4"], "--bits"),
        (["--neuron", "if", "--duration", "8", "--sweep"], "--sweep"),
        (["--neuron", "if", "--duration", "8", "--input", "latency"], "--input current or rate"),
        (["--reset", "zero"], "--neuron if"),
        (["--duration", "8"], "--duration"),
    ],
)
def test_options_that_exclude_each_other_are_refused(
    files: list[str], options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*files, *options]) == 2
    assert message in " ".join(capsys.readouterr().err.split())

# SPDX-License-Identifier: Apache-2.0
"""Spiking networks in the arithmetic of a chip: inside it, spike for spike where that can be, and refused by name."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from steps import STEPS, Given, graph, linear, recurrent, seen, two_layers

from spikerun.chip import CHIPS, check_chip
from spikerun.cli import main
from spikerun.converters import convert, convert_spiking
from spikerun.converters.encoding import Encoding
from spikerun.converters.graph import AvgPool, Conv, Flatten, Graph, Input, Linear, MaxPool, Node, Output
from spikerun.converters.layers import Layer
from spikerun.converters.maps import DenseMap, Term
from spikerun.converters.spiking.cell import Cell, Previous
from spikerun.converters.spiking.limits import Limited, within
from spikerun.converters.spiking.limits import limited as chip_limited
from spikerun.converters.spiking.lower import Spiking
from spikerun.converters.spiking.report import SpikingConversion
from spikerun.converters.spiking.step import Readout, Step, outputs
from spikerun.errors import ConversionError, UsageError
from spikerun.reference import stepped
from spikerun.session import Session

SPIKES = Encoding(scale=1, bits=1, code="current")


def limited(
    step: Step, shape: Sequence[int], chip: str = "loihi2", encoding: Encoding = SPIKES, seed: int = 0
) -> SpikingConversion:
    """Return the conversion of a step for random samples; it is inside the chip's arithmetic."""
    samples = drawn(shape, encoding.bits, seed)
    conversion = convert_spiking(Given(step), samples, duration=STEPS, encoding=encoding, limits=chip)
    assert check_chip(conversion.network, CHIPS[chip]) == []
    return conversion


def drawn(shape: Sequence[int], bits: int, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 2**bits, (16, *shape)) * (rng.random((16, *shape)) < 0.5)


def changed(step: Step, **ops: Any) -> Step:
    """Return the step with other operators at some nodes."""
    nodes = dict(step.graph.nodes)
    return replace(step, graph=Graph(nodes | {name: replace(nodes[name], op=op) for name, op in ops.items()}))


def unbiased(rng: np.random.Generator, sizes: tuple[int, int, int] = (30, 40, 5), **cell: Any) -> Step:
    """Return two layers without biases."""
    step = two_layers(rng, sizes, **cell)
    fc: dict[str, Any] = {name: step.graph.nodes[name].op for name in ("fc1", "fc2")}
    return changed(step, **{name: replace(op, bias=0 * op.bias) for name, op in fc.items()})


RULES: list[dict[str, Any]] = [
    {"reset": "value", "keep_v": 1.0, "inclusive": True},
    {"reset": "value", "keep_v": 0.6},
    {"reset": "subtract", "keep_v": 0.9, "inclusive": True},
    {"reset": "subtract_after_leak", "keep_v": 0.95},
    {"reset": "value", "keep_v": 0.9, "keep_u": 0.7, "gain": 0.4},
]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_most_spikes_are_those_of_the_model(rule: dict[str, Any]) -> None:
    conversion = limited(unbiased(np.random.default_rng(3), **rule), (30,))
    for cell in conversion.report.cells:
        assert cell.same_as_model >= 70, cell
        assert cell.same_as_float_state >= 90, cell
        assert cell.spikes > 0, cell


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("reset", ["value", "subtract"])
@pytest.mark.parametrize("seed", range(2))
def test_all_spikes_are_those_of_the_model_where_weights_are_representable(
    seed: int, reset: str, inclusive: bool
) -> None:
    """A subtraction needs the threshold itself, so there `>=` is `>`."""
    rng = np.random.default_rng(seed)
    step = two_layers(rng, (12, 20, 4), reset=reset, keep_v=1.0, threshold=5.0, inclusive=inclusive)
    ops = {
        name: Linear(rng.integers(-1, 2, (out, inner)).astype(float), rng.integers(-1, 2, out).astype(float))
        for name, out, inner in (("fc1", 20, 12), ("fc2", 4, 20))
    }
    conversion = limited(changed(step, **ops), (12,))
    assert all(cell.spikes > 0 for cell in conversion.report.cells)
    assert [layer.weight_error for layer in conversion.report.on_chip] == [0, 0]
    exact = all(cell.same_as_model == 100 for cell in conversion.report.cells)
    assert exact == (reset == "value" or not inclusive)


def test_thresholds_of_channels_are_evened_out_by_weights() -> None:
    step = unbiased(np.random.default_rng(1), reset="value", keep_v=0.9, threshold=1.0)
    plain = limited(step, (30,)).network.populations["lif1"].neuron
    thresholds = np.geomspace(0.5, 4, 40)
    fc: Any = step.graph.nodes["fc1"].op
    ops = {
        "fc1": replace(fc, weight=fc.weight * thresholds[:, None]),
        "lif1": Cell.of("lif1", reset="value", keep_v=0.9, threshold=thresholds),
    }
    conversion = limited(changed(step, **ops), (30,))
    evened: Any = conversion.network.populations["lif1"].neuron
    assert evened.threshold == plain.threshold  # type: ignore[attr-defined]
    assert conversion.report.cells[0].same_as_model >= 90


def test_the_threshold_is_the_largest_at_which_the_largest_weight_fits() -> None:
    conversion = limited(unbiased(np.random.default_rng(2), keep_v=0.9), (30,))
    for p in conversion.network.projections:
        connection: Any = p.connection
        assert p.exponent == 1
        assert abs(connection.weight.astype(int)).max() >= 126


def images(rng: np.random.Generator, pool: Any) -> Step:
    """Return conv -> cell -> pool -> linear -> sum of all steps."""
    cell: dict[str, Any] = {"reset": "value", "keep_v": 0.9, "threshold": 1.0}
    conv = Conv(rng.normal(0, 0.5, (4, 1, 3, 3)), rng.normal(0, 0.1, 4), padding=(1, 1))
    return Step(
        graph(
            Node("input", Input("input"), (), (1, 8, 8)),
            Node("conv", conv, ("input",), (4, 8, 8)),
            Node("lif1", Cell.of("lif1", **cell), ("conv",), (4, 8, 8)),
            Node("pool", pool, ("lif1",), (4, 4, 4)),
            Node("lif2", Cell.of("lif2", **cell), ("pool",), (4, 4, 4)),
            Node("flat", Flatten(), ("lif2",), (64,)),
            Node("fc", linear(rng, 5, 64), ("flat",), (5,)),
            Node("out", Output("output"), ("fc",), (5,)),
        ),
        {"output": Readout("count")},
    )  # fmt: skip


def test_images_averages_and_sums_are_inside() -> None:
    step = images(np.random.default_rng(6), AvgPool((2, 2), (2, 2), (0, 0), 4.0))
    conversion = limited(step, (1, 8, 8))
    kinds = {p.connection.kind: p.exponent for p in conversion.network.projections}
    assert kinds == {"conv": 1, "sum_pool": 1, "dense": 1}
    samples = drawn((1, 8, 8), 1)
    result = Session(conversion.network).run(samples)
    expected = outputs(step, {"input": samples.astype(np.float64)}, STEPS)["output"]
    assert np.corrcoef(result.logits.ravel(), expected.ravel())[0, 1] > 0.98
    assert abs(result.outputs["output"]).max() * 2 <= 2**17


def test_max_pools_are_refused_with_what_to_do() -> None:
    pool = MaxPool((2, 2), (2, 2), (0, 0), (1, 1))
    with pytest.raises(ConversionError, match="is a max pool, which loihi2 cannot do: train with average pools"):
        limited(images(np.random.default_rng(6), pool), (1, 8, 8))
    step = images(np.random.default_rng(6), pool)
    nodes = dict(step.graph.nodes)
    del nodes["lif1"]
    nodes["pool"] = replace(nodes["pool"], inputs=("conv",))
    with pytest.raises(ConversionError, match="what leads from 'input' to 'lif2' is a max pool"):
        limited(replace(step, graph=Graph(nodes)), (1, 8, 8))


def test_a_projection_beside_much_larger_ones_has_a_smaller_exponent() -> None:
    rng = np.random.default_rng(5)
    step = recurrent(rng, 16, 16)
    back: Any = step.graph.nodes["rec"].op
    fc: Any = step.graph.nodes["fc"].op
    large = changed(step, rec=Linear(20 * back.weight, 0 * back.bias), fc=replace(fc, bias=0 * fc.bias))
    conversion = limited(large, (16,))
    exponents = {p.source: (p.exponent, p.delay) for p in conversion.network.projections}
    assert exponents["input"][0] < exponents["lif"][0]
    assert exponents["lif"][1] == 1
    assert conversion.report.on_chip[0].weight_error < 3


@pytest.mark.parametrize("rule", ["last", "max", "mean"])
@pytest.mark.parametrize("cell", [{"threshold": np.inf}, {"threshold": 1.0}, {"threshold": np.inf, "offset": -0.7}])
def test_membranes_that_never_fire_are_read(rule: str, cell: dict[str, Any]) -> None:
    step = unbiased(np.random.default_rng(4), (30, 40, 5), keep_v=0.9)
    end: dict[str, Any] = {"reset": "none", "keep_v": 0.9, "v_init": -cell.get("offset", 0.0)} | cell
    step = seen(changed(step, lif2=Cell.of("lif2", **end)), Readout(rule))
    conversion = limited(step, (30,))
    neuron: Any = conversion.network.populations["lif2"].neuron
    assert (neuron.reset, neuron.threshold) == ("value", 131071 << 6)
    samples = drawn((30,), 1)
    result = Session(conversion.network).run(samples).logits
    expected = outputs(step, {"input": samples.astype(np.float64)}, STEPS)["output"]
    assert np.abs(result - expected).mean() < 0.1 * np.abs(expected).std()
    rests = Session(conversion.network).run(0 * samples).logits
    np.testing.assert_allclose(rests, outputs(step, {"input": 0.0 * samples}, STEPS)["output"], atol=0.03)


def test_groups_of_spikes_are_counted_by_weights_of_the_chip() -> None:
    step = replace(unbiased(np.random.default_rng(7), (30, 20, 12)), readouts={"output": Readout("count", 3)})
    net = limited(step, (30,)).network
    counts = Session(replace(net, outputs=("lif2", *net.outputs))).run(drawn((30,), 1))
    groups = counts.outputs["lif2"].reshape(16, 3, 4).sum(axis=2)
    np.testing.assert_array_equal(Session(net).run(drawn((30,), 1)).logits, groups)


def test_a_wide_state_has_twice_the_room_of_the_calibration() -> None:
    step = unbiased(np.random.default_rng(2), (120, 20, 5), reset="value", keep_v=1.0)
    fc: Any = step.graph.nodes["fc1"].op
    sinking = replace(fc, weight=fc.weight - 10 * abs(fc.weight[:, :1]))
    assert 40 <= limited(changed(step, fc1=sinking), (120,)).report.cells[0].peak <= 51


def test_sums_have_twice_the_room_of_the_calibration() -> None:
    step = two_layers(np.random.default_rng(2), (120, 60, 5), reset="value", threshold=0.1)
    fc: Any = step.graph.nodes["fc2"].op
    nodes = {name: node for name, node in step.graph.nodes.items() if name != "lif2"}
    nodes["fc2"] = replace(nodes["fc2"], op=replace(fc, weight=abs(fc.weight) + 10))
    nodes["out"] = replace(nodes["out"], inputs=("fc2",))
    net = limited(replace(step, graph=Graph(nodes)), (120,)).network
    sums = abs(Session(net).run(drawn((120,), 1)).outputs["output"]).max()
    assert 40 <= 100 * sums / 2**17 <= 51


def test_payloads_are_for_the_second_generation_and_cost_precision() -> None:
    step = unbiased(np.random.default_rng(3), reset="value", keep_v=0.6)
    with pytest.raises(ConversionError, match=r"'input' sends integers of 8 bits, and loihi1 has no .*--input rate"):
        limited(step, (30,), "loihi1", Encoding(code="current"))
    report = limited(step, (30,), "loihi2", Encoding(code="current")).report
    assert report.on_chip[0].weight_error > report.on_chip[1].weight_error
    assert limited(step, (30,), "loihi1").report.limits == "loihi1"


def test_the_report_says_what_a_layer_is_on_the_chip() -> None:
    report = limited(unbiased(np.random.default_rng(3), reset="value", keep_v=0.9), (30,)).report
    layer = report.on_chip[0]
    assert (layer.du, layer.dv, layer.exponents) == (4096, 410, (1,))
    assert f"lif1       {layer.vth}  4096  410  1" in report.text()
    assert report.json()["on_chip"][0]["vth"] == layer.vth
    assert not report.notes


def test_weights_that_are_rounded_much_are_remarked_on() -> None:
    step = unbiased(np.random.default_rng(3), (200, 20, 5), reset="value", keep_v=1.0)
    report = limited(step, (200,), "loihi2", Encoding(code="current")).report
    assert report.on_chip[0].weight_error > 10
    assert "rounding changes the weights into 'lif1' by" in report.text()


def test_where_nothing_is_left_of_weights_it_is_said() -> None:
    step = unbiased(np.random.default_rng(3), reset="value", bias=1e5)
    with pytest.raises(ConversionError, match=r"'lif1': currents, .* from 'input' that nothing is left of some of"):
        limited(step, (30,))


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ({"keep_v": np.linspace(0.8, 0.9, 40)}, r"keeps 0\.8\.\.0\.9 of its membranes in a step"),
        ({"keep_u": np.linspace(0.8, 0.9, 40)}, r"keeps 0\.8\.\.0\.9 of its synaptic currents in a step"),
        ({"keep_u": 1.0}, "keeps its synaptic currents for ever"),
        ({"keep_u": 0.5, "bias_u": 0.1}, "has a bias into its synaptic currents, and loihi2 has none there"),
        ({"v_min": -1.0}, r"has a floor of -1, and loihi2 has none: train without it"),
        ({"v_init": 0.5}, r"starts at 0\.5 \(magnitude\), and on loihi2 it is 0"),
        ({"v_reset": -0.5}, r"is reset to 0\.5 \(magnitude\), and on loihi2 it is 0"),
        ({"refractory": 2}, "is refractory for 2 steps, which is not converted for loihi2"),
        ({"reset": "none"}, "sends spikes without a reset, and loihi2 always resets"),
        ({"threshold": 0.0}, "has thresholds of 0, or infinite beside others"),
        ({"threshold": np.array([np.inf] + 39 * [1.0])}, "has thresholds of 0, or infinite beside others"),
    ],
)
def test_neurons_that_a_chip_does_not_have_are_refused_by_name(cell: dict[str, Any], message: str) -> None:
    step = unbiased(np.random.default_rng(0))
    with pytest.raises(ConversionError, match=f"'lif1' {message}"):
        limited(changed(step, lif1=Cell.of("lif1", **{"reset": "value", "threshold": 1.0} | cell)), (30,))


def test_a_bias_before_a_synaptic_current_is_refused() -> None:
    with pytest.raises(ConversionError, match="'lif1' has a bias into its synaptic currents"):
        limited(two_layers(np.random.default_rng(0), keep_u=0.5), (30,))


def test_thresholds_within_a_channel_cannot_differ() -> None:
    step = images(np.random.default_rng(6), AvgPool((2, 2), (2, 2), (0, 0), 4.0))
    uneven = Cell.of("lif1", reset="value", threshold=np.linspace(1, 2, 256).reshape(4, 8, 8))
    with pytest.raises(ConversionError, match="'lif1' has thresholds that differ within a channel"):
        limited(changed(step, lif1=uneven), (1, 8, 8))


def test_delays_are_those_that_a_chip_has() -> None:
    step = recurrent(np.random.default_rng(5), 16, 16)
    assert limited(changed(step, before=Previous("lif", 62)), (16,))
    with pytest.raises(ConversionError, match="the spikes of 'lif' reach 'lif' after 63 steps"):
        limited(changed(step, before=Previous("lif", 63)), (16,))


def layer(weight: Any, **cell: Any) -> Limited:
    """Return a layer of spikes into one cell, in the arithmetic of Loihi 2."""
    made = Cell.of("lif", **{"reset": "value"} | cell)
    weight = np.asarray(weight, float)
    term = Term("input", (weight.shape[1],), (weight.shape[1],), DenseMap(weight), 0, len(weight))
    real = Layer("lif", weight.shape[:1], (term,), np.zeros(len(weight)), Spiking(made))
    return chip_limited(real, made, {"input": 1}, CHIPS["loihi2"], "count", STEPS, 1.0, np.zeros(len(weight)))


@pytest.mark.parametrize(
    ("cell", "bias", "below"),
    [({}, 0.0, 1), ({}, 3.0, 1), ({}, 0.5, 0), ({"keep_v": 0.6}, 0.0, 0), ({"keep_u": 0.5}, 0.0, 0),
     ({"reset": "subtract"}, 0.0, 0), ({"inclusive": False}, 0.0, 0)],
    ids=str,
)  # fmt: skip
def test_a_threshold_that_may_be_met_is_one_less_where_membranes_are_whole(
    cell: dict[str, Any], bias: float, below: int
) -> None:
    made = layer([[1.0, 0.5]], threshold=4.0, **{"inclusive": True, "keep_v": 1.0} | cell)
    made = replace(made, bias=np.array([bias]) * 4 / made.x)
    neuron: Any = made.neuron(0)
    assert int(neuron.threshold) == (made.x - below) << 6


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.875])
def test_a_bias_beside_currents_that_are_kept_is_their_steady_state(keep: float) -> None:
    made = replace(layer([[1.0, 0.5]], threshold=4.0, keep_u=keep, gain=0.5), bias=np.array([0.02]))
    neuron: Any = made.neuron(0)
    steady = 0.02 * 0.5 / (1 - keep)
    assert float(np.ravel(neuron.bias * made.unit / 64)[0]) == pytest.approx(steady, rel=0.02)


def test_currents_and_membranes_leak_by_at_least_and_at_most_what_a_chip_can() -> None:
    made = layer([[1.0, 0.5]], threshold=4.0, keep_u=1 - 1e-6, keep_v=0.0)
    assert (made.du, made.dv) == (1, 4095)
    assert not check_chip(limited(unbiased(np.random.default_rng(0), keep_u=1 - 1e-6, keep_v=0.0), (30,)).network,
                          CHIPS["loihi2"])  # fmt: skip


def test_weights_rounded_together_are_left_where_currents_could_wrap() -> None:
    made, chip = layer([[1.0, 0.5]], threshold=4.0), CHIPS["loihi2"]
    wide = replace(made, terms=tuple(replace(term, exponent=10) for term in made.terms))
    assert within(wide, made, {"input": 1}, chip) is made
    other = replace(made)
    assert within(other, made, {"input": 1}, chip) is other


@settings(max_examples=12)
@given(st.data())
def test_every_network_is_inside_and_runs_as_the_reference(data: st.DataObject) -> None:
    """Whatever a cell is: a chip's network, or a refusal; `limited` asserts that nothing is outside."""
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    reset = data.draw(st.sampled_from(["value", "subtract", "subtract_after_leak"]))
    number = st.floats(0.01, 100)
    cell = {
        "reset": reset, "keep_v": data.draw(st.floats(0, 1)), "keep_u": data.draw(st.sampled_from([0.0, 0.5])),
        "gain": data.draw(number), "threshold": data.draw(number), "bias": data.draw(st.floats(-10, 10)),
        "inclusive": data.draw(st.booleans()),
    }  # fmt: skip
    bits = data.draw(st.integers(1, 8))
    step = unbiased(rng, (8, 6, 3), **cell)
    try:
        net = limited(step, (8,), encoding=Encoding(scale=1, bits=bits, code="current")).network
    except ConversionError as error:
        assert "nothing is left of some of" in str(error)
        return
    samples = drawn((8,), bits)[:2]
    found = Session(net).run(samples).outputs["lif2"]
    wanted = [stepped(net, {"input": sample})["lif2"].answer for sample in samples]
    np.testing.assert_array_equal(found, wanted)


def test_networks_without_a_time_loop_have_no_limits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "model.py"
    model.write_text(
        "from torch import nn\n\n\ndef net():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))\n"
    )
    words = ["convert", f"{model}:net", "--calibration", "digits", "-o", f"{tmp_path}/net.snn", "--limits", "loihi2"]
    assert main(words) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "limits are those of chips" in said and "--neuron if" in said and "--coding sdnn" in said
    with pytest.raises(UsageError, match="limits are those of chips"):
        convert(f"{model}:net", np.zeros((2, 64), np.uint8), limits="loihi2")

# SPDX-License-Identifier: Apache-2.0
"""What is made of the steps of an output: of its spikes, of its membranes, of several results."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from steps import CURRENT, STEPS, Given, converted, converter, seen, two_layers

from spikerun.converters.graph import Graph, Node, Output
from spikerun.converters.spiking.cell import Cell
from spikerun.converters.spiking.convert import StepConverter
from spikerun.converters.spiking.simulate import run_layers
from spikerun.converters.spiking.step import Readout, Step, outputs, read_out
from spikerun.errors import ConversionError, UsageError
from spikerun.session import Session

RESTING: list[dict[str, Any]] = [
    {"threshold": np.inf, "reset": "none", "keep_v": 0.9, "keep_u": 0.8, "gain": 0.1},
    {"threshold": np.inf, "reset": "none", "keep_v": 0.999, "gain": 0.01, "v_init": 0.3},
    {"threshold": 3.0, "reset": "value", "v_reset": -0.2, "bias": 0.02, "refractory": 2},
]
OFFSETS = {"one": np.array(-0.7), "of each neuron": np.array([0.4, -3.0, 0.0, 2.5, 0.05])}


def test_groups_of_neurons_are_classes() -> None:
    step = two_layers(np.random.default_rng(7), (30, 20, 12))
    net = converted(replace(step, readouts={"output": Readout("count", groups=3)}), (30,)).network
    x = np.random.default_rng(1).integers(0, 256, (4, 30))
    counts = Session(replace(net, outputs=("lif2", *net.outputs))).run(x).outputs
    np.testing.assert_array_equal(counts[net.outputs[0]], counts["lif2"].reshape(4, 3, 4).sum(axis=2))
    assert counts["lif2"].any()


def test_a_result_without_neurons_is_the_sum_over_all_steps() -> None:
    rng = np.random.default_rng(8)
    step = two_layers(rng, (30, 20, 5))
    nodes = {name: node for name, node in step.graph.nodes.items() if name != "lif2"}
    nodes["out"] = replace(nodes["out"], inputs=("fc2",))
    made = converter(replace(step, graph=Graph(nodes)), (30,))
    conversion = made.measured(made.convert({}), made.evaluation(made.samples, np.zeros(24, np.int64)))
    assert conversion.network.populations["output"].neuron.kind == "readout"
    assert conversion.report.accuracy is not None
    assert conversion.report.accuracy.agreement >= 85


def with_output(step: Step, cell: Cell) -> Step:
    """Return the step with other neurons at its end."""
    nodes = dict(step.graph.nodes)
    return replace(step, graph=Graph(nodes | {"lif2": replace(nodes["lif2"], op=cell)}))


@pytest.mark.parametrize("rule", ["last", "max", "mean"])
def test_membranes_are_read_as_real_numbers(rule: str) -> None:
    step = seen(two_layers(np.random.default_rng(4), (30, 40, 5)), Readout(rule))
    made = converter(step, (30,))
    conversion = made.convert({})
    result = Session(conversion.network).run(made.samples).logits
    expected = outputs(step, {"input": np.asarray(made.samples["input"]) / 255}, STEPS)["output"]
    assert np.abs(result - expected).mean() < 0.15 * np.abs(expected).mean()


@pytest.mark.parametrize("rule", ["last", "max", "mean"])
@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("cell", RESTING, ids=str)
def test_what_is_read_of_membranes_has_the_offset_of_its_framework(cell: Any, offset: str, rule: str) -> None:
    step = two_layers(np.random.default_rng(4), (30, 40, 5))
    step = with_output(step, Cell.of("lif2", **cell, offset=OFFSETS[offset]))
    made = converter(seen(step, Readout(rule)), (30,))
    result = Session(made.convert({}).network).run(made.samples).logits
    ran = run_layers(made.parts, made.cells, made.samples, STEPS)  # the same weights with a float state
    membranes = np.stack([states["lif2"]["v"] + OFFSETS[offset] for _, states in ran])
    assert np.abs(result - read_out(Readout(rule), membranes)).max() < 0.01


def test_a_membrane_that_rests_elsewhere_needs_a_reset_to_a_value() -> None:
    for cell in ({"reset": "subtract"}, {"reset": "value", "v_min": -0.5}):
        with pytest.raises(ConversionError, match=r"'lif2', which rests at 0\.7, is read, and has a floor or"):
            converter(seen(two_layers(np.random.default_rng(0), **cell, offset=0.7), Readout("last")), (30,))


@pytest.mark.parametrize("factor", [1.0, 2.5, np.array([0.5, 1.0, 4.0, 2.0, 0.1])], ids=str)
@pytest.mark.parametrize("readout", [Readout("count"), Readout("mean"), Readout("mean", 5)], ids=str)
def test_results_of_spikes_are_those_of_the_model(factor: Any, readout: Readout) -> None:
    step = two_layers(np.random.default_rng(4), (30, 20, 5))
    step = with_output(step, Cell.of("lif2", reset="subtract", threshold=1.0, factor=factor))
    if readout.groups > 1 and np.ndim(factor):
        with pytest.raises(ConversionError, match="'lif2' differ in what they count, so groups cannot add them"):
            converter(replace(step, readouts={"output": readout}), (30,)).convert({})
        return
    made = converter(replace(step, readouts={"output": readout}), (30,))
    result = Session(made.convert({}).network).run(made.samples).logits
    ran = run_layers(made.parts, made.cells, made.samples, STEPS)
    spikes = np.stack([values["lif2"] * factor for values, _ in ran])
    np.testing.assert_allclose(result, read_out(readout, spikes), atol=1e-5)


@pytest.mark.parametrize("asked", [Readout("mean"), Readout("count", 5), Readout("last")])
def test_a_readout_beside_that_of_the_network_itself_is_refused(asked: Readout) -> None:
    step, samples = two_layers(np.random.default_rng(0)), np.zeros((4, 30), np.int64)
    with pytest.raises(
        UsageError, match=f"{asked} is asked for, and the network itself reads 'output' as count: leave"
    ):
        StepConverter(Given(step), samples, CURRENT, STEPS, asked)
    assert StepConverter(Given(step), samples, CURRENT, STEPS, Readout("count")).step.readouts == step.readouts


def two_results(first: Readout, second: Readout) -> StepConverter:
    """Return the converter of a step that returns the spikes of each of its layers."""
    step = two_layers(np.random.default_rng(0), (30, 20, 20))
    also = Node("also", Output("also"), ("lif1",), (20,))
    step = replace(step, graph=Graph({**step.graph.nodes, "also": also}), readouts={"output": first, "also": second})
    return converter(step, (30,))


def test_of_several_results_the_report_says_whose_accuracy_it_tells() -> None:
    made = two_results(Readout("count"), Readout("mean"))
    report = made.measured(made.convert({}), made.evaluation(made.samples, np.zeros(24, np.int64))).report
    assert "note: the accuracy is that of 'output' alone" in report.text()

    def both(logits: Any, labels: Any) -> Any:
        return (logits["output"] >= 0).all(axis=1) & (logits["also"] <= 1).all(axis=1)

    report = made.measured(made.convert({}), made.evaluation(made.samples, np.zeros(24), both)).report
    assert report.accuracy is not None
    assert (report.accuracy.ann, report.accuracy.snn) == (100, 100)
    assert not report.notes


@pytest.mark.parametrize("groups", [1, 5])
def test_two_results_may_be_of_one_population(groups: int) -> None:
    step = two_layers(np.random.default_rng(0))
    again = Node("again", Output("again"), ("lif2",), (5,))
    readouts = {"output": Readout("count"), "again": Readout("count", groups)}
    made = converter(replace(step, graph=Graph({**step.graph.nodes, "again": again}), readouts=readouts), (30,))
    report = made.measured(made.convert({}), made.evaluation(made.samples, np.zeros(24, np.int64))).report
    assert made.ends == {"output": "lif2", "again": "lif2" if groups == 1 else "lif2_classes"}
    assert report.accuracy is not None


def test_the_first_spike_is_that_of_the_model() -> None:
    step = replace(two_layers(np.random.default_rng(4)), readouts={"output": Readout("first-spike")})
    made = converter(step, (30,))
    conversion = made.measured(made.convert({}), made.evaluation(made.samples, np.zeros(24, np.int64)))
    result = Session(conversion.network).run(made.samples).logits
    ran = run_layers(made.parts, made.cells, made.samples, STEPS)  # the same weights with a float state
    wanted = read_out(Readout("first-spike"), np.stack([values["lif2"].copy() for values, _ in ran]))
    assert len(np.unique(wanted)) > 3
    assert (result == wanted).mean() > 0.97
    assert conversion.report.accuracy is not None
    assert conversion.report.accuracy.agreement > 80


def test_a_readout_that_is_not_converted_says_so() -> None:
    step = two_layers(np.random.default_rng(0))
    for wrong, what in (
        (seen(step, Readout("count")), "count of membranes"),
        (replace(step, readouts={"output": Readout("last")}), "last of spikes"),
    ):
        with pytest.raises(ConversionError, match=f"makes its result 'output' as {what}, which .* no --readout"):
            converter(wrong, (30,))
    unsaid = replace(seen(step, Readout("last")), readouts={})
    with pytest.raises(UsageError, match=r"how is the result made of the time steps of output\? Say --readout"):
        converter(unsaid, (30,))
    with pytest.raises(ConversionError, match=r"'last' of a membrane in 5 groups, which is not converted: "):
        converter(seen(step, Readout("last", groups=5)), (30,))


@pytest.mark.parametrize(("groups", "classes"), [(1, 12), (3, 3)])
def test_a_network_says_how_many_classes_its_first_result_has(groups: int, classes: int) -> None:
    step = two_layers(np.random.default_rng(7), (30, 20, 12))
    made = converter(replace(step, readouts={"output": Readout("count", groups)}), (30,))
    assert made.convert({}).network.meta["classes"] == classes


def test_the_report_says_all_readouts() -> None:
    made = two_results(Readout("count", 5), Readout("mean"))
    assert "readout 'count in 5 groups, mean'" in made.convert({}).report.text()
    assert two_results(Readout("count"), Readout("count")).convert({}).report.readout == "count"

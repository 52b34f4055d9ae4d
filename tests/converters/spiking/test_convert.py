# SPDX-License-Identifier: Apache-2.0
"""Steps in real numbers become integers: which spikes stay the same, what is chosen, what is refused."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from steps import Array, Given, graph, linear, two_layers

from spikerun.converters.encoding import Encoding
from spikerun.converters.graph import (
    Add,
    Affine,
    AvgPool,
    Concat,
    Conv,
    Flatten,
    Graph,
    Input,
    Linear,
    MaxPool,
    Node,
    Output,
)
from spikerun.converters.maps import DenseMap, Term, accumulate, evened
from spikerun.converters.spiking import lower
from spikerun.converters.spiking.cell import Cell, Membrane, Previous
from spikerun.converters.spiking.convert import StepConverter
from spikerun.converters.spiking.report import SpikingConversion
from spikerun.converters.spiking.simulate import run_layers
from spikerun.converters.spiking.step import Readout, Step, outputs, read_out
from spikerun.errors import ConversionError, DataError, UsageError
from spikerun.neurons.leaky import WIDE_LIMIT
from spikerun.session import Session

STEPS = 20
CURRENT = Encoding(code="current")


def converter(step: Step, shape: tuple[int, ...], seed: int = 0, duration: int | None = STEPS) -> StepConverter:
    rng = np.random.default_rng(seed)
    samples = {"input": rng.integers(0, 256, (24, *shape)) * (rng.random((24, *shape)) < 0.4)}
    return StepConverter(Given(step), samples, {"input": CURRENT}, duration, None, lambda *_: None)


def converted(step: Step, shape: tuple[int, ...], seed: int = 0) -> SpikingConversion:
    return converter(step, shape, seed).convert({})


RULES: list[dict[str, Any]] = [
    {"reset": "subtract_after_leak"},
    {"reset": "subtract", "keep_v": 1.0},
    {"reset": "value", "keep_v": 0.6},
    {"reset": "value", "refractory": 2, "v_reset": -0.3, "v_init": 0.4, "bias": 0.05},
    {"reset": "value", "keep_v": 0.9, "keep_u": 0.8, "gain": 0.1},
    {"reset": "subtract", "keep_u": 0.7, "bias_u": 0.02, "v_min": -0.5},
]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_nearly_all_spikes_are_those_of_the_same_weights_with_a_float_state(rule: dict[str, Any]) -> None:
    report = converted(two_layers(np.random.default_rng(3), (40, 60, 5), **rule), (40,)).report
    for cell in report.cells:
        assert cell.same_as_float_state >= 99, cell
        assert cell.spikes > 0, cell


@pytest.mark.parametrize("seed", range(4))
def test_all_spikes_are_those_of_the_model_where_every_number_is_representable(seed: int) -> None:
    rng = np.random.default_rng(seed)
    step = two_layers(rng, (12, 20, 4), reset=str(rng.choice(["subtract", "value"])), keep_v=1.0, v_min=-3.0)
    nodes = dict(step.graph.nodes)
    for name in ("fc1", "fc2"):
        layer = nodes[name].op
        assert isinstance(layer, Linear)
        weight = rng.integers(-126, 127, layer.weight.shape) / np.full(1, 128)
        weight[:, 0] = 127 / 128  # so that the unit of each channel is 1/128
        nodes[name] = replace(nodes[name], op=Linear(weight, rng.integers(-9, 9, len(weight)) / 128))
    step = replace(step, graph=Graph(nodes))
    samples = {"input": rng.integers(0, 4, (16, 12))}
    encoding = {"input": Encoding(scale=1, code="current")}
    report = StepConverter(Given(step), samples, encoding, 30, None, lambda *_: None).convert({}).report
    assert [cell.same_as_model for cell in report.cells] == [100, 100]
    assert all(cell.spikes > 0 for cell in report.cells)


def recurrent(rng: np.random.Generator, n: int, inputs: int, size: float = 1.0) -> Step:
    """Return input -> cell -> output, whose cells hear each other, through weights of `size` times the usual."""
    back = linear(rng, n, n)
    return Step(
        graph(
            Node("input", Input("input"), (), (inputs,)),
            Node("fc", linear(rng, n, inputs), ("input",), (n,)),
            Node("before", Previous("lif"), (), (n,)),
            Node("rec", Linear(size * back.weight, back.bias), ("before",), (n,)),
            Node("sum", Add(), ("fc", "rec"), (n,)),
            Node("lif", Cell.of("lif", reset="subtract", keep_v=0.8, threshold=1.0), ("sum",), (n,)),
            Node("out", Output("output"), ("lif",), (n,)),
        ),
        {"output": Readout("count")},
    )


def test_recurrent_cells_see_their_spikes_one_step_later() -> None:
    conversion = converted(recurrent(np.random.default_rng(5), 16, 16), (16,))
    delays = {p.source: p.delay for p in conversion.network.projections}
    assert delays == {"input": 0, "lif": 1}
    assert conversion.report.cells[0].same_as_float_state >= 99
    assert conversion.report.cells[0].same_as_model >= 75  # rounded weights of pixels and of spikes alike


class Otherwise(Given):
    """A source that was misread: its own results are those of other samples."""

    def results(self, batch: Mapping[str, Array], steps: int, asked: Step) -> dict[str, Array] | None:
        return super().results({name: 0.5 * values for name, values in batch.items()}, steps, asked)


def test_what_was_read_is_compared_with_the_results_of_the_network_itself() -> None:
    step = two_layers(np.random.default_rng(2), (40, 60, 5))
    report = converted(step, (40,)).report
    assert (report.same_as_read, report.notes) == (100, ())
    samples = {"input": np.random.default_rng(1).integers(0, 256, (24, 40))}
    misread = StepConverter(Otherwise(step), samples, {"input": CURRENT}, STEPS).convert({}).report
    assert misread.same_as_read < 95
    assert "% of the network's own results on 24 samples are those of what was read" in misread.notes[0]


def test_terms_of_very_different_sizes_keep_the_bits_of_each() -> None:
    rng = np.random.default_rng(7)
    sizes = {"pixels": 1 / 255, "spikes": 1.0, "payloads": 30.0, "silent": 0.0}
    terms = [Term(k, (9,), (9,), DenseMap(size * rng.normal(0, 1, (6, 9))), 0, 6) for k, size in sizes.items()]
    *_, even = evened(terms)
    largest = np.stack([term.map.largest() for term in even[:3]])
    assert largest.max() / largest.min() < 8
    exponents = {term.source: term.exponent for term in even}
    assert exponents == {"pixels": 0, "spikes": 8, "payloads": 13, "silent": 0}
    x = {name: rng.normal(0, 1, (5, 9)) for name in sizes}
    np.testing.assert_allclose(accumulate(even, x, (6,)), accumulate(terms, x, (6,)))


@pytest.mark.parametrize("size", [1e-5, 1e-3, 1.0])
def test_exponents_leave_room_for_payloads_of_many_inputs(size: float) -> None:
    report = converted(recurrent(np.random.default_rng(7), 5, 2312, size), (2312,)).report
    assert report.cells[0].fraction_bits >= 2
    assert report.cells[0].same_as_float_state >= 95


@pytest.mark.parametrize("tiny", [0.0, 1e-9])
def test_a_dead_channel_costs_the_others_no_bits(tiny: float) -> None:
    step = two_layers(np.random.default_rng(3), (40, 60, 5))
    layer: Any = step.graph.nodes["fc1"].op
    weight, bias = layer.weight.copy(), layer.bias.copy()
    weight[7], bias[7] = tiny * weight[7], 0.0
    nodes = {**step.graph.nodes, "fc1": replace(step.graph.nodes["fc1"], op=Linear(weight, bias))}
    alive, dead = (converted(each, (40,)).report.cells for each in (step, replace(step, graph=Graph(nodes))))
    assert dead[0].fraction_bits >= alive[0].fraction_bits - 4
    assert min(cell.same_as_float_state for cell in dead) >= 99


@pytest.mark.parametrize("inclusive", [False, True])
def test_neurons_that_only_a_bias_drives_fire_as_they_did(inclusive: bool) -> None:
    step = two_layers(np.random.default_rng(3), (6, 4, 3), reset="subtract", keep_v=1.0, inclusive=inclusive)
    nodes = dict(step.graph.nodes)
    for name, inner, bias in (("fc1", 6, 0.0101), ("fc2", 4, 1e-5)):
        out = nodes[name].shape[0]
        nodes[name] = replace(nodes[name], op=Linear(np.zeros((out, inner)), np.full(out, bias)))
    made = converter(replace(step, graph=Graph(nodes)), (6,), duration=320)
    own = converter(replace(step, graph=Graph(nodes)), (6,), duration=320).convert({}).report
    assert [cell.spikes for cell in own.cells] == [4 * 3, 0]
    assert made.steps == 320


def test_images_are_averaged_and_flattened_into_one_map() -> None:
    rng = np.random.default_rng(6)
    cell = {"reset": "subtract", "keep_v": 0.9, "threshold": 1.0}
    conv = Conv(rng.normal(0, 0.5, (4, 1, 3, 3)), rng.normal(0, 0.1, 4), padding=(1, 1))
    step = Step(
        graph(
            Node("input", Input("input"), (), (1, 8, 8)),
            Node("conv", conv, ("input",), (4, 8, 8)),
            Node("lif1", Cell.of("features.1", **cell), ("conv",), (4, 8, 8)),
            Node("pool", AvgPool((2, 2), (2, 2), (0, 0), 4.0), ("lif1",), (4, 4, 4)),
            Node("flat", Flatten(), ("pool",), (64,)),
            Node("fc", linear(rng, 5, 64), ("flat",), (5,)),
            Node("lif2", Cell.of("lif2", **cell), ("fc",), (5,)),
            Node("out", Output("output"), ("lif2",), (5,)),
        ),
        {"output": Readout("count")},
    )
    conversion = converted(step, (1, 8, 8))
    assert list(conversion.network.populations) == ["input", "features.1", "lif2"]
    assert [p.connection.kind for p in conversion.network.projections] == ["conv", "dense"]
    assert min(cell.same_as_float_state for cell in conversion.report.cells) >= 99


def pooled(rng: np.random.Generator, *behind: Node, last: str = "pool") -> Step:
    """Return conv -> max pool of its currents -> ... -> cell."""
    conv = Conv(rng.normal(0, 0.5, (4, 1, 3, 3)), rng.normal(0, 0.3, 4), padding=(1, 1))
    return Step(
        graph(
            Node("input", Input("input"), (), (1, 8, 8)),
            Node("conv", conv, ("input",), (4, 8, 8)),
            Node("pool", MaxPool((2, 2), (2, 2), (0, 0), (1, 1)), ("conv",), (4, 4, 4)),
            *behind,
            Node("lif", Cell.of("lif", reset="subtract", keep_v=0.9, threshold=1.0), (last,), (4, 4, 4)),
            Node("out", Output("output"), ("lif",), (4, 4, 4)),
        ),
        {"output": Readout("count")},
    )


def test_currents_of_a_convolution_are_pooled() -> None:
    conversion = converted(pooled(np.random.default_rng(2)), (1, 8, 8))
    assert [p.connection.kind for p in conversion.network.projections] == ["pooled_conv"]
    (cell,) = conversion.report.cells
    assert cell.same_as_float_state >= 99
    assert cell.same_as_model >= 60
    assert cell.spikes > 0


def test_a_channel_turned_round_behind_a_pool_of_currents_is_refused() -> None:
    turned = Node("bn", Affine(np.array([1.0, -1.0, 1.0, 1.0]), np.zeros(4)), ("pool",), (4, 4, 4))
    with pytest.raises(ConversionError, match="turns some channels round"):
        converter(pooled(np.random.default_rng(2), turned, last="bn"), (1, 8, 8))


@pytest.mark.parametrize(("size", "padding", "taken"), [(8, 1, True), (9, 0, True), (9, 1, False)])
def test_a_convolution_of_sums_of_spikes_is_one_convolution(size: int, padding: int, taken: bool) -> None:
    rng, half = np.random.default_rng(3), size // 2
    cell: dict[str, Any] = {"reset": "subtract", "keep_v": 0.9, "threshold": 1.0}
    first, second = (
        Conv(rng.normal(0, 0.4, (4, n, 3, 3)), np.zeros(4), padding=(p, p)) for n, p in ((1, 1), (4, padding))
    )
    out = half - 2 + 2 * padding
    step = Step(
        graph(
            Node("input", Input("input"), (), (1, size, size)),
            Node("conv1", first, ("input",), (4, size, size)),
            Node("lif1", Cell.of("lif1", **cell), ("conv1",), (4, size, size)),
            Node("pool", AvgPool((2, 2), (2, 2), (0, 0), 1.0), ("lif1",), (4, half, half)),
            Node("conv2", second, ("pool",), (4, out, out)),
            Node("lif2", Cell.of("lif2", **cell), ("conv2",), (4, out, out)),
            Node("out", Output("output"), ("lif2",), (4, out, out)),
        ),
        {"output": Readout("count")},
    )
    if not taken:
        with pytest.raises(ConversionError, match="this convolution of averages is not converted"):
            converter(step, (1, size, size))
        return
    made = converter(step, (1, size, size))
    real = outputs(step, {"input": np.asarray(made.samples["input"]) / 255}, STEPS)["output"]
    layered = [values["lif2"] for values, _ in run_layers(made.layers, made.cells, made.samples, STEPS)]
    np.testing.assert_array_equal(np.sum(layered, axis=0).reshape(real.shape), real)


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


def test_fractional_bits_leave_room_for_the_worst_currents() -> None:
    net = converted(two_layers(np.random.default_rng(9), (400, 50, 5)), (400,)).network
    for name in ("lif1", "lif2"):
        neuron: Any = net.populations[name].neuron
        assert 0 <= neuron.fraction_bits <= 12
        assert net.bounds[name] << neuron.fraction_bits <= WIDE_LIMIT


def test_fractional_bits_leave_room_for_membranes_that_grow() -> None:
    step = seen(two_layers(np.random.default_rng(4), reset="none", keep_v=1.0, threshold=1.0), Readout("last"))
    conversion = converter(step, (30,), duration=200).convert({})
    assert all(cell.peak <= 51 for cell in conversion.report.cells)
    assert conversion.report.cells[1].peak > 20
    assert conversion.report.cells[1].fraction_bits < 12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"threshold": -0.1}, "'lif1' has thresholds down to -0.1: below zero"),
        ({"threshold": 0.0}, "'lif1' has thresholds down to 0: below zero, or at zero with a reset by subtraction"),
        ({"gain": -1.0}, "'lif1' multiplies its currents by -1; that must be positive"),
        (
            {"refractory": 40_000},
            r"'lif1' breaks the arithmetic contract: refractory must be an integer in 0\.\.32767, got 40000",
        ),
    ],
)
def test_cells_that_no_integers_stand_for_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConversionError, match=message):
        converter(two_layers(np.random.default_rng(0), **change), (30,)).convert({})


def test_layers_side_by_side_become_no_matrix_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them fits; the rows in which it has only zeros count too."""
    rng = np.random.default_rng(0)
    step = Step(
        graph(
            Node("input", Input("input"), (), (30,)),
            *(Node(name, linear(rng, 20, 30), ("input",), (20,)) for name in "ab"),
            Node("both", Concat(), ("a", "b"), (40,)),
            Node("fc", linear(rng, 5, 40), ("both",), (5,)),
            Node("lif", Cell.of("lif", reset="value", threshold=1.0), ("fc",), (5,)),
            Node("out", Output("output"), ("lif",), (5,)),
        ),
        {"output": Readout("count")},
    )
    monkeypatch.setattr(lower, "MAX_SYNAPSES", 40 * 30)
    converter(step, (30,))
    monkeypatch.setattr(lower, "MAX_SYNAPSES", 40 * 30 - 1)
    with pytest.raises(ConversionError, match="together they have 1,200 synapses, more than 1,199"):
        converter(step, (30,))


def test_the_number_of_steps_must_be_said_once() -> None:
    step = two_layers(np.random.default_rng(0))
    with pytest.raises(UsageError, match="Say --duration"):
        converter(step, (30,), duration=None)
    with pytest.raises(UsageError, match="--duration says 20, the network's own loop 25"):
        converter(replace(step, steps=25), (30,))
    assert converter(replace(step, steps=25), (30,), duration=None).steps == 25


def seen(step: Step, readout: Readout) -> Step:
    """Return the step with the membranes of its output instead of the spikes, and without its reset."""
    nodes = dict(step.graph.nodes)
    out = nodes.pop("out")
    nodes["membrane"] = Node("membrane", Membrane(), ("lif2",), (5,))
    nodes["out"] = replace(out, inputs=("membrane",))
    return replace(step, graph=Graph(nodes), readouts={"output": readout})


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


OFFSETS = {"one": np.array(-0.7), "of each neuron": np.array([0.4, -3.0, 0.0, 2.5, 0.05])}
RESTING: list[dict[str, Any]] = [
    {"threshold": np.inf, "reset": "none", "keep_v": 0.9, "keep_u": 0.8, "gain": 0.1},
    {"threshold": np.inf, "reset": "none", "keep_v": 0.999, "gain": 0.01, "v_init": 0.3},
    {"threshold": 3.0, "reset": "value", "v_reset": -0.2, "bias": 0.02, "refractory": 2},
]


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


def test_a_membrane_that_other_neurons_take_is_refused() -> None:
    step = two_layers(np.random.default_rng(0))
    nodes = {name: node for name, node in step.graph.nodes.items() if name not in ("fc2", "lif2", "out")}
    nodes["membrane"] = Node("membrane", Membrane(), ("lif1",), (20,))
    for name in ("fc2", "lif2", "out"):
        nodes[name] = step.graph.nodes[name]
    nodes["fc2"] = replace(nodes["fc2"], inputs=("membrane",))
    with pytest.raises(ConversionError, match="fc2 takes the membrane of 'lif1', and projections carry spikes"):
        converter(replace(step, graph=Graph(nodes)), (30,))


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x + 300, "calibration data hold values from 300 to .* inputs are 8-bit integers"),
        (lambda x: x / 255 + 0.001, "calibration data have dtype float64 and are not"),
        (lambda x: x[:, None], r"have the shape \(4, 1, 30\)"),
    ],
)
def test_samples_are_checked_as_those_of_other_networks(change: Any, message: str) -> None:
    step, samples = two_layers(np.random.default_rng(0)), np.random.default_rng(1).integers(0, 9, (4, 30))
    with pytest.raises(DataError, match=message):
        StepConverter(Given(step), change(samples), CURRENT, STEPS)
    real = StepConverter(Given(step), samples / 255, CURRENT, STEPS)
    np.testing.assert_array_equal(real.samples["input"], samples)
    with pytest.raises(DataError, match="evaluation data have samples of shape"):
        real.evaluation(np.zeros((2, 31), np.int64), [0, 1])
    with pytest.raises(DataError, match="labels for 4 samples"):
        real.evaluation(samples, [0, 1])


def test_frames_are_checked_step_by_step() -> None:
    frames = np.random.default_rng(1).integers(0, 9, (4, STEPS, 30))
    step, encoding = two_layers(np.random.default_rng(0)), Encoding(mean=0.1, code="frames")
    made = StepConverter(Given(step), encoding.real(frames), encoding)
    np.testing.assert_array_equal(made.samples["input"], frames)
    with pytest.raises(DataError, match=r"frames are \(N, T, C, H, W\) or \(N, T, F\)"):
        StepConverter(Given(step), frames[0], encoding)


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

# SPDX-License-Identifier: Apache-2.0
"""Steps in real numbers become integers: which spikes stay the same, what is chosen, what is refused."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from steps import Given, graph, linear, two_layers

from spikerun.converters.encoding import Encoding
from spikerun.converters.graph import Add, Affine, AvgPool, Conv, Flatten, Graph, Input, Linear, MaxPool, Node, Output
from spikerun.converters.spiking.cell import Cell, Membrane, Previous
from spikerun.converters.spiking.convert import StepConverter
from spikerun.converters.spiking.report import SpikingConversion
from spikerun.converters.spiking.simulate import run_layers
from spikerun.converters.spiking.step import Readout, Step, outputs
from spikerun.errors import ConversionError, UsageError
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


def test_recurrent_cells_see_their_spikes_one_step_later() -> None:
    rng, n = np.random.default_rng(5), 16
    step = Step(
        graph(
            Node("input", Input("input"), (), (n,)),
            Node("fc", linear(rng, n, n), ("input",), (n,)),
            Node("before", Previous("lif"), (), (n,)),
            Node("rec", linear(rng, n, n), ("before",), (n,)),
            Node("sum", Add(), ("fc", "rec"), (n,)),
            Node("lif", Cell.of("lif", reset="subtract", keep_v=0.8, threshold=1.0), ("sum",), (n,)),
            Node("out", Output("output"), ("lif",), (n,)),
        ),
        {"output": Readout("count")},
    )
    conversion = converted(step, (n,))
    delays = {p.source: p.delay for p in conversion.network.projections}
    assert delays == {"input": 0, "lif": 1}
    assert conversion.report.cells[0].same_as_float_state >= 99


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
    conversion = made.measured(made.convert({}), made.samples, np.zeros(24, np.int64))
    assert conversion.network.populations["output"].neuron.kind == "readout"
    assert conversion.report.accuracy is not None
    assert conversion.report.accuracy.agreement >= 85


def test_fractional_bits_leave_room_for_the_worst_currents() -> None:
    net = converted(two_layers(np.random.default_rng(9), (400, 50, 5)), (400,)).network
    for name in ("lif1", "lif2"):
        neuron: Any = net.populations[name].neuron
        assert 0 <= neuron.fraction_bits <= 12
        assert net.bounds[name] << neuron.fraction_bits <= WIDE_LIMIT


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"threshold": -0.1}, "'lif1' has thresholds down to -0.1: below zero"),
        ({"threshold": 0.0}, "'lif1' has thresholds down to 0: below zero, or at zero with a reset by subtraction"),
        ({"gain": -1.0}, "'lif1' multiplies its currents by -1; that must be positive"),
    ],
)
def test_cells_that_no_integers_stand_for_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConversionError, match=message):
        converter(two_layers(np.random.default_rng(0), **change), (30,))


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


@pytest.mark.parametrize("rule", ["last", "max", "mean"])
def test_membranes_are_read_as_real_numbers(rule: str) -> None:
    step = seen(two_layers(np.random.default_rng(4), (30, 40, 5)), Readout(rule))
    made = converter(step, (30,))
    conversion = made.convert({})
    result = Session(conversion.network).run(made.samples).logits
    expected = outputs(step, {"input": np.asarray(made.samples["input"]) / 255}, STEPS)["output"]
    assert np.abs(result - expected).mean() < 0.1 * np.abs(expected).mean()


def test_a_readout_that_is_not_converted_says_so() -> None:
    step = two_layers(np.random.default_rng(0))
    for wrong in (seen(step, Readout("count")), replace(step, readouts={"output": Readout("last")})):
        with pytest.raises(UsageError, match=r"how is the result made of the time steps of output\? Say --readout"):
            converter(wrong, (30,))
    with pytest.raises(ConversionError, match=r"'last' of a membrane, which is not converted: .* without --classes"):
        converter(seen(step, Readout("last", groups=5)), (30,))

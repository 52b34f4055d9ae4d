# SPDX-License-Identifier: Apache-2.0
"""Steps in real numbers become integers: which spikes stay the same, what is chosen, what is refused."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from steps import CURRENT, STEPS, Array, Given, converted, converter, graph, linear, recurrent, two_layers

from spikerun.converters.encoding import Encoding
from spikerun.converters.graph import (
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
from spikerun.converters.spiking import lower
from spikerun.converters.spiking.cell import Cell, Membrane
from spikerun.converters.spiking.convert import StepConverter
from spikerun.converters.spiking.simulate import run_layers
from spikerun.converters.spiking.step import Readout, Step, outputs
from spikerun.errors import ConversionError, DataError, UsageError

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


def test_a_membrane_that_other_neurons_take_is_refused() -> None:
    step = two_layers(np.random.default_rng(0))
    nodes = {name: node for name, node in step.graph.nodes.items() if name not in ("fc2", "lif2", "out")}
    nodes["membrane"] = Node("membrane", Membrane(), ("lif1",), (20,))
    for name in ("fc2", "lif2", "out"):
        nodes[name] = step.graph.nodes[name]
    nodes["fc2"] = replace(nodes["fc2"], inputs=("membrane",))
    with pytest.raises(ConversionError, match="fc2 takes the membrane of 'lif1', and projections carry spikes"):
        converter(replace(step, graph=Graph(nodes)), (30,))


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

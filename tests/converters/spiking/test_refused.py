# SPDX-License-Identifier: Apache-2.0
"""What no spiking network can be converted from, or with: one sentence says so before the work."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from steps import Given, graph, two_layers

from spikerun.converters import convert_spiking
from spikerun.converters.encoding import Encoding
from spikerun.converters.graph import Conv, Graph, Input, Linear, MaxPool, Node, Output
from spikerun.converters.spiking.cell import Cell, Previous
from spikerun.converters.spiking.convert import StepConverter
from spikerun.converters.spiking.step import Readout, Step
from spikerun.datasets import Encoded, Rate
from spikerun.errors import ConversionError, UsageError

SAMPLES = np.random.default_rng(0).integers(0, 256, (8, 30))


def step(**cell: Any) -> Step:
    return two_layers(np.random.default_rng(0), **cell)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"duration": 2.5}, r"--duration is an integer in 1\.\.32767, got 2\.5"),
        ({"duration": "25"}, r"--duration is an integer in 1\.\.32767, got '25'"),
        ({"duration": True}, r"--duration is an integer in 1\.\.32767, got True"),
        ({"duration": 0}, r"--duration is an integer in 1\.\.32767, got 0"),
        ({"duration": 40000}, r"--duration is an integer in 1\.\.32767, got 40000"),
        ({"readout": "counts"}, r"unknown readout 'counts'\. Did you mean 'count'\?"),
        ({"readout": 3}, r"a readout is a name, such as 'count', or a Readout\(name, groups\), got 3"),
        ({"evaluation": SAMPLES}, r"evaluation is a pair of \(samples, labels\), got ndarray"),
        ({"metric": "top1"}, "metric is a function, got 'top1'"),
        ({"on_progress": 3}, "on_progress is a function, got 3"),
    ],
)
def test_options_of_a_conversion_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        convert_spiking(Given(step()), SAMPLES, **{"duration": 5} | options)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("foo",), "unknown readout 'foo'"),
        (("count", 0), r"the groups \(--classes\) of a readout are an integer from 1 on, got 0"),
        (("count", -1), r"from 1 on, got -1"),
        (("count", True), r"from 1 on, got True"),
    ],
)
def test_a_readout_is_checked(given: tuple[Any, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Readout(*given)


def test_a_readout_may_be_said_by_its_name() -> None:
    report = convert_spiking(Given(replace(step(), readouts={})), SAMPLES, duration=np.int64(5), readout="mean").report
    assert report.readout == "mean"


def test_more_steps_than_a_network_has_are_refused_wherever_they_come_from() -> None:
    with pytest.raises(UsageError, match=r"the number of time steps is an integer in 1\.\.32767, got 40000"):
        convert_spiking(Given(replace(step(), steps=40000)), SAMPLES)
    frames = np.zeros((1, 40000, 30), np.uint8)
    with pytest.raises(UsageError, match=r"the number of time steps is an integer in 1\.\.32767, got 40000"):
        convert_spiking(Given(step()), frames, encoding=Encoding(code="frames"))
    with pytest.raises(UsageError, match=r"steps into which 'input' is encoded is an integer in .*, got 40000"):
        convert_spiking(Given(step()), Encoded(SAMPLES, Rate(40000), np.arange(8)))


CELL: dict[str, Any] = {"reset": "subtract", "keep_v": 0.9, "threshold": 1.0}
CURRENT = Encoding(code="current")


def image_step(*between: Node, last: str) -> Step:
    """Return a step of images (1, 6, 6): conv -> ... -> cell of (4, 3, 3)."""
    conv = Conv(np.random.default_rng(1).normal(0, 0.5, (4, 1, 3, 3)), np.zeros(4), padding=(1, 1))
    nodes = [
        Node("input", Input("input"), (), (1, 6, 6)),
        Node("conv", conv, ("input",), (4, 6, 6)),
        *between,
        Node("lif", Cell.of("lif", **CELL), (last,), (4, 3, 3)),
        Node("out", Output("output"), ("lif",), (4, 3, 3)),
    ]
    return Step(graph(*nodes), {"output": Readout("count")})


def pool(source: str) -> Node:
    return Node("pool", MaxPool((2, 2), (2, 2), (0, 0), (1, 1)), (source,), (4, 3, 3))


def test_a_pool_of_currents_whose_bias_differs_by_place_is_refused() -> None:
    images = np.zeros((2, 1, 6, 6), np.int64)
    made = image_step(pool("conv"), last="pool")
    assert StepConverter(Given(made), images, CURRENT, 5)
    shifted = Encoding(mean=0.5, code="current")  # through a padded convolution: other sums at the border
    with pytest.raises(ConversionError, match="pool: a max pool takes the spikes of neurons, or the currents of one"):
        StepConverter(Given(made), images, shifted, 5)


def test_a_pool_of_the_spikes_of_steps_before_is_refused() -> None:
    first = Node("lif1", Cell.of("lif1", **CELL), ("conv",), (4, 6, 6))
    late = Node("late", Previous("lif1"), (), (4, 6, 6))
    made = image_step(first, late, pool("late"), last="pool")
    with pytest.raises(ConversionError, match="a max pool of the spikes of steps before is not converted"):
        StepConverter(Given(made), np.zeros((2, 1, 6, 6), np.int64), CURRENT, 5)


def test_two_results_that_read_a_population_in_two_ways_are_refused() -> None:
    one = step()
    again = Node("again", Output("again"), ("lif2",), (5,))
    readouts = {"output": Readout("count"), "again": Readout("mean")}
    made = replace(one, graph=Graph({**one.graph.nodes, "again": again}), readouts=readouts)
    with pytest.raises(ConversionError, match="two results are read from 'lif2' in two ways: return one"):
        StepConverter(Given(made), SAMPLES, CURRENT, 5)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_network_that_reaches_infinity_is_refused() -> None:
    made = StepConverter(Given(step(gain=1e308, reset="none")), SAMPLES, CURRENT, 50)
    with pytest.raises(ConversionError, match="reaches infinity on these samples: check its weights"):
        made.convert({})


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused_by_name(wrong: float) -> None:
    one = step()
    layer = one.graph.nodes["fc2"].op
    assert isinstance(layer, Linear)
    weight = layer.weight.copy()
    weight[0, 0] = wrong
    nodes = dict(one.graph.nodes)
    nodes["fc2"] = replace(nodes["fc2"], op=replace(layer, weight=weight))
    with pytest.raises(ConversionError, match="'fc2': its weight holds NaN or infinity: the training diverged"):
        StepConverter(Given(replace(one, graph=Graph(nodes))), SAMPLES, CURRENT, 5)


def test_groups_that_do_not_divide_the_neurons_are_refused() -> None:
    unread = replace(step(), readouts={})
    with pytest.raises(UsageError, match="--classes 3: 'output' has 5 neurons, which make no such groups of one size"):
        StepConverter(Given(unread), SAMPLES, Encoding(code="current"), 9, Readout("count", 3))


class Broken(Given):
    """A network whose own results are no numbers."""

    def results(self, batch: Any, steps: int, asked: Step) -> Any:
        return {name: np.nan * values for name, values in super().results(batch, steps, asked).items()}  # type: ignore[union-attr]


def test_a_network_whose_own_results_are_no_numbers_is_refused() -> None:
    made = StepConverter(Broken(step()), SAMPLES, Encoding(code="current"), 9)
    with pytest.raises(ConversionError, match="the trained network itself gives NaN or infinity as 'output'"):
        made.convert({})

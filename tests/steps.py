# SPDX-License-Identifier: Apache-2.0
"""Steps built by hand, sources that return them, and their conversion: what importers read, without any framework."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.converters.encoding import Encoding
from spikerun.converters.graph import Add, Graph, Input, Linear, Node, Output, Shape
from spikerun.converters.spiking.cell import Cell, Membrane, Previous
from spikerun.converters.spiking.convert import StepConverter
from spikerun.converters.spiking.report import SpikingConversion
from spikerun.converters.spiking.source import StepSource
from spikerun.converters.spiking.step import Readout, Step, outputs

Array = npt.NDArray[Any]
STEPS = 20
CURRENT = Encoding(code="current")


class Given(StepSource):
    """A source of a step that is given; its own results are the step's in floating point."""

    name = "hand"

    def __init__(self, step: Step) -> None:
        self.given = step

    def step(self, shapes: Mapping[str, Shape], steps: int | None) -> Step:
        return self.given

    def results(self, batch: Mapping[str, Array], steps: int, asked: Step) -> dict[str, Array] | None:
        return outputs(asked, batch, steps)


def graph(*nodes: Node) -> Graph:
    return Graph({node.name: node for node in nodes})


def linear(rng: np.random.Generator, out: int, inner: int) -> Linear:
    return Linear(rng.normal(0, inner**-0.5, (out, inner)), rng.normal(0, 0.1, out))


def two_layers(rng: np.random.Generator, sizes: tuple[int, int, int] = (30, 20, 5), **cell: Any) -> Step:
    """Return input -> linear -> cell -> linear -> cell -> output, whose spikes are counted."""
    n, hidden, classes = sizes
    rule: dict[str, Any] = {"reset": "subtract_after_leak", "keep_v": 0.9, "threshold": 1.0} | cell
    return Step(
        graph(
            Node("input", Input("input"), (), (n,)),
            Node("fc1", linear(rng, hidden, n), ("input",), (hidden,)),
            Node("lif1", Cell.of("lif1", **rule), ("fc1",), (hidden,)),
            Node("fc2", linear(rng, classes, hidden), ("lif1",), (classes,)),
            Node("lif2", Cell.of("lif2", **rule), ("fc2",), (classes,)),
            Node("out", Output("output"), ("lif2",), (classes,)),
        ),
        {"output": Readout("count")},
    )


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


def converter(step: Step, shape: tuple[int, ...], seed: int = 0, duration: int | None = STEPS) -> StepConverter:
    """Return the converter of a step for random pixels."""
    rng = np.random.default_rng(seed)
    samples = {"input": rng.integers(0, 256, (24, *shape)) * (rng.random((24, *shape)) < 0.4)}
    return StepConverter(Given(step), samples, {"input": CURRENT}, duration, None, lambda *_: None)


def converted(step: Step, shape: tuple[int, ...], seed: int = 0) -> SpikingConversion:
    """Return what it makes of the step."""
    return converter(step, shape, seed).convert({})


def seen(step: Step, readout: Readout) -> Step:
    """Return the step with the membranes of its output instead of the spikes, and without its reset."""
    nodes = dict(step.graph.nodes)
    out = nodes.pop("out")
    nodes["membrane"] = Node("membrane", Membrane(), ("lif2",), (5,))
    nodes["out"] = replace(out, inputs=("membrane",))
    return replace(step, graph=Graph(nodes), readouts={"output": readout})

# SPDX-License-Identifier: Apache-2.0
"""Steps built by hand, and sources that return them: what importers read, without any framework."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.converters.graph import Graph, Input, Linear, Node, Output, Shape
from spikerun.converters.spiking.cell import Cell
from spikerun.converters.spiking.source import StepSource
from spikerun.converters.spiking.step import Readout, Step, outputs

Array = npt.NDArray[Any]


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

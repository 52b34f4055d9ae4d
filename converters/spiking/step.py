# SPDX-License-Identifier: Apache-2.0
"""A trained spiking network as one step of its time loop: what readers return, and what it computes in real numbers."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from spikerun.converters.forward import spread as _spread
from spikerun.converters.graph import Array, Flatten, Graph, Input, Node, Output
from spikerun.converters.spiking.cell import Cell, Membrane, Previous, State
from spikerun.errors import UsageError, unknown_name

__all__ = ["READOUTS", "Readout", "Step", "cells", "membranes", "outputs", "read_out", "result", "simulate"]


def _earliness(values: Array) -> Array:
    """Return how many steps are left where the first spike falls, 0 without one."""
    return np.where((values != 0).any(axis=0), len(values) - (values != 0).argmax(axis=0), 0)


# What each readout makes of (steps, batch, neurons).
_OF_STEPS: Mapping[str, Callable[[Array], Array]] = {
    "count": lambda values: values.sum(axis=0),
    "mean": lambda values: values.mean(axis=0),
    "last": lambda values: values[-1],
    "max": lambda values: values.max(axis=0),
    "first-spike": _earliness,
}
READOUTS = tuple(_OF_STEPS)


@dataclass(frozen=True)
class Readout:
    """How the steps of an output become its result.

    `count`: spikes (or the sum of membranes); `mean`; `last`, `max`: of membranes; `first-spike`: the earlier, the
    larger. groups > 1: of so many classes each has an equal share of the neurons, whose results are added.
    """

    rule: str
    groups: int = 1

    def __post_init__(self) -> None:
        if self.rule not in READOUTS:
            raise unknown_name("readout", self.rule, READOUTS)
        if isinstance(self.groups, bool) or not isinstance(self.groups, int) or self.groups < 1:
            raise UsageError(f"the groups (--classes) of a readout are an integer from 1 on, got {self.groups!r:.80}")

    def __str__(self) -> str:
        return self.rule if self.groups == 1 else f"{self.rule} in {self.groups} groups"


@dataclass(frozen=True, eq=False)
class Step:
    """One step: a graph whose cells keep their state, and whose `Output` nodes read a `Cell` or a `Membrane`.

    readouts: by output; those that the module's own code does not tell are missing. steps: of the module's own loop;
    None where its caller loops, or where the length comes from the sample. timed: the inputs whose samples have a time
    axis, in front; the others are the same in every step. assumed: what was taken for granted, a sentence each. axes:
    which axis of the network's own samples is that of time, by timed input, where it is a program that can be run.
    """

    graph: Graph
    readouts: Mapping[str, Readout] = field(default_factory=dict)
    steps: int | None = None
    timed: frozenset[str] = frozenset()
    assumed: tuple[str, ...] = ()
    axes: Mapping[str, int] = field(default_factory=dict)


def cells(graph: Graph) -> dict[str, Cell]:
    """Return the cells of a graph by the names of their nodes."""
    return {node.name: node.op for node in graph.nodes.values() if isinstance(node.op, Cell)}


def result(graph: Graph, node: Node) -> Node:
    """Return the node whose value an `Output` node takes, flattened or not."""
    read = graph.nodes[node.inputs[0]]
    while isinstance(read.op, Flatten):
        read = graph.nodes[read.inputs[0]]
    return read


def membranes(graph: Graph) -> frozenset[str]:
    """Return the names of the results that are membranes."""
    ends = ((node, node.op) for node in graph.nodes.values())
    return frozenset(
        op.name for node, op in ends if isinstance(op, Output) and isinstance(result(graph, node).op, Membrane)
    )


def simulate(step: Step, samples: Mapping[str, Array], steps: int) -> Iterator[dict[str, Array]]:
    """Yield, after each step, the values (batch, *shape) of all nodes; of a cell its spikes times `factor`.

    samples: by input (batch, *shape), of a timed one (batch, steps, *shape).
    """
    batch = len(next(iter(samples.values())))
    nodes = step.graph.nodes
    state: dict[str, State] = {}
    longest = max((node.op.steps for node in nodes.values() if isinstance(node.op, Previous)), default=1)
    past: deque[dict[str, Array]] = deque(maxlen=longest)  # the latest first
    shapes = {node.op.name: node.shape for node in nodes.values() if isinstance(node.op, Cell)}
    for t in range(steps):
        values: dict[str, Array] = {}
        for node in nodes.values():
            given = [values[name] for name in node.inputs]
            match node.op:
                case Input(name=name):
                    values[node.name] = samples[name][:, t] if name in step.timed else samples[name]
                case Previous(cell=cell, steps=back):
                    values[node.name] = past[back - 1][cell] if back <= len(past) else np.zeros((batch, *shapes[cell]))
                case Cell() as op:
                    kept = state.setdefault(op.name, op.initial(batch, node.shape))
                    values[node.name] = op.step(kept, given[0]) * _spread(op.factor, node.shape)
                case Membrane():
                    seen = nodes[node.inputs[0]].op
                    assert isinstance(seen, Cell)
                    values[node.name] = state[seen.name]["v"] + _spread(seen.offset, node.shape)
                case op:
                    values[node.name] = op.apply(*given)
        past.appendleft({node.op.name: values[node.name] for node in nodes.values() if isinstance(node.op, Cell)})
        yield values


def read_out(readout: Readout, values: Array) -> Array:
    """Return the result (batch, K) of an output's values (steps, batch, *shape)."""
    flat = values.reshape(*values.shape[:2], -1)
    found = _OF_STEPS[readout.rule](flat)
    if readout.groups > 1:
        found = found.reshape(len(found), readout.groups, -1).sum(axis=2)
    return found


def outputs(step: Step, samples: Mapping[str, Array], steps: int) -> dict[str, Array]:
    """Return the results (batch, K) by output, for outputs whose readout is known."""
    ends = {n.op.name: n.name for n in step.graph.nodes.values() if isinstance(n.op, Output)}
    kept: dict[str, list[Array]] = {name: [] for name in ends}
    for values in simulate(step, samples, steps):
        for name, node in ends.items():
            kept[name].append(values[node])
    return {name: read_out(step.readouts[name], np.stack(kept[name])) for name in ends if name in step.readouts}

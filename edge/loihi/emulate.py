# SPDX-License-Identifier: Apache-2.0
"""The emulator: a graph runs here as it does in Lava's fixed point, bit for bit, with no Lava installed."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.edge.loihi.graph import Graph, IntArray
from spikerun.edge.loihi.models import MODELS, Model
from spikerun.edge.loihi.synapses import compiled
from spikerun.errors import DataError

__all__ = ["Trace", "emulate", "run"]


@dataclass(frozen=True, eq=False)
class Trace:
    """What every population did: events and, where asked for, states by name, (N, W, *shape) or (steps, *shape)."""

    events: Mapping[str, npt.NDArray[np.int32]]
    states: Mapping[str, Mapping[str, npt.NDArray[np.int32]]]


def run(
    graph: Graph,
    inputs: Mapping[str, npt.NDArray[Any]],
    states: bool | Collection[str] = False,
    tell: Callable[[int, int], None] | None = None,
) -> Trace:
    """Run samples, integers (N, W, *shape) by source, in one run or, if the graph is not phased, one run each.

    Shapes are those of the graph, in Lava's order. states: of all populations, or of those named, are kept. tell: is
    called with the steps that are done, and all. Raises DataError for other samples.
    """
    check_samples(graph, inputs)
    count = len(next(iter(inputs.values())))
    at_once = count if graph.phased else 1
    steps = graph.steps(at_once)
    traces: list[Trace] = []
    for first in range(0, count, at_once):
        streams = graph.streams({name: x[first : first + at_once] for name, x in inputs.items()})
        done = partial(_told, tell, len(traces) * steps, count // at_once * steps) if tell else None
        traces.append(emulate(graph, streams, states, done))
    events = {name: np.concatenate([graph.samples(name, one.events[name]) for one in traces]) for name in graph.shapes}
    kept = {
        name: {key: np.concatenate([graph.samples(name, one.states[name][key]) for one in traces]) for key in keys}
        for name, keys in traces[0].states.items()
    }
    return Trace(events, kept)


def check_samples(graph: Graph, inputs: Mapping[str, npt.NDArray[Any]]) -> None:
    """Refuse samples that are not integers (N, W, *shape) for each source, equally many, within what it sends."""
    names = [source.name for source in graph.sources]
    if sorted(inputs) != sorted(names):
        raise DataError(f"samples are given for {', '.join(inputs) or 'none'}; the sources are {', '.join(names)}")
    for source in graph.sources:
        values, shape = np.asarray(inputs[source.name]), (graph.window, *source.shape)
        if values.shape[1:] != shape or not len(values) or values.dtype.kind not in "biu":
            raise DataError(
                f"source '{source.name}' takes integers (N, {', '.join(map(str, shape))}), images as (W, H, C), got "
                f"{values.dtype} of shape {values.shape}"
            )
        most = 2 ** max(source.message_bits, 1) - 1
        if values.min() < (-most - 1 if source.message_bits else 0) or values.max() > most:
            raise DataError(f"source '{source.name}' sends up to {most}, got {values.min()}..{values.max()}")
    if len({len(values) for values in inputs.values()}) > 1:
        raise DataError("samples must be equally many for each source")


def _told(tell: Callable[[int, int], None], before: int, total: int, step: int) -> None:
    tell(before + step, total)


def emulate(
    graph: Graph,
    streams: Mapping[str, npt.NDArray[Any]],
    states: bool | Collection[str] = False,
    tell: Callable[[int], None] | None = None,
) -> Trace:
    """Run all steps of streams (steps, *shape) by source. Sources send in a step what stands there."""
    steps = len(next(iter(streams.values())))
    synapses = [(s, compiled(s, graph.shapes[s.source], graph.shapes[s.target])) for s in graph.synapses]
    models: dict[str, Model] = {n.name: MODELS[n.model](n) for n in graph.neurons}
    events = {name: np.zeros((steps, *shape), np.int32) for name, shape in graph.shapes.items()}
    kept = {
        name: {key: np.zeros((steps, *graph.shapes[name]), np.int32) for key in model.state}
        for name, model in models.items()
        if states is True or (states and name in states)
    }
    incoming: dict[str, IntArray] = {name: np.zeros(graph.shapes[name], np.int64) for name in models}
    last = {name: np.zeros(shape, np.int64) for name, shape in graph.shapes.items()}
    for t in range(1, steps + 1):
        for name in models:
            incoming[name][...] = 0
        for s, send in synapses:  # before the neurons: what they send in this step arrives in the next
            incoming[s.target] += send.sent()
        for name, stream in streams.items():
            last[name] = stream[t - 1].astype(np.int64)
        for name, model in models.items():
            last[name] = model(t, incoming[name])
        for s, take in synapses:
            take.take(last[s.source])
        for name, sent in last.items():
            events[name][t - 1] = sent
        for name, states_of in kept.items():
            for key, values in states_of.items():
                values[t - 1] = models[name].state[key]
        if tell:
            tell(t)
    return Trace(events, kept)

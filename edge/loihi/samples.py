# SPDX-License-Identifier: Apache-2.0
"""samples.npz of a bundle: what sources send, and what the emulator says that comes of it.

`input/NAME` and `events/NAME`, int32 (N, W, *shape), of sources and of populations; `states/NAME/v`, the same of those
that the graph's meta `probes` names; on request `last/NAME/KEY`, int32 (runs, *shape), u and v after each run's end.
"""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.edge.loihi.emulate import Trace, emulate, run
from spikerun.edge.loihi.graph import Graph

__all__ = ["expected", "npz", "probes"]

Arrays = dict[str, npt.NDArray[np.int32]]


def probes(graph: Graph) -> list[str]:
    """Return the populations whose membranes are part of the result."""
    return [name for name in str(graph.meta.get("probes", "")).split(",") if name]


def expected(
    graph: Graph, inputs: Mapping[str, npt.NDArray[Any]], trace: Trace | None = None, last: bool = False
) -> Arrays:
    """Return the arrays of samples.npz. last: states at the end, too.

    trace: of `run` with the states of `probes`, if there is one.
    """
    trace = trace or run(graph, inputs, states=probes(graph))
    arrays: Arrays = {f"input/{name}": np.asarray(values, np.int32) for name, values in inputs.items()}
    arrays |= {f"events/{n.name}": trace.events[n.name] for n in graph.neurons}
    arrays |= {f"states/{name}/v": trace.states[name]["v"] for name in probes(graph)}
    return {**arrays, **(_last(graph, inputs) if last else {})}


def _last(graph: Graph, inputs: Mapping[str, npt.NDArray[Any]]) -> Arrays:
    count = len(next(iter(inputs.values())))
    at_once = count if graph.phased else 1
    ends: dict[str, list[npt.NDArray[np.int32]]] = {}
    for first in range(0, count, at_once):
        streams = graph.streams({name: x[first : first + at_once] for name, x in inputs.items()})
        for name, states in emulate(graph, streams, states=True).states.items():
            for key in states.keys() & {"u", "v"}:
                ends.setdefault(f"last/{name}/{key}", []).append(states[key][-1])
    return {key: np.stack(values) for key, values in ends.items()}


def npz(arrays: Arrays) -> bytes:
    """Return the bytes of samples.npz."""
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    return file.getvalue()

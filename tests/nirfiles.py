# SPDX-License-Identifier: Apache-2.0
"""NIR files for tests, written with h5py alone, so that they may be wrong in any way."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import numpy as np

from spikerun.converters.graph import Array
from spikerun.converters.nir.read import read_nir
from spikerun.converters.spiking.step import Step, simulate

Nodes = Mapping[str, Mapping[str, Any]]
Edges = Sequence[tuple[str, str]]
TEXT = h5py.string_dtype()


def fill(group: Any, nodes: Nodes, edges: Edges) -> None:
    """Make a group a graph."""
    group.create_dataset("type", data="NIRGraph", dtype=TEXT)
    group.create_dataset("edges", data=np.array(edges, object).reshape(-1, 2), dtype=TEXT)
    inside = group.create_group("nodes")
    for name, values in nodes.items():
        node = inside.create_group(name)
        if "nodes" in values:
            fill(node, values["nodes"], values["edges"])
            continue
        for key, value in values.items():
            node.create_dataset(key, data=value, **({"dtype": TEXT} if isinstance(value, str) else {}))


def write(path: Path, nodes: Nodes, edges: Edges) -> Path:
    """Write a graph as a file."""
    with h5py.File(path, "w") as file:
        fill(file.create_group("node"), nodes, edges)
    return path


def chain(path: Path, shape: Sequence[int], *middle: Mapping[str, Any]) -> Path:
    """Write an input of a shape, nodes named a, b, ..., and an output, one after the other."""
    names = ["input", *"abcdefgh"[: len(middle)], "output"]
    ends = {"input": {"type": "Input", "shape": list(shape)}, "output": {"type": "Output", "shape": list(shape)}}
    nodes = {**ends, **dict(zip(names[1:], middle, strict=False))}
    return write(path, nodes, list(pairwise(names)))


def node(kind: str, **values: Any) -> dict[str, Any]:
    """Return a node; numbers become arrays."""
    return {"type": kind, **{k: v if isinstance(v, str) else np.asarray(v) for k, v in values.items()}}


def lif(tau: Any = 0.01, r: Any = 1.0, v_leak: Any = 0.0, v_threshold: Any = 1.0, **more: Any) -> dict[str, Any]:
    """Return a LIF."""
    return node("LIF", tau=tau, r=r, v_leak=v_leak, v_threshold=v_threshold, **more)


def played(step: Step, samples: Array) -> Array:
    """Return what the output of a step shows in each step (steps, *shape), for inputs (steps, *shape)."""
    (name,) = step.graph.inputs
    (end,) = (n.name for n in step.graph.nodes.values() if n.name in step.graph.outputs)
    given = np.asarray(samples, np.float64)[None]
    return np.stack([values[end][0] for values in simulate(step, {name: given}, given.shape[1])])


def answer(path: Path, samples: Any, **how: Any) -> Array:
    """Return what a file's network shows for inputs (steps, *shape)."""
    return played(read_nir(path, **how), np.asarray(samples))

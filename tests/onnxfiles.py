# SPDX-License-Identifier: Apache-2.0
"""ONNX files for tests: small models, node by node."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from spikerun.converters.graph import Array

__all__ = ["FLOAT", "made", "node", "weights", "write"]

FLOAT = TensorProto.FLOAT
Axes = Sequence[int | str]


def node(operator: str, inputs: str, outputs: str, name: str = "", domain: str = "", **attributes: Any) -> NodeProto:
    """Return a node; its inputs and outputs are names with blanks between, `-` for one that is left out."""
    given, results = (["" if name == "-" else name for name in text.split()] for text in (inputs, outputs))
    return helper.make_node(operator, given, results, name=name or None, domain=domain, **attributes)


def made(
    nodes: Sequence[NodeProto],
    inputs: Mapping[str, Axes],
    outputs: Sequence[str] = ("y",),
    constants: Mapping[str, Array] | None = None,
    opset: int = 17,
    learn: int = 3,
    type: int = FLOAT,
) -> ModelProto:
    """Return a model; inputs: the lengths of their axes, batch first, names where they are free."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info(name, type, list(axes)) for name, axes in inputs.items()],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", learn)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def write(path: Path, model: ModelProto) -> Path:
    """Write a model as a file."""
    path.write_bytes(model.SerializeToString())
    return path


def weights(*shape: int, seed: int = 0, size: float = 1.0) -> Array:
    """Return random float32 weights."""
    return (np.random.default_rng(seed).normal(size=shape) * size).astype(np.float32)

# SPDX-License-Identifier: Apache-2.0
"""Single layers that take turns: random few-spikes words, kernels, and the same layer as a node of ONNX Runtime."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from turns import Array, Call

from spikerun.kernels.cpu.cost import aligned

__all__ = ["kernel", "node_session", "quantisation", "weights", "words"]

NUMBERS = {np.dtype(np.uint8): TensorProto.UINT8, np.dtype(np.float32): TensorProto.FLOAT}


def words(rng: np.random.Generator, inputs: int, n: int, active: float, largest: int) -> Array:
    """Return (inputs, n) words up to `largest`, of which this share is active, 1.4 spikes in each of these."""
    drawn = np.minimum(1 + np.floor(rng.exponential(3, (inputs, n))), largest)
    return np.where(rng.random((inputs, n)) < active, drawn, 0).astype(np.uint8)


def weights(rng: np.random.Generator, *shape: int) -> Array:
    """Return random int8 weights, spread as those of trained layers are."""
    return np.clip(np.rint(rng.normal(0, 30, shape)), -127, 127).astype(np.int8)


def kernel(apply: Callable[[Array, Array], None], x: Array, n_out: int) -> Call:
    """Return the call of a kernel."""
    wide, acc = x.astype(np.int16), aligned(n_out, np.int32)
    return lambda k: apply(wide[k], acc)


def quantisation(threshold: int) -> dict[str, Array]:
    """Return scales and zero points: s and z of words, s and t of weights, a and z of results."""
    scales = {"s": np.float32(1), "a": np.float32(threshold), "z": np.uint8(0), "t": np.int8(0)}
    return {name: np.asarray(value) for name, value in scales.items()}


def node_session(node: Any, constants: Mapping[str, Array], x: Array, result: tuple[type, list[int]]) -> Call:
    """Return the call of a session of one node, from x to y, on one thread; x: (inputs, *shape).

    result: type and shape of y.
    """
    tensors = [onnx.numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()]
    given = helper.make_tensor_value_info("x", NUMBERS[x.dtype], list(x.shape[1:]))
    kind, shape = result
    found = helper.make_tensor_value_info("y", helper.np_dtype_to_tensor_dtype(np.dtype(kind)), shape)
    graph = helper.make_graph([node], "layer", [given], [found], tensors)
    versions = [helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)]
    model: Any = helper.make_model(graph, opset_imports=versions, ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda k: session.run(None, {"x": x[k]})

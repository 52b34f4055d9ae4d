# SPDX-License-Identifier: Apache-2.0
"""Each operator of ONNX that is read, in its forms: the float graph gives what ONNX Runtime gives, at any batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import NodeProto
from onnxfiles import made, node, weights, write

from spikerun.converters import Encoding, convert
from spikerun.converters.graph import Array
from spikerun.converters.onnx.operators import ONNX
from spikerun.converters.onnx.source import OnnxSource
from spikerun.converters.verify import evaluate

I64 = np.int64
IMAGE = (2, 6, 5)
ROW = (6,)
LINE = (3, 8)


@dataclass(frozen=True)
class Case:
    """Nodes from `x` to `y` for samples of a shape."""

    name: str
    nodes: Sequence[NodeProto]
    shape: tuple[int, ...] = IMAGE
    constants: Mapping[str, Any] = field(default_factory=dict)
    opset: int = 17
    positive: bool = False  # samples

    def __str__(self) -> str:
        return self.name


def one(name: str, operator: str, inputs: str, shape: tuple[int, ...], opset: int = 17, **values: Any) -> Case:
    """Return a case of one node: arrays are its constant inputs, everything else its attributes."""
    constants = {k: v for k, v in values.items() if isinstance(v, (np.ndarray, np.generic))}
    attributes = {k: v for k, v in values.items() if k not in constants and k != "positive"}
    positive = bool(values.get("positive"))
    return Case(name, [node(operator, inputs, "y", **attributes)], shape, constants, opset, positive)


def i64(*values: int) -> Array:
    return np.array(values, I64)


def f32(*values: float) -> Array:
    return np.array(values, np.float32)


W = weights(4, 2, 3, 3)
CONVOLUTIONS = [
    one("conv", "Conv", "x w", IMAGE, w=W),
    one("conv, bias", "Conv", "x w b", IMAGE, w=W, b=weights(4)),
    one("conv, padding", "Conv", "x w", IMAGE, w=W, pads=[1, 1, 1, 1]),
    one("conv, uneven padding", "Conv", "x w", IMAGE, w=W, pads=[0, 1, 1, 0]),
    one("conv, very uneven padding", "Conv", "x w", IMAGE, w=W, pads=[3, 0, 0, 2]),
    one("conv, uneven padding, dilated", "Conv", "x w", IMAGE, w=W, pads=[2, 1, 1, 2], dilations=[2, 2]),
    one("conv, strides, uneven padding", "Conv", "x w", IMAGE, w=W, pads=[0, 0, 1, 1], strides=[2, 2]),
    one("conv, SAME_UPPER", "Conv", "x w", IMAGE, w=W, auto_pad="SAME_UPPER", strides=[2, 2]),
    one("conv, SAME_LOWER", "Conv", "x w", IMAGE, w=W, auto_pad="SAME_LOWER", strides=[2, 3]),
    one("conv, even kernel, SAME_LOWER", "Conv", "x w", IMAGE, w=weights(4, 2, 2, 4), auto_pad="SAME_LOWER"),
    one("conv, VALID", "Conv", "x w", IMAGE, w=W, auto_pad="VALID"),
    one("conv, depthwise", "Conv", "x w", IMAGE, w=weights(4, 1, 3, 3), group=2, kernel_shape=[3, 3]),
    one("conv1d", "Conv", "x w b", LINE, w=weights(4, 3, 3), b=weights(4), pads=[2, 2], dilations=[2]),
    one("conv1d, uneven padding", "Conv", "x w", LINE, w=weights(4, 3, 3), pads=[1, 0], strides=[2]),
    one("transposed conv", "ConvTranspose", "x w", IMAGE, w=weights(2, 3, 3, 3)),
    one("transposed conv, strides", "ConvTranspose", "x w b", IMAGE, w=weights(2, 3, 2, 2), b=weights(3),
        strides=[2, 2]),
    one("transposed conv, all", "ConvTranspose", "x w", IMAGE, w=weights(2, 2, 3, 3), strides=[3, 2], pads=[1, 1, 1, 1],
        output_padding=[1, 0], dilations=[1, 2], group=2),
    one("transposed conv, uneven pads", "ConvTranspose", "x w b", IMAGE, w=weights(2, 3, 3, 3), b=weights(3),
        strides=[2, 2], pads=[0, 1, 2, 0]),
    one("transposed conv, output_shape", "ConvTranspose", "x w", IMAGE, w=weights(2, 3, 3, 3), strides=[2, 2],
        output_shape=[12, 10]),
    one("transposed conv, SAME_LOWER", "ConvTranspose", "x w", IMAGE, w=weights(2, 3, 3, 3), strides=[2, 2],
        auto_pad="SAME_LOWER"),
    one("transposed conv1d", "ConvTranspose", "x w", LINE, w=weights(3, 2, 4), strides=[2], pads=[1, 1]),
]  # fmt: skip
DENSE = [
    one("gemm", "Gemm", "x w b", ROW, w=weights(6, 4), b=weights(4)),
    one("gemm, transB, factors", "Gemm", "x w b", ROW, w=weights(4, 6), b=weights(1, 4), transB=1, alpha=0.5, beta=2.0),
    one("gemm without bias", "Gemm", "x w", ROW, w=weights(6, 4)),
    one("gemm, one bias", "Gemm", "x w b", ROW, w=weights(6, 4), b=weights()),
    one("gemm, beta 0", "Gemm", "x w b", ROW, w=weights(6, 4), b=weights(4), beta=0.0),
    Case("gemm, bias computed", [node("Gemm", "x w x", "y", beta=0.5)], ROW, {"w": weights(6, 6)}),
    one("matmul", "MatMul", "x w", ROW, w=weights(6, 4)),
    one("matmul, vector", "MatMul", "x w", ROW, w=weights(6)),
    one("matmul along the last axis", "MatMul", "x w", LINE, w=weights(8, 5)),
    one("matmul along the last axis of images", "MatMul", "x w", IMAGE, w=weights(5, 3)),
    one("matmul from the left", "MatMul", "w x", LINE, w=weights(4, 3)),
    one("matmul from the left, images", "MatMul", "w x", IMAGE, w=weights(4, 6)),
    one("matmul, vector along the last axis", "MatMul", "x w", LINE, w=weights(8)),
]
ARITHMETIC = [
    one("add, one number", "Add", "x c", IMAGE, c=weights()),
    one("add, by channel", "Add", "c x", IMAGE, c=weights(2, 1, 1)),
    one("add, by channel with batch", "Add", "x c", IMAGE, c=weights(1, 2, 1, 1)),
    one("add, by the last axis", "Add", "x c", IMAGE, c=weights(5)),
    one("add, by value", "Add", "x c", IMAGE, c=weights(*IMAGE)),
    one("add, repeats values", "Add", "x c", (2, 1, 1), c=weights(1, 3, 4)),
    Case("add, repeated values", [node("ReduceMax", "x", "m", axes=[2, 3]), node("Add", "x m", "y")]),
    one("sub", "Sub", "x c", IMAGE, c=weights(2, 1, 1)),
    one("sub from a constant", "Sub", "c x", IMAGE, c=weights(2, 1, 1)),
    Case("sub, two values", [node("Relu", "x", "r"), node("Sub", "r x", "y")]),
    one("mul", "Mul", "c x", IMAGE, c=weights(2, 1, 1)),
    one("mul, by value", "Mul", "x c", IMAGE, c=weights(*IMAGE)),
    one("mul, by row", "Mul", "x c", IMAGE, c=weights(6, 1)),
    Case("mul, two values", [node("Sigmoid", "x", "s"), node("Mul", "x s", "y")]),
    one("div", "Div", "x c", ROW, c=weights(6)),
    one("neg", "Neg", "x", IMAGE),
    Case("sum", [node("Relu", "x", "r"), node("Sum", "x r c x", "y")], IMAGE, {"c": weights(2, 1, 1)}),
    one("sum, a constant first", "Sum", "c x x", IMAGE, c=weights(2, 1, 1)),
    Case("mean", [node("Relu", "x", "r"), node("Mean", "x r", "y")]),
    Case("concat", [node("Relu", "x", "r"), node("Concat", "x r", "y", axis=1)]),
    Case("concat of columns", [node("Relu", "x", "r"), node("Concat", "r x", "y", axis=-1)]),
    one("concat with a constant", "Concat", "x c", LINE, c=np.repeat(weights(1, 2, 8), 3, 0), axis=1),
    one("concat with zeros", "Concat", "x c", LINE, c=np.zeros((3, 2, 8), np.float32), axis=1),
]
ACTIVATIONS = [
    *(one(name, name, "x", IMAGE, opset=22) for name in (
        "Relu", "Tanh", "Softplus", "Softsign", "HardSwish", "Mish", "Erf", "Exp", "Abs", "LeakyRelu", "Elu",
        "Celu", "Selu", "HardSigmoid", "Gelu", "ThresholdedRelu", "Shrink", "Identity", "Dropout")),
    *(one(name, name, "x", IMAGE, positive=True) for name in ("Sqrt", "Log", "Reciprocal")),
    one("a constant divided", "Div", "c x", IMAGE, c=f32(2), positive=True),
    one("gelu, tanh", "Gelu", "x", IMAGE, opset=20, approximate="tanh"),
    one("clip", "Clip", "x a b", IMAGE, a=np.float32(-0.5), b=np.float32(1)),
    one("relu6", "Clip", "x a b", IMAGE, a=np.float32(0), b=np.float32(0.6)),
    one("clip, only above", "Clip", "x - b", IMAGE, b=np.float32(0.3)),
    one("clip, only below", "Clip", "x a", IMAGE, a=np.float32(0)),
    one("clip, no limits", "Clip", "x", IMAGE),
    one("clip, attributes", "Clip", "x", IMAGE, opset=9, min=0.0, max=0.5),
    one("clip, an attribute", "Clip", "x", IMAGE, opset=9, max=0.5),
    one("max with a constant", "Max", "x c", IMAGE, c=f32(0.2)),
    one("min with a constant", "Min", "c x", IMAGE, c=f32(0.2)),
    one("prelu, one slope", "PRelu", "x s", IMAGE, s=f32(0.3)),
    one("prelu by channel", "PRelu", "x s", IMAGE, s=weights(2, 1, 1)),
    one("prelu by the last axis", "PRelu", "x s", IMAGE, s=weights(1, 1, 5)),
    one("prelu by value", "PRelu", "x s", IMAGE, s=weights(2, 6, 5)),
    one("power", "Pow", "x c", IMAGE, c=f32(2)),
    one("cast to double and back", "Cast", "x", IMAGE, to=1),
    Case("sigmoid", [node("Sigmoid", "x", "s"), node("Neg", "s", "y")]),
    Case("swish", [node("Sigmoid", "x", "s"), node("Mul", "s x", "y")]),
]  # fmt: skip
POOLS = [
    one("average pool", "AveragePool", "x", IMAGE, kernel_shape=[2, 2], strides=[2, 2]),
    one("average pool, padding not counted", "AveragePool", "x", IMAGE, kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    one("average pool, padding counted", "AveragePool", "x", IMAGE, kernel_shape=[3, 3], pads=[1, 1, 1, 1],
        count_include_pad=1),
    one("average pool, uneven padding", "AveragePool", "x", IMAGE, kernel_shape=[3, 2], pads=[0, 1, 1, 0]),
    one("average pool, uneven padding counted", "AveragePool", "x", IMAGE, kernel_shape=[3, 2], pads=[0, 1, 1, 0],
        count_include_pad=1),
    one("average pool, ceil mode", "AveragePool", "x", IMAGE, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    one("average pool, SAME_UPPER", "AveragePool", "x", IMAGE, kernel_shape=[2, 2], strides=[1, 1],
        auto_pad="SAME_UPPER"),
    one("average pool, dilated", "AveragePool", "x", IMAGE, opset=19, kernel_shape=[2, 2], dilations=[2, 1]),
    one("average pool of signals", "AveragePool", "x", LINE, kernel_shape=[3], strides=[2], pads=[1, 1]),
    one("max pool", "MaxPool", "x", IMAGE, kernel_shape=[2, 2], strides=[2, 2]),
    one("max pool, padding", "MaxPool", "x", IMAGE, kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    one("max pool, uneven padding", "MaxPool", "x", IMAGE, kernel_shape=[3, 2], pads=[0, 1, 2, 0]),
    one("max pool, ceil mode", "MaxPool", "x", IMAGE, kernel_shape=[2, 3], strides=[3, 2], ceil_mode=1),
    one("max pool, dilated", "MaxPool", "x", IMAGE, kernel_shape=[2, 2], dilations=[2, 1]),
    one("max pool, dilated, padded unevenly", "MaxPool", "x", IMAGE, kernel_shape=[3, 2], dilations=[2, 2],
        pads=[1, 0, 2, 1]),
    one("max pool, SAME_LOWER", "MaxPool", "x", IMAGE, kernel_shape=[2, 2], strides=[1, 1], auto_pad="SAME_LOWER"),
    one("max pool of signals", "MaxPool", "x", LINE, kernel_shape=[3], strides=[2], ceil_mode=1),
    one("global average pool", "GlobalAveragePool", "x", IMAGE),
    one("global average pool of signals", "GlobalAveragePool", "x", LINE),
    one("global average pool of volumes", "GlobalAveragePool", "x", (2, 3, 2, 4)),
    one("global max pool", "GlobalMaxPool", "x", IMAGE),
    one("mean of images", "ReduceMean", "x", IMAGE, axes=[2, 3], keepdims=0),
    one("mean of channels", "ReduceMean", "x", IMAGE, axes=[1]),
    one("mean of rows, axes as an input", "ReduceMean", "x a", IMAGE, opset=18, a=i64(-1)),
    one("mean of nothing", "ReduceMean", "x", IMAGE, opset=18, noop_with_empty_axes=1),
    one("sum", "ReduceSum", "x a", IMAGE, a=i64(1, 3), keepdims=0),
    one("maximum", "ReduceMax", "x", IMAGE, axes=[-1, 1], keepdims=0),
    one("minimum", "ReduceMin", "x", IMAGE, axes=[2, 3]),
    one("mean of a row", "ReduceMean", "x", ROW, axes=[1], keepdims=0),
]  # fmt: skip
SHAPES = [
    one("flatten", "Flatten", "x", IMAGE),
    one("flatten, axis from the end", "Flatten", "x", IMAGE, axis=-3),
    one("reshape", "Reshape", "x s", IMAGE, s=i64(0, -1)),
    one("reshape, free batch", "Reshape", "x s", IMAGE, s=i64(-1, 5, 12)),
    Case("reshape by the shape", [
        node("Shape", "x", "s"), node("Gather", "s zero", "n", axis=0), node("Unsqueeze", "n axes", "m"),
        node("Concat", "m rest", "t", axis=0), node("Reshape", "x t", "y"),
    ], IMAGE, {"zero": np.int64(0), "axes": i64(0), "rest": i64(-1)}),
    one("transpose", "Transpose", "x", IMAGE, perm=[0, 2, 3, 1]),
    one("squeeze", "Squeeze", "x a", (2, 1, 5), a=i64(2)),
    one("squeeze, attribute", "Squeeze", "x", (2, 1, 5), opset=11, axes=[2]),
    one("squeeze to one number", "Squeeze", "x a", (1,), a=i64(1)),
    one("unsqueeze", "Unsqueeze", "x a", ROW, a=i64(1, -1)),
    one("slice", "Slice", "x s e a t", IMAGE, s=i64(-1), e=i64(-(2**62)), a=i64(2), t=i64(-2)),
    one("slice, attributes", "Slice", "x", IMAGE, opset=9, starts=[0, 1], ends=[1, 2**62], axes=[1, 3]),
    one("gather", "Gather", "x i", IMAGE, i=i64(3, 0, -1), axis=2),
    one("gather of one", "Gather", "x i", IMAGE, i=np.int64(1), axis=1),
    Case("split", [node("Split", "x s", "a y", axis=2)], IMAGE, {"s": i64(2, 4)}),
    Case("split, both parts", [node("Split", "x", "a b", axis=1), node("Sub", "b a", "y")]),
    Case("split, num_outputs", [node("Split", "x", "a b y", axis=3, num_outputs=3)], (2, 3, 5), {}, 18),
    one("pad", "Pad", "x p", IMAGE, p=i64(0, 0, 1, 2, 0, 0, 0, 1)),
    one("pad with a value", "Pad", "x p v", IMAGE, p=i64(0, 1, 1, 2, 0, 0, 0, 1), v=np.float32(0.5)),
    one("pad, attributes", "Pad", "x", IMAGE, opset=10, pads=[0, 0, 1, 0, 0, 0, 0, 1], value=0.25),
    one("pad, cut", "Pad", "x p", IMAGE, p=i64(0, 0, -1, 2, 0, 0, 0, -1)),
    one("pad, reflect", "Pad", "x p", IMAGE, p=i64(0, 0, 1, 2, 0, 0, 0, 1), mode="reflect"),
    one("pad, edge, axes", "Pad", "x p - a", IMAGE, opset=18, p=i64(1, 2), a=i64(-1), mode="edge"),
    one("resize, factors", "Resize", "x - s", IMAGE, s=f32(1, 1, 2, 3), mode="nearest"),
    one("resize, floor", "Resize", "x - s", IMAGE, s=f32(1, 1, 2, 2), mode="nearest", nearest_mode="floor",
        coordinate_transformation_mode="asymmetric"),
    one("resize, sizes", "Resize", "x - - s", IMAGE, s=i64(3, 2, 9, 4), mode="nearest", nearest_mode="ceil",
        coordinate_transformation_mode="align_corners"),
    one("resize, opset 10", "Resize", "x s", IMAGE, opset=10, s=f32(1, 1, 2, 2), mode="nearest"),
    one("upsample", "Upsample", "x s", IMAGE, opset=9, s=f32(1, 1, 3, 2), mode="nearest"),
    one("depth to space", "DepthToSpace", "x", (8, 3, 2), blocksize=2),
    one("depth to space, CRD", "DepthToSpace", "x", (8, 3, 2), blocksize=2, mode="CRD"),
    one("space to depth", "SpaceToDepth", "x", (2, 4, 6), blocksize=2),
    one("expand", "Expand", "x s", (2, 1, 5), s=i64(2, 3, 1)),
    one("tile", "Tile", "x r", LINE, r=i64(1, 2, 1)),
    one("batch norm", "BatchNormalization", "x g b m v", IMAGE, g=weights(2), b=weights(2), m=weights(2),
        v=np.abs(weights(2)), epsilon=1e-3),
    one("batch norm of rows", "BatchNormalization", "x g b m v", ROW, opset=9, g=weights(6), b=weights(6), m=weights(6),
        v=np.abs(weights(6))),
]  # fmt: skip
CASES = [*CONVOLUTIONS, *DENSE, *ARITHMETIC, *ACTIVATIONS, *POOLS, *SHAPES]


def samples(case: Case, count: int) -> Array:
    values = np.random.default_rng(1).normal(size=(count, *case.shape)).astype(np.float32)
    return np.abs(values) + 0.1 if case.positive else values


def opened(case: Case, folder: Path, batch: int | str) -> OnnxSource:
    inputs = {"x": (batch, *case.shape)}
    return OnnxSource(write(folder / "m.onnx", made(case.nodes, inputs, ["y"], case.constants, case.opset)))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_graph_gives_what_onnx_runtime_gives(case: Case, tmp_path: Path) -> None:
    source, x = opened(case, tmp_path, 3), samples(case, 3)
    expected = source.logits({"input": x})["output"]
    found = source.graph({"input": case.shape}).evaluate({"input": x.astype(np.float64)})["output"]
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-5, atol=1e-5)
    assert np.ptp(expected) > 0


@pytest.mark.parametrize("case", [c for c in CASES if "sizes" not in c.name and "constant" not in c.name], ids=str)
def test_the_batch_may_be_free(case: Case, tmp_path: Path) -> None:
    free, fixed = opened(case, tmp_path, "batch"), opened(case, tmp_path, 1)
    x = {"input": samples(case, 2).astype(np.float64)}
    shapes = {"input": case.shape}
    np.testing.assert_array_equal(free.graph(shapes).evaluate(x)["output"], fixed.graph(shapes).evaluate(x)["output"])


# A third of all.
CONVERTED = [
    c for c in CASES[::3] if not c.positive and "sizes" not in c.name and "constant" not in c.name and len(c.shape) < 4
]


@pytest.mark.parametrize("case", CONVERTED, ids=str)
def test_words_of_8_bits_stand_for_what_the_model_gives(case: Case, tmp_path: Path) -> None:
    source, encoding = opened(case, tmp_path, "batch"), Encoding(scale=1 / 64, mean=2.0)
    data = np.random.default_rng(0).integers(0, 256, (24, *case.shape))
    conversion = convert(source, data, bits=8, encoding=encoding)
    neuron: Any = conversion.network.populations["output"].neuron
    sums = evaluate(conversion.quantised, data)["output"].reshape(len(data), np.size(neuron.scale), -1)
    found = (sums * np.reshape(neuron.scale, (-1, 1))).reshape(len(data), -1)
    expected = source.logits({"input": encoding.real(data)})["output"].reshape(len(data), -1)
    assert np.abs(found - expected).mean() < 0.06 * expected.std()


def test_every_operator_that_is_read_has_a_case() -> None:
    tried = {n.op_type for case in CASES for n in case.nodes}
    elsewhere = {
        "CastLike",
        "Compress",
        "DequantizeLinear",
        "GatherElements",
        "GatherND",
        "range",
    }
    assert {name for name, _ in ONNX.coverage() if "::" not in name} - tried == elsewhere

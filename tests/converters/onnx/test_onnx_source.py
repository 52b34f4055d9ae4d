# SPDX-License-Identifier: Apache-2.0
"""ONNX files as sources: names of inputs and results, batches, what is left out at the end, what is refused and how."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper
from onnxfiles import made, node, weights, write

from spikerun import converters
from spikerun.cli import main
from spikerun.converters import Encoding, convert, open_source
from spikerun.converters.graph import Array, Rearrange
from spikerun.converters.onnx.source import OnnxSource
from spikerun.errors import ConversionError, DataError, UsageError

ROW = {"x": ["n", 6]}
IMAGE = {"x": ["n", 2, 6, 6]}
DENSE = {"w": weights(6, 4), "b": weights(4)}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "m.onnx"


def dense(**changes: Any) -> ModelProto:
    return made(**{"nodes": [node("Gemm", "x w b", "y")], "inputs": ROW, "constants": DENSE, **changes})


def samples(*shape: int, count: int = 16) -> Array:
    return np.random.default_rng(0).random((count, *shape))


def evaluated(source: OnnxSource, batch: dict[str, Array]) -> dict[str, Array]:
    return source.graph({name: x.shape[1:] for name, x in batch.items()}).evaluate(batch)


def assert_read(source: OnnxSource, batch: dict[str, Array]) -> None:
    found, expected = evaluated(source, batch), source.logits(batch)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name].reshape(values.shape), values, rtol=1e-5, atol=1e-5)


def test_a_dense_layer_counts_its_macs_once(file: Path) -> None:
    assert OnnxSource(write(file, dense())).graph({"input": (6,)}).macs() == 6 * 4


@pytest.mark.parametrize(
    ("size", "attributes", "macs"),
    [
        (3, {"pads": [1, 1, 1, 1], "strides": [2, 2]}, 25 * 4 * 9),
        (3, {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, 25 * 4 * 9),
        (3, {"pads": [0, 0, 1, 1], "strides": [2, 2]}, 25 * 4 * 9),
        (4, {"auto_pad": "SAME_UPPER"}, 100 * 4 * 16),
        (2, {"pads": [0, 0, 3, 3], "dilations": [2, 2]}, 121 * 4 * 4),
    ],
)
def test_a_convolution_that_is_padded_unevenly_counts_the_taps_of_the_model(
    size: int, attributes: dict[str, Any], macs: int, file: Path
) -> None:
    model = made(
        [node("Conv", "x w", "y", **attributes)], {"x": ["n", 1, 10, 10]}, ("y",), {"w": weights(4, 1, size, size)}
    )
    source = OnnxSource(write(file, model))
    assert source.graph({"input": (1, 10, 10)}).macs() == macs
    assert_read(source, {"input": samples(1, 10, 10)})


def test_a_dilated_average_counts_no_macs(file: Path) -> None:
    pool = node("AveragePool", "x", "y", kernel_shape=[2, 2], dilations=[2, 2])
    source = OnnxSource(write(file, made([pool], {"x": ["n", 1, 10, 10]}, opset=19)))
    assert source.graph({"input": (1, 10, 10)}).macs() == 0


# --- inputs, results, batches ----------------------------------------------------------------------------------------


def test_the_only_input_and_result_have_plain_names(file: Path) -> None:
    source = OnnxSource(write(file, dense()))
    assert source.name == "onnx" and list(evaluated(source, {"input": samples(6)})) == ["output"]


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("/features/features.3/inner/inner.1/inner.1.2/Gemm", "features.3.inner.1.2"),
        ("/blocks.0/fc/Gemm", "blocks.0.fc"),
        ("/a/ab/Gemm", "a.ab"),
        ("/Gemm", ""),
        ("a/b/Gemm", ""),
    ],
)
def test_modules_are_those_of_the_scopes_that_torch_writes(file: Path, name: str, module: str) -> None:
    (item,) = OnnxSource(write(file, dense(nodes=[node("Gemm", "x w b", "y", name=name)]))).model.items
    assert item.origin.module == module


def test_several_inputs_and_results_keep_their_names_made_plain(file: Path) -> None:
    nodes = [
        node("MatMul", "in:left w", "a"),
        node("MatMul", "right w", "b"),
        node("Add", "a b", "sum.0"),
        node("Sub", "a b", "7"),
    ]
    model = made(nodes, {"in:left": ["n", 6], "right": ["n", 6]}, ["sum.0", "7"], {"w": DENSE["w"]})
    source = OnnxSource(write(file, model))
    batch = {"in_left": samples(6), "right": samples(6) * 2}
    assert list(evaluated(source, batch)) == ["sum_0", "_7"]
    assert_read(source, batch)


def test_weights_that_are_listed_as_inputs_are_weights(file: Path) -> None:
    model = dense(opset=9)
    model.ir_version = 3
    model.graph.input.append(helper.make_tensor_value_info("w", 1, [6, 4]))
    model.graph.input.append(helper.make_tensor_value_info("b", 1, [4]))
    assert_read(OnnxSource(write(file, model)), {"input": samples(6)})


def test_an_input_that_nothing_takes_is_not_asked_for(file: Path) -> None:
    model = dense(inputs={**ROW, "unused": ["n", 3]})
    assert_read(OnnxSource(write(file, model)), {"input": samples(6)})


def test_a_fixed_batch_takes_any_number_of_samples(file: Path) -> None:
    nodes = [node("Reshape", "x s", "r"), node("Gemm", "r w b", "y")]
    source = OnnxSource(write(file, made(nodes, {"x": [4, 2, 3]}, constants={**DENSE, "s": np.array([4, 6])})))
    x = samples(2, 3, count=10)
    assert source.logits({"input": x})["output"].shape == (10, 4)
    assert_read(source, {"input": x})


def test_a_reshape_to_a_batch_of_one_needs_a_batch_of_one(file: Path) -> None:
    nodes = [node("Reshape", "x s", "r"), node("Gemm", "r w b", "y")]
    constants = {**DENSE, "s": np.array([1, -1])}
    assert_read(OnnxSource(write(file, made(nodes, {"x": [1, 2, 3]}, constants=constants))), {"input": samples(2, 3)})
    with pytest.raises(
        ConversionError, match=r"turns 2 samples of shape \(2, 3\) into \(1, 12\), in which the samples"
    ):
        OnnxSource(write(file, made(nodes, {"x": ["n", 2, 3]}, constants=constants))).graph({"input": (2, 3)})


def test_a_batch_that_is_as_long_as_another_axis_is_not_taken_for_it(file: Path) -> None:
    model = made([node("Transpose", "x", "t", perm=[1, 0, 2]), node("Relu", "t", "y")], {"x": [2, 2, 3]})
    with pytest.raises(ConversionError, match="the samples are no longer apart"):
        OnnxSource(write(file, model)).graph({"input": (2, 3)})


def test_a_result_that_depends_on_the_number_of_samples_is_refused(file: Path) -> None:
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s zero", "n"),
        node("Cast", "n", "f", to=1),
        node("Div", "x f", "d"),
        node("Gemm", "d w b", "y"),
    ]
    model = made(nodes, ROW, constants={**DENSE, "zero": np.array(0)})
    with pytest.raises(ConversionError, match="depends on how many there are"):
        OnnxSource(write(file, model)).graph({"input": (6,)})


def test_free_axes_take_the_shape_of_the_samples(file: Path) -> None:
    nodes = [node("GlobalAveragePool", "x", "p"), node("Flatten", "p", "f"), node("Gemm", "f w b", "y")]
    model = made(nodes, {"x": ["n", 6, "height", "width"]}, constants=DENSE)
    for shape in ((6, 4, 4), (6, 3, 7)):
        assert_read(OnnxSource(write(file, model)), {"input": samples(*shape)})


def test_samples_of_another_shape_or_name_are_refused(file: Path) -> None:
    source = OnnxSource(write(file, dense()))
    with pytest.raises(DataError, match=r"samples have the shape \(7,\), and its input 'x' is \(any, 6\)"):
        source.graph({"input": (7,)})
    with pytest.raises(DataError, match="its inputs are input, samples are for image"):
        source.graph({"image": (6,)})


def test_an_input_of_integers_takes_whole_samples_only(file: Path) -> None:
    nodes = [node("Cast", "x", "f", to=1), node("Gemm", "f w b", "y")]
    source = OnnxSource(write(file, made(nodes, ROW, constants=DENSE, type=TensorProto.UINT8)))
    assert_read(source, {"input": np.arange(12.0).reshape(2, 6)})
    with pytest.raises(DataError, match=r"takes integers .* give Encoding"):
        source.logits({"input": samples(6)})


def test_without_the_runtime_the_reference_computes_the_results(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, expected = {"input": samples(6)}, OnnxSource(write(file, dense())).logits({"input": samples(6)})
    monkeypatch.setattr("spikerun.converters.onnx.source.has_runtime", lambda: False)
    source = OnnxSource(file)
    assert any("onnxruntime is not installed" in note for note in source.graph({"input": (6,)}).notes)
    np.testing.assert_allclose(source.logits(x)["output"], expected["output"], rtol=1e-5)


def test_a_runner_computes_parts_of_a_batch(file: Path) -> None:
    source, x = OnnxSource(write(file, dense())), {"input": samples(6)}
    part = source.runner(x, 1)(3, 7)
    assert isinstance(part, dict)
    np.testing.assert_array_equal(part["output"], source.logits(x)["output"][3:7])


# --- layouts ---------------------------------------------------------------------------------------------------------


def test_channels_may_be_last(file: Path) -> None:
    nodes = [
        node("Transpose", "x", "a", perm=[0, 3, 1, 2]),
        node("Conv", "a w", "c", auto_pad="SAME_UPPER", strides=[2, 2]),
        node("Transpose", "c", "d", perm=[0, 2, 3, 1]),
        node("Add", "d bias", "e"),
        node("Relu", "e", "f"),
        node("Reshape", "f s", "g"),
        node("MatMul", "g v", "y"),
    ]
    constants = {"w": weights(3, 2, 3, 3), "bias": weights(3), "s": np.array([-1, 27]), "v": weights(27, 4)}
    source = OnnxSource(write(file, made(nodes, {"x": ["n", 6, 6, 2]}, constants=constants)))
    assert_read(source, {"input": samples(6, 6, 2)})
    assert sum(isinstance(n.op, Rearrange) for n in source.graph({"input": (6, 6, 2)}).nodes.values()) >= 3


# --- what is left out at the end -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tail", "outputs", "left"),
    [
        ([node("Softmax", "z", "y")], ["y"], ["Softmax"]),
        ([node("LogSoftmax", "z", "l"), node("Identity", "l", "y")], ["y"], ["LogSoftmax"]),
        ([node("Sigmoid", "z", "y")], ["y"], ["Sigmoid"]),
        ([node("ArgMax", "z", "a"), node("Cast", "a", "y", to=6)], ["y"], ["ArgMax"]),
        ([node("Softmax", "z", "p"), node("ArgMax", "z", "y")], ["y", "p"], ["ArgMax", "Softmax"]),
        (
            [node("Softmax", "z", "p"), node("QuantizeLinear", "p s", "q"), node("DequantizeLinear", "q s", "y")],
            ["y"],
            ["Softmax"],
        ),
    ],
)
def test_what_only_chooses_is_left_out_with_a_note(
    file: Path, tail: list[NodeProto], outputs: list[str], left: list[str]
) -> None:
    constants = {**DENSE, "s": np.float32(1 / 255)}
    source = OnnxSource(write(file, made([node("Gemm", "x w b", "z"), *tail], ROW, outputs, constants)))
    graph = source.graph({"input": (6,)})
    assert graph.outputs == ("output",)
    assert graph.notes == tuple(
        f"{name} at the end of the model is left out: results are those before it" for name in left
    )
    x = samples(6)
    np.testing.assert_allclose(source.logits({"input": x})["output"], x @ DENSE["w"] + DENSE["b"], rtol=1e-4, atol=1e-5)
    assert_read(source, {"input": x})


def test_the_report_repeats_the_notes(file: Path) -> None:
    model = made([node("Gemm", "x w b", "z"), node("Softmax", "z", "y")], ROW, constants=DENSE)
    report = convert(str(write(file, model)), np.random.default_rng(0).integers(0, 256, (16, 6))).report
    assert any("Softmax at the end" in note for note in report.notes)


# --- what is refused -------------------------------------------------------------------------------------------------

GATE = [
    node("Conv", "x k", "c"),
    node("GlobalAveragePool", "c", "g"),
    node("Sigmoid", "g", "s"),
    node("Mul", "c s", "y", name="gate"),
]
REFUSED: dict[str, tuple[list[NodeProto], dict[str, Any], str]] = {
    "LSTM": ([node("LSTM", "x w r", "y", hidden_size=2)], {}, "LSTM at .*recurrent layers are not converted"),
    "softmax inside": (
        [node("Softmax", "x", "s", name="attention"), node("Relu", "s", "y")],
        {},
        "Softmax at node 'attention', output 's'.*attention is not converted",
    ),
    "layer norm": (
        [node("LayerNormalization", "x g b", "y")],
        {"g": weights(6), "b": weights(6)},
        "LayerNormalization at output 'y'.*use BatchNorm",
    ),
    "instance norm": (
        [node("InstanceNormalization", "x g b", "y")],
        {"g": weights(2), "b": weights(2)},
        "use BatchNorm, which folds",
    ),
    "two computed operands": (
        [node("Relu", "x", "r"), node("MatMul", "r x", "y")],
        {},
        "multiplies two computed values, as attention does",
    ),
    "squeeze and excite": (GATE, {"k": weights(2, 2, 1, 1)}, "at node 'gate'.*a gate as in squeeze-and-excite"),
    "division by a value": ([node("Exp", "x", "e"), node("Div", "x e", "y")], {}, "divides by a computed value"),
    "top k": ([node("TopK", "x k", "v i"), node("Relu", "v", "y")], {"k": np.array([2])}, "choose the largest outside"),
    "where": (
        [node("Greater", "x k", "g"), node("Where", "g x k", "y")],
        {"k": np.float32(0)},
        "Where at|Greater at",
    ),
    "linear resize": (
        [node("Resize", "x - s", "y", mode="linear")],
        {"s": np.array([1, 1, 2, 2], np.float32)},
        "only the nearest value is converted",
    ),
    "weights that are computed": ([node("Relu", "x", "r"), node("Conv", "x r", "y")], {}, "'W' is computed from"),
    "indices of a pool": (
        [node("MaxPool", "x", "p i", kernel_shape=[2, 2]), node("Cast", "i", "f", to=1), node("Add", "p f", "y")],
        {},
        "its result 'i' is used besides the first",
    ),
    "batch mixed": ([node("Transpose", "x", "y", perm=[1, 0, 2, 3])], {}, "the samples are no longer apart"),
    "mean over the batch": ([node("ReduceMean", "x", "y")], {}, "acts on the axis of the batch"),
    "non-maximum suppression": ([node("NonMaxSuppression", "x x", "y")], {}, "choose boxes outside"),
    "cast to integers": ([node("Cast", "x", "i", to=7), node("Cast", "i", "y", to=1)], {}, "makes integers"),
}


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_what_cannot_be_converted_is_named_with_its_place_and_advice(file: Path, case: str) -> None:
    nodes, constants, said = REFUSED[case]
    inputs = {"x": ["n", 3, 6]} if case in ("LSTM", "non-maximum suppression") else IMAGE
    if case == "LSTM":
        constants = {"w": weights(1, 8, 6), "r": weights(1, 8, 2)}
    with pytest.raises(ConversionError) as caught:
        shape = tuple(n for n in inputs["x"] if isinstance(n, int))
        OnnxSource(write(file, made(nodes, inputs, constants=constants))).graph({"input": shape})
    assert re.search(said, str(caught.value), re.DOTALL), str(caught.value)


def test_all_that_is_refused_is_told_at_once(file: Path) -> None:
    nodes = [node("Exp", "x", "e"), node("Div", "x e", "d"), node("ReduceL2", "x", "l"), node("Add", "d l", "y")]
    with pytest.raises(ConversionError, match="2 operators that are not converted"):
        OnnxSource(write(file, made(nodes, IMAGE))).graph({"input": (2, 6, 6)})


@pytest.mark.parametrize("opset", [7, 8, 24])
def test_other_opsets_are_refused_with_what_to_do(file: Path, opset: int) -> None:
    with pytest.raises(ConversionError, match=f"is of opset {opset}; those of 9 to 23 are read. Export it again"):
        OnnxSource(write(file, made([node("Relu", "x", "y")], ROW, opset=opset)))


def test_quantised_operators_are_refused_with_what_to_do(file: Path) -> None:
    model = made([node("QLinearAdd", "x x", "y", domain="com.microsoft")], ROW)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    with pytest.raises(ConversionError, match=r"com\.microsoft::QLinearAdd .*Export it as QDQ"):
        OnnxSource(write(file, model))


def test_weights_are_in_the_file(file: Path) -> None:
    write(file, dense())
    with pytest.raises(UsageError, match="has its weights in it"):
        open_source(str(file), weights=Path("w.pt"))
    assert open_source(str(file), origin="onnx").name == "onnx"
    with pytest.raises(UsageError, match="--from says torch"):
        open_source(str(file), origin="torch")


# --- the command line ------------------------------------------------------------------------------------------------


def test_a_file_is_converted_and_timed_on_the_command_line(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(file, made([node("Gemm", "x w b", "r"), node("Relu", "r", "y")], ROW, constants=DENSE))
    rng = np.random.default_rng(0)
    data, out = tmp_path / "d.npz", tmp_path / "m.snn"
    np.savez(data, scale=1 / 255, samples=rng.integers(0, 256, (40, 6)).astype(np.uint8), labels=rng.integers(0, 4, 40))
    assert main(["convert", str(file), "--calibration", str(data), "-o", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ann_accuracy"] >= 0
    words = ["bench", str(out), "--data", str(data), "--against", str(file), "--repeat", "2", "--batch", "4", "--json"]
    assert main(words) == 0
    assert {row["name"] for row in json.loads(capsys.readouterr().out)["results"]} == {"spikerun", "onnx", "onnx-int8"}


def test_opening_the_table_loads_no_onnx() -> None:
    code = "import sys, spikerun.converters; assert not {'onnx', 'onnxruntime', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert converters.IMPORTERS[".onnx"].sources == ("onnx",) and Encoding().scale

# SPDX-License-Identifier: Apache-2.0
"""Broken and hostile ONNX files: one clear error each, with the place; nothing large is allocated, no path followed."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import AttributeProto, ModelProto, TensorProto, helper, numpy_helper
from onnxfiles import made, node, weights, write

from spikerun.converters.onnx.source import OnnxSource
from spikerun.errors import SpikerunError

IMAGE = {"x": ["n", 3, 8, 8]}
W = weights(4, 3, 3, 3)


def conv(**attributes: Any) -> ModelProto:
    """Return a sound model of one convolution."""
    return made([node("Conv", "x w", "y", name="only", **attributes)], IMAGE, constants={"w": W})


def refusal(path: Path, shape: tuple[int, ...] = (3, 8, 8)) -> str:
    """Return the error by which a file is refused, when it is opened or when it is read."""
    with pytest.raises(SpikerunError) as caught:
        OnnxSource(path).graph({"input": shape})
    message = str(caught.value)
    assert len(message) < 1000 and message.isprintable() == ("\n" not in message)
    return message


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "m.onnx"


# --- bytes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [b"", b"\0" * 100, b"PK\x03\x04 a zip", b"\xff" * 64, b"# text\n"],
    ids=["empty", "zeros", "zip", "ones", "text"],
)
def test_what_is_no_protobuf_is_no_onnx_file(file: Path, raw: bytes) -> None:
    file.write_bytes(raw)
    assert "is no ONNX file" in refusal(file) and refusal(file).startswith(f"'{file}': ")


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.99])
def test_a_file_that_is_cut_off_is_refused(file: Path, part: float) -> None:
    raw = conv().SerializeToString()
    file.write_bytes(raw[: int(len(raw) * part)])
    assert "is no ONNX file" in refusal(file)


def test_bits_that_flip_raise_nothing_else(file: Path) -> None:
    raw, rng = conv(pads=[1, 1, 1, 1]).SerializeToString(), np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(raw)
        for place in rng.integers(0, len(raw), 3):
            damaged[place] ^= 1 << int(rng.integers(8))
        file.write_bytes(bytes(damaged))
        try:
            OnnxSource(file).graph({"input": (3, 8, 8)})
        except SpikerunError:
            continue


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    assert "is no file" in refusal(tmp_path)
    assert "cannot be read: No such file" in refusal(tmp_path / "none.onnx")


# --- tensors ---------------------------------------------------------------------------------------------------------


def with_tensor(change: Callable[[TensorProto], None]) -> ModelProto:
    model = conv()
    change(model.graph.initializer[0])
    return model


def dims(*values: int) -> Callable[[TensorProto], None]:
    def change(held: TensorProto) -> None:
        del held.dims[:]
        held.dims.extend(values)

    return change


def kind(value: int) -> Callable[[TensorProto], None]:
    return lambda held: setattr(held, "data_type", value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (dims(2**40, 2**40), "asks for"),
        (dims(-4, 3, 3, 3), "its shape (-4, 3, 3, 3) is impossible"),
        (dims(*[1] * 20), "is impossible"),
        (dims(4, 3, 3, 4), "its shape (4, 3, 3, 4) asks for 576 bytes, it has 432"),
        (kind(TensorProto.DOUBLE), "asks for 864 bytes"),
        (kind(TensorProto.COMPLEX64), "of type COMPLEX64"),
        (kind(77), "of type 77"),
    ],
    ids=["huge", "negative", "many axes", "too few values", "wrong type", "complex", "unknown type"],
)
def test_a_tensor_that_lies_is_refused(file: Path, change: Callable[[TensorProto], None], said: str) -> None:
    message = refusal(write(file, with_tensor(change)))
    assert "tensor 'w': " in message and said in message


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_named(file: Path, value: float) -> None:
    broken = W.copy()
    broken[1, 2, 0, 0] = value
    model = made([node("Conv", "x w", "y")], IMAGE, constants={"w": broken})
    assert "'W' holds NaN or infinity" in refusal(write(file, model))


def outside(file: Path, **said: str) -> str:
    """Return how a file is refused whose weights lie in another."""
    model = conv()
    held = model.graph.initializer[0]
    held.ClearField("raw_data")
    held.data_location = TensorProto.EXTERNAL
    for key, value in said.items():
        held.external_data.add(key=key, value=value)
    return refusal(write(file, model))


def test_weights_beside_the_file_are_read(file: Path) -> None:
    (file.parent / "sub").mkdir()
    (file.parent / "sub" / "w.bin").write_bytes(b"1234" + W.tobytes())
    model = conv()
    held = model.graph.initializer[0]
    held.ClearField("raw_data")
    held.data_location = TensorProto.EXTERNAL
    for key, value in {"location": "sub/w.bin", "offset": "4", "length": str(W.nbytes)}.items():
        held.external_data.add(key=key, value=value)
    source = OnnxSource(write(file, model))
    x = np.random.default_rng(0).random((2, 3, 8, 8))
    expected = OnnxSource(write(file, conv())).logits({"input": x})["output"]
    np.testing.assert_array_equal(source.logits({"input": x})["output"], expected)


@pytest.mark.parametrize("place", ["../w.bin", "/etc/passwd", "sub/../../w.bin", "", "C:\\w.bin", "a\0b"])
def test_weights_outside_the_folder_are_refused(file: Path, place: str) -> None:
    (file.parent.parent / "w.bin").write_bytes(W.tobytes())
    assert "no relative path within the folder" in outside(file, location=place)


def test_weights_behind_a_link_are_refused(file: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "w.bin").write_bytes(W.tobytes())
    os.symlink(tmp_path / "real" / "w.bin", tmp_path / "link.bin")
    os.symlink(tmp_path / "real", tmp_path / "folder")
    assert "which is a link" in outside(file, location="link.bin")
    assert "which is a link" in outside(file, location="folder/w.bin")


def test_weights_in_what_is_no_file_are_refused(file: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "which is no file" in outside(file, location="pipe")
    assert "cannot be read" in outside(file, location="missing.bin")
    assert "cannot be read" in outside(file, location="e" * 5000)


@pytest.mark.parametrize(
    ("offset", "length", "said"),
    [
        ("0", "1000000000000", "which has 432"),
        ("400", "432", "which has 432"),
        ("-4", "432", "the offset of its data is '-4'"),
        ("x", "432", "the offset of its data is 'x'"),
        ("0", "0x10", "the length of its data is '0x10'"),
        ("0", "400", "asks for 432 bytes, it has 400"),
        ("500", "", "the length of its data is ''"),
    ],
)
def test_weights_beyond_their_file_are_refused(file: Path, offset: str, length: str, said: str) -> None:
    (file.parent / "w.bin").write_bytes(W.tobytes())
    assert said in outside(file, location="w.bin", offset=offset, length=length)


# --- graphs ----------------------------------------------------------------------------------------------------------


def test_a_cycle_is_refused(file: Path) -> None:
    nodes = [node("Add", "x b", "a"), node("Relu", "a", "b"), node("Relu", "b", "y")]
    message = refusal(write(file, made(nodes, IMAGE)))
    assert "is not valid: Nodes in a graph must be topologically sorted" in message and "OpType: Add" in message


def test_a_missing_weight_is_refused(file: Path) -> None:
    assert "is not valid" in refusal(write(file, made([node("Conv", "x w", "y")], IMAGE)))


def test_a_missing_result_is_refused(file: Path) -> None:
    assert "valid" in refusal(write(file, made([node("Relu", "x", "z")], IMAGE, outputs=["y"])))


def test_a_name_that_is_given_twice_is_refused(file: Path) -> None:
    assert "is not valid" in refusal(write(file, made([node("Relu", "x", "y"), node("Neg", "x", "y")], IMAGE)))


def test_an_unknown_operator_is_refused(file: Path) -> None:
    assert "No Op registered for Conf" in refusal(write(file, made([node("Conf", "x", "y")], IMAGE)))


def test_a_constant_without_a_value_is_refused(file: Path) -> None:
    model = made([helper.make_node("Constant", [], ["c"]), node("Add", "x c", "y")], IMAGE)
    assert "the Constant that gives 'c'" in refusal(write(file, model))


@pytest.mark.parametrize("shape", [(), (12,), (1, 12, 4)])
def test_weights_of_a_dense_layer_that_are_no_matrix_are_refused(file: Path, shape: tuple[int, ...]) -> None:
    model = made([node("Gemm", "x w", "y")], {"x": ["n", 12]}, constants={"w": np.ones(shape, np.float32)})
    assert "must be a matrix" in refusal(write(file, model), (12,))


def test_what_the_runtime_cannot_compute_is_an_error_of_the_model(file: Path) -> None:
    """A bias of the wrong length: shapes are found when it runs."""
    model = made([node("Conv", "x w b", "y")], IMAGE, constants={"w": W, "b": np.ones(1, np.float32)})
    source = OnnxSource(write(file, model))
    with pytest.raises(SpikerunError, match="does not run the model"):
        source.logits({"input": np.zeros((2, 3, 8, 8))})


@pytest.mark.parametrize("shape", [(0,), (0, 3, 8, 8)])
def test_constants_of_no_values_are_refused(file: Path, shape: tuple[int, ...]) -> None:
    model = made([node("Add", "x c", "y")], IMAGE, constants={"c": np.zeros(shape, np.float32)})
    assert "holds no value" in refusal(write(file, model))


@pytest.mark.parametrize("operator", ["Clip", "Pow", "PRelu"])
def test_numbers_that_hold_no_value_are_refused(file: Path, operator: str) -> None:
    model = made([node(operator, "x c", "y")], IMAGE, constants={"c": np.zeros(0, np.float32)})
    assert "holds no value" in refusal(write(file, model))


def test_what_is_said_of_an_operator_is_not_as_long_as_what_it_holds(file: Path) -> None:
    scales = np.ones(10_000, np.float32)
    assert "Resize" in refusal(write(file, made([node("Resize", "x - c", "y")], IMAGE, constants={"c": scales})))


def test_a_zero_point_that_is_no_integer_is_refused(file: Path) -> None:
    constants = {"s": np.float32(0.1), "z": np.array(True)}
    nodes = [node("QuantizeLinear", "x s z", "q"), node("DequantizeLinear", "q s z", "d"), node("Relu", "d", "y")]
    assert "zero point (bool) is invalid" in refusal(write(file, made(nodes, IMAGE, constants=constants)))


def test_attributes_of_a_wrong_type_are_refused(file: Path) -> None:
    model = conv()
    model.graph.node[0].attribute.append(helper.make_attribute("strides", "two"))
    assert "is not valid" in refusal(write(file, model))


@pytest.mark.parametrize("pads", [[2**40] * 4, [2**62] * 4, [-9, -9, 0, 0], [1, 1]])
def test_impossible_padding_is_refused(file: Path, pads: list[int]) -> None:
    assert "Conv at node 'only', output 'y'" in refusal(write(file, conv(pads=pads)))


@pytest.mark.parametrize("attributes", [{"strides": [0, 1]}, {"dilations": [-1, 1]}, {"group": 0}, {"strides": [1]}])
def test_impossible_windows_are_refused(file: Path, attributes: dict[str, Any]) -> None:
    assert "Conv at node 'only', output 'y'" in refusal(write(file, conv(**attributes)))


@pytest.mark.parametrize(
    ("nodes", "constants"),
    [
        ([node("ConstantOfShape", "s", "c"), node("Add", "x c", "y")], {"s": np.array([2**20, 2**20])}),
        ([node("Expand", "v s", "c"), node("Add", "x c", "y")], {"s": np.array([2**50]), "v": np.zeros(1, np.float32)}),
        ([node("Range", "a b d", "c"), node("Reshape", "x c", "y")],
         {"a": np.int64(0), "b": np.int64(2**40), "d": np.int64(1)}),
        ([node("Tile", "x s", "y")], {"s": np.array([1, 2**20, 2**20, 1])}),
        ([node("Expand", "x s", "y")], {"s": np.array([1, 3, 8, 8, 2**40])}),
        ([node("Pad", "x s", "y")], {"s": np.array([0, 0, 2**30, 0, 0, 0, 2**30, 0])}),
        ([node("Resize", "x - s", "y", mode="nearest")], {"s": np.array([1, 1, 1e12, 1], np.float32)}),
        ([node("MatMul", "v w", "c"), node("Add", "x c", "y")],
         {"v": np.zeros((2**14, 1), np.float32), "w": np.zeros((1, 2**14), np.float32)}),
    ],
    ids=["ConstantOfShape", "Expand", "Range", "Tile", "Expand of values", "Pad", "Resize", "MatMul"],
)  # fmt: skip
def test_nothing_large_is_made_of_little(file: Path, nodes: Any, constants: dict[str, Any]) -> None:
    write(file, made(nodes, IMAGE, constants=constants))
    code = (
        "import resource, sys; from spikerun.converters.onnx.source import OnnxSource\n"
        "from spikerun.errors import SpikerunError\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: OnnxSource(sys.argv[1]).graph({'input': (3, 8, 8)})\n"
        "except SpikerunError as error: print(str(error)[:900])\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True)
    *message, grown = ran.stdout.strip().splitlines()
    assert "not converted" in message[0] and int(grown) < 400_000, ran.stdout  # kilobytes; torch is loaded meanwhile


def test_shapes_that_lie_are_not_believed(file: Path) -> None:
    model = conv()
    model.graph.value_info.append(helper.make_tensor_value_info("y", 1, ["n", 77, 1, 1]))
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("y", 1, ["n", 9, 9]))
    assert OnnxSource(write(file, model)).graph({"input": (3, 8, 8)}).nodes["y"].shape == (4, 6, 6)


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        (["n"], "no axis beside the batch"),
        (["n", 3, 0, 8], "an axis of length 0"),
        (["n", 3, -7, 8], "an axis of length -7"),
        (["n", 3, 9, 8], "samples have the shape (3, 8, 8), and its input 'x' is (any, 3, 9, 8)"),
        (["n", 3, 8], "the batch first"),
    ],
)
def test_inputs_of_impossible_shapes_are_refused(file: Path, axes: list[Any], said: str) -> None:
    assert said in refusal(write(file, made([node("Conv", "x w", "y")], {"x": axes}, constants={"w": W})))


def test_an_input_without_a_shape_is_refused(file: Path) -> None:
    model = conv()
    model.graph.input[0].type.tensor_type.ClearField("shape")
    assert "shape" in refusal(write(file, model))


# --- functions and subgraphs -----------------------------------------------------------------------------------------


def with_functions(*bodies: tuple[str, list[str]], calls: str) -> ModelProto:
    """Return a model that calls `calls`; bodies: functions and what they call, one after the other."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    functions = []
    for name, called in bodies:
        names = ["a", *(f"t{k}" for k in range(len(called) - 1)), "b"]
        nodes = [node(c, names[k], names[k + 1], domain="own" if c[0] == "f" else "") for k, c in enumerate(called)]
        functions.append(helper.make_function("own", name, ["a"], ["b"], nodes, opsets))
    model = made([node(calls, "x", "y", domain="own")], IMAGE)
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.functions.extend(functions)
    return model


def test_functions_of_the_model_are_laid_open(file: Path) -> None:
    source = OnnxSource(write(file, with_functions(("f", ["Relu", "Neg"]), calls="f")))
    assert [item.operator for item in source.model.items] == ["Relu", "Neg"]


def test_functions_that_call_themselves_are_refused(file: Path) -> None:
    model = with_functions(("f", ["Relu", "f2"]), ("f2", ["f"]), calls="f")
    assert "calls itself" in refusal(write(file, model))


def test_functions_that_multiply_are_refused(file: Path) -> None:
    bodies = [(f"f{k}", [f"f{k + 1}"] * 10) for k in range(9)]
    assert "more than 100000 operators" in refusal(write(file, with_functions(*bodies, ("f9", ["Relu"]), calls="f0")))


def test_deep_nesting_is_refused(file: Path) -> None:
    def field(number: int, inside: bytes) -> bytes:
        size, length = len(inside), b""
        while size > 127:
            length, size = length + bytes([size % 128 + 128]), size // 128
        return bytes([number * 8 + 2]) + length + bytes([size]) + inside

    graph = b""
    for _ in range(3000):  # a graph of a node of an attribute of a graph
        graph = field(1, field(5, field(6, graph)))
    file.write_bytes(bytes([8, 8]) + field(7, graph))
    assert "nested too deeply" in refusal(file)


def test_terminal_codes_in_names_are_written_out(file: Path) -> None:
    model = made([node("Con\x1b[31mf", "x", "y")], IMAGE)
    assert "\x1b" not in refusal(write(file, model))
    model = made(
        [node("TopK", "x k", "v i", name="\x1b[2J"), node("Relu", "v", "y")], IMAGE, constants={"k": np.array([2])}
    )
    assert "\x1b" not in refusal(write(file, model))


def test_an_attribute_may_hold_a_tensor_that_lies(file: Path) -> None:
    held = numpy_helper.from_array(np.zeros(3, np.float32))
    held.dims[0] = 2**50
    constant = node("Constant", "", "c")
    constant.attribute.append(AttributeProto(name="value", type=AttributeProto.TENSOR, t=held))
    message = refusal(write(file, made([constant, node("Add", "x c", "y")], IMAGE)))
    assert "tensor of the Constant that gives 'c'" in message

# SPDX-License-Identifier: Apache-2.0
"""Ranges below 0 of quantised files: the steps and zero points of words, where populations send such values."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import NodeProto

from spikerun.converters import Conversion, convert
from spikerun.converters.graph import Array
from spikerun.converters.quantise import QLayer
from spikerun.converters.verify import evaluate
from spikerun.session import Session
from tests.onnxfiles import made, node, weights, write

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 1, 6, 6), dtype=np.uint8)
CONSTANTS: dict[str, Array] = {
    "w": weights(3, 1, 3, 3, size=0.5), "v": weights(4, 3, 3, 3, seed=1), "u": weights(3, 3, 1, 1, seed=2),
    "s": np.array(0.03, np.float32), "z": np.array(90, np.uint8), "si": np.array(-38, np.int8),
    "zw": np.array(30000, np.uint16), "g": weights(48, 4, seed=3), "v6": weights(4, 6, 3, 3, seed=4),
    "v2": weights(4, 2, 3, 3, seed=5), "two": np.array(2, np.float32),
    "from": np.array([0, 0]), "to": np.array([99, 2]),
}  # fmt: skip


def pair(before: str, after: str, zero: str = "z") -> list[NodeProto]:
    name = f"{before}_{after}"
    return [
        node("QuantizeLinear", f"{before} s {zero}", name),
        node("DequantizeLinear", f"{name} s {zero}", after),
    ]


def converted(folder: Path, nodes: list[NodeProto], **options: Any) -> Conversion:
    write(folder / "q.onnx", made(nodes, {"x": ("n", 1, 6, 6)}, constants=CONSTANTS, opset=21))
    return convert(f"{folder}/q.onnx", IMAGES, **{"bits": 8, **options})


def summing(conversion: Conversion) -> list[QLayer]:
    return [one for one in conversion.quantised.layers if isinstance(one, QLayer) and one.activation.fires]


def note(conversion: Conversion) -> str:
    (found,) = (one for one in conversion.report.notes if "below 0" in one)
    return found


SIGNED = [node("Conv", "x w", "a"), *pair("a", "b"), node("Conv", "b v", "y")]


@pytest.mark.parametrize(("zero", "word"), [("z", 90), ("si", 90)])
@pytest.mark.parametrize("bits", [8, 5])
def test_a_signed_sum_has_the_step_and_the_zero_point_of_its_pair(
    zero: str, word: int, bits: int, tmp_path: Path
) -> None:
    found = converted(tmp_path, [node("Conv", "x w", "a"), *pair("a", "b", zero), node("Conv", "b v", "y")], bits=bits)
    (layer,) = summing(found)
    assert layer.bits == 8  # a sum has all bits that there is room for
    np.testing.assert_array_equal(layer.grid.step, np.full(3, np.float32(0.03)))
    np.testing.assert_array_equal(layer.grid.zero, np.full(3, word))
    assert f"1 range of the quantised model begins below 0: for '{layer.name}' taken as given" in note(found)


def test_words_are_those_that_the_runtime_rounds_to(tmp_path: Path) -> None:
    """Of a sum of few weights, which int8 holds to 1/128: the words differ by one at most, seldom."""
    onnxruntime = pytest.importorskip("onnxruntime")
    found = converted(tmp_path, SIGNED)
    model = made([node("Conv", "x w", "a"), node("QuantizeLinear", "a s z", "q")], {"x": ("n", 1, 6, 6)}, ("q",),
                 CONSTANTS, opset=21)  # fmt: skip
    model.graph.output[0].type.tensor_type.elem_type = 2  # uint8
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (wanted,) = session.run(None, {"x": (IMAGES / 255).astype(np.float32)})
    words = evaluate(found.quantised, IMAGES)[summing(found)[0].name]
    gap = np.abs(words - wanted.astype(int))
    assert gap.max() <= 2 and (gap == 0).mean() > 0.7
    ran = Session(found.network).run(IMAGES, trace=True)
    np.testing.assert_array_equal(ran.words[summing(found)[0].name], words)


def test_values_beyond_the_range_are_cut_as_the_model_cuts_them(tmp_path: Path) -> None:
    constants = CONSTANTS | {"s": np.array(0.002, np.float32)}
    write(tmp_path / "q.onnx", made(SIGNED, {"x": ("n", 1, 6, 6)}, constants=constants, opset=21))
    found = convert(f"{tmp_path}/q.onnx", IMAGES, bits=8)
    words = evaluate(found.quantised, IMAGES)[summing(found)[0].name]
    assert words.min() == 0 and words.max() == 255


def test_an_activation_has_the_range_of_the_pair_behind_it(tmp_path: Path) -> None:
    nodes = [node("Conv", "x w", "a"), *pair("a", "b"), node("LeakyRelu", "b", "c", alpha=0.1), *pair("c", "d"),
             node("Conv", "d v", "y")]  # fmt: skip
    found = converted(tmp_path, nodes)
    (layer,) = summing(found)
    assert layer.activation.name == "leaky_relu"
    assert set(layer.grid.zero) == {90} and "1 not needed" in note(found)


def test_an_activation_of_other_bits_is_fitted(tmp_path: Path) -> None:
    nodes = [
        node("Conv", "x w", "a"),
        node("LeakyRelu", "a", "c", alpha=0.1),
        *pair("c", "d"),
        node("Conv", "d v", "y"),
    ]
    (layer,) = summing(converted(tmp_path, nodes, bits=5))
    assert layer.bits == 5 and set(layer.grid.zero) != {90}


def test_pairs_within_a_swish_are_no_populations(tmp_path: Path) -> None:
    nodes = [node("Conv", "x w", "a"), *pair("a", "b"), node("Sigmoid", "b", "c"), *pair("c", "d"),
             node("Mul", "b d", "e"), *pair("e", "f"), node("Conv", "f v", "y")]  # fmt: skip
    (layer,) = summing(converted(tmp_path, nodes))
    assert layer.activation.name == "silu" and set(layer.grid.zero) == {90}


def test_a_sum_that_is_added_alone_needs_no_range(tmp_path: Path) -> None:
    nodes = [node("Conv", "x w", "a"), node("Relu", "a", "r"), node("Conv", "r u", "b"), *pair("b", "c"),
             node("Add", "c r", "d"), node("Relu", "d", "e"), node("Conv", "e v", "y")]  # fmt: skip
    found = converted(tmp_path, nodes)
    assert [layer.activation.kind for layer in summing(found)] == ["relu", "relu"]
    assert "1 not needed, what reads those values taking sums" in note(found)


def test_a_bottleneck_that_two_layers_read_has_one_population_of_its_range(tmp_path: Path) -> None:
    nodes = [node("Conv", "x w", "a"), *pair("a", "b"), *pair("a", "c"), node("Conv", "b u", "d"),
             node("Add", "c d", "e"), *pair("e", "f"), node("Conv", "f v", "y")]  # fmt: skip
    layers = summing(converted(tmp_path, nodes))
    assert [set(layer.grid.zero) for layer in layers] == [{90}, {90}]


BEHIND = {
    "flattened": [node("Conv", "x w", "a"), node("Flatten", "a", "m"), *pair("m", "b"), node("MatMul", "b g", "y")],
    "transposed": [node("Conv", "x w", "a"), node("Transpose", "a", "m", perm=[0, 1, 3, 2]), *pair("m", "b"),
                   node("Conv", "b v", "y")],
    "pooled": [node("Conv", "x w", "a"), node("MaxPool", "a", "m", kernel_shape=[2, 2]), *pair("m", "b"),
               node("Conv", "b v", "y")],
    "averaged": [node("Conv", "x w", "a"), node("AveragePool", "a", "m", kernel_shape=[2, 2]), *pair("m", "b"),
                 node("Conv", "b v", "y")],
    "bent, then flattened": [node("Conv", "x w", "a"), node("LeakyRelu", "a", "l"), node("Flatten", "l", "m"),
                             *pair("m", "b"), node("MatMul", "b g", "y")],
    "bent, then scaled": [node("Conv", "x w", "a"), node("LeakyRelu", "a", "l"), node("Mul", "l two", "m"),
                          *pair("m", "b"), node("Conv", "b v", "y")],
    "before a factor": [node("Conv", "x w", "a"), *pair("a", "b"), node("Mul", "b two", "m"), node("Conv", "m v", "y")],
}  # fmt: skip


@pytest.mark.parametrize("nodes", BEHIND.values(), ids=list(BEHIND))
def test_a_range_behind_what_moves_or_scales_values_is_taken(nodes: list[NodeProto], tmp_path: Path) -> None:
    found = converted(tmp_path, nodes)
    layer = summing(found)[-1]
    assert layer.activation.kind == "curve" and set(layer.grid.zero) == {90}
    assert set(layer.grid.step) == {np.float32(0.03)}
    assert note(found).endswith(f"for '{layer.name}' taken as given, step and zero point, where words have 8 bits.")


def test_one_range_of_sums_side_by_side_is_that_of_each_and_counts_once(tmp_path: Path) -> None:
    nodes = [node("Conv", "x w", "a"), node("Conv", "x w", "r"), node("Concat", "a r", "c", axis=1), *pair("c", "b"),
             node("Conv", "b v6", "d"), *pair("d", "e"), node("Relu", "e", "y")]  # fmt: skip
    found = converted(tmp_path, nodes)
    layers = [layer for layer in summing(found) if layer.activation.kind == "curve"]
    assert [set(layer.grid.zero) for layer in layers] == [{90}, {90}]
    names = ", ".join(f"'{layer.name}'" for layer in layers)
    assert f"2 ranges of the quantised model begin below 0: for {names} taken as given" in note(found)
    assert "; 1 not needed, what reads those values taking sums" in note(found) and "anew" not in note(found)


def test_of_words_and_sums_side_by_side_the_sums_take_the_range(tmp_path: Path) -> None:
    nodes = [node("Conv", "x w", "a"), node("Conv", "x w", "r"), node("Relu", "r", "t"),
             node("Concat", "a t", "c", axis=1), *pair("c", "b"), node("Conv", "b v6", "y")]  # fmt: skip
    kinds = {layer.activation.kind: set(layer.grid.zero) for layer in summing(converted(tmp_path, nodes))}
    assert kinds == {"curve": {90}, "relu": {0}}


def test_an_activation_behind_a_max_pool_needs_no_range_before_it(tmp_path: Path) -> None:
    nodes = [node("Conv", "x w", "a"), *pair("a", "b"), node("MaxPool", "b", "p", kernel_shape=[2, 2]),
             node("LeakyRelu", "p", "l"), node("Conv", "l v", "y")]  # fmt: skip
    found = converted(tmp_path, nodes)
    assert [layer.activation.name for layer in summing(found)] == ["leaky_relu"]
    assert "1 not needed, what reads those values taking sums" in note(found) and "anew" not in note(found)


def test_an_activation_that_falls_leaves_the_range_before_the_max_pool(tmp_path: Path) -> None:
    nodes = [node("Conv", "x w", "a"), *pair("a", "b"), node("MaxPool", "b", "p", kernel_shape=[2, 2]),
             node("Abs", "p", "l"), node("Conv", "l v", "y")]  # fmt: skip
    found = converted(tmp_path, nodes)
    layer = summing(found)[0]
    assert layer.activation.name == "range" and set(layer.grid.zero) == {90}
    assert f"for '{layer.name}' taken as given" in note(found)


@pytest.mark.parametrize("moved", ["pool", "part"])
def test_a_range_of_values_that_are_read_without_it_too_is_calibrated_and_that_is_said(
    moved: str, tmp_path: Path
) -> None:
    if moved == "pool":
        nodes = [node("Conv", "x w", "a"), node("MaxPool", "a", "m", kernel_shape=[2, 2]), *pair("m", "b"),
                 node("Conv", "b v", "c"), node("Conv", "m v", "d"), node("Add", "c d", "y")]  # fmt: skip
    else:
        nodes = [node("Conv", "x w", "a"), node("Slice", "a from to", "m"), *pair("m", "b"), node("Conv", "b v2", "c"),
                 node("Conv", "a v", "d"), node("Add", "c d", "y")]  # fmt: skip
    found = converted(tmp_path, nodes)
    assert {layer.activation.kind for layer in summing(found)} == {"signed"}
    assert note(found).endswith("begins below 0: 1 calibrated anew, no population sending just those values.")


def test_ranges_of_16_bits_are_calibrated_and_that_is_said(tmp_path: Path) -> None:
    found = converted(tmp_path, [node("Conv", "x w", "a"), *pair("a", "b", "zw"), node("Conv", "b v", "y")])
    assert [layer.activation.kind for layer in summing(found)] == ["signed"]
    assert "of 16 bits below 0 is calibrated" in note(found)

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
    "zw": np.array(30000, np.uint16),
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


def test_ranges_of_16_bits_are_calibrated_and_that_is_said(tmp_path: Path) -> None:
    found = converted(tmp_path, [node("Conv", "x w", "a"), *pair("a", "b", "zw"), node("Conv", "b v", "y")])
    assert [layer.activation.kind for layer in summing(found)] == ["signed"]
    assert "of 16 bits below 0 is calibrated" in note(found)

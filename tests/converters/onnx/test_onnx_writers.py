# SPDX-License-Identifier: Apache-2.0
"""Files as others write them: torch's two exporters, scikit-learn, quantised with pairs of operators (QDQ)."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnxfiles import made, node, weights, write
from torch import nn

from spikerun.converters import Conversion, Encoding, convert
from spikerun.converters.graph import Array
from spikerun.converters.onnx.model import RANGE
from spikerun.converters.onnx.source import OnnxSource

SHAPE = (3, 8, 8)


class Net(nn.Module):
    """Convolutions in groups and with strides, batch norm, a pool, a residual block, a concatenation, a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.second, self.outer = nn.Conv2d(6, 6, 3, stride=2, padding=1, groups=2), nn.Conv2d(6, 6, 1)
        self.last = nn.Linear(12, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.max_pool2d(nn.functional.relu6(self.norm(self.first(x))), 2)
        x = torch.relu(self.second(x))
        x = torch.relu(x + self.outer(x))
        return self.last(torch.cat([x, self.outer(x)], 1).mean((2, 3)))  # type: ignore[no-any-return]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "m.onnx"


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Silence the exporters."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
    logging.disable(level)


def model() -> nn.Module:
    torch.manual_seed(0)
    made = Net().eval()
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    return made


@cache
def of_the_module() -> Conversion:
    return convert(model(), images(), bits=6)


def images(count: int = 24) -> Array:
    return np.random.default_rng(0).integers(0, 256, (count, *SHAPE)).astype(np.uint8)


def exported(module: nn.Module, file: Path, dynamo: bool, opset: int) -> Path:
    free: dict[str, Any] = (
        {"dynamic_shapes": ({0: torch.export.Dim("batch")},)} if dynamo else {"dynamic_axes": {"x": {0: "batch"}}}
    )
    torch.onnx.export(
        module, (torch.zeros(2, *SHAPE),), str(file), input_names=["x"], opset_version=opset, dynamo=dynamo, **free
    )
    return file


def assert_same_integers(found: Conversion, expected: Conversion) -> None:
    assert len(found.quantised.layers) == len(expected.quantised.layers)
    for a, b in zip(found.quantised.layers, expected.quantised.layers, strict=True):
        assert type(a) is type(b) and a.shape == b.shape
        # an exporter folds batch norm in float32
        np.testing.assert_allclose(getattr(a, "scale", 0), getattr(b, "scale", 0), rtol=1e-6)
        for name in ("threshold", "bias", "bits"):
            np.testing.assert_array_equal(getattr(a, name, 0), getattr(b, name, 0), err_msg=f"{name} of {b.name}")
        for s, t in zip(getattr(a, "terms", ()), getattr(b, "terms", ()), strict=True):
            np.testing.assert_array_equal(s.map.weight, t.map.weight, err_msg=b.name)


@pytest.mark.parametrize(("dynamo", "opset"), [(False, 13), (False, 17), (True, 18), (True, 20)])
def test_exporters_of_torch_give_the_integers_of_the_module(dynamo: bool, opset: int, file: Path) -> None:
    found = convert(str(exported(model(), file, dynamo, opset)), images(), bits=6)
    assert_same_integers(found, of_the_module())
    named = [layer.name for layer in found.quantised.layers]
    assert "second" in named  # the module of a convolution, or of the batch norm that was folded into it


def pipeline(file: Path, estimator: Any, classes: int, **options: Any) -> tuple[Path, Array, Array, Any]:
    """Write a pipeline of scikit-learn that is trained on some samples; return these, too."""
    from skl2onnx import to_onnx
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x = np.random.default_rng(0).integers(0, 256, (200, 8)).astype(np.float32)
    y = x[:, :classes].argmax(1)
    trained = make_pipeline(StandardScaler(), estimator).fit(x, y)
    file.write_bytes(to_onnx(trained, x[:1], target_opset=21, **options).SerializeToString())
    return file, x, y, trained


@pytest.mark.parametrize("zipmap", [True, False])
def test_a_multi_layer_perceptron_of_scikit_learn(file: Path, zipmap: bool) -> None:
    from sklearn.neural_network import MLPClassifier

    estimator = MLPClassifier((16,), max_iter=40, random_state=0)
    options = {} if zipmap else {"options": {MLPClassifier: {"zipmap": False}}}
    path, x, y, trained = pipeline(file, estimator, 3, **options)
    found = convert(str(path), x.astype(int), bits=8, encoding=Encoding(scale=1.0), evaluation=(x.astype(int), y))
    assert found.report.accuracy is not None
    assert found.report.accuracy.ann == 100 * trained.score(x, y)
    assert found.report.accuracy.agreement > 98
    assert any("ArrayFeatureExtractor at the end" in note for note in found.report.notes)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_linear_classifier_of_scikit_learn(file: Path, classes: int) -> None:
    from sklearn.linear_model import LogisticRegression

    path, x, y, trained = pipeline(file, LogisticRegression(), classes)
    found = convert(str(path), x.astype(int), bits=8, encoding=Encoding(scale=1.0), evaluation=(x.astype(int), y))
    assert found.report.accuracy is not None and found.report.accuracy.agreement > 98
    assert found.report.accuracy.ann == 100 * trained.score(x, y)


@pytest.mark.parametrize(("dynamo", "of_norm"), [(False, "0"), (True, "1")])
def test_populations_have_the_names_of_the_exporter(dynamo: bool, of_norm: str, file: Path) -> None:
    """One folds the norm into the convolution and keeps its name, the other that of the norm."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1)).eval()
    found = convert(str(exported(module, file, dynamo, 18)), images())
    assert list(found.network.populations) == ["input", f"m{of_norm}", "output"]


@cache
def quantised(per_channel: bool) -> bytes:
    """Return the file of two convolutions and a dense layer, quantised by ONNX Runtime."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.batches = iter([{"x": (images()[k : k + 4] / 255).astype(np.float32)} for k in range(0, 24, 4)])

        def get_next(self) -> Any:
            return next(self.batches, None)

    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 8, 3, stride=2, padding=1, groups=2)
    last = nn.Linear(8 * 2 * 2, 5)
    module = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), last).eval()
    with TemporaryDirectory() as folder:
        source, target = exported(module, Path(folder) / "m.onnx", False, 17), Path(folder) / "q.onnx"
        quantize_static(
            str(source), str(target), Reader(), quant_format=QuantFormat.QDQ, per_channel=per_channel,
            weight_type=QuantType.QInt8,
        )  # fmt: skip
        return target.read_bytes()


def quantised_file(file: Path, per_channel: bool = True) -> Path:
    file.write_bytes(quantised(per_channel))
    return file


@pytest.mark.parametrize("per_channel", [True, False])
def test_a_quantised_file_is_read_as_ranges_and_weights(file: Path, per_channel: bool) -> None:
    """The runtime's quantiser has taken the rectifiers out: that words are unsigned is what rectifies."""
    path = quantised_file(file, per_channel)
    assert "Relu" not in {n.op_type for n in onnx.load(path).graph.node}
    source = OnnxSource(path)
    graph = source.graph({"input": SHAPE})
    x = {"input": images() / 255}
    np.testing.assert_allclose(graph.evaluate(x)["output"], source.logits(x)["output"], rtol=1e-4, atol=1e-5)
    assert any("are read as ranges" in note for note in graph.notes)
    found = convert(str(path), images(), bits=8)
    kinds = [layer.activation.kind for layer in found.quantised.layers if hasattr(layer, "activation")]
    assert kinds == ["relu", "relu", "readout"]


def test_values_that_move_between_pairs_are_rectified_once(file: Path) -> None:
    """Resize and Concat have pairs of their own, within the ranges of those before them."""
    constants = {"w": weights(3, 3, 1, 1), "f": np.array([1, 1, 2, 2], np.float32), "s": np.float32(0.02)}
    nodes, last = [], "x"
    for k, (operator, given) in enumerate(
        [("Conv", "{} w"), ("Resize", "{} - f"), ("Concat", "{0} {0}"), ("Split", "{}"), ("MaxPool", "{}")]
    ):
        said = {"Concat": {"axis": 1}, "Split": {"axis": 1}, "MaxPool": {"kernel_shape": [2, 2], "strides": [2, 2]}}
        outputs = f"o{k} p{k}" if operator == "Split" else f"o{k}"
        nodes += [node(operator, given.format(last), outputs, **said.get(operator, {}))]
        nodes += [node("QuantizeLinear", f"o{k} s", f"q{k}"), node("DequantizeLinear", f"q{k} s", f"d{k}")]
        last = f"d{k}"
    source = OnnxSource(write(file, made(nodes, {"x": ["n", *SHAPE]}, outputs=[last], constants=constants)))
    assert [item.attributes["rectifies"] for item in source.model.items if item.operator == RANGE] == [True] + 4 * [
        False
    ]


def test_the_weights_of_a_quantised_file_are_its_integers(file: Path) -> None:
    path = quantised_file(file)
    own = [
        onnx.numpy_helper.to_array(held)
        for held in onnx.load(path).graph.initializer
        if held.data_type == onnx.TensorProto.INT8 and len(held.dims) == 4
    ]
    (first,) = [values for values in own if values.shape == (6, 3, 3, 3)]
    layer = convert(str(path), images(), bits=8).quantised.layers[1]
    np.testing.assert_array_equal(layer.terms[0].map.weight, first)  # type: ignore[union-attr]


def test_words_of_8_bits_stand_for_the_ranges_of_a_quantised_file(file: Path) -> None:
    path = quantised_file(file)
    ranges = [item.attributes["high"] for item in OnnxSource(path).model.items if item.attributes.get("rectifies")]
    found = convert(str(path), images(), bits=8)
    fitted = [layer for layer in found.quantised.layers if getattr(getattr(layer, "activation", None), "fires", False)]
    assert len(fitted) == len(ranges) == 2
    for layer, high in zip(fitted, ranges, strict=True):
        np.testing.assert_allclose(layer.step_size, high / 255, rtol=2e-3)  # type: ignore[union-attr]
    assert max(convert(str(path), images(), bits=4).quantised.layers[1].step_size) <= 1.001 * ranges[0] / 15  # type: ignore[union-attr]


def test_layers_whose_weights_alone_are_quantised_are_computed_with_the_values_as_they_are(file: Path) -> None:
    """A runtime may round the values of such layers to 8 bits: that is not what the file says."""
    words = np.random.default_rng(0).integers(-127, 128, (576, 128)).astype(np.int8)
    nodes = [node("DequantizeLinear", "w s z", "v"), node("MatMul", "x v", "y")]
    constants = {"w": words, "s": np.float32(0.01), "z": np.int8(0)}
    source = OnnxSource(write(file, made(nodes, {"x": ["n", 576]}, constants=constants)))
    x = {"input": np.random.default_rng(1).random((8, 576))}
    expected = x["input"] @ (words * 0.01)
    assert np.abs(source.logits(x)["output"] - expected).max() < 1e-5 * np.abs(expected).max()

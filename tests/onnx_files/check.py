# SPDX-License-Identifier: Apache-2.0
"""Files of other exporters: what each becomes, or with which words it is refused.

scripts/onnx-files fetches the packages that they lie in; its name keeps pytest's collection from this file.
"""

import os
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_sample_images

from spikerun import Session
from spikerun.converters import Conversion, Encoding, convert
from spikerun.converters.graph import Array, Shape
from spikerun.converters.onnx.source import OnnxSource
from spikerun.converters.verify import evaluate
from spikerun.errors import ConversionError

PACKAGES = Path(os.environ["SPIKERUN_ONNX_FILES"])
FACES = Encoding(scale=1.0, mean=127.5, std=128.0)
BOXES = ("/model.22/Sigmoid_output_0", "/model.22/dfl/Transpose_output_0")
GATE = ("Mul", "a gate as in squeeze-and-excite", "EfficientNet-Lite")
BRANCH = ("If", "export it without branches that depend on the data")
RECURRENT = ("LSTM", "recurrent layers are not converted")
# What can be read: file, a sample's shape, the values to end at (None: its results), what is left out at the end.
READ: list[tuple[str, Shape, tuple[str, ...] | None, str]] = [
    ("pnet", (48, 48, 3), None, "Softmax"),
    ("rnet", (24, 24, 3), None, "Softmax"),
    ("onet", (48, 48, 3), None, "Softmax"),
    ("320n", (3, 96, 96), BOXES, "Sigmoid"),
    ("silero_vad_16k_sequence", (576,), ("/Transpose_output_0",), ""),
]
# What is refused: file, the shapes of its inputs, words that are said one after the other.
REFUSED: list[tuple[str, tuple[Shape, ...], tuple[str, ...]]] = [
    ("320n", ((3, 96, 96),), ("Softmax in module 'model.22.dfl'", "end the model before it", f"'{','.join(BOXES)}'")),
    ("ch_ppocr_mobile_v2.0_cls_infer", ((3, 48, 192),), ("an operator that is not", *GATE)),
    ("ch_PP-OCRv4_det_infer", ((3, 64, 64),), ("4 operators that are not", *GATE, *GATE, *GATE, *GATE)),
    ("ch_PP-OCRv4_rec_infer", ((3, 48, 80),), GATE),
    ("nmp", ((43844, 1),), ("Div", "divides by a computed value", "Equal", "a comparison of computed values")),
    ("silero_vad", ((1,),), (*BRANCH, *RECURRENT)),
    ("silero_vad_16k_op15", ((1, 128), (1,)), (*BRANCH, *RECURRENT)),
    ("silero_vad_half", ((1, 128),), (*BRANCH, *RECURRENT)),
    ("silero_vad_op18_ifless", ((1,),), BRANCH),
    ("silero_vad_openvino_16k", ((576,), (1, 128)), RECURRENT),
    ("silero_vad_16k_sequence", ((576,), (1, 128), (1, 128)), RECURRENT),
]
# File, side of its samples, bits: at most so large an error of each result, at least so many answers the same (%).
CONVERTED = [
    ("pnet", 24, 8, 0.09, 99),
    ("rnet", 24, 8, 0.08, 98),
    ("rnet", 24, 6, 0.16, 98),
    ("onet", 48, 8, 0.07, 98),
]


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return all files by their names."""
    folder = tmp_path_factory.mktemp("files")
    for archive in PACKAGES.iterdir():
        for name, content in members(archive):
            (folder / Path(name).name).write_bytes(content)
    return {path.stem: path for path in folder.iterdir()}


def members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of the ONNX files of a wheel or of an archive of sources."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            yield from ((name, wheel.read(name)) for name in wheel.namelist() if name.endswith(".onnx"))
    else:
        with tarfile.open(archive) as source:
            for member in source:
                if member.name.endswith(".onnx") and (file := source.extractfile(member)):
                    yield member.name, file.read()


def photos(count: int, side: int) -> Array:
    """Return parts of two photos, a quarter as large as they were, (count, side, side, 3) uint8."""
    images = [image[:424, :640].reshape(106, 4, 160, 4, 3).mean((1, 3)) for image in load_sample_images().images]
    places = np.random.default_rng(0).integers(0, (106 - side, 160 - side), (count, 2))
    parts = [images[k // 2 % 2][row : row + side, column : column + side] for k, (row, column) in enumerate(places)]
    return np.rint(parts).astype(np.uint8)


def relative(found: Array, expected: Array) -> float:
    return float(np.linalg.norm(found.reshape(expected.shape) - expected) / np.linalg.norm(expected))


def test_every_file_of_the_packages_is_in_a_table(files: dict[str, Path]) -> None:
    assert {row[0] for row in (*READ, *REFUSED)} == files.keys()


@pytest.mark.parametrize(("name", "shape", "outputs", "left"), READ, ids=[row[0] for row in READ])
def test_what_is_read_computes_what_the_runtime_does(
    files: dict[str, Path], name: str, shape: Shape, outputs: tuple[str, ...] | None, left: str
) -> None:
    source = OnnxSource(files[name], outputs)
    assert [note.partition(" at the end")[0] for note in source.notes] == ([left] if left else [])
    batch = {"input": np.random.default_rng(0).normal(size=(3, *shape)) * 0.5}
    found, expected = source.graph({"input": shape}).evaluate(batch), source.logits(batch)
    assert len(expected) == (len(outputs) if outputs else len(source.model.proto.graph.output))
    for result, values in expected.items():
        assert relative(found[result], values) < 1e-4, result


@pytest.mark.parametrize(("name", "shapes", "words"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_is_refused_is_named_with_advice(
    files: dict[str, Path], name: str, shapes: tuple[Shape, ...], words: tuple[str, ...]
) -> None:
    source = OnnxSource(files[name])
    with pytest.raises(ConversionError) as error:
        source.graph(dict(zip(source.inputs.values(), shapes, strict=True)))
    rest = str(error.value)
    for word in words:
        before, found, rest = rest.partition(word)
        assert found, f"'{word}' is not in: {before}"


def measured(path: Path, side: int, bits: int) -> tuple[Conversion, Array, dict[str, Array], dict[str, Array]]:
    """Return a conversion, the samples that measure it, and the results of the network and the ANN for these."""
    samples = photos(160, side)
    source = OnnxSource(path)
    found = convert(source, samples[::2], bits=bits, encoding=FACES)
    expected = source.logits({"input": FACES.real(samples[1::2])})
    words = Session(found.network).run(samples[1::2]).outputs
    real = {name: found.network.populations[name].real(words[name]) for name in expected}
    return found, samples[1::2], {n: real[n].reshape(y.shape) for n, y in expected.items()}, expected


@pytest.mark.parametrize(("name", "side", "bits", "error", "same"), CONVERTED)
def test_spikes_give_what_the_ann_gives(
    files: dict[str, Path], name: str, side: int, bits: int, error: float, same: float
) -> None:
    found, samples, real, expected = measured(files[name], side, bits)
    assert len(expected) == {"pnet": 2, "rnet": 2, "onet": 3}[name]
    for result, values in expected.items():
        assert relative(real[result], values) < error, result
        if values.shape[-1] == 2:  # whether it is a face
            assert 100 * (real[result].argmax(-1) == values.argmax(-1)).mean() >= same
    quantised = evaluate(found.quantised, samples[:8])
    spikes = Session(found.network).run(samples[:8]).outputs
    for result in expected:
        np.testing.assert_array_equal(spikes[result].reshape(quantised[result].shape), quantised[result])


def test_a_file_that_the_runtime_quantised_converts(files: dict[str, Path], tmp_path: Path) -> None:
    """Its softmax stands between pairs of QuantizeLinear and DequantizeLinear, and is left out all the same."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            samples = FACES.real(photos(160, 24)[::2]).astype(np.float32)
            self.batches = iter([{"input_2": samples[k : k + 20]} for k in range(0, 200, 20)])

        def get_next(self) -> Any:
            return next(self.batches, None)

    path = tmp_path / "rnet_qdq.onnx"
    quantize_static(str(files["rnet"]), str(path), Reader(), quant_format=QuantFormat.QDQ, weight_type=QuantType.QInt8)
    found, _, real, expected = measured(path, 24, 8)
    assert {"Softmax", "QuantizeLinear"} <= {word for note in found.report.notes for word in note.split()}
    for result, values in expected.items():
        assert relative(real[result], values) < 0.08, result

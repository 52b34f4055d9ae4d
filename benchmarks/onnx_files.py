# SPDX-License-Identifier: Apache-2.0
"""ONNX files of other exporters, converted: how near their results are to the ANN's on photos that did not calibrate.

`python benchmarks/onnx_files.py FOLDER [NAME...]`: the files lie somewhere in FOLDER, such as the packages that
scripts/onnx-files fetches, unpacked; the photos are those of `zoo/foreign.py`, every other one calibrates. Beside them
stands what ONNX Runtime's own 8-bit quantisation (quantize_static, QDQ) loses with the same samples.
"""

import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from record import record
from zoo.foreign import photos

from spikerun import Session
from spikerun.converters import Encoding, convert
from spikerun.converters.graph import Array
from spikerun.converters.onnx.source import OnnxSource

NAME = "onnx_files"
FACES = Encoding(scale=1.0, mean=127.5, std=128.0)
HEAD = ("/model.22/Sigmoid_output_0", "/model.22/dfl/Transpose_output_0")


@dataclass(frozen=True)
class Case:
    """How a file is measured: photos of this side, so many, channels last or first, the values to end at."""

    side: int
    count: int
    encoding: Encoding = FACES
    last: bool = True
    outputs: tuple[str, ...] | None = None


CASES = {
    "pnet": Case(48, 200),
    "rnet": Case(24, 1000),
    "onet": Case(48, 400),
    "320n": Case(96, 32, Encoding(), last=False, outputs=HEAD),
}


def measure(name: str, path: Path) -> None:
    """Record the errors of one file."""
    case = CASES[name]
    samples = photos(case.side, case.side)[:: 1000 // case.count]
    samples = samples.transpose(0, 2, 3, 1) if case.last else samples
    calibration, held_out = np.ascontiguousarray(samples[::2]), np.ascontiguousarray(samples[1::2])
    source = OnnxSource(path, case.outputs)
    real = case.encoding.real(held_out)
    expected = source.logits({"input": real})
    for bits in (8, 6):
        begin, used = time.perf_counter(), time.process_time()
        net = convert(source, calibration, bits=bits, encoding=case.encoding).network
        told(name, f"{bits} bits: converted in", time.perf_counter() - begin, "s")
        told(name, f"{bits} bits: time of processors", time.process_time() - used, "s")
        words = Session(net).run(held_out).outputs
        compared(name, f"{bits} bits", {key: net.populations[key].real(words[key]) for key in expected}, expected)
    told(name, "memory at most", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MiB")
    compared(name, "ONNX Runtime, 8 bits", quantised(source, case.encoding.real(calibration))(real), expected)


def compared(name: str, what: str, found: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
    """Record the relative errors, and in how many places the largest of two results is the same."""
    for key, values in expected.items():
        own = found[key].reshape(values.shape)
        told(name, f"{what}: error of {key[-24:]}", 100 * np.linalg.norm(own - values) / np.linalg.norm(values), "%")
        if values.shape[-1] == 2:
            told(name, f"{what}: same class", 100 * (own.argmax(-1) == values.argmax(-1)).mean(), "%")


def told(name: str, what: str, value: Any, unit: str) -> None:
    """Record a figure of a file."""
    record(NAME, f"{name}, {what}", float(value), unit)


def quantised(source: OnnxSource, real: Array) -> Callable[[Array], dict[str, Array]]:
    """Return the results of the model as the runtime quantises it by these samples."""
    from onnxruntime import InferenceSession
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    (entry,) = source.inputs

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.batches = iter([{entry: real[k : k + 8].astype(np.float32)} for k in range(0, len(real), 8)])

        def get_next(self) -> Any:
            return next(self.batches, None)

    with TemporaryDirectory() as folder:
        before, after = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
        onnx.save(source._proto(), before)
        channels = source.model.version("Conv") >= 13  # which have scales for each channel
        quantize_static(before, after, Reader(), quant_format=QuantFormat.QDQ, per_channel=channels)
        session = InferenceSession(after)
    names = list(source.results.values())
    return lambda x: dict(zip(names, session.run(None, {entry: x.astype(np.float32)}), strict=True))


def main() -> None:
    """Measure the files that are named, or all."""
    folder, *names = sys.argv[1:]
    for name in names or CASES:
        measure(name, next(Path(folder).rglob(f"{name}.onnx")))


if __name__ == "__main__":
    main()

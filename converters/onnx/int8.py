# SPDX-License-Identifier: Apache-2.0
"""A file of a float network quantised to int8 by ONNX Runtime's own tools, as it is deployed on a CPU.

Activations uint8 with a zero point, weights int8 by channel, ranges the extremes of samples that calibrate. It writes
quantised operators (QOperator) or float ones between pairs of QuantizeLinear and DequantizeLinear, which the runtime
fuses (QDQ): which of them is faster differs from network to network, and is measured.
"""

import logging
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from spikerun.converters.graph import Array
from spikerun.converters.onnx.runtime import Opened
from spikerun.errors import ConversionError, printable

__all__ = ["fastest", "quantised"]

ROUNDS, CALLS = 9, 5
MAX_QUOTED = 300  # characters of what the tools say
CPUINFO = Path("/proc/cpuinfo")


def fastest(file: Path, calibration: Array, folder: Path) -> tuple[str, Path]:
    """Return the faster form of a file in int8, its name and its file in the folder; real samples calibrate."""
    forms = quantised(file, calibration, folder)
    opened = {name: Opened.of(path, 1) for name, path in forms.items()}
    one = next(iter(opened.values())).typed(calibration[:1])
    times: dict[str, list[float]] = {name: [] for name in forms}
    for turn in range(ROUNDS + 1):
        for name, session in opened.items():
            begin = time.thread_time()
            for _ in range(CALLS):
                session.run(one)
            if turn:  # the first warms up
                times[name].append(time.thread_time() - begin)
    best = min(times, key=lambda name: float(np.median(times[name])))
    return best, forms[best]


def quantised(file: Path, calibration: Array, folder: Path) -> dict[str, Path]:
    """Return the files of a network in int8 by form; raises ConversionError where the tools make none."""
    from onnxruntime.quantization import (  # type: ignore[import-untyped]
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process  # type: ignore[import-untyped]

    prepared = folder / "prepared.onnx"
    found: dict[str, Path] = {}
    refused: list[Exception] = []
    opened = Opened.of(file, 1)
    with _quietly():
        try:
            quant_pre_process(str(file), str(prepared), skip_symbolic_shape=True)
        except Exception as error:  # whatever these tools raise
            raise _refusal(error) from error
        for form in (QuantFormat.QDQ, QuantFormat.QOperator):
            path = folder / f"{form.name}.onnx"
            try:
                quantize_static(
                    str(prepared), str(path), _Reader(opened, calibration), quant_format=form, per_channel=True,
                    activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, reduce_range=saturates(),
                )  # fmt: skip
                Opened.of(path, 1)
            except Exception as error:
                refused.append(error)
            else:
                found[form.name] = path
    if not found:
        raise _refusal(refused[0]) from refused[0]
    return found


def saturates() -> bool:
    """Return whether this processor adds products of 8 bits in 16 (x86 without VNNI): weights then keep 7 bits."""
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return x86 and not (CPUINFO.is_file() and "vnni" in CPUINFO.read_text(encoding="utf-8", errors="replace"))


class _Reader:
    """Hands out calibration samples, as many at once as the file takes."""

    def __init__(self, opened: Opened, calibration: Array) -> None:
        size = opened.batch or 1
        values = opened.typed(calibration)
        whole = range(0, max(1, len(values) // size) * size, size)
        self.parts = iter([{opened.name: values[first : first + size]} for first in whole])

    def get_next(self) -> dict[str, Any] | None:
        """Return the next samples, None at the end: the protocol of the tools."""
        return next(self.parts, None)


def _refusal(error: Exception) -> ConversionError:
    said = " ".join(str(error).split())[:MAX_QUOTED] or type(error).__name__
    return ConversionError(printable(f"ONNX Runtime's tools do not quantise the model: {said}"))


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep the advice of the tools, which they give to the root logger, from the user's terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)

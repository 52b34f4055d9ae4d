# SPDX-License-Identifier: Apache-2.0
"""A file opened by ONNX Runtime to be timed: nothing but its own call stands between samples and results."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikerun.converters.graph import Array
from spikerun.errors import ConversionError, printable

__all__ = ["TYPES", "Opened"]

TYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}
MAX_QUOTED = 300  # characters of what the runtime says


@dataclass(frozen=True, eq=False)
class Opened:
    """A session of one input; batch: the samples that the file takes at once, None where it takes any number."""

    session: Any
    name: str
    dtype: Any
    batch: int | None

    @classmethod
    def of(cls, file: Path, threads: int) -> "Opened":
        """Return the session of a file on so many threads; raises ConversionError where it does not open."""
        import onnxruntime  # type: ignore[import-untyped]

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        try:
            session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # whatever its C++ raises
            said = " ".join(str(error).split())[:MAX_QUOTED]
            raise ConversionError(printable(f"ONNX Runtime does not run the model: {said}")) from error
        (given,) = session.get_inputs()
        if given.type not in TYPES:
            raise ConversionError(f"the input '{given.name}' of the model takes {given.type}, which is not timed")
        first = given.shape[0] if given.shape else None
        return cls(session, given.name, TYPES[given.type], first if isinstance(first, int) else None)

    def typed(self, values: Array) -> Array:
        """Return real samples in the type of the input."""
        whole = np.rint(values) if np.issubdtype(self.dtype, np.integer) else values
        return np.ascontiguousarray(whole, self.dtype)

    def run(self, values: Array) -> list[Any]:
        """Return the results for samples of the input's type; in parts, the last filled up, where a batch is fixed."""
        if self.batch is None or self.batch == len(values):
            return list(self.session.run(None, {self.name: values}))
        parts = []
        for first in range(0, len(values), self.batch):
            part = values[first : first + self.batch]
            missing = self.batch - len(part)
            filled = np.concatenate([part, np.repeat(part[-1:], missing, axis=0)]) if missing else part
            parts.append(self.session.run(None, {self.name: filled}))
        return [np.concatenate([part[k] for part in parts])[: len(values)] for k in range(len(parts[0]))]

# SPDX-License-Identifier: Apache-2.0
"""A torch module as an ONNX file for other runtimes, by torch's own exporter."""

import copy
import io
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import torch

from spikerun.converters.graph import Array
from spikerun.converters.source import Source
from spikerun.converters.torch.source import TorchSource
from spikerun.errors import ConversionError, printable

__all__ = ["write"]

OPSET = 17
MAX_QUOTED = 300  # characters of what the exporter says


def write(source: Source, values: Array, path: Path) -> None:
    """Write the module of a source in float32, for any number of samples like these; raises ConversionError."""
    if not isinstance(source, TorchSource):
        raise ConversionError("a source of the name 'torch' that is no TorchSource has no module")
    model = copy.deepcopy(source.model).cpu().float().eval()
    batch = {"input": {0: "batch"}}
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")  # the exporter that needs no other package is called the old one
        try:
            torch.onnx.export(
                model, (torch.from_numpy(values).float(),), str(path), dynamo=False, opset_version=OPSET,
                input_names=["input"], dynamic_axes=batch,
            )  # fmt: skip
        except Exception as error:  # whatever the exporter, or the user's own forward, raises
            said = " ".join(str(error).split())[:MAX_QUOTED] or type(error).__name__
            raise ConversionError(printable(f"torch.onnx does not export the model: {said}")) from error

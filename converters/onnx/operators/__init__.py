# SPDX-License-Identifier: Apache-2.0
"""How each operator of ONNX becomes one of the float graph: one small decorated function for each."""

from spikerun.converters.onnx.operators import (
    activation,
    arithmetic,
    learn,
    linear,
    normalisation,
    pooling,
    resize,
    shape,
)
from spikerun.converters.onnx.operators.dialect import APPLY, GIVEN, ONNX, RESULT, SEVERAL

__all__ = [
    "APPLY",
    "GIVEN",
    "ONNX",
    "RESULT",
    "SEVERAL",
    "activation",
    "arithmetic",
    "learn",
    "linear",
    "normalisation",
    "pooling",
    "resize",
    "shape",
]

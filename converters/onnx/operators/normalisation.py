# SPDX-License-Identifier: Apache-2.0
"""Batch norm with trained statistics: a scale and a shift for each channel."""

import numpy as np

from spikerun.converters.graph import Affine
from spikerun.converters.onnx.operators.dialect import ONNX
from spikerun.converters.onnx.operators.values import Read, fixed
from spikerun.converters.rules import Call, Refusal


@ONNX.rule("BatchNormalization")
def batch_norm(call: Call) -> Read:
    """BatchNormalization in inference mode: folded into the weights."""
    if call.arguments.get("training_mode"):
        raise Refusal("it uses the statistics of the batch; export it in inference mode (training_mode=0)")
    x = call.value("X")
    mean, variance = (fixed(call, n if n in call.arguments else f"input_{n}") for n in ("mean", "var"))
    gamma, beta = fixed(call, "scale"), fixed(call, "B")
    if not x.shape or any(v.shape != x.shape[:1] for v in (mean, variance, gamma, beta)):
        raise Refusal(f"its constants of shape {gamma.shape} do not fit values of shape {x.shape}")
    if (variance < 0).any():
        raise Refusal("its variance is negative: the weights are broken")
    scale = gamma / np.sqrt(variance + call.arguments["epsilon"])
    return Affine(scale, beta - mean * scale), (x.name,)

# SPDX-License-Identifier: Apache-2.0
"""Batch norm with running statistics: a scale and a shift for each channel."""

import numpy as np

from spikerun.converters.graph import Affine, Op
from spikerun.converters.rules import Call, Refusal
from spikerun.converters.torch.aten.dialect import ATEN


@ATEN.rule(
    "aten.batch_norm.default",
    "aten._native_batch_norm_legit_no_training.default",
    "aten._native_batch_norm_legit.default",
    "aten._native_batch_norm_legit.no_stats",
)
def batch_norm(call: Call) -> tuple[Op, tuple[str, ...]]:
    """BatchNorm with running statistics: folded into the weights."""
    if call.arguments.get("running_mean") is None or call.arguments.get("training", False):
        raise Refusal("it uses the statistics of the batch; train with track_running_stats=True")
    mean, variance = call.constant("running_mean"), call.constant("running_var")
    assert mean is not None and variance is not None
    if (variance < 0).any():
        raise Refusal("its running_var is negative: the weights file is broken")
    x = call.value("input")
    gamma, beta = call.constant("weight"), call.constant("bias")
    scale = (1.0 if gamma is None else gamma) / np.sqrt(variance + call.arguments["eps"])
    shift = (0.0 if beta is None else beta) - mean * scale
    return Affine(scale, shift), (x.name,)

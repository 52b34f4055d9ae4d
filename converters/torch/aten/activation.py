# SPDX-License-Identifier: Apache-2.0
"""Activations that few-spikes neurons compute: rectifiers, with or without a bound."""

from math import inf
from typing import Any

from spikerun.converters.graph import Identity, Op, Relu
from spikerun.converters.rules import Call, Refusal
from spikerun.converters.torch.aten.dialect import ATEN


@ATEN.rule("aten.relu.default")
def relu(call: Call) -> tuple[Op, tuple[str, ...]]:
    """ReLU."""
    return Relu(), (call.value("self").name,)


@ATEN.rule("aten.relu6.default")
def relu6(call: Call) -> tuple[Op, tuple[str, ...]]:
    """ReLU6."""
    return Relu(6.0), (call.value("self").name,)


@ATEN.rule("aten.hardtanh.default")
def hardtanh(call: Call) -> tuple[Op, tuple[str, ...]]:
    """Hardtanh(0, b), b > 0."""
    return _clamp(call.arguments["min_val"], call.arguments["max_val"]), (call.value("self").name,)


@ATEN.rule("aten.clamp.default")
def clamp(call: Call) -> tuple[Op, tuple[str, ...]]:
    """Clamp to (0, b) or (0, none)."""
    return _clamp(call.arguments["min"], call.arguments["max"]), (call.value("self").name,)


@ATEN.rule("aten.clamp_min.default")
def clamp_min(call: Call) -> tuple[Op, tuple[str, ...]]:
    """Clamp from below at 0: ReLU."""
    return _clamp(call.arguments["min"], None), (call.value("self").name,)


def _clamp(low: Any, high: Any) -> Op:
    if low is None or float(low) != 0 or (high is not None and not float(high) > 0):
        raise Refusal(
            f"it limits to ({low}, {high}); only (0, b) with b > 0 is a few-spikes neuron: use Hardtanh(0, b)"
        )
    return Relu(inf if high is None else float(high))


@ATEN.rule("aten.dropout.default")
def dropout(call: Call) -> tuple[Op, tuple[str, ...]]:
    """Dropout: nothing, after training."""
    if call.arguments["train"] and call.arguments["p"] > 0:
        raise Refusal("dropout is active at inference; use nn.Dropout, or pass training=self.training")
    return Identity(), (call.value("input").name,)

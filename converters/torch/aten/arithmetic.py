# SPDX-License-Identifier: Apache-2.0
"""Sums and concatenations of layers."""

from spikerun.converters.graph import Add, Concat, Op
from spikerun.converters.rules import Call, Refusal, Value
from spikerun.converters.torch.aten.dialect import ATEN


@ATEN.rule("aten.add.Tensor")
def add(call: Call) -> tuple[Op, tuple[str, ...]]:
    """Residual add: projections into one population."""
    left, right = call.value("self"), call.value("other")
    if call.arguments["alpha"] != 1:
        raise Refusal(f"alpha={call.arguments['alpha']}; fold the factor into the weights before it")
    if left.shape != right.shape:
        raise Refusal(f"it adds shapes {left.shape} and {right.shape} by broadcasting; make them equal")
    return Add(), (left.name, right.name)


@ATEN.rule("aten.cat.default")
def cat(call: Call) -> tuple[Op, tuple[str, ...]]:
    """Concatenation of channels."""
    values = call.arguments["tensors"]
    if not all(isinstance(value, Value) for value in values):
        raise Refusal("it concatenates a constant; only layers can be concatenated")
    if call.arguments["dim"] % (len(call.shape) + 1) != 1:
        raise Refusal(f"it concatenates axis {call.arguments['dim']}; only channels (axis 1) are concatenated")
    return Concat(), tuple(value.name for value in values)

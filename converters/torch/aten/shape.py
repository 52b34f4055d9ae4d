# SPDX-License-Identifier: Apache-2.0
"""Operators that move no value: flattening, and those that do nothing."""

from spikerun.converters.graph import Flatten, Identity, Op
from spikerun.converters.rules import Call, Refusal
from spikerun.converters.torch.aten.dialect import ATEN


@ATEN.rule(
    "aten.view.default",
    "aten.reshape.default",
    "aten._unsafe_view.default",
    "aten.flatten.using_ints",
    "aten.squeeze.dim",
    "aten.squeeze.dims",
)
def reshape(call: Call) -> tuple[Op, tuple[str, ...]]:
    """View, reshape, flatten, squeeze to (N, -1)."""
    x = call.value("input") if "input" in call.arguments else call.value("self")
    if call.shape == x.shape:
        return Identity(), (x.name,)
    size = 1
    for n in x.shape:
        size *= n
    if call.shape != (size,):
        raise Refusal(f"it turns {x.shape} into {call.shape}; only flattening a sample to one axis is converted")
    return Flatten(), (x.name,)


@ATEN.rule("aten.clone.default", "aten.alias.default", "aten.detach.default", "aten.contiguous.default")
def same(call: Call) -> tuple[Op, tuple[str, ...]]:
    """Clone, detach, contiguous: nothing."""
    return Identity(), (call.value("self").name,)

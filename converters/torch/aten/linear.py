# SPDX-License-Identifier: Apache-2.0
"""Linear and convolutional layers."""

import numpy as np

from spikerun.converters.graph import Array, Conv, Linear, Op, Pair
from spikerun.converters.rules import Call, Refusal
from spikerun.converters.torch.aten.dialect import ATEN


def _bias(call: Call, size: int) -> Array:
    bias = call.constant("bias")
    return np.zeros(size) if bias is None else bias


def _weight(call: Call) -> Array:
    weight = call.constant("weight")
    assert weight is not None
    return weight


@ATEN.rule("aten.linear.default")
def linear(call: Call) -> tuple[Op, tuple[str, ...]]:
    """Linear: synapses from all to all."""
    x, weight = call.value("input"), _weight(call)
    if len(x.shape) != 1:
        raise Refusal(f"it acts on the last axis of {x.shape}; flatten to (N, features) before Linear")
    return Linear(weight, _bias(call, len(weight))), (x.name,)


@ATEN.rule("aten.addmm.default")
def addmm(call: Call) -> tuple[Op, tuple[str, ...]]:
    """Linear, as older exports write it: bias + x @ weight."""
    if call.arguments["beta"] != 1 or call.arguments["alpha"] != 1:
        raise Refusal("addmm with factors beta, alpha other than 1; use nn.Linear")
    x, weight, bias = call.value("mat1"), call.constant("mat2"), call.constant("self")
    assert weight is not None and bias is not None
    return Linear(weight.T.copy(), np.broadcast_to(bias, weight.shape[1:]).copy()), (x.name,)


@ATEN.rule("aten.conv2d.default")
def conv2d(call: Call) -> tuple[Op, tuple[str, ...]]:
    """Conv2d with any stride, padding, dilation and groups."""
    weight = _weight(call)
    geometry = call.pair("stride"), call.pair("padding"), call.pair("dilation")
    return Conv(weight, _bias(call, len(weight)), *geometry, call.arguments["groups"]), (call.value("input").name,)


@ATEN.rule("aten.convolution.default")
def convolution(call: Call) -> tuple[Op, tuple[str, ...]]:
    """Conv2d, as decomposed exports write it."""
    if call.arguments["transposed"]:
        raise Refusal("a transposed convolution is not converted yet; use Conv2d")
    if _weight(call).ndim != 4:
        raise Refusal("only two-dimensional convolutions are converted; write it as a Conv2d")
    return conv2d(call)


@ATEN.rule("aten.conv2d.padding")
def conv2d_padding(call: Call) -> tuple[Op, tuple[str, ...]]:
    """Conv2d with padding 'same' or 'valid'."""
    weight, bias, dilation = _weight(call), call.constant("bias"), call.pair("dilation")
    padding = (0, 0)
    if call.arguments["padding"] == "same":
        weight, padding, dilation = _same(weight, dilation)
    bias = np.zeros(len(weight)) if bias is None else bias
    op = Conv(weight, bias, call.pair("stride"), padding, dilation, call.arguments["groups"])
    return op, (call.value("input").name,)


def _same(weight: Array, dilation: Pair) -> tuple[Array, Pair, Pair]:
    """Return (weight, padding, dilation) whose symmetric padding equals torch's 'same'.

    Where the total padding d (k - 1) is odd, torch pads one more at the end. A kernel with one more tap of weight 0 at
    its front is padded evenly and computes the same.
    """
    padding = [0, 0]
    dilations = list(dilation)
    for axis in (0, 1):
        total = dilations[axis] * (weight.shape[2 + axis] - 1)
        if total % 2:
            weight = _undilated(weight, 2 + axis, dilations[axis])
            front = [(0, 0)] * 4
            front[2 + axis] = (1, 0)
            weight, dilations[axis], total = np.pad(weight, front), 1, total + 1
        padding[axis] = total // 2
    return weight, (padding[0], padding[1]), (dilations[0], dilations[1])


def _undilated(weight: Array, axis: int, dilation: int) -> Array:
    shape = list(weight.shape)
    shape[axis] = dilation * (shape[axis] - 1) + 1
    wide = np.zeros(shape, dtype=weight.dtype)
    wide[(slice(None),) * axis + (slice(None, None, dilation),)] = weight
    return wide

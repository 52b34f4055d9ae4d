# SPDX-License-Identifier: Apache-2.0
"""Linear and convolutional layers."""

import numpy as np

from spikerun.converters.graph import Array, Conv, ConvTranspose, Linear, Op, Pair, Rearrange
from spikerun.converters.padding import evenly_padded, same_padding
from spikerun.converters.rules import Call, Refusal, Value
from spikerun.converters.torch.aten.dialect import ATEN
from spikerun.converters.torch.aten.shape import order

Result = tuple[Op, tuple[str, ...]]


def _bias(call: Call, size: int) -> Array:
    bias = call.constant("bias")
    return np.zeros(size) if bias is None else bias


def _weight(call: Call) -> Array:
    """Return the weight as that of images: of signals with a kernel of height 1."""
    weight = call.constant("weight")
    assert weight is not None
    return weight[:, :, None] if weight.ndim == 3 else weight


def _input(call: Call) -> Value:
    """Return what a convolution takes, which must have a batch."""
    x, weight = call.value("input"), call.constant("weight")
    assert weight is not None
    if weight.ndim > 4:
        raise Refusal("only convolutions of signals and images are converted, not of volumes")
    if len(x.shape) != weight.ndim - 1:
        raise Refusal(f"it takes samples of shape {x.shape} as one without a batch; give each its channel axis")
    return x


def _pair(call: Call, name: str, beside: int) -> Pair:
    """Return (vertical, horizontal); of a signal the vertical one is `beside`."""
    found = call.pair(name)
    weight = call.constant("weight")
    assert weight is not None
    return (beside, found[1]) if weight.ndim == 3 else found


@ATEN.rule("aten.linear.default")
def linear(call: Call) -> Result:
    """Linear: synapses from all to all; along the last axis of larger values a convolution of single places."""
    x, weight = call.value("input"), call.constant("weight")
    assert weight is not None
    return _along_last(call, x, weight, _bias(call, len(weight)))


@ATEN.rule("aten.addmm.default")
def addmm(call: Call) -> Result:
    """Linear, as older exports write it: bias + x @ weight."""
    if call.arguments["beta"] != 1 or call.arguments["alpha"] != 1:
        raise Refusal("addmm with factors beta, alpha other than 1; use nn.Linear")
    x, weight, bias = call.value("mat1"), call.constant("mat2"), call.constant("self")
    assert weight is not None and bias is not None
    return Linear(weight.T.copy(), np.broadcast_to(bias, weight.shape[1:]).copy()), (x.name,)


@ATEN.rule("aten.matmul.default", "aten.mm.default", "aten.bmm.default")
def matmul(call: Call) -> Result:
    """Products of matrices, of which one is constant."""
    names = ("self", "mat2" if "mat2" in call.arguments else "other")
    left, right = (call.arguments[name] for name in names)
    if isinstance(left, Value) and isinstance(right, Value):
        raise Refusal("a product of two activations is not a synapse (attention is one); use nn.Linear")
    which = names[1] if isinstance(left, Value) else names[0]
    matrix = call.constant(which)
    assert matrix is not None
    matrix = matrix[0] if matrix.ndim == 3 and len(matrix) == 1 else matrix
    if matrix.ndim != 2:
        raise Refusal(f"its constant has the shape {matrix.shape}; only one matrix for all samples is converted")
    if isinstance(left, Value):
        return _along_last(call, left, matrix.T, np.zeros(matrix.shape[1]))
    assert isinstance(right, Value)
    if len(right.shape) < 2:
        raise Refusal("it multiplies along the batch; write x @ matrix")
    axes = (*range(len(right.shape) - 2), len(right.shape) - 1, len(right.shape) - 2)
    return _along_last(call, order(call, right, axes), matrix, np.zeros(len(matrix)), swapped=True)


def _along_last(call: Call, x: Value, weight: Array, bias: Array, swapped: bool = False) -> Result:
    """Return a matrix (out, in) along the last axis; swapped: the last two axes of the result change places."""
    if len(x.shape) == 1:
        return Linear(weight.copy(), bias), (x.name,)
    last = len(x.shape) - 1
    first = order(call, x, (last, *range(last)))
    rest = first.shape[1:]
    flat = call.emit(Rearrange(np.arange(int(np.prod(first.shape))).reshape(first.shape[0], -1)), first)
    out = call.emit(Conv(weight[:, :, None, None].copy(), bias), flat)
    places = np.moveaxis(np.arange(int(np.prod(out.shape))).reshape(len(weight), *rest), 0, -1)
    return Rearrange(np.ascontiguousarray(places.swapaxes(-1, -2) if swapped else places)), (out.name,)


@ATEN.rule("aten.conv1d.default", "aten.conv2d.default")
def conv(call: Call) -> Result:
    """Conv1d, Conv2d with any stride, padding, dilation and groups."""
    x, weight = _input(call), _weight(call)
    geometry = _pair(call, "stride", 1), _pair(call, "padding", 0), _pair(call, "dilation", 1)
    return Conv(weight, _bias(call, len(weight)), *geometry, call.arguments["groups"]), (x.name,)


@ATEN.rule("aten.convolution.default")
def convolution(call: Call) -> Result:
    """Convolutions and transposed ones, as decomposed exports write them."""
    return conv_transpose(call) if call.arguments["transposed"] else conv(call)


@ATEN.rule("aten.conv_transpose1d.default", "aten.conv_transpose2d.input")
def conv_transpose(call: Call) -> Result:
    """ConvTranspose1d, ConvTranspose2d: a convolution with a result for each phase of the stride, then put in order."""
    x, weight, groups = _input(call), _weight(call), call.arguments["groups"]
    stride, padding, more = _pair(call, "stride", 1), _pair(call, "padding", 0), _pair(call, "output_padding", 0)
    bias = _bias(call, weight.shape[1] * groups)
    return ConvTranspose(weight, bias, stride, padding, more, _pair(call, "dilation", 1), groups), (x.name,)


@ATEN.rule("aten.conv1d.padding", "aten.conv2d.padding")
def conv_padding(call: Call) -> Result:
    """Conv1d, Conv2d with padding 'same' or 'valid'."""
    x, weight, dilation = _input(call), _weight(call), _pair(call, "dilation", 1)
    stride, groups = _pair(call, "stride", 1), call.arguments["groups"]
    op = Conv(weight, _bias(call, len(weight)), stride, (0, 0), dilation, groups)
    if call.arguments["padding"] == "same":
        op = evenly_padded(op, same_padding((weight.shape[2], weight.shape[3]), dilation))
    return op, (x.name,)

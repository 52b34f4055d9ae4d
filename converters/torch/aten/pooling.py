# SPDX-License-Identifier: Apache-2.0
"""Pools over images."""

from spikerun.converters.graph import AvgPool, MaxPool, Op, Pair
from spikerun.converters.rules import Call, Refusal, Value
from spikerun.converters.torch.aten.dialect import ATEN


@ATEN.rule("aten.max_pool2d.default")
def max_pool2d(call: Call) -> tuple[Op, tuple[str, ...]]:
    """MaxPool2d: the largest word of each window."""
    x = _image(call.value("self"))
    kernel, padding, dilation = call.pair("kernel_size"), call.pair("padding"), call.pair("dilation")
    stride = call.pair("stride") if call.arguments["stride"] else kernel
    _exact(call, x, kernel, stride, padding, dilation)
    return MaxPool(kernel, stride, padding, dilation), (x.name,)


@ATEN.rule("aten.max_pool2d_with_indices.default")
def max_pool2d_with_indices(call: Call) -> tuple[Op, tuple[str, ...]]:
    """MaxPool2d, as decomposed exports write it."""
    return max_pool2d(call)


@ATEN.rule("aten.avg_pool2d.default")
def avg_pool2d(call: Call) -> tuple[Op, tuple[str, ...]]:
    """AvgPool2d: sums over windows."""
    x = _image(call.value("self"))
    kernel, padding = call.pair("kernel_size"), call.pair("padding")
    stride = call.pair("stride") if call.arguments["stride"] else kernel
    _exact(call, x, kernel, stride, padding, (1, 1))
    if padding != (0, 0) and not call.arguments["count_include_pad"] and call.arguments["divisor_override"] is None:
        raise Refusal("count_include_pad=False divides by another number at the border; leave it True")
    divisor = call.arguments["divisor_override"] or kernel[0] * kernel[1]
    if divisor < 0:
        raise Refusal(f"divisor_override={divisor} must be positive")
    return AvgPool(kernel, stride, padding, float(divisor)), (x.name,)


@ATEN.rule("aten.adaptive_avg_pool2d.default")
def adaptive_avg_pool2d(call: Call) -> tuple[Op, tuple[str, ...]]:
    """AdaptiveAvgPool2d whose windows divide the image exactly."""
    x = _image(call.value("self"))
    out = call.shape[1:]
    if any(n % m for n, m in zip(x.shape[1:], out, strict=True)):
        raise Refusal(f"its output {out} does not divide the image {x.shape[1:]}; choose a size that does, such as 1")
    kernel = (x.shape[1] // out[0], x.shape[2] // out[1])
    return AvgPool(kernel, kernel, (0, 0), float(kernel[0] * kernel[1])), (x.name,)


@ATEN.rule("aten.mean.dim")
def mean(call: Call) -> tuple[Op, tuple[str, ...]]:
    """Mean over height and width: global average pooling."""
    x = _image(call.value("self"))
    if sorted(axis % 4 for axis in call.arguments["dim"] or ()) != [2, 3]:
        raise Refusal("a mean is converted over height and width only: x.mean((2, 3))")
    kernel = (x.shape[1], x.shape[2])
    return AvgPool(kernel, kernel, (0, 0), float(kernel[0] * kernel[1])), (x.name,)


def _image(x: Value) -> Value:
    if len(x.shape) != 3:
        raise Refusal(f"it pools values of shape {x.shape}; only images (C, H, W) are pooled")
    return x


def _exact(call: Call, x: Value, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> None:
    """Refuse ceil_mode, unless it changes nothing for this image."""
    if not call.arguments["ceil_mode"]:
        return
    axes = zip(x.shape[1:], kernel, stride, padding, dilation, strict=True)
    floor = tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in axes)
    if floor != call.shape[1:]:
        raise Refusal(
            f"ceil_mode=True adds windows that hang over the edge of {x.shape[1:]}; use ceil_mode=False, "
            "or padding, or an image size that the stride divides"
        )

# SPDX-License-Identifier: Apache-2.0
"""Upsampling and resizing to the nearest value: each place of the result takes one of the value."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from spikerun.converters.graph import Array, Shape
from spikerun.converters.onnx.fold import require_room
from spikerun.converters.onnx.operators.dialect import ONNX
from spikerun.converters.onnx.operators.values import Read, arrange, integers
from spikerun.converters.rules import Call, Refusal, Value

LINEAR = "only the nearest value is converted (mode 'nearest'): use it, or a ConvTranspose with the same weights"


@dataclass(frozen=True)
class Axis:
    """One axis: its lengths before and after, the factor, and the part of it (0..1) that is taken."""

    size: int
    out: int
    scale: float
    first: float = 0.0
    last: float = 1.0


def _half_pixel(o: Array, a: Axis) -> Array:
    return (o + 0.5) / a.scale - 0.5


def _symmetric(o: Array, a: Axis) -> Array:
    adjustment = a.out / (a.scale * a.size)
    return a.size / 2 * (1 - adjustment) + (o + 0.5) / a.scale - 0.5


def _corners(o: Array, a: Axis) -> Array:
    return o * (a.size - 1) / max(a.out - 1, 1)


def _cropped(o: Array, a: Axis) -> Array:
    if a.out == 1:
        return o * 0 + 0.5 * (a.first + a.last) * (a.size - 1)
    return a.first * (a.size - 1) + o * (a.last - a.first) * (a.size - 1) / (a.out - 1)


# The place of the value that a place of the result stands for.
COORDINATES: Mapping[str, Callable[[Array, Axis], Array]] = {
    "half_pixel": _half_pixel,
    "half_pixel_symmetric": _symmetric,
    "pytorch_half_pixel": lambda o, a: _half_pixel(o, a) if a.out > 1 else o * 0.0,
    "align_corners": _corners,
    "asymmetric": lambda o, a: o / a.scale,
    "tf_half_pixel_for_nn": lambda o, a: (o + 0.5) / a.scale,
    "tf_crop_and_resize": _cropped,
}
NEAREST: Mapping[str, Callable[[Array], Array]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


@ONNX.rule("Upsample")
def upsample(call: Call) -> Read:
    """Upsample to the nearest value."""
    return _resized(call, "asymmetric", "floor")


@ONNX.rule("Resize", version=10)
def resize_10(call: Call) -> Read:
    """Resize to the nearest value, as opset 10 has it."""
    return _resized(call, "asymmetric", "floor")


@ONNX.rule("Resize", version=11)
def resize(call: Call) -> Read:
    """Resize to the nearest value, in all ways of counting places."""
    return _resized(call, call.arguments["coordinate_transformation_mode"], call.arguments["nearest_mode"])


def _resized(call: Call, coordinates: str, nearest: str) -> Read:
    x = call.value("X")
    if call.arguments["mode"] != "nearest":
        raise Refusal(f"it interpolates (mode '{call.arguments['mode']}'); {LINEAR}")
    if coordinates not in COORDINATES or nearest not in NEAREST:
        raise Refusal(f"it counts places by '{coordinates}', '{nearest}', which is not known")
    axes = _axes(call, x)
    require_room(int(np.prod([float(a.out) for a in axes])))
    index: Array = np.zeros((), np.int64)
    beyond: Array = np.zeros((), bool)
    for a, step in zip(axes, _steps(x.shape), strict=True):
        at = COORDINATES[coordinates](np.arange(a.out, dtype=np.float64), a)
        at = at.astype(np.float32).astype(np.float64)  # runtimes compute in float32, and round what it gives
        out = (at < 0) | (at > a.size - 1)
        place = np.clip(NEAREST[nearest](at), 0, a.size - 1).astype(np.int64)
        index = np.add.outer(index, place * step)
        beyond = np.logical_or.outer(beyond, out)
    if coordinates == "tf_crop_and_resize":
        return arrange(x, np.where(beyond, -1, index), float(call.arguments["extrapolation_value"]))
    return arrange(x, index)


def _steps(shape: Shape) -> list[int]:
    return [int(np.prod(shape[k + 1 :])) for k in range(len(shape))]


def _numbers(call: Call, name: str) -> list[float] | None:
    found = call.arguments.get(name)
    if isinstance(found, Value):
        raise Refusal(f"its '{name}' is computed from the input; export it with constant sizes")
    return None if found is None or not np.size(found) else [float(n) for n in np.asarray(found).reshape(-1)]


def _axes(call: Call, x: Value) -> list[Axis]:
    """Return the axes without the batch."""
    shape = (call.batch, *x.shape)
    rank = len(shape)
    which = [axis % rank for axis in integers(call, "axes") or range(rank)]
    scales, sizes, roi = _numbers(call, "scales"), _numbers(call, "sizes"), _numbers(call, "roi")
    given = scales or sizes
    if given is None or len(given) != len(which) or not np.isfinite(given).all() or min(given) <= 0:
        raise Refusal(f"its scales {scales} and sizes {sizes} are not of the {len(which)} axes that it resizes")
    factor = dict.fromkeys(range(rank), 1.0)
    out = dict(enumerate(shape))
    if scales:
        factor |= dict(zip(which, scales, strict=True))
        out |= {axis: int(min(np.floor(shape[axis] * s), 2**40)) for axis, s in zip(which, scales, strict=True)}
    else:
        out |= dict(zip(which, map(int, sizes or []), strict=True))
        factor |= {axis: out[axis] / shape[axis] for axis in which}
        policy = call.arguments.get("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            one = (min if policy == "not_larger" else max)(factor[axis] for axis in which)
            factor |= dict.fromkeys(which, one)
            out |= {axis: int(np.floor(one * shape[axis] + 0.5)) for axis in which}
    if out[0] != shape[0] or factor[0] != 1:
        raise Refusal("it resizes the batch: samples are computed one by one")
    if min(out.values()) < 1:
        raise Refusal("it leaves no value")
    first, last = dict.fromkeys(range(rank), 0.0), dict.fromkeys(range(rank), 1.0)
    if roi and len(roi) == 2 * len(which):
        first |= dict(zip(which, roi[: len(which)], strict=True))
        last |= dict(zip(which, roi[len(which) :], strict=True))
    return [Axis(shape[k], out[k], factor[k], first[k], last[k]) for k in range(1, rank)]

# SPDX-License-Identifier: Apache-2.0
"""Operators that move values without computing with them.

All in one way: the operator is applied to the places of the values, by ONNX's own reference.
"""

import numpy as np

from spikerun.converters.graph import Array
from spikerun.converters.onnx.fold import require_room
from spikerun.converters.onnx.operators.dialect import APPLY, GIVEN, ONNX, RESULT
from spikerun.converters.onnx.operators.values import Read, arrange, integers, places
from spikerun.converters.rules import Call, Refusal, Value

PADS = ("constant", "edge", "reflect", "wrap")


@ONNX.rule(
    "Compress", "DepthToSpace", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Reshape", "Slice",
    "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze",
)  # fmt: skip
def moves(call: Call) -> Read:
    """Values move to other places: layouts, parts, repetition."""
    x, *others = call.arguments[GIVEN]
    if not isinstance(x, Value) or any(isinstance(other, Value) for other in others):
        raise Refusal("where its values go is computed from the input: export it with constant sizes and places")
    found = call.arguments[APPLY]([places((call.batch, *x.shape)), *others])
    return arrange(x, _of_one(call, found[call.arguments[RESULT][0]], x))


def _of_one(call: Call, found: Array, x: Value) -> Array:
    """Return the places that one sample takes, from those of all samples; refuse samples that meet."""
    size = int(np.prod(x.shape, dtype=np.int64))
    if not found.size:
        raise Refusal("it leaves no value")
    if found.shape[:1] == (call.batch,):
        own = found - size * np.arange(call.batch).reshape(-1, *(1,) * (found.ndim - 1))
        if (own == own[0]).all() and own.min() >= 0 and own.max() < size:
            return np.ascontiguousarray(own[0])
    raise Refusal(
        f"it turns {call.batch} samples of shape {x.shape} into {found.shape}, in which the samples are no longer "
        "apart: keep the batch as the first axis (-1 or 0 in a Reshape), or export with a batch of fixed length 1"
    )


@ONNX.rule("Pad")
def pad(call: Call) -> Read:
    """Padding with a constant, the edge, reflected or wrapped values; negative padding cuts."""
    x, *others = call.arguments[GIVEN]
    if not isinstance(x, Value) or any(isinstance(other, Value) for other in others):
        raise Refusal("its arguments are computed from the input; export it with constant ones")
    fill = call.arguments.get("constant_value")
    fill = call.arguments.get("value") if fill is None else fill
    level = 0.0 if fill is None or not np.size(fill) else float(np.asarray(fill).reshape(-1)[0])
    if not np.isfinite(level):
        raise Refusal("it pads with infinity: give the padding to the pool that follows")
    mode, rank = call.arguments["mode"], len(x.shape) + 1
    axes = integers(call, "axes")
    axes = list(range(rank)) if axes is None else [axis % rank for axis in axes]
    pads = integers(call, "pads") or []
    if len(pads) != 2 * len(axes) or mode not in PADS:
        raise Refusal(f"its pads {pads} of mode '{mode}' are not of the axes {axes}")
    before, behind = [0] * rank, [0] * rank
    for k, axis in enumerate(axes):
        before[axis], behind[axis] = pads[k], pads[len(axes) + k]
    if before[0] or behind[0]:
        raise Refusal("it pads the batch: samples are computed one by one")
    sizes = zip(x.shape, before[1:], behind[1:], strict=True)
    require_room(int(np.prod([float(n + abs(b) + abs(e)) for n, b, e in sizes])))
    cut = tuple(slice(max(-b, 0), n - max(-e, 0)) for n, b, e in zip(x.shape, before[1:], behind[1:], strict=True))
    index = places(x.shape)[cut]
    if not index.size:
        raise Refusal("it leaves no value")
    widths = [(max(b, 0), max(e, 0)) for b, e in zip(before[1:], behind[1:], strict=True)]
    if mode == "constant":
        return arrange(x, np.pad(index, widths, constant_values=-1), level)
    return arrange(x, np.pad(index, widths, mode=mode))

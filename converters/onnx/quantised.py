# SPDX-License-Identifier: Apache-2.0
"""Models that were quantised before, in the form QDQ: a pair of QuantizeLinear and DequantizeLinear says a range.

Pairs of computed values become one operator, `RANGE`; those of weights are computed like any constant.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from spikerun.converters.graph import Array
from spikerun.converters.onnx.model import RANGE, Item, Model
from spikerun.errors import ConversionError

__all__ = ["limits", "wide", "with_ranges"]

QUANTISE, DEQUANTISE = "QuantizeLinear", "DequantizeLinear"


def with_ranges(model: Model) -> Model:
    """Return the model with every pair of a computed value as one operator."""
    readers, computed = model.readers(), _computed(model)
    makers = model.makers()
    replaced: dict[Item, list[Item]] = {}
    for item in model.items:
        if item.operator != QUANTISE or item.inputs[0] not in computed:
            continue
        after = readers.get(item.outputs[0], [])
        if not after or any(r.operator != DEQUANTISE for r in after) or item.outputs[0] in model.outputs:
            raise ConversionError(
                f"{item.origin}: its integers go elsewhere than into a DequantizeLinear: export the model as QDQ"
            )
        low, high = _range(model, item)
        source = item.inputs[0]
        rectifies = low == 0 and source not in model.inputs and not _within(model, source, high, makers, replaced)
        for reader in after:
            if not _alike(model, item, reader):
                raise ConversionError(f"{reader.origin}: it has another scale than the QuantizeLinear before it")
            said = {"low": low, "high": high, "rectifies": rectifies, **_grid(model, item)}
            replaced[reader] = [_ranged(reader, source, said)]
        replaced[item] = []
    return replace(model, items=tuple(kept for item in model.items for kept in replaced.get(item, [item])))


# Operators that give no value beyond those that they take.
KEEPS = {"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Flatten", "Reshape", "Transpose", "Squeeze",
         "Unsqueeze", "Slice", "Split", "Identity", "Dropout", "Relu", "Resize", "Upsample", "DepthToSpace",
         "Concat"}  # fmt: skip


def _within(
    model: Model, name: str, high: float, makers: Mapping[str, Item], replaced: Mapping[Item, list[Item]]
) -> bool:
    """Return whether a value lies within 0..high because the pairs before it say so."""
    waiting, seen = [name], {name}
    while waiting:
        item = makers.get(waiting.pop())
        if item is None or (item.operator not in KEEPS and item not in replaced):
            return False
        (pair,) = replaced.get(item, [item])
        if pair.operator == RANGE and pair.attributes["low"] == 0 and pair.inputs[0] not in model.inputs:
            if pair.attributes["high"] > high * (1 + 1e-6):
                return False
            continue
        before = set(pair.inputs if pair.operator == "Concat" else pair.inputs[:1]) - seen
        waiting += before
        seen |= before
    return True


def _computed(model: Model) -> set[str]:
    """Return the names of what depends on the input."""
    found = set(model.inputs)
    for item in model.items:
        if found.intersection(item.inputs):
            found.update(item.outputs)
    return found


def _scale(model: Model, item: Item) -> tuple[Array, Array]:
    """Return (scale, zero point) of a QuantizeLinear or DequantizeLinear."""
    scale = model.constants.get(item.inputs[1])
    zero = model.constants.get(item.inputs[2]) if len(item.inputs) > 2 and item.inputs[2] else np.zeros((), np.uint8)
    if scale is None or zero is None:
        raise ConversionError(f"{item.origin}: its scale or zero point is no constant: quantise statically")
    if scale.size != 1 or zero.size != 1:
        raise ConversionError(f"{item.origin}: it has several scales for computed values: per_channel is for weights")
    if scale.dtype.kind != "f" or zero.dtype.kind not in "iu":
        raise ConversionError(f"{item.origin}: its scale ({scale.dtype}) or zero point ({zero.dtype}) is invalid")
    if not np.isfinite(scale).all() or scale.reshape(-1)[0] <= 0:
        raise ConversionError(f"{item.origin}: its scale must be positive and finite, got {scale.reshape(-1)[0]}")
    return scale.reshape(()), zero.reshape(())


def _range(model: Model, item: Item) -> tuple[float, float]:
    scale, zero = _scale(model, item)
    kind = np.iinfo(zero.dtype)
    return float(scale) * (kind.min - int(zero)), float(scale) * (kind.max - int(zero))


def _grid(model: Model, item: Item) -> dict[str, float | int]:
    """Return the step of a range, and the word of 8 bits that stands for 0: 0 also where no population has such words.

    That is where values are samples, or have more bits.
    """
    scale, zero = _scale(model, item)
    kind = np.iinfo(zero.dtype)
    held = kind.bits == 8 and item.inputs[0] not in model.inputs
    return {"step": float(scale), "zero": int(zero) - kind.min if held else 0}


def wide(model: Model) -> int:
    """Return how many ranges below 0 are those of words of more than 8 bits."""
    found = [item.attributes for item in model.items if item.operator == RANGE and item.inputs[0] not in model.inputs]
    return sum(said["low"] < 0 and not said["zero"] for said in found)


def _alike(model: Model, item: Item, other: Item) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(_scale(model, item), _scale(model, other), strict=True))


def _ranged(item: Item, source: str, said: Mapping[str, Any]) -> Item:
    """Return the operator of a pair; to the runtime it is a Clip where it rectifies, nothing where it does not."""
    output = item.outputs[0]
    if said["rectifies"]:
        proto = helper.make_node("Clip", [source, f"{output}.low", f"{output}.high"], [output], name=item.name)
    else:
        proto = helper.make_node("Identity", [source], [output], name=item.name)
    return Item(RANGE, item.name, (source,), (output,), said, proto)


def limits(model: Model) -> list[TensorProto]:
    """Return the constants that the Clips of `with_ranges` take."""
    return [
        numpy_helper.from_array(np.array(item.attributes[side], np.float32), f"{item.outputs[0]}.{side}")
        for item in model.items
        if item.operator == RANGE and item.attributes["rectifies"]
        for side in ("low", "high")
    ]

# SPDX-License-Identifier: Apache-2.0
"""What stands at the very end and chooses or scales the result is left out: the class is the same without it."""

from dataclasses import replace

from onnx import helper

from spikerun.converters.onnx.file import LEARN
from spikerun.converters.onnx.model import Item, Model

__all__ = ["cut"]

# Operators that are left out at the end, and which of their inputs goes on.
ENDS = {
    "Softmax": 0, "LogSoftmax": 0, "Hardmax": 0, "Sigmoid": 0, "ArgMax": 0, "TopK": 0,
    f"{LEARN}::ZipMap": 0, f"{LEARN}::ArrayFeatureExtractor": 1, f"{LEARN}::Normalizer": 0,
    f"{LEARN}::LabelEncoder": 0, f"{LEARN}::Binarizer": 0,
}  # fmt: skip
# Those that may stand among them; alone they stay.
BETWEEN = dict.fromkeys(
    ("Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Dropout", "QuantizeLinear", "DequantizeLinear"),
    0,
)
CLASSIFIER = f"{LEARN}::LinearClassifier"


def cut(model: Model) -> tuple[Model, list[str]]:
    """Return the model without its end, and a note for each kind of operator that was left out.

    Results that are of one value then become one: that which is named last, for classifiers name the label first.
    """
    makers = model.makers()
    ends: dict[str, str] = {}
    left: list[Item] = []
    for output in model.outputs:
        end, found = _end(output, makers)
        ends[end] = output
        left += found
    items = tuple(_scoring(item) for item in model.items)
    for item in model.items:
        if item.operator == CLASSIFIER and item.attributes.get("post_transform", "NONE") != "NONE":
            left.append(item)
    notes = dict.fromkeys(
        f"{_plain(item)} at the end of the model is left out: results are those before it"
        for item in left
        if item.operator not in BETWEEN
    )
    return replace(model, outputs=tuple(ends), items=items, results=ends), list(notes)


def _plain(item: Item) -> str:
    name = item.operator.rpartition("::")[2]
    return f"the {item.attributes['post_transform']} of {name}" if item.operator == CLASSIFIER else name


def _end(output: str, makers: dict[str, Item]) -> tuple[str, list[Item]]:
    """Return the value before what is left out in front of a result, and what that is."""
    name = end = output
    left: list[Item] = []
    passed: list[Item] = []
    while (item := makers.get(name)) is not None:
        if item.operator == CLASSIFIER and name == item.outputs[0] and len(item.outputs) > 1:
            return item.outputs[1], left
        if item.operator in ENDS:
            name = item.inputs[ENDS[item.operator]]
            left += [*passed, item]
            end, passed = name, []
        elif item.operator in BETWEEN:
            name = item.inputs[BETWEEN[item.operator]]
            passed.append(item)
        else:
            break
    return end, left


def _scoring(item: Item) -> Item:
    """Return a classifier of scikit-learn whose scores are not transformed."""
    if item.operator != CLASSIFIER or item.proto is None:
        return item
    proto = type(item.proto)()
    proto.CopyFrom(item.proto)
    kept = [a for a in proto.attribute if a.name != "post_transform"]
    del proto.attribute[:]
    proto.attribute.extend([*kept, helper.make_attribute("post_transform", "NONE")])
    return replace(item, attributes={**item.attributes, "post_transform": "NONE"}, proto=proto)

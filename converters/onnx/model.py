# SPDX-License-Identifier: Apache-2.0
"""A model that was read, as plain values: operators in order with their attributes, constants as arrays."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, ModelProto, NodeProto, ValueInfoProto, helper

from spikerun.converters.graph import Array, Origin
from spikerun.converters.onnx.file import LEARN, opset_of, tensor
from spikerun.errors import printable

__all__ = ["RANGE", "Entry", "Item", "Model", "model_of"]

MAX_QUOTED = 100  # characters of a name
SCOPES = "pkg.torch.onnx.name_scopes"  # where torch writes the modules around an operator
RANGE = "range"  # a pair of QuantizeLinear and DequantizeLinear of a computed value


@dataclass(frozen=True, eq=False)
class Item:
    """An operator: its name (`domain::name` where it is not of the standard), what it takes and gives, by name."""

    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    proto: NodeProto | None = field(default=None, repr=False)

    @property
    def origin(self) -> Origin:
        """Return where it stands, in the words of the file."""
        output = _quoted(next((name for name in self.outputs if name), ""))
        node = f"node '{_quoted(self.name)}', " if self.name else ""
        return Origin(self.operator, self._module(), f"{node}output '{output}'")

    def _module(self) -> str:
        """Return the module of torch that it was exported from, where the file says so."""
        if self.name.startswith("/"):
            return _quoted(_path(PurePosixPath(self.name).parts[1:-1]))
        scopes = [p.value for p in self.proto.metadata_props if p.key == SCOPES] if self.proto is not None else []
        quoted = re.findall(r"'([^']*)'", scopes[0]) if scopes else []
        return _quoted(quoted[-2]) if len(quoted) > 1 else ""


def _path(scopes: Sequence[str]) -> str:
    """Return the module of nested scopes: a part of a container has the name of the container in its own, a/a.0."""
    found: list[str] = []
    for scope in scopes:
        if found and scope.startswith(f"{found[-1]}."):
            found.pop()
        found.append(scope)
    return ".".join(found)


def _quoted(name: str) -> str:
    return printable(name[:MAX_QUOTED])


@dataclass(frozen=True)
class Entry:
    """An input of the file: the lengths of its axes with the batch, None where free, and its type as ONNX counts."""

    axes: tuple[int | None, ...]
    type: int


@dataclass(frozen=True, eq=False)
class Model:
    """Inputs and outputs by name, constants, and operators in an order in which each comes after what it takes."""

    proto: ModelProto = field(repr=False)
    inputs: Mapping[str, Entry]
    outputs: tuple[str, ...]
    constants: Mapping[str, Array]
    items: tuple[Item, ...]
    results: Mapping[str, str] = field(default_factory=dict)  # what the file calls a result, by where it is taken

    def makers(self) -> dict[str, Item]:
        """Return the operator that gives each value."""
        return {name: item for item in self.items for name in item.outputs if name}

    def readers(self) -> dict[str, list[Item]]:
        """Return the operators that take each value."""
        found: dict[str, list[Item]] = {}
        for item in self.items:
            for name in item.inputs:
                found.setdefault(name, []).append(item)
        return found

    def version(self, operator: str) -> int:
        """Return the version of the set of operators that `operator` belongs to."""
        if "::" not in operator:
            return opset_of(self.proto)
        domain = operator.partition("::")[0]
        return max((entry.version for entry in self.proto.opset_import if entry.domain == domain), default=1)

    def schema(self, operator: str) -> Any:
        """Return what the standard says of an operator."""
        domain, _, name = operator.rpartition("::")
        return onnx.defs.get_schema(name, self.version(operator), domain)

    def live(self) -> "Model":
        """Return the model without operators that no result depends on."""
        wanted, kept = set(self.outputs), []
        for item in reversed(self.items):
            if wanted.intersection(item.outputs):
                kept.append(item)
                wanted.update(item.inputs)
        return replace(self, items=tuple(reversed(kept)))


def model_of(proto: ModelProto) -> Model:
    """Return the values of a model that `file.load` gave."""
    graph = proto.graph
    constants = {held.name: tensor(held) for held in graph.initializer}
    items: list[Item] = []
    for node in graph.node:
        if node.op_type == "Constant" and node.domain in ("", "ai.onnx"):
            constants[node.output[0]] = _said(node)
        else:
            items.append(_item(node))
    inputs = {given.name: _entry(given) for given in graph.input if given.name not in constants}
    return Model(proto, inputs, tuple(given.name for given in graph.output), constants, tuple(items))


def _item(node: NodeProto) -> Item:
    operator = f"{LEARN}::{node.op_type}" if node.domain == LEARN else node.op_type
    attributes = {attribute.name: _value(attribute) for attribute in node.attribute}
    return Item(operator, node.name, tuple(node.input), tuple(node.output), attributes, node)


def _value(attribute: AttributeProto) -> Any:
    value = helper.get_attribute_value(attribute)
    if attribute.type == AttributeProto.TENSOR:
        return tensor(value)
    return plain(value)


def plain(value: Any) -> Any:
    """Return the value of an attribute with texts for bytes, and lists for what protobuf repeats."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, (str, int, float)):
        return value
    return [plain(one) for one in value] if hasattr(value, "__iter__") else value


def _said(node: NodeProto) -> Array:
    """Return the value of a Constant."""
    attribute = node.attribute[0]
    value = _value(attribute)
    if attribute.type in (AttributeProto.INT, AttributeProto.INTS):
        return np.asarray(value, np.int64)
    if attribute.type in (AttributeProto.FLOAT, AttributeProto.FLOATS):
        return np.asarray(value, np.float32)
    return np.asarray(value)


def _entry(given: ValueInfoProto) -> Entry:
    kind = given.type.tensor_type
    axes = tuple(d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in kind.shape.dim)
    return Entry(axes, kind.elem_type)

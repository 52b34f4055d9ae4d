# SPDX-License-Identifier: Apache-2.0
"""A model becomes a float graph: operators of constants are computed, those of values are read by their rules.

Shapes are found by computing, not taken from the file. A graph is read with the batch that the file asks for; where it
is free, with two of them, which must give the same graph.
"""

from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from typing import Any

import numpy as np

from spikerun.converters.fuse import products_among
from spikerun.converters.graph import (
    Add,
    Affine,
    Array,
    Curve,
    Flatten,
    Graph,
    Identity,
    Input,
    Multiply,
    Node,
    Op,
    Origin,
    Output,
    Ranged,
    Rearrange,
    Relu,
    Shape,
)
from spikerun.converters.onnx.ending import advice
from spikerun.converters.onnx.file import OPSETS, nodes_within
from spikerun.converters.onnx.fold import FOLDED, computed
from spikerun.converters.onnx.model import RANGE, Item, Model, plain
from spikerun.converters.onnx.operators import APPLY, GIVEN, ONNX, RESULT, SEVERAL
from spikerun.converters.rules import Call, Refusal, Value, not_converted, result_shape
from spikerun.errors import ConversionError

__all__ = ["read", "require_rules"]

FREE = (2, 3)  # batches with which a graph is read whose batch is free
MAX_QUOTED = 600  # characters of what is said of an operator
KEEPS = (Affine, Curve, Relu, Identity, Add, Multiply, Output, Ranged)


def read(model: Model, shapes: Mapping[str, Shape], names: Mapping[str, str], results: Mapping[str, str]) -> Graph:
    """Return the float graph for samples of these shapes, by the names of the file.

    names, results: what inputs and outputs of the file are called in the graph. Raises ConversionError with all
    operators that cannot be converted.
    """
    batch = _batch(model)
    graphs = [_Reader(model, shapes, names, results, b).graph() for b in ((batch,) if batch else FREE)]
    if not all(_same(graphs[0], other) for other in graphs[1:]):
        raise ConversionError(
            "what the model computes of a sample depends on how many there are: export it with a batch of fixed length "
            "1, or see that it keeps samples apart"
        )
    return graphs[0]


def require_rules(model: Model) -> None:
    """Raise ConversionError with all operators that no rule reads, whatever they are given."""
    missing = [f"{item.origin}\n    {no_rule(item)}" for item in model.items if unknown(model, item)]
    if missing:
        raise not_converted(missing)


def unknown(model: Model, item: Item) -> bool:
    """Return whether no rule reads an operator, whatever it is given."""
    return item.operator not in (*FOLDED, RANGE) and not ONNX.find(item.operator, model.version(item.operator))


def no_rule(item: Item) -> str:
    """Return what to do about an operator that no rule reads; of one with graphs of its own, about what they hold."""
    inside = {} if item.proto is None else dict.fromkeys(node.op_type for node in nodes_within(item.proto))
    known = FOLDED | {"Constant", item.operator}
    strange = [name for name in inside if name not in known and not ONNX.find(name, OPSETS[1])]
    held = "".join(f". It holds {name}: {ONNX.advice_for(name)}" for name in strange)
    return ONNX.advice_for(item.operator) + held


def _batch(model: Model) -> int | None:
    """Return the batch that the file fixes, or None."""
    found = {entry.axes[0] for entry in model.inputs.values() if entry.axes[0] is not None}
    if len(found) > 1:
        require_rules(model)
        raise ConversionError(f"the inputs have batches of {sorted(found)}: export the model with one batch for all")
    return next(iter(found), None)


def _same(a: Graph, b: Graph) -> bool:
    def alike(x: Any, y: Any) -> bool:
        if callable(x):
            return callable(y)
        return bool(np.array_equal(np.asarray(x), np.asarray(y)))

    return a.nodes.keys() == b.nodes.keys() and all(
        type(x.op) is type(y.op)
        and (x.inputs, x.shape) == (y.inputs, y.shape)
        and all(alike(getattr(x.op, f.name), getattr(y.op, f.name)) for f in fields(x.op))  # type: ignore[arg-type]
        for x, y in zip(a.nodes.values(), b.nodes.values(), strict=True)
    )


class _Reader:
    """Walks the operators of a model, with a batch of so many samples."""

    def __init__(
        self, model: Model, shapes: Mapping[str, Shape], names: Mapping[str, str], results: Mapping[str, str],
        batch: int,
    ) -> None:  # fmt: skip
        self.model, self.results, self.batch = model, results, batch
        self.values: dict[str, Array | Value | None] = {"": None, **model.constants}
        self.nodes: dict[str, Node] = {}
        self.complaints: list[str] = []
        for given, name in names.items():
            self.values[given] = self._put(given, Input(name), (), shapes[given], Origin("input"))

    def graph(self) -> Graph:
        for item in self.model.items:
            if all(name in self.values for name in item.inputs):
                self._item(item)
            elif unknown(self.model, item):  # behind one that was refused, which may be there for this one alone
                self.complaints.append(f"{item.origin}\n    {no_rule(item)}")
        if self.complaints:
            values = {name for name, value in self.values.items() if isinstance(value, Value)}
            gates = products_among(self.nodes)
            raise not_converted([*self.complaints, *gates], advice(self.model, self.values, values))
        for given, name in self.results.items():
            value = self.values[given]
            if not isinstance(value, Value) or isinstance(self.nodes[value.name].op, Input):
                raise ConversionError(
                    f"the model's result '{given}' does not depend on its input through any layer: nothing to convert"
                )
            self._put(f"{given}=", Output(name), (value.name,), self.nodes[value.name].shape, Origin())
        return Graph(self.nodes).live()

    def _put(self, name: str, op: Op, inputs: tuple[str, ...], shape: Shape, origin: Origin) -> Value:
        """Add a node under a name like `name` that is free."""
        own, count = name, 2
        while own in self.nodes:
            own, count = f"{name}.{count}", count + 1
        self.nodes[own] = Node(own, op, inputs, shape, origin)
        return Value(own, shape)

    def _item(self, item: Item) -> None:
        given = [self.values[name] for name in item.inputs]
        try:
            if item.operator in ("Shape", "Size") and isinstance(given[0], Value):
                given = [np.broadcast_to(np.int8(0), (self.batch, *given[0].shape))]
            if item.operator == "CastLike" and not isinstance(given[0], Value) and isinstance(given[1], Value):
                given = [given[0], np.zeros(1, np.float32)]
            arrays = [x for x in given if not isinstance(x, Value)]
            if len(arrays) == len(given) and item.operator in FOLDED:
                found = computed(item, arrays, self.model.proto.opset_import)
                self.values.update(zip(item.outputs, found, strict=True))
            else:
                self._read(item)
        except Refusal as refusal:
            said = str(refusal)
            said = said if len(said) <= MAX_QUOTED else f"{said[:MAX_QUOTED]}..."  # it may quote what the file holds
            self.complaints.append(f"{item.origin}\n    {said}")

    def _read(self, item: Item) -> None:
        rule = ONNX.find(item.operator, 0 if item.operator == RANGE else self.model.schema(item.operator).since_version)
        if rule is None:
            raise Refusal(no_rule(item))
        arguments = self._arguments(item)
        wanted = self._wanted()
        for k, output in enumerate(item.outputs):
            if output not in wanted:
                continue
            if k and item.operator not in SEVERAL:
                raise Refusal(f"its result '{output}' is used besides the first; only the first is converted")
            emit = partial(self._emit, output, item.origin)
            call = Call(item.operator, {**arguments, RESULT: (k, len(item.outputs))}, (), self.batch, emit)
            op, inputs = rule(call)
            shape = self._shape(op, *(self.nodes[name].shape for name in inputs))
            if not shape:
                op, shape = self._without_axes(op, output)
            self.values[output] = self._put(output, op, inputs, shape, item.origin)

    def _without_axes(self, op: Op, output: str) -> tuple[Op, Shape]:
        """Return what gives one number a sample as a value of one axis, where it is a result."""
        if not isinstance(op, Rearrange) or any(output in item.inputs for item in self.model.items):
            raise Refusal("it leaves one number of a sample without an axis; keep it, as (N, 1)")
        return Rearrange(op.index.reshape(1), op.fill), (1,)

    def _wanted(self) -> set[str]:
        return {name for item in self.model.items for name in item.inputs} | set(self.results)

    def _emit(self, name: str, origin: Origin, op: Op, *values: Value) -> Value:
        """Add an operator that stands before the one called `name`, and return its result."""
        shape = self._shape(op, *(self.nodes[value.name].shape for value in values))
        return self._put(f"{name}.1", op, tuple(value.name for value in values), shape, origin)

    def _shape(self, op: Op, *shapes: Shape) -> Shape:
        if isinstance(op, KEEPS):
            return shapes[0]
        if isinstance(op, Rearrange):
            return tuple(op.index.shape)
        if isinstance(op, Flatten):
            return (int(np.prod(shapes[0])),)
        try:
            return result_shape(op, *shapes)
        except (RuntimeError, ValueError) as error:
            raise Refusal(f"it does not fit values of shape {shapes[0]}: {str(error).splitlines()[0]}") from error

    def _arguments(self, item: Item) -> Mapping[str, Any]:
        """Return inputs and attributes by the names of the operator's schema, defaults filled in."""
        given = [self.values[name] for name in item.inputs]
        if item.operator == RANGE:
            return {"x": given[0], **item.attributes}
        schema = self.model.schema(item.operator)
        found: dict[str, Any] = {name: _default(a) for name, a in schema.attributes.items()}
        found |= item.attributes
        for k, formal in enumerate(schema.inputs):
            if formal.option == formal.option.Variadic:
                found[formal.name] = given[k:]
            elif k < len(given):
                found[formal.name] = given[k]
            else:
                found.setdefault(formal.name, None)
        return {**found, GIVEN: given, APPLY: partial(computed, item, opsets=self.model.proto.opset_import)}


def _default(attribute: Any) -> Any:
    from onnx import helper

    default = attribute.default_value
    return plain(helper.get_attribute_value(default)) if default.type else None

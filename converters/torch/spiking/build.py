# SPDX-License-Identifier: Apache-2.0
"""The expressions of one step become a float graph, by the rules of torch's operators and a few of its own."""

from functools import partial
from typing import Any

import numpy as np
import torch

from spikerun.converters.graph import Affine, Array, Graph, Identity, Input, Node, Op, Origin, Output, Shape
from spikerun.converters.rules import Call, Refusal, Rules, Value, not_converted, result_shape
from spikerun.converters.spiking.cell import Cell, Membrane, Previous
from spikerun.converters.torch.aten import ATEN
from spikerun.converters.torch.export import BATCH, arguments_of
from spikerun.converters.torch.spiking.expressions import Arg, Expression
from spikerun.converters.torch.spiking.neurons.row import fit
from spikerun.converters.torch.spiking.rollup import Population, Rolled
from spikerun.errors import ConversionError

__all__ = ["Builder"]

# A step scales and shifts currents, which few-spikes neurons do not.
STEP = Rules("a step", {}, "")


def _other(call: Call) -> tuple[Value, Array]:
    """Return (value, constant) of an operator of two, in either order; the constant in the shape of parameters."""
    both = call.arguments["self"], call.arguments["other"]
    value = next(one for one in both if isinstance(one, Value))
    constant = next((one for one in both if not isinstance(one, Value)), None)
    if constant is None:
        raise Refusal("both are computed from the input")
    if value.shape != call.shape:
        raise Refusal(f"it spreads values of shape {value.shape} over {call.shape}; make the shapes equal")
    return value, fit(np.asarray(constant, np.float64), value.shape)


@STEP.rule("aten.mul.Tensor", "aten.mul.Scalar", "aten.div.Tensor", "aten.div.Scalar")
def _scale(call: Call) -> tuple[Op, tuple[str, ...]]:
    if all(isinstance(call.arguments[name], Value) for name in ("self", "other")):
        raise Refusal("a product of two computed values is not a synapse: train without it")
    x, by = _other(call)
    if "div" in call.operator:
        if not isinstance(call.arguments["self"], Value):
            raise Refusal("it divides by what the network computes")
        by = 1 / by
    return Affine(by, np.zeros(())), (x.name,)


@STEP.rule("aten.add.Tensor", "aten.add.Scalar", "aten.sub.Tensor", "aten.sub.Scalar")
def _shift(call: Call) -> tuple[Op, tuple[str, ...]]:
    if all(isinstance(call.arguments[name], Value) for name in ("self", "other")):
        rule = ATEN.find(call.operator)
        assert rule is not None
        return rule(call)
    if call.arguments["alpha"] != 1:
        raise Refusal(f"alpha={call.arguments['alpha']}; fold the factor into the weights before it")
    x, by = _other(call)
    if "sub" in call.operator:
        if not isinstance(call.arguments["self"], Value):
            raise Refusal("it takes what the network computes from a constant; negate the weights before it, and add")
        by = -by
    return (Affine(np.ones(()), by), (x.name,)) if by.any() else (Identity(), (x.name,))


class Builder:
    """Builds the graph of a rolled program. What has no rule is complained of, all at once, when it is done."""

    def __init__(self, rolled: Rolled) -> None:
        self.rolled = rolled
        self.nodes: dict[str, Node] = {}
        self.seen: set[str] = set()  # populations whose membrane is read
        self._names: dict[int, str] = {}
        self._cells: dict[str, str] = {}
        self._complaints: list[str] = []

    def output(self, name: str, number: int) -> None:
        """Add the result `name`, of an expression; what is neither spikes nor a membrane becomes one, of no neuron."""
        source = self._node(number)
        shape = self.nodes[source].shape
        if not isinstance(self.nodes[source].op, (Cell, Membrane)):
            cell = self._add(name, Cell.of(name, reset="none", keep_v=0.0), (source,), shape)
            source = self._add(f"{name}.membrane", Membrane(), (cell,), shape)
        self.nodes[f"{name}="] = Node(f"{name}=", Output(name), (source,), shape)
        while missing := self._unheard():
            self.cell(missing[0])

    def _unheard(self) -> list[str]:
        """Return the populations whose spikes of the step before are read, and which nothing else has added yet."""
        read = [node.op.cell for node in self.nodes.values() if isinstance(node.op, Previous)]
        return [name for name in read if name not in self._cells]

    @property
    def cells(self) -> tuple[str, ...]:
        """Return the populations that the results depend on."""
        return tuple(self._cells)

    def graph(self) -> Graph:
        """Return the graph; raises ConversionError with all operators that have no rule."""
        if self._complaints:
            raise not_converted(self._complaints)
        return Graph(self.nodes)

    def cell(self, name: str) -> str:
        """Return the node of a population, added with all that it takes."""
        if name not in self._cells:
            population = self.rolled.populations[name]
            current = self._node(population.current)
            self._cells[name] = self._add(name, population.cell(), (current,), population.shape)
        return self._cells[name]

    def _node(self, number: int) -> str:
        if number not in self._names:
            self._names[number] = self._made(number, self.rolled.expressions[number])
        return self._names[number]

    def _made(self, number: int, found: Expression) -> str:
        shape = found.shape[1:]
        if found.role == "input":
            if found.offset:
                raise ConversionError(
                    f"the input '{found.name}' of {-found.offset} steps before is read; only that of the step itself is"
                )
            return self._add(found.name, Input(found.name), (), shape, Origin("input"))
        if found.role == "constant":
            raise ConversionError("a neuron's current does not depend on the input; such a neuron tells nothing")
        if found.role == "op":
            return self._operator(found)
        return self._state(found, self.rolled.populations[found.name])

    def _state(self, found: Expression, population: Population) -> str:
        if found.role == "spikes" and found.offset == -1:
            return self._add(f"{found.name}.before", Previous(found.name), (), population.shape)
        if found.offset:
            what = f"{'spikes' if found.role == 'spikes' else 'state'} of '{found.name}'"
            raise ConversionError(
                f"the {what} of {-found.offset} steps before is read; only spikes of one step before are"
            )
        if found.role == "spikes":
            return self.cell(found.name)
        if found.which:
            raise ConversionError(f"the synaptic state of '{found.name}' is read; only membranes and spikes are")
        self.seen.add(found.name)
        return self._add(f"{found.name}.membrane", Membrane(), (self.cell(found.name),), population.shape)

    def _operator(self, found: Expression) -> str:
        operator = str(found.target)
        rule = STEP.find(operator) or ATEN.find(operator)
        arguments = {} if rule is None else self._arguments(found)
        shape = found.shape[1:]
        try:
            if rule is None:
                raise Refusal(ATEN.advice_for(operator.removeprefix("aten.").split(".")[0]))
            op, inputs = rule(Call(operator, arguments, shape, BATCH, partial(self._emit, found)))
        except Refusal as refusal:
            self._complaints.append(f"{found.origin}\n    {refusal}")
            op, inputs = Identity(), ()  # what follows is still read, so that all complaints come at once
        return self._add(found.node.name, op, inputs, shape, found.origin)

    def _emit(self, found: Expression, op: Op, *values: Value) -> Value:
        """Add an operator that stands before that of an expression, and return its result."""
        shape = result_shape(op, *(value.shape for value in values))
        name = self._add(f"{found.node.name}.before", op, tuple(value.name for value in values), shape, found.origin)
        return Value(name, shape)

    def _arguments(self, found: Expression) -> dict[str, Any]:
        args, kwargs = found.args
        return {name: self._argument(value) for name, value in arguments_of(found.target, args, dict(kwargs)).items()}

    def _argument(self, value: Any) -> Any:
        if isinstance(value, Arg):
            found = self.rolled.expressions[value.number]
            if found.value is not None:
                return found.value.cpu().to(torch.float64).numpy()
            return Value(self._node(value.number), found.shape[1:])
        return [self._argument(item) for item in value] if isinstance(value, (list, tuple)) else value

    def _add(self, name: str, op: Op, inputs: tuple[str, ...], shape: Shape, origin: Origin | None = None) -> str:
        unique, count = name, 1
        while unique in self.nodes:
            count += 1
            unique = f"{name}_{count}"
        self.nodes[unique] = Node(unique, op, inputs, shape, origin or Origin())
        return unique

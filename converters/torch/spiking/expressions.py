# SPDX-License-Identifier: Apache-2.0
"""What the nodes of an unrolled program are as one step sees them: expressions that are equal where they mean the same.

An expression is a number of the pool; equal content has the same number, so that steps are compared by numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from operator import getitem
from typing import Any

import torch

from spikerun.converters.graph import Origin
from spikerun.converters.torch.export import computed, is_random, origin_of
from spikerun.converters.torch.spiking.unroll import CELL, Program, Refused
from spikerun.errors import ConversionError

__all__ = ["Arg", "Expression", "Expressions", "Layout", "WrongLayout", "same_as"]

# Operators that change no value, and those that make constants of the shape of another value.
SAME = {
    f"aten.{name}"
    for name in (
        "clone.default",
        "alias.default",
        "detach.default",
        "contiguous.default",
        "lift_fresh_copy.default",
        "to.dtype",
        "to.dtype_layout",
        "to.device",
        "_to_copy.default",
        "dropout.default",
        "expand.default",
        "expand_as.default",
    )
}
FILLED = {"zeros_like": 0.0, "new_zeros": 0.0, "ones_like": 1.0, "new_ones": 1.0}
POINTWISE = ("relu", "add", "sub", "mul", "div", "clamp", "hardtanh", "relu6", "clamp_min")
VIEWS = ("aten.view.default", "aten.reshape.default", "aten._unsafe_view.default")


class WrongLayout(ConversionError):
    """The module takes the time axis of an input elsewhere than the example has it."""


@dataclass(frozen=True)
class Arg:
    """An argument that is an expression."""

    number: int


@dataclass(frozen=True)
class Layout:
    """Where each input has its time axis; None where it has none."""

    axes: Mapping[str, int | None]


@dataclass(frozen=True, eq=False)
class Expression:
    """A value of one step, batch first.

    role: `input`, `spikes` or `state` (of a population, `offset` steps later; `which` state), `constant`, or `op`.
    """

    role: str
    shape: tuple[int, ...]
    name: str = ""
    offset: int = 0
    which: int = 0
    value: torch.Tensor | None = None
    target: Any = None
    args: tuple[Any, ...] = ()
    node: Any = None

    @property
    def origin(self) -> Origin:
        """Return where it stands in the user's model."""
        return origin_of(self.node, str(self.target)) if self.node is not None else Origin(self.role)


class Expressions:
    """The pool of a program: expressions of its nodes, relative to a step.

    populations: of each call of a cell, the population and the step.
    """

    def __init__(self, program: Program, layout: Layout) -> None:
        self.program, self.layout = program, layout
        self.populations: dict[Any, tuple[str, int]] = {}
        self.pool: list[Expression] = []
        self._numbers: dict[Any, int] = {}
        self._seen: dict[tuple[Any, int], int] = {}
        self._constants = dict(program.constants)
        self._digests: dict[str, bytes] = {}
        for node in program.nodes:
            if node.op == "call_function":
                self._fold(node)

    def __getitem__(self, number: int) -> Expression:
        return self.pool[number]

    def constant(self, node: Any) -> torch.Tensor | None:
        """Return the value of a node that is the same for every sample."""
        return self._constants.get(node.name)

    def of(self, node: Any, step: int) -> int:
        """Return the expression of a node as `step` sees it."""
        key = (node, step)
        if key not in self._seen:
            self._seen[key] = self._of(node, step)
        return self._seen[key]

    def args(self, number: int) -> list[int]:
        """Return the expressions among the arguments of one."""
        found: list[int] = []
        torch.utils._pytree.tree_map_only(Arg, lambda a: found.append(a.number), self.pool[number].args)
        return found

    def _fold(self, node: Any) -> None:
        """Compute a node of constants, or one that only takes the shape of a value."""
        name = str(node.target).removeprefix("aten.").partition(".")[0]
        if name in FILLED:
            self._constants[node.name] = torch.full_like(_empty(node), FILLED[name])
        elif name == "full_like":
            self._constants[node.name] = torch.full_like(_empty(node), node.args[1])
        elif node.target is CELL or is_random(node):
            return
        elif all(n.name in self._constants for n in node.all_input_nodes):
            self._constants[node.name] = computed(node, self._constants)

    def _of(self, node: Any, step: int) -> int:
        value = self._constants.get(node.name)
        if value is not None:
            return self._constant(node.name, value)
        if node.op == "placeholder":
            name = self.program.inputs[node.name]
            if self.layout.axes[name] is not None:
                raise WrongLayout(f"'{name}' is taken whole, over all steps at once, where one step is read")
            return self._put(Expression("input", _shape(node), name))
        target = str(node.target)
        source = same_as(node)
        if source is not None:
            return self.of(source, step)
        if node.target is getitem and node.args[0] in self.populations:
            name, at = self.populations[node.args[0]]
            role, which = ("spikes", 0) if node.args[1] == 0 else ("state", node.args[1] - 1)
            return self._put(Expression(role, _shape(node), name, at - step, which))
        picked = self._picked(node)
        if picked is not None:
            found = self.at(*picked, step)
            if found is not None:
                return found
        if node.target is getitem and node.args[1] == 0:  # of several results, the first is the operator's value
            return self.of(node.args[0], step)
        if is_random(node):
            raise Refused(
                f"{origin_of(node, target)} draws random numbers inside the network; take the encoding out of the "
                "network and encode the samples"
            )
        if target == "aten.sum.dim_IntList" and str(node.args[0].target) == "aten.stack.default":
            values, axis = node.args[0].args[0], _axis(node.args[0], 1)
            if [d % node.args[0].meta["val"].dim() for d in node.args[1]] == [axis]:
                return self._sum([self.of(v, step) for v in values], node)
        args = _mapped(node.args, lambda n: Arg(self.of(n, step)))
        return self._op(node, node.target, args, _shape(node))

    def _picked(self, node: Any) -> tuple[Any, int, int] | None:
        """Return (sequence, axis, index) where a node is one step of a sequence."""
        if str(node.target) == "aten.select.int":
            source, axis, index = node.args
        elif node.target is getitem and str(getattr(node.args[0], "target", "")) == "aten.unbind.int":
            source, axis, index = node.args[0].args[0], (*node.args[0].args, 0)[1], node.args[1]
        else:
            return None
        shape = source.meta["val"].shape
        return source, axis % len(shape), index % shape[axis]

    def at(self, node: Any, axis: int, index: int, step: int) -> int | None:
        """Return what stands at `index` of the axis of a node, as `step` sees it; None where that is not told."""
        value = self._constants.get(node.name)
        if value is not None:
            return self._constant(f"{node.name}[{axis},{index}]", value.select(axis, index))
        if node.op == "placeholder":
            return self._input_at(node, axis, index, step)
        target, given = str(node.target), node.args
        source = same_as(node)
        if source is not None:
            return self.at(source, axis, index, step)
        if target == "aten.stack.default":
            return self.of(given[0][index], step) if _axis(node, 1) == axis else None
        if target == "aten.cat.default" and _axis(node, 1) == axis:
            return self._piece(given[0], axis, index, step)
        if target == "aten.unsqueeze.default" and _axis(node, 1) == axis:
            return self.of(given[0], step)
        if target == "aten.select_scatter.default":
            base, source, dim, place = given
            if dim % node.meta["val"].dim() == axis:
                here = place % node.meta["val"].shape[axis] == index
                return self.of(source, step) if here else self.at(base, axis, index, step)
        return self._through(node, axis, index, step)

    def _piece(self, pieces: Any, axis: int, index: int, step: int) -> int | None:
        for piece in pieces:
            size = piece.meta["val"].shape[axis]
            if index < size:
                return self.at(piece, axis, index, step)
            index -= size
        return None

    def _input_at(self, node: Any, axis: int, index: int, step: int) -> int | None:
        name, shape = self.program.inputs[node.name], _shape(node)
        timed = self.layout.axes[name]
        if axis == timed:
            return self._put(Expression("input", shape[:axis] + shape[axis + 1 :], name, index - step))
        if timed is not None or axis == 0:
            raise WrongLayout(f"'{name}' is taken along axis {axis}, step by step")
        return None

    def _through(self, node: Any, axis: int, index: int, step: int) -> int | None:
        """Return one step of what an operator makes of a sequence, where it acts on each step alone."""
        target, given, shape = str(node.target), node.args, node.meta["val"].shape
        rest = tuple(shape[:axis] + shape[axis + 1 :])
        if target == "aten.linear.default" and axis < len(shape) - 1:
            return self._lift(node, [0], given, axis, index, step, rest)
        if target in VIEWS and tuple(given[0].meta["val"].shape[: axis + 1]) == tuple(shape[: axis + 1]):
            return self._lift(node, [0], (given[0], list(rest)), axis, index, step, rest)
        if target == "aten.flatten.using_ints":
            start, end = (d % given[0].meta["val"].dim() for d in (*given, *(0, -1)[len(given) - 1 :])[1:])
            if start > axis:
                return self._lift(node, [0], (given[0], start - 1, end - 1), axis, index, step, rest)
        if target in ("aten.transpose.int", "aten.permute.default"):
            return self._moved(node, axis, index, step)
        if target == "aten.sum.dim_IntList" and not any(given[2:]):
            axes = [d % given[0].meta["val"].dim() for d in given[1]]
            if min(axes) > axis:
                return self._lift(node, [0], (given[0], [d - 1 for d in axes]), axis, index, step, rest)
        if target.removeprefix("aten.").partition(".")[0] in POINTWISE:
            long = [i for i, a in enumerate(given) if _dims(a) == len(shape) and a.name not in self._constants]
            flat = all(_dims(a) < len(shape) - axis for i, a in enumerate(given) if i not in long)
            if long and flat:
                return self._lift(node, long, given, axis, index, step, rest)
        return None

    def _moved(self, node: Any, axis: int, index: int, step: int) -> int | None:
        """Return one step of a sequence whose axes were exchanged, if that leaves the axes of a step in order."""
        source = node.args[0]
        order = list(range(source.meta["val"].dim()))
        if str(node.target) == "aten.permute.default":
            order = [d % len(order) for d in node.args[1]]
        else:
            one, other = (d % len(order) for d in node.args[1:3])
            order[one], order[other] = order[other], order[one]
        rest = [d for d in order if d != order[axis]]
        return self.at(source, order[axis], index, step) if rest == sorted(rest) else None

    def _lift(self, node: Any, at: list[int], given: Any, axis: int, index: int, step: int, shape: Any) -> int | None:
        """Return the operator of `node` with one step of its arguments `at`, and the others of `given` as they are."""
        args: list[Any] = list(given)
        for i in at:
            found = self.at(given[i], axis, index, step)
            if found is None:
                return None
            args[i] = Arg(found)
        mapped = _mapped(tuple(args), lambda n: Arg(self.of(n, step)))
        return self._op(node, node.target, mapped, tuple(int(n) for n in shape))

    def _sum(self, numbers: list[int], node: Any) -> int:
        total = numbers[0]
        for number in numbers[1:]:
            args = (Arg(total), Arg(number))
            total = self._op(node, torch.ops.aten.add.Tensor, args, self.pool[number].shape)
        return total

    def _constant(self, name: str, value: torch.Tensor) -> int:
        if name not in self._digests:
            data = value.detach().cpu().contiguous()
            self._digests[name] = blake2b(data.view(-1).view(torch.uint8).numpy().tobytes()).digest()
        key = ("constant", tuple(value.shape), value.dtype, self._digests[name])
        return self._put(Expression("constant", tuple(value.shape), value=value.detach()), key)

    def _op(self, node: Any, target: Any, args: tuple[Any, ...], shape: tuple[int, ...]) -> int:
        kwargs = tuple(
            sorted((k, v) for k, v in node.kwargs.items() if v is not None and k in ("alpha", "rounding_mode"))
        )
        found = Expression("op", shape, target=target, args=(args, kwargs), node=node)
        return self._put(found, ("op", str(target), _hashable(args), kwargs, shape))

    def _put(self, found: Expression, key: Any = None) -> int:
        key = key or (found.role, found.name, found.offset, found.which)
        if key not in self._numbers:
            self._numbers[key] = len(self.pool)
            self.pool.append(found)
        return self._numbers[key]


def same_as(node: Any) -> Any:
    """Return the node of which a node has the value, if it changes nothing."""
    target = str(node.target)
    source = node.args[1] if target == "aten.copy.default" else node.args[0] if target in SAME else None
    if source is None or _shape(node) != _shape(source):
        return None
    return None if "dropout" in target and node.args[1] != 0 and node.args[2] else source


def _mapped(args: Any, function: Any) -> Any:
    return torch.fx.node.map_arg(tuple(args), function)


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, (list, tuple)) else value


def _shape(node: Any) -> tuple[int, ...]:
    value = node.meta.get("val")
    value = value[0] if isinstance(value, (tuple, list)) else value
    return tuple(int(n) for n in value.shape) if hasattr(value, "shape") else ()


def _empty(node: Any) -> torch.Tensor:
    value = node.meta["val"]
    return torch.empty(tuple(value.shape), dtype=value.dtype)


def _axis(node: Any, position: int) -> int:
    return int((*node.args, *(0,) * position)[position]) % int(node.meta["val"].dim())


def _dims(value: Any) -> int:
    return int(value.meta["val"].dim()) if isinstance(value, torch.fx.Node) else 0

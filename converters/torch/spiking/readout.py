# SPDX-License-Identifier: Apache-2.0
"""What a result of forward makes of the steps: the value of one step that it reads, and how it sums steps up."""

from dataclasses import dataclass, replace
from operator import getitem
from typing import Any

import torch

from spikerun.converters.spiking.step import Readout
from spikerun.converters.torch.spiking.expressions import Arg, Expressions, same_as
from spikerun.errors import ConversionError

__all__ = ["Reading", "reading"]

SUMS = {"aten.sum.dim_IntList": "count", "aten.mean.dim": "mean", "aten.amax.default": "max", "aten.max.dim": "max"}
VIEWS = ("aten.view.default", "aten.reshape.default", "aten._unsafe_view.default", "aten.flatten.using_ints")


@dataclass(frozen=True)
class Reading:
    """The expression of one step, and how its steps are reduced to a result; None where all steps are returned."""

    number: int
    reduced: str | None = None
    groups: int = 1

    @property
    def readout(self) -> Readout | None:
        """Return it as steps have it."""
        return None if self.reduced is None else Readout(self.reduced, self.groups)


def reading(expressions: Expressions, node: Any, steps: int, name: str) -> Reading:
    """Return how a node reads the steps. Raises ConversionError where that is not told."""
    found = _Reading(expressions, steps).of(node)
    if found is None:
        raise ConversionError(
            f"how the result '{name}' comes from the steps is not read from forward; return the spikes or membranes "
            "of all steps, stacked, or their sum, mean, largest or last, without anything behind it"
        )
    return _peeled(expressions, found)


class _Reading:
    def __init__(self, expressions: Expressions, steps: int) -> None:
        self.expressions, self.steps = expressions, steps

    def of(self, node: Any) -> Reading | None:
        source = same_as(node)
        if source is not None:
            return self.of(source)
        target = str(node.target)
        if node.target is getitem and str(node.args[0].target) == "aten.max.dim" and node.args[1] == 0:
            return self._over(node.args[0], "max")
        if target in SUMS and target != "aten.max.dim":
            return self._over(node, SUMS[target]) or self._grouped(node) or self._other(node)
        if target in VIEWS:
            inner = self.of(node.args[0])
            if inner is not None and inner.reduced is not None and _flattens(node):
                return inner
        scaled = self._scaled(node)
        return scaled or self._accumulated(node) or self._other(node)

    def _other(self, node: Any) -> Reading | None:
        return self._sequence(node) or self._last(node)

    def _over(self, node: Any, kind: str) -> Reading | None:
        """Return the reduction of a sequence over its time axis."""
        axes = node.args[1] if isinstance(node.args[1], (list, tuple)) else [node.args[1]]
        axes = [axis % node.args[0].meta["val"].dim() for axis in axes]
        if len(axes) != 1 or (len(node.args) > 2 and node.args[2]):
            return None
        inner = self._sequence(node.args[0], axes[0])
        return replace(inner, reduced=kind) if inner else None

    def _sequence(self, node: Any, axis: int | None = None) -> Reading | None:
        """Return the value of which a node holds all steps, along an axis."""
        shape = node.meta["val"].shape
        for at in range(len(shape)) if axis is None else (axis,):
            if shape[at] == self.steps:
                numbers = [self.expressions.at(node, at, k, k) for k in range(self.steps)]
                if numbers[-1] is not None and all(number == numbers[-1] for number in numbers[1:]):
                    return Reading(numbers[-1])
        return None

    def _last(self, node: Any) -> Reading | None:
        number = self.expressions.of(node, self.steps - 1)
        return Reading(number, "last") if _offsets(self.expressions, number) == {0} else None

    def _accumulated(self, node: Any) -> Reading | None:
        """Return the value that is added up, or of which the largest is kept, step by step."""
        kinds = {"aten.add.Tensor": "count", "aten.maximum.default": "max", "aten.max.other": "max"}
        kind, target = kinds.get(str(node.target)), node.target
        if kind is None or node.kwargs.get("alpha", 1) != 1:
            return None
        terms, start, queue = [], [], [node]
        while queue:
            one = queue.pop()
            if isinstance(one, (int, float)):
                start.append(torch.tensor(float(one)))
            elif one.target is target:
                queue += one.args[:2]
            elif (value := self.expressions.constant(one)) is not None:
                start.append(value)
            elif same_as(one) is not None:
                queue.append(same_as(one))
            else:
                terms.append(one)
        if any(kind == "max" or bool(value.any()) for value in start) or len(terms) != self.steps:
            return None
        for order in (terms[::-1], terms):  # the last step is the outermost term, in most loops
            numbers = {self.expressions.of(term, k) for k, term in enumerate(order)}
            if len(numbers) == 1 and _offsets(self.expressions, min(numbers)) == {0}:
                return Reading(numbers.pop(), kind)
        return None

    def _scaled(self, node: Any) -> Reading | None:
        """Return the mean, where a sum is divided by the number of steps."""
        target, given = str(node.target), node.args
        if target not in ("aten.div.Tensor", "aten.mul.Tensor") or len(given) != 2:
            return None
        factor = given[1] if isinstance(given[1], (int, float)) else self.expressions.constant(given[1])
        if factor is None or (not isinstance(factor, (int, float)) and factor.numel() != 1):
            return None
        inner = self.of(given[0])
        by = float(factor) if "div" in target else 1 / float(factor) if float(factor) else 0.0
        if inner is None or inner.reduced != "count" or abs(by - self.steps) > 1e-4:
            return None
        return replace(inner, reduced="mean")

    def _grouped(self, node: Any) -> Reading | None:
        """Return a population code: of so many groups of neighbours the sum each."""
        groups = _groups(node.args, node.args[0].meta["val"].shape) if "sum" in str(node.target) else None
        if groups is None or str(node.args[0].target) not in VIEWS:
            return None
        inner = self.of(node.args[0].args[0])
        return replace(inner, groups=groups) if inner and inner.reduced in ("count", "mean", "last") else None


def _groups(given: Any, shape: Any) -> int | None:
    """Return the groups of sum(view(x, [batch, groups, share]), 2)."""
    axes = [axis % len(shape) for axis in given[1]]
    return int(shape[1]) if len(shape) == 3 and axes == [2] and not (len(given) > 2 and given[2]) else None


def _flattens(node: Any) -> bool:
    return int(node.meta["val"].dim()) == 2 and node.meta["val"].shape[0] == node.args[0].meta["val"].shape[0]


def _offsets(expressions: Expressions, number: int) -> set[int]:
    """Return from which steps an expression takes what it computes."""
    found = expressions[number]
    if found.role in ("spikes", "state"):
        return {found.offset}
    return set().union(*(_offsets(expressions, n) for n in expressions.args(number))) if found.role == "op" else set()


def _peeled(expressions: Expressions, found: Reading) -> Reading:
    """Return a reading of the neurons themselves: readouts flatten, and add up groups, by themselves."""
    one = expressions[found.number]
    inner = expressions.args(found.number)
    if one.role == "op" and str(one.target) in VIEWS and len(one.shape) == 2:
        return _peeled(expressions, replace(found, number=inner[0]))
    if str(one.target) == "aten.sum.dim_IntList" and found.groups == 1:
        view = expressions[inner[0]]
        groups = _groups(one.args[0], view.shape)
        if groups and str(view.target) in VIEWS and found.reduced in ("count", "mean", "last"):
            (first,) = (a for a in view.args[0] if isinstance(a, Arg))
            return _peeled(expressions, Reading(first.number, found.reduced, groups))
    return found

# SPDX-License-Identifier: Apache-2.0
"""How operators of a dialect become those of the float graph: tables of rules, and what to do where there is none."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spikerun.converters.graph import Array, Op, Pair, Shape
from spikerun.errors import ConversionError

__all__ = ["Call", "Refusal", "Rule", "Rules", "Value", "not_converted", "result_shape"]


class Refusal(Exception):
    """An operator that is known, in a form that cannot be converted: what is wrong with it, and what to do."""


@dataclass(frozen=True)
class Value:
    """An argument that is computed by the network (not a constant): the node's name and its shape without batch."""

    name: str
    shape: Shape


@dataclass(frozen=True)
class Call:
    """One operator with its arguments by the names of its schema; constants are NumPy arrays.

    emit: adds an operator of values before the one that the rule returns, for rules that need several, and returns its
    result.
    """

    operator: str
    arguments: Mapping[str, Any]
    shape: Shape  # of the result, without batch
    batch: int
    emit: Callable[..., Value] = field(default=lambda op, *values: _alone(), repr=False)
    item: int = 0  # which of its results, where it has several

    def value(self, name: str) -> Value:
        """Return the argument `name`, which must be computed by the network."""
        found = self.arguments[name]
        if not isinstance(found, Value):
            raise Refusal(f"its argument '{name}' is a constant; it must be computed from the input")
        return found

    def constant(self, name: str) -> Array | None:
        """Return the argument `name` as float64; None stays None."""
        found = self.arguments[name]
        if found is None:
            return None
        if isinstance(found, Value):
            raise Refusal(f"its '{name}' is computed from the input; only trained constants can become synapses")
        array = np.asarray(found, dtype=np.float64)
        if not np.isfinite(array).all():
            raise Refusal(f"its '{name}' holds NaN or infinity: the training diverged, or the weights file is broken")
        return array

    def pair(self, name: str) -> Pair:
        """Return the argument `name`, one or two integers, as (vertical, horizontal)."""
        found = self.arguments[name]
        both = (found, found) if isinstance(found, int) else tuple(found)
        both = both * 2 if len(both) == 1 else both
        return int(both[0]), int(both[1])


def _alone() -> Value:
    raise NotImplementedError("a call that is not read from a graph emits no further operators")


def not_converted(complaints: list[str], advice: str = "") -> ConversionError:
    """Return the error that tells which operators have no rule; advice: what follows them all."""
    what = "an operator that is" if len(complaints) == 1 else f"{len(complaints)} operators that are"
    listed = "\n".join(f"  - {c}" for c in complaints)
    return ConversionError(f"the model has {what} not converted:\n{listed}{advice}")


def result_shape(op: Op, *shapes: Shape) -> Shape:
    """Return the shape of what an operator gives for values of these shapes, found by computing it once."""
    return op.apply(*(np.zeros((1, *shape)) for shape in shapes)).shape[1:]


Rule = Callable[[Call], tuple[Op, tuple[str, ...]]]


class Rules:
    """The rules of one dialect, by the name of the operator and the version of its meaning.

    A rule is for its `version` and all later ones, up to the next rule of that operator; dialects without versions
    leave it at 0. An operator of another domain than the dialect's own has the domain in its name, `domain::name`.
    """

    def __init__(self, dialect: str, advice: Mapping[str, str], otherwise: str) -> None:
        self.dialect, self._advice, self._otherwise = dialect, advice, otherwise
        self._rules: dict[str, dict[int, Rule]] = {}

    def rule(self, *operators: str, version: int = 0) -> Callable[[Rule], Rule]:
        """Register the decorated function as the rule of these operators."""

        def register(function: Rule) -> Rule:
            for operator in operators:
                versions = self._rules.setdefault(operator, {})
                if version in versions:
                    both = f"{versions[version].__name__} and {function.__name__}"
                    raise ValueError(f"two rules for {operator} of {self.dialect}: {both}")
                versions[version] = function
            return function

        return register

    def find(self, operator: str, version: int = 0) -> Rule | None:
        """Return the rule for an operator as `version` has it, or None."""
        versions = self._rules.get(operator, {})
        fitting = [since for since in versions if since <= version]
        return versions[max(fitting)] if fitting else None

    def coverage(self) -> list[tuple[str, str]]:
        """Return (operator, what its rules do) for every operator that is converted, for the documentation."""
        return sorted(
            (name, (function.__doc__ or "").strip().split("\n")[0])
            for name, versions in self._rules.items()
            for function in versions.values()
        )

    def advice_for(self, operator: str) -> str:
        """Return what to do about an operator that has no rule: by a part of its name, the first that matches."""
        return next((advice for part, advice in self._advice.items() if part in operator), self._otherwise)

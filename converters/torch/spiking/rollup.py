# SPDX-License-Identifier: Apache-2.0
"""An unrolled program becomes one step: populations are chains of states, and every step must be wired as the others.

Step 0 is wired as the others are, with nothing where they have what came from the step before.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from operator import getitem
from typing import Any

import numpy as np
import torch

from spikerun.converters.forward import spread
from spikerun.converters.graph import Shape
from spikerun.converters.rules import Refusal
from spikerun.converters.spiking.cell import Cell
from spikerun.converters.torch.spiking.expressions import Arg, Expressions, Layout, same_as
from spikerun.converters.torch.spiking.neurons import Neuron
from spikerun.converters.torch.spiking.neurons.row import fit, fitted, real
from spikerun.converters.torch.spiking.unroll import CELL, Program
from spikerun.errors import ConversionError

__all__ = ["Population", "Rolled", "roll"]

TOLERANCE = 1e-5  # of float32 sums in another order


@dataclass(eq=False)
class Population:
    """The calls of a neuron that hand their states on: one for each step."""

    name: str
    neuron: Neuron
    calls: list[Any] = field(default_factory=list)
    start: list[torch.Tensor] = field(default_factory=list)
    current: int = -1  # the expression of its input

    @property
    def shape(self) -> Shape:
        """Return its shape, without the batch."""
        return tuple(int(n) for n in self.calls[0].args[0].meta["val"].shape[1:])

    def cell(self) -> Cell:
        """Return its equation, with the state that it starts from."""
        where = f"'{self.name}' ({type(self.neuron.module).__name__})"
        try:
            cell = fitted(self.neuron.row.cell(self.neuron.module, self.name), self.shape)
            if not self.start:
                return cell
            first, *others = (real(start) for start in self.start)
            if any(np.any(other) for other in others):
                raise Refusal("its synaptic state starts at other values than 0; let it start at 0")
            if (first != first[:1]).any():
                raise Refusal("its membrane starts otherwise in each sample; let it start at 0")
            v_init = fit(first[0] - spread(cell.offset, self.shape), self.shape)
            if cell.looks_back and np.any(spread(v_init, self.shape) > spread(cell.threshold, self.shape)):
                raise Refusal("its membrane starts above its threshold, as if a spike had been; let it start at 0")
            return replace(cell, v_init=v_init)
        except Refusal as refusal:
            raise ConversionError(f"{where}: {refusal}") from None


@dataclass(frozen=True, eq=False)
class Rolled:
    """One step: its populations by name, in the order of the step, and the number of steps that were unrolled."""

    populations: Mapping[str, Population]
    steps: int
    expressions: Expressions


def roll(program: Program, layout: Layout, neurons: Mapping[str, Neuron]) -> Rolled:
    """Return the step of a program; of one that is one step long, its populations alone, without their currents."""
    expressions = Expressions(program, layout)
    populations = _populations(expressions, neurons)
    steps = _steps(populations)
    for population in populations.values():
        for k, call in enumerate(population.calls):
            expressions.populations[call] = (population.name, k)
    if steps > 1:
        for population in populations.values():
            _wire(expressions, population)
    return Rolled(populations, steps, expressions)


def _populations(expressions: Expressions, neurons: Mapping[str, Neuron]) -> dict[str, Population]:
    found: dict[str, Population] = {}
    of: dict[Any, Population] = {}
    for node in expressions.program.nodes:
        if node.target is not CELL:
            continue
        states, path = node.args[1], node.args[2]
        start = [expressions.constant(state) for state in states]
        if all(value is not None for value in start):
            count = sum(p.neuron.path == path for p in found.values())
            name = path if not count else f"{path}_{count + 1}"
            population = found[name] = Population(name, neurons[path], start=[v for v in start if v is not None])
        else:
            population = _owner(expressions, of, node)
        population.calls.append(node)
        of[node] = population
    return found


def _owner(expressions: Expressions, of: Mapping[Any, Population], node: Any) -> Population:
    """Return the population whose last states, all of them in their places, a call is given."""
    path, sources = node.args[2], [_source(state) for state in node.args[1]]
    calls = {source.args[0] for source in sources if source.target is getitem and source.args[0] in of}
    if len(calls) == 1:
        call = calls.pop()
        population = of[call]
        if population.neuron.path != path:
            raise ConversionError(
                f"states are crossed: '{path}' is given the state of '{population.name}'; give each its own"
            )
        if [s.target is getitem and s.args[1] for s in sources] == list(range(1, len(sources) + 1)):
            if population.calls[-1] is call:
                return population
            raise ConversionError(f"'{path}' goes on from one state twice in step {population.calls.index(call) + 1}")
    raise ConversionError(
        f"'{path}' is not given the state that it had in the step before, but one that was computed from it or from "
        "others: hand the state over as it is returned"
    )


def _source(node: Any) -> Any:
    while (source := same_as(node)) is not None:
        node = source
    return node


def _steps(populations: Mapping[str, Population]) -> int:
    counts = {name: len(population.calls) for name, population in populations.items()}
    if not counts:
        raise ConversionError("forward calls none of its spiking neurons")
    if len(set(counts.values())) > 1:
        told = ", ".join(f"'{name}' {count}" for name, count in counts.items())
        raise ConversionError(
            f"populations take different numbers of steps ({told}): a neuron that stands for two layers needs a state, "
            "or a module, for each; none may start anew in the middle"
        )
    return next(iter(counts.values()))


def _wire(expressions: Expressions, population: Population) -> None:
    """Find the current of a population, the same in each step."""
    wired = [expressions.of(call.args[0], k) for k, call in enumerate(population.calls)]
    for k, number in enumerate(wired[2:], 2):
        if number != wired[1]:
            one, other = _difference(expressions, wired[1], number)
            raise ConversionError(
                f"'{population.name}' is wired otherwise in step {k} than in step 1: {other}, before {one}. Only what "
                "is the same in every step becomes a network: no layers, constants or inputs of single steps"
            )
    if not _same_at_start(expressions, wired[0], wired[1]):
        _check_finite(expressions, wired[1], population.name)
        one, other = _difference(expressions, wired[1], wired[0])
        raise ConversionError(
            f"'{population.name}' is wired otherwise in step 0 than later: {other}, then {one}. The first step must "
            "compute what later steps do, with zeros for the spikes of the step before: a bias of the feedback too"
        )
    population.current = wired[1]


def _check_finite(expressions: Expressions, number: int, population: str) -> None:
    """Refuse a current of which a constant is no number: it equals none, not even itself."""
    for inner in expressions.args(number):
        value = expressions[inner].value
        if value is not None and not bool(torch.isfinite(value).all()):
            raise ConversionError(
                f"the current of '{population}': {expressions[number].origin} takes NaN or infinity: the training "
                "diverged, or the weights file is broken"
            )
        _check_finite(expressions, inner, population)


def _difference(expressions: Expressions, one: int, other: int) -> tuple[str, str]:
    """Return the places at which two expressions begin to differ."""
    a, b = expressions[one], expressions[other]
    inner = expressions.args(one), expressions.args(other)
    if str(a.target) == str(b.target) and a.role == b.role == "op" and len(inner[0]) == len(inner[1]):
        apart = [(x, y) for x, y in zip(*inner, strict=True) if x != y]
        if apart and "constant" not in (expressions[apart[0][0]].role, expressions[apart[0][1]].role):
            return _difference(expressions, *apart[0])
    return _told(expressions, one), _told(expressions, other)


def _told(expressions: Expressions, number: int) -> str:
    found = expressions[number]
    when = {0: "of the step", -1: "of the step before"}.get(found.offset, f"of {-found.offset} steps before")
    if found.role == "op":
        return str(found.origin)
    return {"spikes": f"spikes of '{found.name}' {when}", "input": f"the input '{found.name}' {when}"}.get(
        found.role, f"the state of '{found.name}' {when}" if found.role == "state" else "a constant"
    )


def _same_at_start(expressions: Expressions, first: int, later: int) -> bool:
    """Return whether step 0 computes what a later step does when nothing was sent before; by values, if need be."""
    if first == later:
        return True
    leaves: dict[int, torch.Tensor] = {}
    generator = torch.Generator().manual_seed(0)
    a, b = (_value(expressions, number, leaves, generator) for number in (first, later))
    return a.shape == b.shape and bool(torch.allclose(a, b, TOLERANCE, TOLERANCE))


def _value(expressions: Expressions, number: int, leaves: dict[int, torch.Tensor], generator: Any) -> torch.Tensor:
    found = expressions[number]
    if found.value is not None:
        value = found.value.cpu()
        return value.double() if value.is_floating_point() else value
    if found.role == "op":
        (args, kwargs) = torch.utils._pytree.tree_map_only(
            Arg, lambda a: _value(expressions, a.number, leaves, generator), found.args
        )
        value = found.target(*args, **dict(kwargs))
        return value[0] if isinstance(value, tuple) else value  # type: ignore[no-any-return]
    if number not in leaves:
        before = found.role != "input" and found.offset < 0
        leaves[number] = torch.rand(found.shape, generator=generator, dtype=torch.float64) * (0.0 if before else 1.0)
    return leaves[number]

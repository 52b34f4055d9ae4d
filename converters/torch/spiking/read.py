# SPDX-License-Identifier: Apache-2.0
"""A module of spiking neurons, with or without a loop over steps of its own, becomes one step."""

import inspect
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import torch
from torch import nn

from spikerun.converters.graph import Shape
from spikerun.converters.spiking.step import Step
from spikerun.converters.torch.export import BATCH, named
from spikerun.converters.torch.spiking.build import Builder
from spikerun.converters.torch.spiking.expressions import Layout, WrongLayout
from spikerun.converters.torch.spiking.neurons import Neuron, find
from spikerun.converters.torch.spiking.readout import Reading, reading
from spikerun.converters.torch.spiking.rollup import Rolled, roll
from spikerun.converters.torch.spiking.unroll import Program, Refused, TooShort, patched, repeated, unroll
from spikerun.errors import ConversionError

__all__ = ["read_step", "states_of", "without_states"]

# Steps of an example: the first is like no other, and two others are compared. Not BATCH, for axes to be told apart.
STEPS = 3
MANY = 500  # where a loop of fixed length reads its input step by step: no such loop is longer


def read_step(model: nn.Module, shapes: Mapping[str, Shape], steps: int | None, like: Mapping[str, Any]) -> Step:
    """Return one step of `model`, which is left as it was.

    shapes: of one step of each input, without batch and time, by name. steps: the length of the samples' time axis,
    where the length of the loop comes from them; None: any. like: the device and dtype of its tensors. Whether an
    input has a time axis, in front (steps, batch, ...) or behind the batch, is found by trying.

    Raises ConversionError where the module is no such network: with the place, and what to do.
    """
    neurons = find(model)
    failures: list[ConversionError] = []
    for layout in _layouts(shapes):
        try:
            return _read(_Reader(model, shapes, layout, like, neurons), steps or STEPS)
        except Refused:
            raise
        except ConversionError as error:
            failures.append(error)
    # What came as far as its steps tells more than what could not be traced, or had its axes elsewhere.
    raise min(failures, key=lambda error: (isinstance(error, WrongLayout), error.__cause__ is not None))


def _layouts(shapes: Mapping[str, Shape]) -> Iterator[Layout]:
    for axes in product((None, 0, 1), repeat=len(shapes)):
        yield Layout(dict(zip(shapes, axes, strict=True)))


def _read(reader: "_Reader", steps: int) -> Step:
    try:
        return reader.step(steps)
    except TooShort:
        if not reader.timed:
            raise
        return reader.step(MANY)


class _Reader:
    """Reads a patched module with its inputs in one layout."""

    def __init__(
        self,
        model: nn.Module,
        shapes: Mapping[str, Shape],
        layout: Layout,
        like: Mapping[str, Any],
        neurons: Mapping[str, Neuron],
    ) -> None:
        self.model, self.shapes, self.layout, self.like, self.neurons = model, shapes, layout, like, neurons
        self.timed = frozenset(name for name, axis in layout.axes.items() if axis is not None)

    def step(self, steps: int) -> Step:
        program, rolled = self._rolled(self.model, steps)
        if rolled.steps == 1:
            return self._of_one_step(program)
        length = None if self.timed and rolled.steps == steps else rolled.steps
        results = named(without_states(program.results), object)
        return self._built(rolled, self._readings(rolled, program, results), length)

    def _of_one_step(self, program: Program) -> Step:
        """Return the step of a module that computes one: it is called several times, and returns all of them."""
        if self.timed:
            raise WrongLayout("forward computes one step only, of samples without a time axis")
        states = states_of(self.model, len(self.shapes), program.results)
        program, rolled = self._rolled(repeated(self.model, STEPS, states), STEPS)
        if rolled.steps == 1:
            starts = ", ".join(
                f"'{path}'" for path in dict.fromkeys(p.neuron.path for p in rolled.populations.values())
            )
            raise Refused(
                f"forward computes one step and starts anew in each call ({starts}): return the states and take them "
                "back as an argument of default None, keep them in the neurons (init_hidden=True), or loop in forward"
            )
        return self._built(rolled, self._of_calls(rolled, program, len(states)), None)

    def _of_calls(self, rolled: Rolled, program: Program, states: int) -> dict[str, Reading]:
        nodes = {node.name: node for node in program.nodes}
        calls = [named(without_states(call, states), object) for call in program.results]
        found = {}
        for name in calls[0]:
            numbers = [rolled.expressions.of(nodes[call[name]], k) for k, call in enumerate(calls)]
            if numbers[1] != numbers[2]:
                raise ConversionError(f"the result '{name}' is another in each step")
            found[name] = Reading(numbers[1])
        return found

    def _rolled(self, model: nn.Module, steps: int) -> tuple[Program, Rolled]:
        with patched(self.model, self.neurons):
            program = unroll(model, {name: self._sample(name, steps) for name in self.shapes})
        return program, roll(program, self.layout, self.neurons)

    def _sample(self, name: str, steps: int) -> torch.Tensor:
        shape: list[int] = [BATCH, *self.shapes[name]]
        axis = self.layout.axes[name]
        if axis is not None:
            shape.insert(axis, steps)
        return torch.zeros(shape, **self.like)

    def _readings(self, rolled: Rolled, program: Program, results: Mapping[str, Any]) -> dict[str, Reading]:
        nodes = {node.name: node for node in program.nodes}
        return {
            name: reading(rolled.expressions, nodes[result], rolled.steps, name) for name, result in results.items()
        }

    def _built(self, rolled: Rolled, readings: Mapping[str, Reading], length: int | None) -> Step:
        builder = Builder(rolled)
        assumed = []
        for name, found in readings.items():
            one = rolled.expressions[found.number]
            if one.role == "state" and one.which:
                assumed.append(f"the result '{name}', the synaptic state of '{one.name}', is not wanted")
            else:
                builder.output(name, found.number)
        graph = builder.graph()
        for name in builder.cells:
            neuron = rolled.populations[name].neuron
            told = [neuron.row.assumed(neuron.module), neuron.row.seen(neuron.module) if name in builder.seen else ""]
            assumed += [f"'{name}': {sentence}" for sentence in told if sentence]
        if not graph.outputs:
            raise ConversionError("forward returns synaptic states only; return spikes or membranes")
        readouts = {name: found.readout for name, found in readings.items() if found.readout and name in graph.outputs}
        axes = {name: axis for name, axis in self.layout.axes.items() if axis is not None}
        return Step(graph, readouts, length, self.timed, tuple(assumed), axes)


def states_of(model: nn.Module, inputs: int, results: Any) -> tuple[str, ...]:
    """Return the arguments of forward behind its inputs, if it returns as many results and more: its states."""
    parameters = list(inspect.signature(model.forward).parameters.values())[inputs:]
    names = tuple(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD)
    return names if isinstance(results, (tuple, list)) and len(results) > len(names) else ()


def without_states(results: Any, states: int = 0) -> Any:
    """Return the results without the states that come with them: (result, states) as Norse has it, or one by one."""
    if not isinstance(results, (tuple, list)):
        return results
    if len(results) == 2 and not isinstance(results[1], str | torch.Tensor):
        return results[0]
    return results[:-states] if 0 < states < len(results) else results

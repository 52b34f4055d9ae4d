# SPDX-License-Identifier: Apache-2.0
"""A module of spiking neurons as a source: its step, and what it gives when it is run as it is."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from spikerun.converters.graph import Array, Shape
from spikerun.converters.spiking.source import StepSource
from spikerun.converters.spiking.step import Step, read_out
from spikerun.converters.torch.export import named
from spikerun.converters.torch.spiking.neurons import FRAMEWORKS, bases
from spikerun.converters.torch.spiking.read import read_step, states_of, without_states
from spikerun.errors import ConversionError

__all__ = ["TorchStepSource", "frameworks"]

RESETS = ("reset_mem", "reset_states", "reset")  # how the neurons of the frameworks forget


def frameworks(model: nn.Module) -> tuple[str, ...]:
    """Return the packages whose spiking neurons are in a model."""
    found = {package for module in model.modules() for _, package in bases(module)}
    return tuple(name for name in FRAMEWORKS if name in found)


class TorchStepSource(StepSource):
    """A module in inference mode, with one input, that keeps no state from one call of `results` to the next."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model.eval()
        self.packages = frameworks(model)
        parameter = next(model.parameters(), torch.zeros(()))
        self.like: dict[str, Any] = {"device": parameter.device, "dtype": parameter.dtype}
        self._step: Step | None = None

    @property
    def name(self) -> str:
        return ", ".join(self.packages)

    def step(self, shapes: Mapping[str, Shape], steps: int | None) -> Step:
        """Return one step of the module; raises ConversionError with the place of what cannot be converted."""
        self._step = read_step(self.model, shapes, steps, self.like)
        return self._step

    def results(self, batch: Mapping[str, Array], steps: int, asked: Step) -> dict[str, Array]:
        """Return what the module gives, made of its steps as `asked` reads them where it does not do that itself."""
        count = len(next(iter(batch.values())))
        if count == steps and count > 1:  # so that the axis of time is told from that of the batch
            halves = [{name: v[part] for name, v in batch.items()} for part in (slice(0, 1), slice(1, None))]
            parts = [self.results(half, steps, asked) for half in halves]
            return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        own = self._step
        assert own is not None, "a step is read before results are asked for"
        self._forget()
        with torch.no_grad():
            found = dict(self._run(own, batch, steps))
        results = {}
        for name, values in found.items():
            if name in asked.readouts:
                whole = name in own.readouts
                results[name] = (
                    values.reshape(count, -1) if whole else read_out(asked.readouts[name], _timed(values, steps))
                )
        return results

    def _run(self, own: Step, batch: Mapping[str, Array], steps: int) -> Iterator[tuple[str, Array]]:
        """Yield the results by name, those of a module of one step as a record of all calls."""
        tensors = {name: self._tensor(own, name, values, steps) for name, values in batch.items()}
        if own.steps is not None or own.timed:
            for name, value in named(without_states(self._call(tensors, {})), torch.Tensor).items():
                yield name, value.double().cpu().numpy()
            return
        states: dict[str, Any] = {}
        record: dict[str, list[Array]] = {}
        for t in range(steps):
            given = {name: x[:, t] if batch[name].ndim > self._axes(own, name) else x for name, x in tensors.items()}
            out = self._call(given, states)
            names = states_of(self.model, len(tensors), out)
            if names:
                states = dict(zip(names, out[-len(names) :], strict=True))
            for name, value in named(without_states(out, len(names)), torch.Tensor).items():
                record.setdefault(name, []).append(value.double().cpu().numpy())
        yield from ((name, np.stack(values)) for name, values in record.items())

    def _call(self, tensors: Mapping[str, torch.Tensor], states: Mapping[str, Any]) -> Any:
        return self.model(*tensors.values(), **states) if len(tensors) == 1 else self.model(**tensors, **states)

    def _tensor(self, own: Step, name: str, values: Array, steps: int) -> torch.Tensor:
        """Return a batch as the module takes it: with an axis of time where it wants one."""
        given = torch.from_numpy(np.ascontiguousarray(values)).to(**self.like)
        over_time = values.ndim > self._axes(own, name)
        if name not in own.timed:
            if over_time and own.steps is not None:
                raise ConversionError(
                    f"the network's loop gives '{name}' the same sample in each step: use --input current"
                )
            return given
        if not over_time:
            given = given.unsqueeze(1).expand(-1, steps, *given.shape[1:])
        return given if own.axes[name] == 1 else given.transpose(0, 1)

    @staticmethod
    def _axes(own: Step, name: str) -> int:
        """Return the axes of a batch of one step of an input."""
        return 1 + next(len(n.shape) for n in own.graph.nodes.values() if getattr(n.op, "name", "") == name)

    def _forget(self) -> None:
        for module in self.model.modules():
            if type(module).__module__.partition(".")[0] in self.packages:
                reset = next((getattr(module, name) for name in RESETS if hasattr(module, name)), None)
                if reset is not None:
                    reset()


def _timed(values: Array, steps: int) -> Array:
    """Return a record with its steps in front, which may be behind the batch, or last of all."""
    if values.ndim > 1 and values.shape[0] != steps and values.shape[1] == steps:
        return np.moveaxis(values, 1, 0)
    if values.ndim > 2 and values.shape[0] != steps and values.shape[-1] == steps:
        return np.moveaxis(values, -1, 0)
    return values

# SPDX-License-Identifier: Apache-2.0
"""What the reader knows of a class of neurons: a row, made by the file of its framework."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from spikerun.converters.graph import Array, Shape
from spikerun.converters.rules import Refusal
from spikerun.converters.spiking.cell import Cell

__all__ = ["Fire", "Framework", "Row", "check_step", "fit", "fitted", "over_time", "real"]


class Fire(Protocol):
    """One step of a population while the module is unrolled."""

    def __call__(self, x: torch.Tensor, states: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return the spikes, the membrane, and the synaptic state where there is one.

        states: the membrane and the synaptic state of the step before; empty at the start.
        """


@dataclass(frozen=True)
class Row:
    """A class of neurons.

    forward: of a module, what stands for its forward while it is unrolled: the same calls and states, but the equation
    is `Fire`. cell: the equation, with the module's numbers; raises Refusal for forms that it cannot take. states: how
    many there are. assumed: of a module, what its cell takes for granted; `seen`, if its membrane is read.
    """

    forward: Callable[[Any, Fire], Callable[..., Any]]
    cell: Callable[[Any, str], Cell]
    states: int = 1
    assumed: Callable[[Any], str] = lambda module: ""
    seen: Callable[[Any], str] = lambda module: ""


@dataclass(frozen=True)
class Framework:
    """The neurons of a framework.

    harmless: beginnings of the full names of its classes that are no neurons, and are read by their operators; every
    other class that has no row is refused, with the `advice` for its name.
    check: raises Refusal for what no module of the framework may be.
    """

    rows: Mapping[type[nn.Module], Row]
    harmless: tuple[str, ...] = ()
    advice: Mapping[str, str] = field(default_factory=dict)
    check: Callable[[Any], None] = lambda module: None


def real(value: Any) -> Array:
    """Return a parameter, tensor or number, as float64."""
    return np.asarray(torch.as_tensor(value).detach().cpu().to(torch.float64).numpy())


def check_step(function: Callable[[torch.Tensor], torch.Tensor], at_zero: float, name: str) -> None:
    """Refuse a spike function that is not the step function in inference, the same each time."""
    x = torch.tensor([-30.0, -1.0, -1e-4, 0.0, 1e-4, 1.0, 30.0]).repeat(16)
    expected = torch.tensor([0.0, 0.0, 0.0, at_zero, 1.0, 1.0, 1.0]).repeat(16)
    with torch.no_grad():
        found = function(x)
    if found.shape != x.shape or not torch.equal(found.to(x.dtype), expected):
        raise Refusal(f"its {name} is not the step function when it is run; use one that differs in its gradient only")


def over_time(one: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Return what `one` makes of each step of a sequence (steps, ...)."""
    return torch.stack([one(x[t]) for t in range(len(x))])


def fitted(cell: Cell, shape: Shape) -> Cell:
    """Return the cell with parameters of shape (), (C,) or the population's, which torch would have broadcast."""
    arrays: dict[str, Any] = {k: fit(v, shape) for k, v in vars(cell).items() if isinstance(v, np.ndarray)}
    return replace(cell, **arrays)


def fit(values: Array, shape: Shape) -> Array:
    """Return values that torch would broadcast to a batch of `shape` in shape (), (C,) or `shape`."""
    if values.ndim > len(shape):
        if values.shape[0] != 1:
            raise Refusal("a parameter differs from sample to sample")
        return fit(values[0], shape)
    try:
        wide = np.broadcast_to(values, shape)
    except ValueError:
        raise Refusal(f"a parameter of shape {values.shape} does not fit values of shape {shape}") from None
    if (wide == wide.flat[0]).all():
        return np.array(wide.flat[0])
    channels = wide.reshape(shape[0], -1)
    return channels[:, 0].copy() if (channels == channels[:, :1]).all() else wide.copy()

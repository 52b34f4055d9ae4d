# SPDX-License-Identifier: Apache-2.0
"""What networks of all families are made of."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

__all__ = ["COUNT", "STEPS", "Case", "Loop", "dense", "jelly", "leaky", "norse", "snn"]

STEPS = 12


@dataclass(frozen=True)
class Case:
    """A network. shape: of one step of a sample. time: the axis of time of its input, None where it has none.

    readouts: by output, those that forward tells. states: of a module of one step, whether its caller passes them on
    (`passed`), or they stay in it (`kept`). gain: of the samples.
    """

    build: Callable[[], nn.Module]
    shape: tuple[int, ...] = (8,)
    time: int | None = None
    readouts: dict[str, tuple[str, int]] = field(default_factory=dict)
    states: str = ""
    gain: float = 3.0
    fixed: bool = True  # the loop has a length of its own


class Loop(nn.Module):
    """A module whose forward is a function (module, x)."""

    def __init__(self, forward: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        self._forward = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: torch.Tensor) -> Any:
        """Return what the function returns."""
        return self._forward(self, x)


def dense(neuron: Callable[[], nn.Module], **more: Any) -> dict[str, Any]:
    """Return the parts of a network of two dense layers."""
    return {"fc1": nn.Linear(8, 12), "lif1": neuron(), "fc2": nn.Linear(12, 6), "lif2": neuron(), **more}


def snn() -> Any:
    """Return snnTorch."""
    import snntorch

    return snntorch


def leaky(**options: Any) -> nn.Module:
    """Return a Leaky."""
    module: nn.Module = snn().Leaky(**{"beta": 0.9, **options})
    return module


def norse() -> Any:
    """Return Norse."""
    import norse.torch

    return norse.torch


def jelly() -> Any:
    """Return the neurons of SpikingJelly."""
    from spikingjelly.activation_based import neuron

    return neuron


COUNT = {"output": ("count", 1)}

# SPDX-License-Identifier: Apache-2.0
"""Networks of SpikingJelly."""

from typing import Any

import torch
from torch import nn

from spiking_networks.make import STEPS, Case, Loop, jelly

__all__ = ["CASES"]


def loop_of_jelly(self: Any, x: torch.Tensor) -> torch.Tensor:
    """The mean rate, after a reset."""
    from spikingjelly.activation_based import functional

    functional.reset_net(self)
    total = self.net(x)
    for _ in range(1, STEPS):
        total += self.net(x)
    mean: torch.Tensor = total / STEPS
    return mean


def conv_jelly() -> nn.Module:
    """Return a small convolutional network of SpikingJelly's layers."""
    from spikingjelly.activation_based import layer

    n = jelly()
    return nn.Sequential(
        layer.Conv2d(1, 4, 3, padding=1, bias=False),
        layer.BatchNorm2d(4),
        n.IFNode(),
        layer.MaxPool2d(2, 2),
        layer.Flatten(),
        layer.Linear(64, 6),
        n.LIFNode(tau=2.0),
    )


CASES: dict[str, Case] = {
    "spikingjelly: sequential": Case(
        lambda: nn.Sequential(
            nn.Linear(8, 12), jelly().LIFNode(tau=1.5, v_reset=None), nn.Linear(12, 6), jelly().IFNode(v_reset=0.1)
        ),
        states="kept",
    ),
    "spikingjelly: convolution": Case(
        lambda: Loop(loop_of_jelly, net=conv_jelly()), (1, 8, 8), readouts={"output": ("mean", 1)}, gain=10.0
    ),
    "spikingjelly: learned time": Case(
        lambda: nn.Sequential(nn.Linear(8, 12), jelly().ParametricLIFNode(3.0), nn.Linear(12, 6), jelly().IFNode()),
        states="kept",
        gain=6.0,
    ),
}

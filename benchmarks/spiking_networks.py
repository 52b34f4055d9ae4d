# SPDX-License-Identifier: Apache-2.0
"""Spiking networks of the shapes that people train: of snnTorch's tutorials 5, 6 and 7, recurrent ones, and of Norse.

Each is built by a function without arguments, so that `spikerun convert benchmarks/spiking_networks.py:tutorial_5
--weights FILE` takes it too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import norse.torch as norse
import snntorch as snn
import torch
import torch.nn.functional as F
from snntorch import surrogate
from torch import nn

__all__ = ["NETWORKS", "Trained", "forward", "scores"]

Loss = Callable[[Any, torch.Tensor], torch.Tensor]


class Dense(nn.Module):
    """784 pixels, hidden neurons, 10 outputs: a loop of its own that returns spikes and membranes of all steps."""

    def __init__(self, hidden: int, steps: int = 25) -> None:
        super().__init__()
        self.steps = steps
        self.fc1, self.lif1 = nn.Linear(784, hidden), snn.Leaky(beta=0.95)
        self.fc2, self.lif2 = nn.Linear(hidden, 10), snn.Leaky(beta=0.95)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return spikes and membranes (steps, batch, 10) of images (batch, 784)."""
        mem1, mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        spikes, membranes = [], []
        for _ in range(self.steps):
            spk1, mem1 = self.lif1(self.fc1(x), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
            membranes.append(mem2)
        return torch.stack(spikes), torch.stack(membranes)


class Recurrent(nn.Module):
    """The same with 100 hidden neurons, each of which hears all of them."""

    def __init__(self, hidden: int = 100, steps: int = 25) -> None:
        super().__init__()
        self.steps = steps
        self.fc1, self.lif1 = nn.Linear(784, hidden), snn.RLeaky(beta=0.9, linear_features=hidden)
        self.fc2, self.lif2 = nn.Linear(hidden, 10), snn.Leaky(beta=0.95)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return spikes and membranes (steps, batch, 10) of images (batch, 784)."""
        spk1, mem1 = self.lif1.reset_mem()
        mem2 = self.lif2.reset_mem()
        spikes, membranes = [], []
        for _ in range(self.steps):
            spk1, mem1 = self.lif1(self.fc1(x), spk1, mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
            membranes.append(mem2)
        return torch.stack(spikes), torch.stack(membranes)


class Norse(nn.Module):
    """784-100-10 of Norse's cells, with synaptic currents; what is read is the largest membrane of each output."""

    def __init__(self, recurrent: bool, hidden: int = 100, steps: int = 30) -> None:
        super().__init__()
        self.steps = steps
        parameters = norse.LIFParameters(v_th=torch.tensor(0.5))
        self.fc1 = nn.Identity() if recurrent else nn.Linear(784, hidden)
        self.lif = norse.LIFRecurrentCell(784, hidden, parameters) if recurrent else norse.LIFCell(parameters)
        if recurrent:  # Norse draws its weights for few spikes, not for 784 pixels
            nn.init.kaiming_uniform_(self.lif.input_weights, a=5**0.5)
        self.fc2, self.li = nn.Linear(hidden, 10), norse.LICell()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the largest membranes (batch, 10) of images (batch, 784)."""
        lif = li = None
        membranes = []
        for _ in range(self.steps):
            spikes, lif = self.lif(self.fc1(x), lif)
            membrane, li = self.li(self.fc2(spikes), li)
            membranes.append(membrane)
        return torch.stack(membranes).max(dim=0).values


def convolutions(channels: int, second: int, side: int, spike_grad: Any) -> nn.Sequential:
    """Return one step of a network of two convolutions; states stay in its neurons. side: of the last maps."""
    leaky = {"beta": 0.5, "spike_grad": spike_grad, "init_hidden": True}
    return nn.Sequential(
        nn.Conv2d(channels, 12, 5), nn.MaxPool2d(2), snn.Leaky(**leaky),
        nn.Conv2d(12, second, 5), nn.MaxPool2d(2), snn.Leaky(**leaky),
        nn.Flatten(), nn.Linear(second * side * side, 10), snn.Leaky(**leaky, output=True),
    )  # fmt: skip


def tutorial_5() -> nn.Module:
    """Return 784-1000-10."""
    return Dense(1000)


def small() -> nn.Module:
    """Return 784-128-10, which fits small boards."""
    return Dense(128)


def tutorial_6() -> nn.Module:
    """Return 12C5-MP2-64C5-MP2-10 for images (1, 28, 28).

    The tutorial's steep surrogate, fast_sigmoid(slope=25), learns little of Fashion-MNIST here; it is no part of
    what the network computes.
    """
    return convolutions(1, 64, 4, surrogate.atan())


def recurrent() -> nn.Module:
    """Return 784-100-10 with an RLeaky."""
    return Recurrent()


def tutorial_7() -> nn.Module:
    """Return 12C5-MP2-32C5-MP2-10 for frames of events (2, 34, 34)."""
    return convolutions(2, 32, 5, surrogate.atan())


def norse_lif() -> nn.Module:
    """Return Norse's 784-100-10."""
    return Norse(recurrent=False)


def norse_recurrent() -> nn.Module:
    """Return Norse's 784-100-10 with an LIFRecurrentCell."""
    return Norse(recurrent=True)


def of_sums(found: Any, labels: torch.Tensor) -> torch.Tensor:
    """Return the cross entropy of the counts of spikes, which the class is read from."""
    return F.cross_entropy(found[0].sum(0), labels)


def of_both(found: Any, labels: torch.Tensor) -> torch.Tensor:
    """Return that and the cross entropy of the membranes in every step, as in tutorial 5.

    Without membranes, an output that falls silent may stay so: it has hardly a gradient.
    """
    return of_sums(found, labels) + F.cross_entropy(found[1].flatten(0, 1), labels.repeat(len(found[1])))


def of_counts(found: Any, labels: torch.Tensor) -> torch.Tensor:
    """Return how far rates are from 0.8 spikes a step for the right class and 0.2 for others, as in tutorial 7."""
    wanted = 0.2 + 0.6 * F.one_hot(labels, 10)
    return F.mse_loss(found[0].mean(0), wanted)


@dataclass(frozen=True)
class Trained:
    """A network and how it is trained.

    seeds: how many of it are. data: what it sees, `images` or `events`; flat: as vectors. duration: its steps, where it
    has no loop of its own.
    """

    build: Callable[[], nn.Module]
    loss: Loss
    epochs: float
    rate: float
    batch: int
    seeds: int
    data: str = "images"
    flat: bool = True
    duration: int | None = None


NETWORKS: Mapping[str, Trained] = MappingProxyType(
    {
        "tutorial_5": Trained(tutorial_5, of_both, 10, 1e-3, 500, 3),
        "tutorial_6": Trained(tutorial_6, of_sums, 12, 5e-3, 500, 1, flat=False, duration=50),
        "recurrent": Trained(recurrent, of_both, 10, 1e-3, 500, 3),
        "tutorial_7": Trained(tutorial_7, of_counts, 40, 4e-3, 50, 3, data="events", flat=False, duration=30),
        "norse_lif": Trained(norse_lif, F.cross_entropy, 10, 2e-3, 500, 3),
        "norse_recurrent": Trained(norse_recurrent, F.cross_entropy, 10, 2e-3, 500, 3),
        "small": Trained(small, of_both, 10, 2e-3, 500, 3),
    }
)


def forward(network: Trained, net: nn.Module, x: torch.Tensor) -> Any:
    """Return what the network gives: spikes and membranes (steps, batch, 10) of all steps, or what it makes of them.

    x: real samples (batch, *shape), of events (batch, steps, *shape).
    """
    if network.duration is None:
        return net(x)
    for module in net.modules():
        if isinstance(module, snn.SpikingNeuron):
            module.reset_mem()
    timed = network.data == "events"
    found = [net(x[:, t] if timed else x) for t in range(network.duration)]
    return tuple(torch.stack(values) for values in zip(*found, strict=True))


def scores(found: Any) -> torch.Tensor:
    """Return what the class is read from (batch, 10): counts of spikes, or what the network makes of its steps."""
    return found if isinstance(found, torch.Tensor) else found[0].sum(0)

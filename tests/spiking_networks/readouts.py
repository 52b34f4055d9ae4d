# SPDX-License-Identifier: Apache-2.0
"""Readouts of networks of snnTorch, and where their steps come from."""

from collections.abc import Callable
from typing import Any

import torch

from spiking_networks.make import COUNT, STEPS, Case, Loop, dense, leaky

__all__ = ["CASES", "recorded"]


def recorded(read: Callable[[torch.Tensor, torch.Tensor], Any], at: Any = lambda x, t: x) -> Callable[..., Any]:
    """Return a forward over two dense layers that records spikes and membranes, and what `read` makes of them."""

    def forward(self: Any, x: torch.Tensor) -> Any:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.reset_mem()
        spikes, membranes = [], []
        for step in range(STEPS):
            spk1, mem1 = self.lif1(self.fc1(at(x, step)), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
            membranes.append(mem2)
        return read(torch.stack(spikes, dim=0), torch.stack(membranes, dim=0))

    return forward


def reading(read: Callable[[torch.Tensor, torch.Tensor], Any], kind: str, groups: int = 1, **options: Any) -> Case:
    """Return a case of one readout."""
    return Case(lambda: Loop(recorded(read), **dense(lambda: leaky(**options))), readouts={"output": (kind, groups)})


def by_length(axis: int) -> Callable[..., Any]:
    """Return a forward that takes as many steps as its input has along an axis."""

    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        mem1, mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        total = []
        for step in range(x.size(axis)):
            spk1, mem1 = self.lif1(self.fc1(x[step] if axis == 0 else x[:, step]), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            total.append(spk2)
        return torch.stack(total).sum(0)

    return forward


def hidden(self: Any, x: torch.Tensor) -> torch.Tensor:
    """Keep states in the neurons, and reset them first."""
    from snntorch import utils

    utils.reset(self)
    return torch.stack([self.lif2(self.fc2(self.lif1(self.fc1(x)))) for _ in range(STEPS)]).mean(0)


def preallocated(self: Any, x: torch.Tensor) -> torch.Tensor:
    """Spikes are written into a tensor."""
    mem1, mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
    out = torch.zeros(STEPS, x.size(0), 6)
    for step in range(STEPS):
        spk1, mem1 = self.lif1(self.fc1(x), mem1)
        out[step], mem2 = self.lif2(self.fc2(spk1), mem2)
    return out


def averaged(self: Any, x: torch.Tensor) -> torch.Tensor:
    """Spikes are added up and divided by the number of steps."""
    mem1, mem2, total = self.lif1.reset_mem(), self.lif2.reset_mem(), torch.zeros(x.size(0), 6)
    for _ in range(STEPS):
        spk1, mem1 = self.lif1(self.fc1(x), mem1)
        spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
        total = total + spk2
    return total / STEPS


def rate(self: Any, x: torch.Tensor) -> torch.Tensor:
    """A linear layer without neurons at the end."""
    mem1, out = self.lif1.reset_mem(), []
    for _ in range(STEPS):
        spk1, mem1 = self.lif1(self.fc1(x), mem1)
        out.append(self.fc2(spk1))
    return torch.stack(out).mean(0)


def ahead(self: Any, x: torch.Tensor) -> torch.Tensor:
    """The first layer takes all steps at once, (batch, steps, features)."""
    mem1, mem2, out = self.lif1.reset_mem(), self.lif2.reset_mem(), []
    for current in self.fc1(x).permute(1, 0, 2):
        spk1, mem1 = self.lif1(torch.relu(current), mem1)
        spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
        out.append(spk2)
    return torch.stack(out, dim=1)


CASES: dict[str, Case] = {
    "snntorch: recorded": Case(lambda: Loop(recorded(lambda s, m: (s, m)), **dense(leaky))),
    "snntorch: count": reading(lambda s, m: s.sum(dim=0), "count"),
    "snntorch: mean rate": reading(lambda s, m: s.mean(0), "mean"),
    "snntorch: last membrane": reading(lambda s, m: m[-1], "last", reset_mechanism="none"),
    "snntorch: largest membrane": reading(lambda s, m: m.max(dim=0).values, "max"),
    "snntorch: mean membrane": reading(lambda s, m: torch.mean(m, 0), "mean"),
    "snntorch: sum over a stack divided": reading(lambda s, m: s.sum(0) / STEPS, "mean"),
    "snntorch: population code": reading(lambda s, m: s.sum(0).reshape(-1, 3, 2).sum(2), "count", 3),
    "snntorch: population code of steps": reading(lambda s, m: s.view(STEPS, -1, 3, 2).sum(-1).sum(0), "count", 3),
    "snntorch: reset to zero": reading(lambda s, m: s.sum(0), "count", reset_mechanism="zero"),
    "snntorch: no delay": reading(lambda s, m: m[-1], "last", reset_mechanism="zero", reset_delay=False),
    "snntorch: time first": Case(lambda: Loop(by_length(0), **dense(leaky)), (8,), 0, COUNT, fixed=False),
    "snntorch: batch first": Case(lambda: Loop(by_length(1), **dense(leaky)), (8,), 1, COUNT, fixed=False),
    "snntorch: steps of its own, time first": Case(
        lambda: Loop(recorded(lambda s, m: s, lambda x, t: x[t]), **dense(leaky)), (8,), 0
    ),
    "snntorch: all steps ahead": Case(lambda: Loop(ahead, **dense(leaky)), (8,), 1, fixed=False),
    "snntorch: hidden states": Case(
        lambda: Loop(hidden, **dense(lambda: leaky(init_hidden=True))), readouts={"output": ("mean", 1)}
    ),
    "snntorch: a tensor of all steps": Case(lambda: Loop(preallocated, **dense(leaky))),
    "snntorch: added up": Case(lambda: Loop(averaged, **dense(leaky)), readouts={"output": ("mean", 1)}),
    "snntorch: rate of currents": Case(lambda: Loop(rate, **dense(leaky)), readouts={"output": ("mean", 1)}),
}

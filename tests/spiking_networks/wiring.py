# SPDX-License-Identifier: Apache-2.0
"""Networks of snnTorch: the kinds of its neurons, recurrence, feedback, states."""

from typing import Any

import torch
from torch import nn

from spiking_networks.make import COUNT, STEPS, Case, Loop, dense, leaky, snn
from spiking_networks.readouts import recorded

__all__ = ["CASES", "late_feedback"]


def recurrent(self: Any, x: torch.Tensor) -> torch.Tensor:
    """A recurrent layer whose spikes and states are passed by hand, and one that is not."""
    states = self.lif1.reset_mem()
    mem2 = self.lif2.reset_mem()
    out = []
    for _ in range(STEPS):
        states = self.lif1(self.fc1(x), *states)
        spk2, mem2 = self.lif2(self.fc2(states[0]), mem2)
        out.append(spk2)
    return torch.stack(out).sum(dim=0)


def synaptic(self: Any, x: torch.Tensor) -> torch.Tensor:
    """Two states."""
    syn1, mem1 = self.lif1.init_synaptic()
    syn2, mem2 = self.lif2.init_synaptic()
    out = []
    for _ in range(STEPS):
        spk1, syn1, mem1 = self.lif1(self.fc1(x), syn1, mem1)
        _, syn2, mem2 = self.lif2(self.fc2(spk1), syn2, mem2)
        out.append(mem2)
    return torch.stack(out).amax(0)


def feedback(self: Any, x: torch.Tensor) -> torch.Tensor:
    """Feedback by hand, from the second layer to the first, and a skip."""
    mem1, mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
    spk2 = torch.zeros(x.size(0), 6)
    total = 0
    for _ in range(STEPS):
        spk1, mem1 = self.lif1(self.fc1(x) + self.back(spk2), mem1)
        spk2, mem2 = self.lif2(self.fc2(spk1) + self.skip(x), mem2)
        total += spk2
    return total  # type: ignore[return-value]


def late_feedback(self: Any, x: torch.Tensor) -> torch.Tensor:
    """Feedback that begins with the second step."""
    mem1, mem2, spk2 = self.lif1.reset_mem(), self.lif2.reset_mem(), None
    out = []
    for _ in range(STEPS):
        current = self.fc1(x)
        if spk2 is not None:
            current = current + self.back(spk2)
        spk1, mem1 = self.lif1(current, mem1)
        spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
        out.append(spk2)
    return torch.stack(out)


def shared(self: Any, x: torch.Tensor) -> torch.Tensor:
    """One module stands for two layers, each with a state."""
    mem1 = mem2 = torch.zeros(0)
    out = []
    for _ in range(STEPS):
        spk1, mem1 = self.lif(self.fc1(x), mem1 if len(mem1) else torch.zeros(x.size(0), 12))
        spk2, mem2 = self.lif(self.fc2(spk1), mem2 if len(mem2) else torch.zeros(x.size(0), 6))
        out.append(spk2)
    return torch.stack(out)


def charged(self: Any, x: torch.Tensor) -> torch.Tensor:
    """A membrane starts at other values than 0."""
    mem1, mem2 = torch.full((x.size(0), 12), 0.7), torch.linspace(-1, 0.5, 6).repeat(x.size(0), 1)
    out = []
    for _ in range(STEPS):
        spk1, mem1 = self.lif1(self.fc1(x), mem1)
        spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
        out.append(spk2)
    return torch.stack(out)


def residual(self: Any, x: torch.Tensor) -> torch.Tensor:
    """Spikes of two layers are added."""
    mem1, mem2, mem3, out = self.lif1.reset_mem(), self.mid.reset_mem(), self.lif2.reset_mem(), []
    for _ in range(STEPS):
        spk1, mem1 = self.lif1(self.fc1(x), mem1)
        spk, mem2 = self.mid(self.fc(spk1), mem2)
        _, mem3 = self.lif2(self.fc2(spk + spk1), mem3)
        out.append(mem3)
    return torch.stack(out)[-1]


def in_sequence(self: Any, x: torch.Tensor) -> Any:
    """Layers of snnTorch that take all steps at once."""
    spikes, _ = self.first(x)
    return self.second(spikes).sum(0)


def pipelined(self: Any, x: torch.Tensor) -> torch.Tensor:
    """Each layer takes what the one before sent in the step before."""
    mem1, mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
    spk1 = torch.zeros(x.size(0), 12)
    out = []
    for _ in range(STEPS):
        spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
        spk1, mem1 = self.lif1(self.fc1(x), mem1)
        out.append(spk2)
    return torch.stack(out)


CASES: dict[str, Case] = {
    "snntorch: pipelined": Case(lambda: Loop(pipelined, **{**dense(leaky), "fc2": nn.Linear(12, 6, bias=False)})),
    "snntorch: RLeaky": Case(
        lambda: Loop(
            recurrent, **{**dense(leaky), "lif1": snn().RLeaky(beta=0.8, linear_features=12, learn_beta=True)}
        ),
        readouts=COUNT,
    ),
    "snntorch: RLeaky one to one": Case(
        lambda: Loop(recurrent, **{**dense(leaky), "lif1": snn().RLeaky(beta=0.8, V=torch.rand(12), all_to_all=False)}),
        readouts=COUNT,
    ),
    "snntorch: RSynaptic": Case(
        lambda: Loop(recurrent, **{**dense(leaky), "lif1": snn().RSynaptic(alpha=0.7, beta=0.8, linear_features=12)}),
        readouts=COUNT,
    ),
    "snntorch: Synaptic": Case(
        lambda: Loop(synaptic, **dense(lambda: snn().Synaptic(alpha=0.6, beta=0.8))), readouts={"output": ("max", 1)}
    ),
    "snntorch: Lapicque": Case(
        lambda: nn.Sequential(nn.Linear(8, 6), snn().Lapicque(R=2.0, C=1.5, init_hidden=True)), states="kept"
    ),
    "snntorch: feedback": Case(
        lambda: Loop(feedback, **dense(leaky, back=nn.Linear(6, 12), skip=nn.Linear(8, 6))), readouts=COUNT
    ),
    "snntorch: feedback without bias begins late": Case(
        lambda: Loop(late_feedback, **dense(leaky, back=nn.Linear(6, 12, bias=False)))
    ),
    "snntorch: one module for two layers": Case(
        lambda: Loop(shared, fc1=nn.Linear(8, 12), fc2=nn.Linear(12, 6), lif=leaky())
    ),
    "snntorch: charged": Case(lambda: Loop(charged, **dense(leaky))),
    "snntorch: residual": Case(
        lambda: Loop(residual, **dense(leaky, fc=nn.Linear(12, 12), mid=leaky())), readouts={"output": ("last", 1)}
    ),
    "snntorch: learned per neuron": Case(
        lambda: Loop(
            recorded(lambda s, m: s),
            fc1=nn.Linear(8, 12),
            lif1=leaky(beta=torch.rand(12), threshold=torch.rand(12) + 0.5, learn_beta=True, learn_threshold=True),
            fc2=nn.Linear(12, 6),
            lif2=leaky(graded_spikes_factor=0.5),
        )
    ),
    "snntorch: in sequence": Case(
        lambda: Loop(in_sequence, first=snn().LinearLeaky(0.7, 8, 12), second=snn().LeakyParallel(12, 6, beta=0.8)),
        (8,),
        0,
        COUNT,
        fixed=False,
    ),
}

# SPDX-License-Identifier: Apache-2.0
"""Networks as users of snnTorch, Norse and SpikingJelly write them: what the reader is tried on.

Frameworks are imported where a network is built. A case says how its module is called, and what is to be read.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

__all__ = ["CASES", "REFUSED", "Case", "Loop"]

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


def image(self: Any, x: torch.Tensor) -> torch.Tensor:
    """Two convolutions and pools of currents, as in tutorial 6."""
    mem1, mem2, mem3 = self.lif1.init_leaky(), self.lif2.init_leaky(), self.lif3.init_leaky()
    out = []
    for _ in range(STEPS):
        spk1, mem1 = self.lif1(F.max_pool2d(self.conv1(x), 2), mem1)
        spk2, mem2 = self.lif2(F.max_pool2d(self.conv2(spk1), 2), mem2)
        spk3, mem3 = self.lif3(self.fc(spk2.view(x.size(0), -1)), mem3)
        out.append(spk3)
    return torch.stack(out)


def normed(self: Any, x: torch.Tensor) -> torch.Tensor:
    """Batch norm between convolution and neuron, an average pool of spikes, dropout."""
    mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
    out = []
    for _ in range(STEPS):
        spk1, mem1 = self.lif1(self.bn(self.conv(x)), mem1)
        spk2, mem2 = self.lif2(self.fc(self.drop(self.pool(spk1).flatten(1))), mem2)
        out.append(spk2)
    return torch.stack(out).sum(0)


def norm() -> nn.BatchNorm2d:
    """Return a batch norm with statistics as after training."""
    module = nn.BatchNorm2d(4)
    assert module.running_mean is not None and module.running_var is not None
    module.running_mean.uniform_(-0.1, 0.1)
    module.running_var.uniform_(0.2, 0.6)
    return module


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


def ahead(self: Any, x: torch.Tensor) -> torch.Tensor:
    """The first layer takes all steps at once, (batch, steps, features)."""
    mem1, mem2, out = self.lif1.reset_mem(), self.lif2.reset_mem(), []
    for current in self.fc1(x).permute(1, 0, 2):
        spk1, mem1 = self.lif1(torch.relu(current), mem1)
        spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
        out.append(spk2)
    return torch.stack(out, dim=1)


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


def norse() -> Any:
    """Return Norse."""
    import norse.torch

    return norse.torch


def loop_of_norse(self: Any, x: torch.Tensor) -> torch.Tensor:
    """States begin as None; the largest membrane is read."""
    s1 = s2 = None
    voltages = []
    for step in range(x.shape[0]):
        z, s1 = self.lif1(self.fc1(x[step]), s1)
        v, s2 = self.lif2(self.fc2(z), s2)
        voltages.append(v)
    return torch.max(torch.stack(voltages), 0)[0]


def recurrence_of_norse(self: Any, x: torch.Tensor) -> torch.Tensor:
    """Cells that hold their weights."""
    s1 = s2 = None
    out = []
    for _ in range(STEPS):
        z, s1 = self.lif1(x, s1)
        z, s2 = self.lif2(z, s2)
        out.append(z)
    return torch.stack(out)


def parameters(**given: float) -> Any:
    """Return parameters of a LIF of Norse that are not the usual ones."""
    numbers = {"tau_mem_inv": 150.0, "v_leak": 0.05, "v_th": 0.4, "v_reset": -0.1, **given}
    return norse().LIFParameters(**{name: torch.as_tensor(value) for name, value in numbers.items()})


def jelly() -> Any:
    """Return the neurons of SpikingJelly."""
    from spikingjelly.activation_based import neuron

    return neuron


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


COUNT = {"output": ("count", 1)}
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
    "snntorch: tutorial 6": Case(
        lambda: Loop(
            image,
            conv1=nn.Conv2d(1, 4, 3, padding=1),
            lif1=leaky(),
            conv2=nn.Conv2d(4, 4, 3, padding=1),
            lif2=leaky(),
            fc=nn.Linear(16, 6),
            lif3=leaky(),
        ),
        (1, 8, 8),
    ),
    "snntorch: batch norm": Case(
        lambda: Loop(
            normed,
            conv=nn.Conv2d(1, 4, 3, padding=1),
            bn=norm(),
            lif1=leaky(),
            pool=nn.AvgPool2d(2),
            drop=nn.Dropout(0.5),
            fc=nn.Linear(64, 6),
            lif2=leaky(),
        ),
        (1, 8, 8),
        readouts=COUNT,
    ),
    "snntorch: sequential": Case(
        lambda: nn.Sequential(
            nn.Conv2d(1, 4, 5),
            nn.MaxPool2d(2),
            leaky(init_hidden=True),
            nn.Flatten(),
            nn.Linear(16, 6),
            leaky(init_hidden=True, output=True),
        ),
        (1, 8, 8),
        states="kept",
    ),
    "snntorch: hidden states": Case(
        lambda: Loop(hidden, **dense(lambda: leaky(init_hidden=True))), readouts={"output": ("mean", 1)}
    ),
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
    "snntorch: RLeaky over images": Case(
        lambda: nn.Sequential(
            nn.Conv2d(1, 4, 3),
            snn().RLeaky(beta=0.8, conv2d_channels=4, kernel_size=3, init_hidden=True, reset_mechanism="zero"),
            nn.Flatten(),
            nn.Linear(144, 6),
            leaky(init_hidden=True),
        ),
        (1, 8, 8),
        states="kept",
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
    "snntorch: a tensor of all steps": Case(lambda: Loop(preallocated, **dense(leaky))),
    "snntorch: added up": Case(lambda: Loop(averaged, **dense(leaky)), readouts={"output": ("mean", 1)}),
    "snntorch: rate of currents": Case(lambda: Loop(rate, **dense(leaky)), readouts={"output": ("mean", 1)}),
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
    "norse: cells": Case(
        lambda: norse().SequentialState(
            nn.Linear(8, 12), norse().LIFCell(parameters()), nn.Linear(12, 6), norse().LICell()
        ),
        states="passed",
        gain=20.0,
    ),
    "norse: over time": Case(
        lambda: norse().SequentialState(
            norse().Lift(nn.Conv2d(1, 4, 3)), norse().LIF(), nn.Flatten(2), nn.Linear(144, 6), norse().LI()
        ),
        (1, 8, 8),
        0,
        gain=30.0,
        fixed=False,
    ),
    "norse: loop": Case(
        lambda: Loop(loop_of_norse, **{**dense(lambda: norse().LIFCell()), "lif2": norse().LICell()}),
        (8,),
        0,
        {"output": ("max", 1)},
        gain=30.0,
        fixed=False,
    ),
    "norse: recurrent cells": Case(
        lambda: Loop(
            recurrence_of_norse,
            lif1=norse().LIFRecurrentCell(8, 12, parameters(v_leak=0.0)),
            lif2=norse().LIFRefracRecurrentCell(12, 6),
        ),
        gain=5.0,
    ),
    "norse: without currents": Case(
        lambda: norse().SequentialState(
            nn.Linear(8, 12),
            norse().LIFBoxCell(),
            nn.Linear(12, 12),
            norse().IAFCell(),
            nn.Linear(12, 6),
            norse().LIFRefracCell(),
        ),
        states="passed",
        gain=30.0,
    ),
    "norse: feedback": Case(
        lambda: norse().RecurrentSequential(nn.Linear(8, 8), norse().LIFCell(), nn.Linear(8, 8), norse().LIFBoxCell()),
        states="passed",
        gain=30.0,
    ),
    "norse: recurrent over time": Case(
        lambda: norse().SequentialState(
            norse().LIFRecurrent(8, 12), norse().LIFRefracRecurrent(12, 6), nn.Linear(6, 6), norse().LI()
        ),
        (8,),
        0,
        gain=10.0,
        fixed=False,
    ),
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


def per_step(self: Any, x: torch.Tensor) -> torch.Tensor:
    """A batch norm for each step."""
    mem, out = self.lif1.reset_mem(), []
    for step in range(4):
        spk, mem = self.lif1(self.norms[step](self.fc1(x)), mem)
        out.append(spk)
    return torch.stack(out)


def bntt() -> nn.Module:
    """Return batch norms whose statistics differ by step."""
    norms = snn().BatchNormTT1d(12, 4)
    for step, one in enumerate(norms):
        one.running_mean = torch.full((12,), 0.1 * step)
    return Loop(per_step, fc1=nn.Linear(8, 12), lif1=leaky(), norms=norms)


def curriculum(self: Any, x: torch.Tensor) -> torch.Tensor:
    """A layer that counts from the third step on."""
    mem, out = self.lif1.reset_mem(), []
    for step in range(4):
        spk, mem = self.lif1(self.fc1(x) if step < 2 else self.other(x), mem)
        out.append(spk)
    return torch.stack(out)


def decaying(self: Any, x: torch.Tensor) -> torch.Tensor:
    """A constant that differs by step."""
    mem, out = self.lif1.reset_mem(), []
    for step in range(4):
        spk, mem = self.lif1(self.fc1(x) * 0.9**step, mem)
        out.append(spk)
    return torch.stack(out)


def decides(self: Any, x: torch.Tensor) -> torch.Tensor:
    """Go on only while something spikes."""
    mem, out = self.lif1.reset_mem(), []
    for _ in range(4):
        spk, mem = self.lif1(self.fc1(x), mem)
        out.append(spk)
        if spk.sum() == 0:
            break
    return torch.stack(out)


def draws(self: Any, x: torch.Tensor) -> torch.Tensor:
    """Encode the sample inside of the network."""
    from snntorch import spikegen

    mem, out = self.lif1.reset_mem(), []
    for spikes in spikegen.rate(x, num_steps=4):
        spk, mem = self.lif1(self.fc1(spikes), mem)
        out.append(spk)
    return torch.stack(out)


def crossed(self: Any, x: torch.Tensor) -> torch.Tensor:
    """Two neurons exchange their states."""
    mem1, mem2, out = torch.zeros(x.size(0), 12), torch.zeros(x.size(0), 12), []
    for _ in range(4):
        spk1, mem2 = self.lif1(self.fc1(x), mem1)
        spk2, mem1 = self.lif2(spk1, mem2)
        out.append(spk2)
    return torch.stack(out)


def forgets(self: Any, x: torch.Tensor) -> torch.Tensor:
    """One step, whose state starts anew in every call."""
    spk: torch.Tensor = self.lif1(self.fc1(x), self.lif1.reset_mem())[0]
    return spk


def forgets_hidden(self: Any, x: torch.Tensor) -> Any:
    """One step, whose hidden state starts anew in every call."""
    from snntorch import utils

    utils.reset(self)
    return self.lif1(self.fc1(x))


def altered(self: Any, x: torch.Tensor) -> torch.Tensor:
    """A membrane that is halved between steps."""
    mem, out = self.lif1.reset_mem(), []
    for _ in range(4):
        spk, mem = self.lif1(self.fc1(x), mem * 0.5)
        out.append(spk)
    return torch.stack(out)


def remembers(self: Any, x: torch.Tensor) -> torch.Tensor:
    """The membrane stays in an attribute."""
    spk, self.mem = self.lif1(self.fc1(x), getattr(self, "mem", None))
    result: torch.Tensor = spk
    return result


def odd(self: Any, x: torch.Tensor) -> torch.Tensor:
    """A result that is no readout."""
    mem, out = self.lif1.reset_mem(), []
    for _ in range(4):
        spk, mem = self.lif1(self.fc1(x), mem)
        out.append(spk)
    return torch.stack(out).std(0)


def product(self: Any, x: torch.Tensor) -> torch.Tensor:
    """Spikes gate spikes."""
    mem1, mem2, out = self.lif1.reset_mem(), self.lif2.reset_mem(), []
    for _ in range(4):
        spk1, mem1 = self.lif1(self.fc1(x), mem1)
        spk2, mem2 = self.lif2(torch.sigmoid(spk1) * spk1, mem2)
        out.append(spk2)
    return torch.stack(out)


class Needs(nn.Module):
    """One step whose states are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(8, 12), leaky()

    def forward(self, x: torch.Tensor, mem1: torch.Tensor) -> Any:
        """Return (spikes, membrane)."""
        return self.lif1(self.fc1(x), mem1)


def functional() -> nn.Module:
    """Return a network of Norse's functions, without modules."""
    n = norse()

    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        state, out = n.LIFFeedForwardState(v=torch.zeros(1), i=torch.zeros(1)), []
        for _ in range(4):
            spk, state = n.lif_feed_forward_step(self.fc1(x), state, n.LIFParameters())
            out.append(spk)
        return torch.stack(out)

    return Loop(forward, fc1=nn.Linear(8, 12))


def one(forward: Callable[..., Any], **options: Any) -> Callable[[], nn.Module]:
    """Return the builder of a network of one layer, or two."""
    return lambda: Loop(
        forward, fc1=nn.Linear(8, 12), lif1=leaky(**options), lif2=leaky(**options), other=nn.Linear(8, 12)
    )


def alone(make: Callable[[], Any]) -> Callable[[], nn.Module]:
    """Return the builder of a network that ends with a neuron."""
    return lambda: nn.Sequential(nn.Linear(8, 12), make())


# What is refused, and a part of the message.
REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "a batch norm for each step": (bntt, "'lif1' is wired otherwise in step 2 than in step 1"),
    "a curriculum": (one(curriculum), "module 'other'"),
    "a constant for each step": (one(decaying), "aten.mul.Tensor"),
    "a branch on data": (one(decides), "decides by the values of the data"),
    "random numbers": (one(draws), "spikegen.py:437: spike_data = torch.bernoulli(clipped_data)"),
    "crossed states": (one(crossed), "states are crossed: 'lif2' is given the state of 'lif1'"),
    "states that start anew": (one(forgets), "starts anew in each call ('lif1')"),
    "hidden states that start anew": (one(forgets_hidden, init_hidden=True), "starts anew in each call ('lif1')"),
    "a state that is altered": (one(altered), "'lif1' is not given the state that it had in the step before"),
    "a state in an attribute": (one(remembers), "in an attribute of its own"),
    "a result that is no readout": (one(odd), "how the result 'output' comes from the steps"),
    "an operator": (one(product), "aten.sigmoid.default"),
    "states that are asked for": (Needs, "forward of Needs: missing a required argument: 'mem1'"),
    "functions": (functional, "holds no spiking neurons"),
    "feedback with a bias that begins late": (
        lambda: Loop(late_feedback, **dense(leaky, back=nn.Linear(6, 12))),
        "'lif1' is wired otherwise in step 0 than later",
    ),
    "Alpha": (alone(lambda: snn().Alpha(alpha=0.9, beta=0.8)), "'1' (Alpha): its two currents"),
    "SLSTM": (alone(lambda: snn().SLSTM(12, 12)), "'1' (SLSTM): it is an LSTM"),
    "SConv2dLSTM": (alone(lambda: snn().SConv2dLSTM(1, 1, 3)), "'1' (SConv2dLSTM): it is an LSTM"),
    "state_quant": (alone(lambda: leaky(state_quant=lambda x: x)), "state_quant rounds states"),
    "spikes of chance": (
        alone(lambda: leaky(spike_grad=lambda x: (x > torch.randn_like(x)).float())),
        "its spike_grad is not the step function",
    ),
    "a negative threshold": (alone(lambda: leaky(threshold=-0.1)), "its threshold is negative (-0.1)"),
    "RSynaptic without delay": (
        alone(lambda: snn().RSynaptic(alpha=0.9, beta=0.9, linear_features=12, reset_delay=False, init_hidden=True)),
        "reset_delay=False with init_hidden=True raises",
    ),
    "a truncated kernel": (
        alone(lambda: snn().StateLeaky(beta=0.9, channels=12, kernel_truncation_steps=3)),
        "kernel_truncation_steps forgets",
    ),
    "full hidden weights": (
        alone(lambda: snn().LeakyParallel(12, 12, weight_hh_enable=True)),
        "its hidden weights are not diagonal",
    ),
    "LSNN": (alone(lambda: norse().LSNNCell()), "'1' (LSNNCell): its threshold adapts"),
    "LIFAdEx": (alone(lambda: norse().LIFAdExCell()), "'1' (LIFAdExCell): use LIFCell"),
    "step_mode m": (alone(lambda: jelly().IFNode(step_mode="m")), "its step_mode is 'm'"),
    "EIFNode": (alone(lambda: jelly().EIFNode()), "'1' (EIFNode): use IFNode"),
}

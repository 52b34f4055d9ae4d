# SPDX-License-Identifier: Apache-2.0
"""Networks that are no step, or that hold neurons which cannot be read."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from spiking_networks.make import Loop, dense, jelly, leaky, norse, snn
from spiking_networks.wiring import late_feedback

__all__ = ["REFUSED"]


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


def charged(self: Any, x: torch.Tensor) -> torch.Tensor:
    """A membrane that starts as if a spike had been."""
    mem, out = torch.full((x.size(0), 12), 1.5), []
    for _ in range(4):
        spk, mem = self.lif1(self.fc1(x), mem)
        out.append(spk)
    return torch.stack(out)


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


def broken() -> nn.Module:
    """Return a recurrent network whose training diverged."""
    neuron = snn().RLeaky(beta=0.9, linear_features=12, init_hidden=True)
    nn.init.constant_(neuron.recurrent.weight, float("nan"))
    return nn.Sequential(nn.Linear(8, 12), neuron)


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
    "a membrane above its threshold": (one(charged), "its membrane starts above its threshold"),
    "a state that is altered": (one(altered), "'lif1' is not given the state that it had in the step before"),
    "a state in an attribute": (one(remembers), "in an attribute of its own"),
    "a result that is no readout": (one(odd), "how the result 'output' comes from the steps"),
    "an operator": (one(product), "a product of two computed values"),
    "states that are asked for": (Needs, "forward of Needs: missing a required argument: 'mem1'"),
    "functions": (functional, "holds no spiking neurons"),
    "feedback with a bias that begins late": (
        lambda: Loop(late_feedback, **dense(leaky, back=nn.Linear(6, 12))),
        "'lif1' is wired otherwise in step 0 than later",
    ),
    "feedback of NaN": (broken, "takes NaN or infinity: the training diverged, or the weights file is broken"),
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

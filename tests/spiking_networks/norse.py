# SPDX-License-Identifier: Apache-2.0
"""Networks of Norse."""

from typing import Any

import torch
from torch import nn

from spiking_networks.make import STEPS, Case, Loop, dense, norse

__all__ = ["CASES"]


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


CASES: dict[str, Case] = {
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
}

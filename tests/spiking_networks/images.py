# SPDX-License-Identifier: Apache-2.0
"""Networks of snnTorch over images."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from spiking_networks.make import COUNT, STEPS, Case, Loop, leaky, snn

__all__ = ["CASES"]


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


CASES: dict[str, Case] = {
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
}

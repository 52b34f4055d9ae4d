# SPDX-License-Identifier: Apache-2.0
"""One sample, one thread: spiking networks in integers beside the package itself, in one process, alternately.

    python benchmarks/spiking_latency.py

Networks of the shape of snnTorch's tutorial 5 (784-1000-10, 25 steps, pixels as current), a recurrent one (784-100-10,
RLeaky), and both of Norse's LIFCell, trained for one pass over 6,000 images of Fashion-MNIST; test images are timed.
"""

import statistics
import time
from typing import Any

import norse.torch as norse
import numpy as np
import snntorch as snn
import torch
from record import record
from torch import nn

from spikerun import convert_spiking, datasets
from spikerun.session import Session

NAME = "spiking_latency"
STEPS, REPEAT, TRAINED = 25, 60, 6000


class Net(nn.Module):
    """Two layers with a loop of their own; `hidden` neurons, recurrent or not."""

    def __init__(self, hidden: int, recurrent: bool) -> None:
        super().__init__()
        self.fc1, self.fc2, self.lif2 = nn.Linear(784, hidden), nn.Linear(hidden, 10), snn.Leaky(beta=0.95)
        self.lif1 = snn.RLeaky(beta=0.9, linear_features=hidden) if recurrent else snn.Leaky(beta=0.95)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the membranes of all steps while it is trained, then the spikes."""
        state: tuple[torch.Tensor, ...] = self.lif1.reset_mem()
        state = state if isinstance(state, tuple) else (state,)
        mem2, found = self.lif2.reset_mem(), []
        for _ in range(STEPS):
            spikes, *state = self.lif1(self.fc1(x), *state)
            state = [spikes, *state] if isinstance(self.lif1, snn.RLeaky) else state
            sent, mem2 = self.lif2(self.fc2(spikes), mem2)
            found.append(mem2 if self.training else sent)
        return torch.stack(found)


class Cells(nn.Module):
    """The same of Norse's cells; the result is the largest membrane."""

    def __init__(self, hidden: int, recurrent: bool) -> None:
        super().__init__()
        parameters = norse.LIFParameters(v_th=torch.tensor(0.5))
        self.fc1, self.fc2, self.li = nn.Linear(784, hidden), nn.Linear(hidden, 10), norse.LICell()
        self.lif = norse.LIFRecurrentCell(hidden, hidden, parameters) if recurrent else norse.LIFCell(parameters)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the largest membranes, as one step of results."""
        lif = li = None
        found = []
        for _ in range(STEPS):
            spikes, lif = self.lif(self.fc1(x), lif)
            membrane, li = self.li(self.fc2(spikes), li)
            found.append(membrane)
        return torch.stack(found).max(dim=0, keepdim=self.training).values


def trained(net: nn.Module, train: Any) -> nn.Module:
    """Return the network after one pass over a part of the data."""
    x, y = torch.tensor(train.real()[:TRAINED]).flatten(1), torch.tensor(train.labels[:TRAINED])
    optimiser = torch.optim.Adam(net.parameters(), 1e-3)
    for first in range(0, TRAINED, 100):
        optimiser.zero_grad()
        membranes = net(x[first : first + 100])
        loss = sum(nn.functional.cross_entropy(one, y[first : first + 100]) for one in membranes)
        loss.backward()  # type: ignore[union-attr]
        optimiser.step()
    return net.eval()


def main() -> None:
    """Train, convert, time alternately, record medians and their ratio."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    train, test = (datasets.load("fashion-mnist", split=part) for part in ("train", "test"))
    nets = {
        "tutorial 5": Net(1000, False), "recurrent": Net(100, True), "Norse": Cells(1000, False),
        "Norse, recurrent": Cells(100, True),
    }  # fmt: skip
    for name, net in nets.items():
        trained(net, train)
        conversion = convert_spiking(net, train.samples[:64].reshape(64, -1))
        session = Session(conversion.network, threads=1)
        ours, theirs = [], []
        for k in range(REPEAT):
            sample = test.samples[k : k + 1].reshape(1, -1)
            real = torch.tensor(sample.astype(np.float32) / 255)
            begin = time.perf_counter()
            session.run(sample)
            middle = time.perf_counter()
            with torch.inference_mode():
                net(real)
            ours.append(1e3 * (middle - begin))
            theirs.append(1e3 * (time.perf_counter() - middle))
        record(NAME, f"{name}: integers, p50", round(statistics.median(ours), 3), "ms")
        record(NAME, f"{name}: the package itself, p50", round(statistics.median(theirs), 3), "ms")
        record(
            NAME, f"{name}: package over integers", round(statistics.median(theirs) / statistics.median(ours), 1), "x"
        )


if __name__ == "__main__":
    main()

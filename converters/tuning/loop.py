# SPDX-License-Identifier: Apache-2.0
"""The training itself: layers of a conversion learn from the trained network, and pay for their spikes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikerun.converters.examples import Batch, Examples
from spikerun.converters.graph import Array
from spikerun.converters.layers import Layers
from spikerun.converters.quantise import Quantised
from spikerun.converters.resuming import Judged
from spikerun.converters.training import distilled
from spikerun.converters.tuning.links import Links
from spikerun.converters.tuning.module import Passed, TunedLayers
from spikerun.network import Network

__all__ = ["OBJECTIVES", "Loop", "weighed"]

OBJECTIVES = ("synops", "events", "spikes", "latency")
RAMP = 0.3  # of the steps, over which the price rises to its full height


@dataclass
class Loop:
    """A module that is trained, and what it pays.

    objective: of OBJECTIVES. unit: what costs are divided by, MACs or neurons; price: of one unit. judged: of what was
    held out at the last judgement, right (N,) bool of the module and of the network that it learns from.
    """

    module: TunedLayers
    examples: Examples
    objective: str
    unit: float
    price: float = 0.0
    ramp: float = RAMP
    weight: float = 2.0
    smoothing: float = 0.05
    right: tuple[Array, Array] | None = None

    def groups(self) -> list[dict[str, Any]]:
        """Return the parameters as an optimiser takes them: none decays, for weights are held by how they have moved."""
        return [{"params": [p for p in self.module.parameters() if p.requires_grad], "weight_decay": 0.0}]

    def cost(self, passed: Passed) -> Tensor:
        """Return what each sample costs, in units, (B,)."""
        counts = passed.events if self.objective in ("events", "latency") else passed.spikes
        return torch.stack(list(counts.values())).sum(0) / self.unit

    def loss(self, batch: Batch, progress: float) -> Tensor:
        """Return what is to become less: the error beside the trained network, and the price of spikes."""
        teacher = _first(self.module.real(batch.x))
        passed = self.module(batch.x, self.objective in ("events", "latency"))
        price = self.price * (min(1.0, progress / self.ramp) if self.ramp else 1.0)
        error = distilled(_first(passed.logits), teacher, batch.labels, self.smoothing, self.weight)
        return error + price * self.cost(passed).mean()

    @torch.no_grad()
    def judge(self) -> Judged:
        """Return how the module does on what is held out, and what it costs."""
        own, teacher, cost, score = [], [], [], []
        for batch in self.examples.held_batches():
            passed = self.module(batch.x)
            mine, theirs = _first(passed.logits), _first(self.module.real(batch.x))
            cost.append(self.cost(passed))
            labels = theirs.argmax(1) if batch.labels is None or self.examples.real else batch.labels
            own.append(mine.argmax(1) == labels)
            teacher.append(theirs.argmax(1) == labels)
        self.right = tuple(torch.cat(x).float().cpu().numpy() for x in (own, teacher))  # type: ignore[assignment]
        drop = 100 * float((self.right[1] - self.right[0]).mean())
        return Judged({"drop": drop, self.objective: float(torch.cat(cost).mean())})


def _first(logits: Mapping[str, Tensor]) -> Tensor:
    found = next(iter(logits.values()))
    return found.flatten(1) if found.ndim > 2 and found.shape[2:].numel() == 1 else found


def weighed(network: Network, objective: str) -> dict[str, Array]:
    """Return what a spike of each population counts, (*shape) by name: its fan-out; as `spikes`, one."""
    found = {}
    for name, population in network.populations.items():
        links = network.out_of(name)
        if not population.neuron.fires or not links:
            continue
        fan_out = sum(np.broadcast_to(np.asarray(l.connection.fan_out(population.shape)), population.shape) for l in links)
        if objective == "spikes":
            fan_out = np.zeros(population.shape) if population.neuron.is_input else np.ones(population.shape)
        if np.any(fan_out):
            found[name] = np.asarray(fan_out, np.float64)
    return found

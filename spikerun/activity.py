# SPDX-License-Identifier: Apache-2.0
"""What a run cost: spikes and synaptic operations, counted for every population."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spikerun.network import Network

__all__ = ["Activity", "PopulationActivity"]


@dataclass(frozen=True)
class PopulationActivity:
    """Totals over all samples of a run. synops: spikes times the synapses that each one reaches.

    inner: it is neither an input nor silent by its kind, as readouts are.
    """

    kind: str
    neurons: int
    spikes: int
    synops: int
    inner: bool = True


@dataclass(frozen=True)
class Activity:
    """Spikes and synaptic operations of `samples` samples, by population.

    The spikes of an input in code `bits` are the set bits of its integers. Comparisons of max pooling are no synaptic
    operations; the spikes that it passes on are spikes of its population. macs, dense: of one sample, see `Network`.
    """

    samples: int
    populations: dict[str, PopulationActivity]
    macs: int | None
    dense: int

    @staticmethod
    def of(net: Network, samples: int, counted: Mapping[str, Sequence[int]]) -> "Activity":
        """Return the activity from (spikes, synaptic operations) of each population that sends any."""
        populations = {}
        for name, p in net.populations.items():
            inner = p.neuron.fires and not p.neuron.is_input
            spikes, synops = counted.get(name, (0, 0))
            populations[name] = PopulationActivity(p.neuron.kind, p.size, spikes, synops, inner)
        return Activity(samples, populations, net.macs, net.dense)

    @property
    def spikes_per_neuron(self) -> float:
        """Return the mean number of spikes that a neuron sends for one sample (inputs and readouts left out)."""
        inner = [p for p in self.populations.values() if p.inner]
        neurons = sum(p.neurons for p in inner)
        return sum(p.spikes for p in inner) / (neurons * self.samples) if neurons and self.samples else 0.0

    @property
    def synops_per_sample(self) -> float:
        """Return the mean number of synaptic operations for one sample, those of the input included."""
        return sum(p.synops for p in self.populations.values()) / self.samples if self.samples else 0.0

    @property
    def synops_per_mac(self) -> float | None:
        """Return synaptic operations over the MACs of the ANN; None where there was none."""
        return self.synops_per_sample / self.macs if self.macs else None

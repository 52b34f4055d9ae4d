# SPDX-License-Identifier: Apache-2.0
"""What a population keeps in memory, by the contract; targets say what they take in all."""

from dataclasses import dataclass

import numpy as np

from spikerun.network import Network

__all__ = ["NONE", "Memory", "memory_of", "memory_of_all"]


@dataclass(frozen=True)
class Memory:
    """Bytes. weights: int8, of the projections into it; parameters: gains, places, thresholds, biases; state: membranes
    and all else that it keeps from step to step.
    """

    weights: int
    parameters: int
    state: int

    def __add__(self, other: "Memory") -> "Memory":
        return Memory(self.weights + other.weights, self.parameters + other.parameters, self.state + other.state)


NONE = Memory(0, 0, 0)


def memory_of(net: Network, name: str) -> Memory:
    """Return what the population `name` takes, and the projections into it."""
    population, kept = net.populations[name], net.kept(name)
    arrays = [value for link in net.into(name) for _, value in link.connection.parameters()]
    sizes = [value.nbytes for value in arrays if isinstance(value, np.ndarray)]
    weights = sum(link.connection.weights for link in net.into(name))
    parameters = sum(sizes) - weights + sum(value.nbytes for value in population.neuron.arrays().values())
    state = population.neuron.initial(population.shape, net.taps(name))
    return Memory(weights, parameters, sum(v.size * np.dtype(kept[key]).itemsize for key, v in state.items()))


def memory_of_all(net: Network) -> Memory:
    """Return what all populations take."""
    return sum((memory_of(net, name) for name in net.populations), NONE)

# SPDX-License-Identifier: Apache-2.0
"""What a population keeps in memory, by the contract; targets say what they take in all."""

from dataclasses import astuple, dataclass

import numpy as np

from spikerun.kernels.synapses import BYTES, to_draw
from spikerun.network import Network

__all__ = ["NONE", "Memory", "drawn", "memory_of", "memory_of_all", "words_of"]


@dataclass(frozen=True)
class Memory:
    """Bytes. weights: int8, of the projections into it; parameters: gains, places, thresholds, tables, biases; state:
    membranes and all else that it keeps from step to step; words: what it sends, on its way, of as many bits as it has.
    """

    weights: int
    parameters: int
    state: int
    words: int

    @property
    def total(self) -> int:
        """Return all of it."""
        return self.weights + self.parameters + self.state + self.words

    def __add__(self, other: "Memory") -> "Memory":
        return Memory(*(one + more for one, more in zip(astuple(self), astuple(other), strict=True)))


NONE = Memory(0, 0, 0, 0)


def memory_of(net: Network, name: str) -> Memory:
    """Return what the population `name` takes, and the projections into it."""
    population, kept = net.populations[name], net.kept(name)
    arrays = [value for link in net.into(name) for _, value in link.connection.parameters()]
    sizes = [value.nbytes for value in arrays if isinstance(value, np.ndarray)]
    weights = sum(link.connection.weights for link in net.into(name))
    parameters = sum(sizes) - weights + sum(value.nbytes for value in population.neuron.arrays().values())
    state = population.neuron.initial(population.shape, net.taps(name))
    held = sum(v.size * np.dtype(kept[key]).itemsize for key, v in state.items())
    word = net.sender_of(name)
    return Memory(weights, parameters, held, 0 if word is None else words_of(population.size, word.bits))


def drawn(net: Network) -> tuple[int, int]:
    """Return how many synapses follow from seeds, and the bytes that they take where they are listed to be run."""
    synapses = sum(to_draw(dict(link.connection.parameters())) for link in net.links)
    return synapses, synapses * BYTES


def words_of(neurons: int, bits: int) -> int:
    """Return the bytes of one word of each neuron."""
    return -(-neurons * bits // 8)


def memory_of_all(net: Network) -> Memory:
    """Return what all populations take."""
    return sum((memory_of(net, name) for name in net.populations), NONE)

# SPDX-License-Identifier: Apache-2.0
"""What awkward networks are made of, and the samples that they are given."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from spikerun.codes import word_range
from spikerun.connections import Connection
from spikerun.inputs import sample_shape
from spikerun.network import Network, Population, Projection
from spikerun.neurons import Input, Neuron

Array = np.ndarray[Any, Any]
Make = Callable[[], Network]
NETWORKS: dict[str, Make] = {}
Link = tuple[Any, ...]  # the arguments of a Projection


def awkward(make: Make) -> Make:
    """Put a network into the table, by the name of its function."""
    NETWORKS[make.__name__] = make
    return make


def samples(net: Network, seed: int = 0) -> dict[str, Array]:
    """Return, for each input, silence, its largest and smallest values, and random ones: (7, ...)."""
    rng = np.random.default_rng(seed)
    found = {}
    for name in net.inputs:
        neuron = net.populations[name].neuron
        assert isinstance(neuron, Input)
        low, high = word_range(neuron.bits, neuron.signed)
        shape = sample_shape(net, name)
        density = np.array([0.1, 0.5, 1, 1]).reshape(-1, *[1] * len(shape))
        random = np.where(rng.random((4, *shape)) < density, rng.integers(low, high + 1, (4, *shape)), 0)
        extremes = np.stack([np.zeros(shape, np.int64), np.full(shape, high), np.full(shape, low)])
        found[name] = np.concatenate([extremes, random])
    return found


def weights(seed: int, *shape: int) -> Array:
    """Return int8 weights, the extremes among them."""
    drawn = np.random.default_rng(seed).integers(-128, 128, shape).astype(np.int8)
    drawn.flat[0], drawn.flat[-1] = -128, 127
    return drawn


def network(
    populations: dict[str, tuple[Any, Neuron]], links: Sequence[Link], outputs: Sequence[str], window: int = 8
) -> Network:
    """Return a network of (shape, neuron) by name and projections as tuples."""
    return Network(
        {name: Population(shape, neuron) for name, (shape, neuron) in populations.items()},
        [Projection(*link) for link in links],
        outputs,
        window,
    )


def chain(source: tuple[Any, Input], *layers: tuple[Any, Neuron, Connection], window: int = 8) -> Network:
    """Return populations `in`, `p0`, `p1`, ..., each behind the one before; the last one is the output."""
    names = ["in", *(f"p{k}" for k in range(len(layers)))]
    populations: dict[str, tuple[Any, Neuron]] = {"in": source}
    populations |= {name: (shape, neuron) for name, (shape, neuron, _) in zip(names[1:], layers, strict=True)}
    links = [(a, b, layer[2]) for a, b, layer in zip(names, names[1:], layers, strict=False)]
    return network(populations, links, names[-1:], window)


def ints(*values: int) -> Array:
    """Return an int32 array; one value is for all neurons."""
    return np.array(values[0] if len(values) == 1 else values, np.int32)

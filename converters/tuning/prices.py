# SPDX-License-Identifier: Apache-2.0
"""What a spike costs, by what a network shall be cheap."""

import numpy as np

from spikerun.converters.graph import Array
from spikerun.network import Network

__all__ = ["OBJECTIVES", "weighed"]

OBJECTIVES = ("synops", "events", "spikes", "latency")


def weighed(network: Network, objective: str) -> dict[str, Array]:
    """Return what a spike of each population counts, (*shape) by name: its fan-out; by `spikes` one, of inputs 0."""
    found = {}
    for name, population in network.populations.items():
        links = network.out_of(name)
        if not population.neuron.fires or not links:
            continue
        each = [np.broadcast_to(link.connection.fan_out(population.shape), population.shape) for link in links]
        counts: Array = np.array(each, np.float64).sum(axis=0).reshape(population.shape)
        if objective == "spikes":
            counts = np.full(population.shape, 0.0 if population.neuron.is_input else 1.0)
        if counts.any():
            found[name] = counts
    return found

# SPDX-License-Identifier: Apache-2.0
"""Several inputs, outputs in the middle, slices, sums, and names."""

from typing import Any

import numpy as np
from conformance.awkward.make import awkward, chain, ints, network, weights

from spikerun.connections import Conv, Dense, Diagonal, Sparse, SumPool
from spikerun.network import Network
from spikerun.neurons import FewSpikes, Input, Neuron, Readout


@awkward
def several_inputs() -> Network:
    populations: dict[str, tuple[Any, Neuron]] = {
        "a": (3, Input(8)),
        "b": ((2, 3, 3), Input(3, "ttfs")),
        "c": (4, Input(1, "spikes")),
        "d": (2, Input(5, "graded", signed=True)),
        "out": (5, FewSpikes(6, ints(300), signed=True)),
    }
    sizes = {"a": 3, "b": 18, "c": 4, "d": 2}
    return network(populations, [(name, "out", Dense(weights(n, n, 5))) for name, n in sizes.items()], ["out"])


@awkward
def slices_and_sums() -> Network:
    few = FewSpikes(4, np.arange(100, 700, 100, dtype=np.int32))
    populations: dict[str, tuple[Any, Neuron]] = {
        "in": ((2, 4, 4), Input()),
        "joined": ((6, 4, 4), few),
        "out": (3, Readout()),
    }
    links = [
        ("in", "joined", Conv(weights(1, 2, 2, 3, 3), padding=1), 0, (0, 2)),
        ("in", "joined", Diagonal(ints(70, -70)), 0, (4, 6)),
        ("in", "joined", Dense(weights(2, 32, 48)), 0, (1, 4)),
        ("in", "joined", SumPool(1, 1, gain=ints(9)), 0, (3, 5)),
        ("joined", "out", Dense(weights(3, 96, 1)), 0, (2, 3)),
        ("joined", "out", Dense(weights(4, 96, 2)), 0, (0, 2)),
    ]
    return network(populations, links, ["out", "joined"])


@awkward
def the_same_projection_twice() -> Network:
    populations: dict[str, tuple[Any, Neuron]] = {"in": (3, Input()), "a": (4, FewSpikes(5, ints(50)))}
    dense = Dense(weights(1, 3, 4))
    return network(populations, [("in", "a", dense), ("in", "a", dense)], ["a"])


@awkward
def outputs_in_the_middle() -> Network:
    few = FewSpikes(5, ints(90))
    populations: dict[str, tuple[Any, Neuron]] = {"in": (3, Input()), "a": (4, few), "b": (4, few), "r": (2, Readout())}
    links = [
        ("in", "a", Dense(weights(1, 3, 4))),
        ("a", "b", Dense(weights(2, 4, 4))),
        ("a", "r", Dense(weights(3, 4, 2))),
    ]
    return network(populations, links, ["a", "r", "b", "in"])


@awkward
def names_inside_names() -> Network:
    few = FewSpikes(4, ints(60))
    populations: dict[str, tuple[Any, Neuron]] = {
        "h": (3, Input()),
        "h.v": (4, few),
        "h.v.v": (4, few),
        "H": (4, few),
        "h_v": (2, Readout()),
    }
    links = [
        ("h", "h.v", Dense(weights(1, 3, 4))),
        ("h.v", "h.v.v", Dense(weights(2, 4, 4))),
        ("h", "H", Dense(weights(3, 3, 4))),
        ("H", "h_v", Dense(weights(4, 4, 2))),
        ("h.v.v", "h_v", Dense(weights(5, 4, 2))),
    ]
    return network(populations, links, ["h_v"])


@awkward
def rows_without_entries() -> Network:
    some = Sparse(np.array([0, 0, 2, 2, 2, 3], np.int64), ints(3, 0, 3), np.array([-128, 127, 5], np.int8), 4)
    none = Sparse(np.zeros(5, np.int64), ints(), np.zeros(0, np.int8), 3)
    return chain(
        (5, Input()),
        (4, FewSpikes(4, ints(80)), some),
        (3, FewSpikes(3, ints(2), ints(5, -5, 30)), none),
        (2, Readout(), Dense(weights(1, 3, 2))),
    )


@awkward
def entries_that_repeat() -> Network:
    """Two synapses of one neuron with the same target add up."""
    twice = Sparse(np.array([0, 3, 4], np.int64), ints(1, 1, 0, 1), np.array([100, 27, -128, -1], np.int8), 2)
    return chain((2, Input()), (2, FewSpikes(6, ints(300)), twice))

# SPDX-License-Identifier: Apache-2.0
"""Chains of 500, 1,000 and 2,000 populations: what preparing them takes, in seconds of the processor."""

import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from record import record

from spikerun.connections import Dense
from spikerun.edge.mcu.model import compose
from spikerun.edge.mcu.printer import source
from spikerun.file import load, save
from spikerun.network import Network, Population, Projection
from spikerun.neurons import IF, FewSpikes, Input, Neuron, Readout
from spikerun.session import Session

NAME = "scaling"
LENGTHS = (500, 1000, 2000)
REPEATS = 3


def chain(length: int, neuron: Neuron, given: Input) -> Network:
    """Return so many populations of eight neurons, one behind the other."""
    ones = Dense(np.ones((8, 8), np.int8))
    populations = {"in": Population((8,), given)}
    populations |= {f"p{k}": Population((8,), neuron) for k in range(length)}
    populations["out"] = Population((8,), Readout())
    projections = [Projection(a, b, ones) for a, b in pairwise(populations)]
    return Network(populations, projections, ["out"], 4)


def seconds(call: Callable[[], Any]) -> float:
    """Return the shortest time of a call."""
    times = []
    for _ in range(REPEATS):
        begin = time.process_time()
        call()
        times.append(time.process_time() - begin)
    return min(times)


def main() -> None:
    """Measure words and plain spikes."""
    kinds = {"words": (FewSpikes(4, np.int32(30)), Input(4)), "spikes": (IF(np.int32(30)), Input(1, "spikes"))}
    for kind, (neuron, given) in kinds.items():
        for length in LENGTHS:
            net = chain(length, neuron, given)
            what = f"{kind}, {length} populations"
            record(NAME, f"{what}: session", seconds(lambda net=net: Session(net)), "s")  # type: ignore[misc]
            record(NAME, f"{what}: stream", seconds(lambda net=net: Session(net).stream()), "s")  # type: ignore[misc]
            record(NAME, f"{what}: C", seconds(lambda net=net: source(compose(net)).text), "s")  # type: ignore[misc]
            with tempfile.TemporaryDirectory() as folder:
                path = save(net, Path(folder) / "chain.snn")
                record(NAME, f"{what}: load", seconds(lambda path=path: load(path)), "s")  # type: ignore[misc]
                record(NAME, f"{what}: save", seconds(partial(save, net, path, force=True)), "s")


if __name__ == "__main__":
    main()

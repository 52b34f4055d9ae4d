# SPDX-License-Identifier: Apache-2.0
"""A stream of camera events: 1,000 in each millisecond, pushed one millisecond at a time.

The network has the shapes of the one for N-MNIST in NIR's paper: 2x34x34 events, convolutions to 16, 16 and 8 channels,
sums over 2x2, 256 and 10 integrate-and-fire neurons; random weights, thresholds by which one or two of ten
neurons spike in a step.
"""

import time

import numpy as np
from record import record
from turns import Array

from spikerun import IF, Conv, Dense, Input, Network, Population, Projection, Readout, Session, SumPool
from spikerun.kernels.cpu.native import isa

__all__ = ["least", "measure"]

EVENTS, STEP_US = 1000, 1000
CHUNKS, FIRST = 2000, 100
OFTEN = 0.1
SETTLED = 6  # steps after which thresholds of a layer are chosen
SHAPES = {"conv0": (16, 16, 16), "conv1": (16, 16, 16), "pool1": (16, 8, 8), "conv2": (8, 8, 8), "pool2": (8, 4, 4),
          "dense": (256,), "classes": (10,)}  # fmt: skip


def chunks(count: int, first: int = 0) -> list[Array]:
    """Return random events, those of a millisecond each."""
    rng = np.random.default_rng(first)
    found = []
    for k in range(first, first + count):
        events = np.zeros(EVENTS, dtype=[("t", "i8"), ("x", "i8"), ("y", "i8"), ("p", "i8")])
        events["t"] = k * STEP_US + np.sort(rng.integers(0, STEP_US, EVENTS))
        for name, end in (("x", 34), ("y", 34), ("p", 2)):
            events[name] = rng.integers(0, end, EVENTS)
        found.append(events)
    return found


def network() -> Network:
    """Return the network; a threshold is chosen at a time, by what the membranes before it reach."""
    thresholds: dict[str, int] = {}
    for name in SHAPES:
        if not name.startswith("pool"):
            thresholds[name] = _threshold(thresholds, name)
    return _built(thresholds)


def _threshold(known: dict[str, int], name: str) -> int:
    """Return a threshold of which a share of neurons is over after some steps."""
    high = 2**22
    stream = Session(_built({**known, name: high}, until=name), threads=1).stream(STEP_US)
    for chunk in chunks(SETTLED):
        stream.push(chunk)
    reached = np.asarray(stream.membrane(name), np.float64) / SETTLED
    return max(1, round(float(np.quantile(reached, 1 - OFTEN / 2)) * 2))


def _built(thresholds: dict[str, int], until: str = "classes") -> Network:
    rng = np.random.default_rng(3)

    def weights(*shape: int) -> Array:
        return np.clip(np.rint(rng.normal(0, 30, shape)), -127, 127).astype(np.int8)

    connections = {
        "conv0": Conv(weights(16, 2, 5, 5), stride=2, padding=1), "conv1": Conv(weights(16, 16, 3, 3), padding=1),
        "pool1": SumPool(2, 2), "conv2": Conv(weights(8, 16, 3, 3), padding=1), "pool2": SumPool(2, 2),
        "dense": Dense(weights(128, 256)), "classes": Dense(weights(256, 10)),
    }  # fmt: skip
    populations = {"camera": Population((2, 34, 34), Input(bits=1, code="spikes"))}
    projections = []
    source = "camera"
    for name, connection in connections.items():
        pool = name.startswith("pool")
        populations[name] = Population(SHAPES[name], IF(1 if pool else thresholds[name], v_min=-(2**20)))
        projections.append(Projection(source, name, connection))
        source = name
        if name == until:
            break
    return Network(populations, projections, [source], 1)


def least() -> Network:
    """Return a network of next to nothing: what memory any session takes."""
    populations = {"input": Population((4,), Input()), "output": Population((4,), Readout())}
    return Network(populations, [Projection("input", "output", Dense(np.eye(4, dtype=np.int8)))], ["output"], 8)


def measure(benchmark: str) -> None:
    """Record what a push takes, by the clock and in CPU time."""
    stream = Session(network(), threads=1).stream(STEP_US)
    for chunk in chunks(FIRST):
        stream.push(chunk)
    taken = np.empty((CHUNKS, 2))
    for row, chunk in zip(taken, chunks(CHUNKS, FIRST), strict=True):
        began, worked = time.perf_counter_ns(), time.thread_time_ns()
        stream.push(chunk)
        row[:] = time.perf_counter_ns() - began, time.thread_time_ns() - worked
    populations = stream.activity.populations
    spikes, neurons = (sum(getattr(p, key) for p in populations.values() if p.inner) for key in ("spikes", "neurons"))
    what = f"stream.push of 1,000 events in 1 ms, 1 thread, {isa()}"
    record(benchmark, f"{what}: spikes of a neuron and step", spikes / neurons / (CHUNKS + FIRST), "spikes")
    for name, column in zip(("by the clock", "CPU time"), taken.T / 1e6, strict=True):
        for percent in (50, 99):
            record(benchmark, f"{what}, {name}: p{percent}", float(np.percentile(column, percent)), "ms")

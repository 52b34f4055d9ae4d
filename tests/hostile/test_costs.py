# SPDX-License-Identifier: Apache-2.0
"""Files that are small and valid cost little, too: what a network claims is not what reading it takes."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hostile.make import good

from spikerun.connections import Connection, Dense, Diagonal, SumPool, Window
from spikerun.file import load, save
from spikerun.network import Network, Population, Projection
from spikerun.neurons import FewSpikes, Input, MaxPool, Neuron, Readout

Costs = Callable[[str, Network], tuple[float, float]]
SECONDS = 1.0  # of the processor, for one file
TRIES = 3  # a busy machine makes one slow, not all
MB = 2**20

# In a process of its own, because memory once taken stays in the peak. A small network comes first, for the imports.
MEASURE = """
import contextlib, io, json, resource, sys, time
from spikerun.cli import main
from spikerun.errors import UnsupportedError
from spikerun.file import load
from spikerun.session import Session

def inspect(path):
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(["inspect", path]) == 0

def session(path):
    with contextlib.suppress(UnsupportedError):  # a refusal is fine where it is cheap
        Session(load(path), threads=1)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

act = {"load": load, "inspect": inspect, "session": session}[sys.argv[1]]
act(sys.argv[2])
memory, begin = peak(), time.process_time()
act(sys.argv[3])
print(json.dumps([time.process_time() - begin, peak() - memory]))
"""


@pytest.fixture
def costs(tmp_path: Path) -> Costs:
    """Return a function that says in how many seconds, and with how many bytes more, a file of a network is read."""

    def measure(action: str, net: Network) -> tuple[float, float]:
        paths = [str(save(n, tmp_path / name, force=True)) for n, name in ((good(), "good.snn"), (net, "net.snn"))]
        command = [sys.executable, "-c", MEASURE, action, *paths]
        root = Path(__file__).parents[2]
        tries = []
        for _ in range(TRIES):
            done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root, timeout=60)
            tries.append(json.loads(done.stdout))
            if tries[-1][0] < SECONDS / 4:
                break
        return min(seconds for seconds, _ in tries), min(memory for _, memory in tries)

    return measure


def chain(length: int, shape: tuple[int, ...], neuron: Neuron, connection: Connection) -> Network:
    """Return populations of one kind, each behind the one before."""
    names = [f"p{k}" for k in range(length)]
    populations = {"in": Population(shape, Input(1)), **{name: Population(shape, neuron) for name in names}}
    projections = [Projection(a, b, connection) for a, b in zip(["in", *names], names, strict=False)]
    return Network(populations, projections, names[-1:], 1)


def two(source: tuple[int, ...], target: tuple[int, ...], neuron: Neuron, connection: Connection) -> Network:
    """Return an input and what it leads to."""
    populations = {"in": Population(source, Input(1)), "out": Population(target, neuron)}
    return Network(populations, [Projection("in", "out", connection)], ["out"], 1)


@pytest.mark.parametrize(
    ("shape", "neuron", "connection"),
    [((2,), FewSpikes(1, 1), Diagonal(1)), ((1, 1, 1), MaxPool(), Window(1, 1))],
    ids=["neurons", "pools"],
)
def test_long_chain_takes_time_in_proportion(
    costs: Costs, shape: tuple[int, ...], neuron: Neuron, connection: Connection
) -> None:
    short, _ = costs("load", chain(100, shape, neuron, connection))
    long, memory = costs("load", chain(1000, shape, neuron, connection))
    assert long < 20 * short
    assert memory < 100 * MB


@pytest.mark.parametrize("action", ["load", "inspect"])
def test_very_many_neurons_take_no_memory_until_they_run(costs: Costs, action: str) -> None:
    size = (2**25,)
    seconds, memory = costs(action, two(size, size, FewSpikes(1, 1), Diagonal(1)))
    assert memory < 100 * MB
    assert seconds < SECONDS


@pytest.mark.parametrize(("action", "width"), [("inspect", 2**13), ("session", 2**13), ("session", 2**11)])
def test_wide_windows_take_no_memory_for_each_of_their_taps(costs: Costs, action: str, width: int) -> None:
    windows = (1, 1, 2**15 - width + 1)
    seconds, memory = costs(action, two((1, 1, 2**15), windows, Readout(), SumPool((1, width), 1)))
    assert memory < 200 * MB
    assert seconds < SECONDS


@pytest.mark.parametrize("action", ["load", "inspect", "session"])
def test_zeros_that_compress_well_take_less_than_four_times_their_size(costs: Costs, action: str) -> None:
    weight = np.zeros((4000, 4000), np.int8)
    seconds, memory = costs(action, two((4000,), (4000,), Readout(), Dense(weight)))
    assert memory < 4 * weight.nbytes
    assert seconds < SECONDS


def test_very_many_chunks_take_time_in_proportion(tmp_path: Path) -> None:
    def seconds(chunks: int) -> float:
        path = save(two((chunks,), (1,), Readout(), Dense(np.ones((chunks, 1), np.int8))), tmp_path / "net.snn", True)
        with h5py.File(path, "r+") as file:
            del file["projections/000000/weight"]
            weight = np.ones((chunks, 1), np.int8)
            file["projections/000000"].create_dataset("weight", data=weight, chunks=(1, 1), compression="gzip")
        begin = time.process_time()
        load(path)
        return time.process_time() - begin

    few, many = (min(seconds(chunks) for _ in range(3)) for chunks in (4_000, 16_000))
    assert many < 12 * few

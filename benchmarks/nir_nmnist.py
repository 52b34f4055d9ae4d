# SPDX-License-Identifier: Apache-2.0
"""The convolutional network of NIR's paper (cnn_sinabs.nir) on N-MNIST recordings: 1 ms bins, 300 steps, spike counts.

    python benchmarks/nir_nmnist.py cnn_sinabs.nir recordings.npz [number of recordings]

The file is in the repository neuromorphs/NIR, paper/02_cnn. The recordings: arrays t (microseconds), x, y, p of all
events, offset (recordings + 1,), label. Simulators of the paper have 97.1 % (Spyx) to 98.5 %
(sinabs) of all test recordings.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from record import record

from spikerun.converters.nir.read import read_nir
from spikerun.converters.spiking.step import Readout, Step, outputs

NAME = "nir_nmnist"
STEPS, MICROSECONDS = 300, 1000
SHAPE = (2, 34, 34)
BATCH = 50


def binned(events: Mapping[str, npt.NDArray[Any]], k: int) -> npt.NDArray[np.float32]:
    """Return how many events of a recording fall into each step, at each place (steps, *SHAPE)."""
    part = slice(events["offset"][k], events["offset"][k + 1])
    t = events["t"][part] // MICROSECONDS
    frames = np.zeros((STEPS, *SHAPE), np.float32)
    early = t < STEPS
    places = tuple(events[axis][part][early] for axis in ("p", "y", "x"))
    np.add.at(frames, (t[early], *places), 1)
    return frames


def main(network: Path, recordings: Path, count: int = 250) -> None:
    """Print the accuracy of the float network."""
    read = read_nir(network, writer="sinabs")
    (name,), (output,) = read.graph.inputs, read.graph.outputs
    step = Step(read.graph, {output: Readout("count")}, timed=read.timed)
    with np.load(recordings) as file:
        events = {key: file[key] for key in ("t", "x", "y", "p", "offset", "label")}
    chosen = np.linspace(0, len(events["label"]) - 1, count).astype(int)
    right = 0
    for first in range(0, count, BATCH):
        part = chosen[first : first + BATCH]
        samples = np.stack([binned(events, k) for k in part])
        found = outputs(step, {name: samples}, STEPS)[output].argmax(axis=1)
        right += int((found == events["label"][part]).sum())
    record(NAME, f"float network, {count} recordings", 100 * right / count, "%")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))

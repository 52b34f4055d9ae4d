# SPDX-License-Identifier: Apache-2.0
"""The convolutional network of NIR's paper (cnn_sinabs.nir) on N-MNIST recordings: 1 ms bins, 300 steps, spike counts.

    python benchmarks/nir_nmnist.py cnn_sinabs.nir recordings.npz [number of recordings]

In floating point, and in integers; 64 other recordings calibrate. The file is in the repository neuromorphs/NIR,
paper/02_cnn. The recordings: arrays t (microseconds), x, y, p of all events, offset (recordings + 1,), label.
Simulators of the paper have 97.1 % (Spyx) to 98.5 % (sinabs) of all test recordings.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from record import record

from spikerun.converters.encoding import Encoding
from spikerun.converters.nir.source import NirSource
from spikerun.converters.spiking.convert import StepConverter

NAME = "nir_nmnist"
STEPS, MICROSECONDS = 300, 1000
SHAPE = (2, 34, 34)
CALIBRATED = 64


def binned(events: Mapping[str, npt.NDArray[Any]], k: int) -> npt.NDArray[np.uint8]:
    """Return how many events of a recording fall into each step, at each place (steps, *SHAPE)."""
    part = slice(events["offset"][k], events["offset"][k + 1])
    t = events["t"][part] // MICROSECONDS
    frames = np.zeros((STEPS, *SHAPE), np.int64)
    early = t < STEPS
    places = tuple(events[axis][part][early] for axis in ("p", "y", "x"))
    np.add.at(frames, (t[early], *places), 1)
    return np.minimum(frames, 255).astype(np.uint8)


def main(network: Path, recordings: Path, count: int = 250) -> None:
    """Print the accuracy in floating point and in integers, and how many spikes are the same."""
    with np.load(recordings) as file:
        events = {key: file[key] for key in ("t", "x", "y", "p", "offset", "label")}
    every = np.random.default_rng(0).permutation(len(events["label"]))
    chosen, others = every[:count], every[count : count + CALIBRATED] if count < len(every) else every[:CALIBRATED]
    source = NirSource(network, writer="sinabs")
    calibration = np.stack([binned(events, k) for k in others])
    converter = StepConverter(source, calibration, Encoding(scale=1, code="frames"), STEPS)
    conversion = converter.convert({})
    samples = np.stack([binned(events, k) for k in chosen])
    report = converter.measured(conversion, converter.evaluation(samples, events["label"][chosen])).report
    print(report.text())
    accuracy = report.accuracy
    assert accuracy is not None
    record(NAME, f"float network, {count} recordings", round(accuracy.ann, 2), "%")
    record(NAME, f"integers, {count} recordings", round(accuracy.snn, 2), "%")
    record(NAME, f"same class, {count} recordings", round(accuracy.agreement, 2), "%")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))

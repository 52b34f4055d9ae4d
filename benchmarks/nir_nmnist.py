# SPDX-License-Identifier: Apache-2.0
"""The convolutional network of NIR's paper (cnn_sinabs.nir) on N-MNIST recordings: 1 ms bins, 300 steps, spike counts.

    python benchmarks/nir_nmnist.py cnn_sinabs.nir recordings.npz [number of recordings]

In floating point, and in integers; 64 recordings calibrate, others where there are enough. The file is in
the repository neuromorphs/NIR, paper/02_cnn. The recordings: arrays t (microseconds), x, y, p of all events, offset
(recordings + 1,), label. Simulators of the paper have 97.1 % (Spyx) to 98.5 % (sinabs) of all test recordings.
"""

import multiprocessing
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from record import record

from spikerun.converters.encoding import Encoding
from spikerun.converters.evaluate import paired, top1
from spikerun.converters.nir.source import NirSource
from spikerun.converters.spiking.convert import StepConverter
from spikerun.session import Session

NAME = "nir_nmnist"
STEPS, MICROSECONDS = 300, 1000
SHAPE = (2, 34, 34)
CALIBRATED, BATCH = 64, 8

Array = npt.NDArray[Any]


def binned(events: Mapping[str, Array], k: int) -> npt.NDArray[np.uint8]:
    """Return how many events of a recording fall into each step, at each place (steps, *SHAPE)."""
    part = slice(events["offset"][k], events["offset"][k + 1])
    t = events["t"][part] // MICROSECONDS
    frames = np.zeros((STEPS, *SHAPE), np.int64)
    early = t < STEPS
    places = tuple(events[axis][part][early] for axis in ("p", "y", "x"))
    np.add.at(frames, (t[early], *places), 1)
    return np.minimum(frames, 255).astype(np.uint8)


class Both:
    """The network in floating point and in integers, for the recordings of one process."""

    def __init__(self, converter: StepConverter, session: Session, events: Mapping[str, Array]) -> None:
        self.converter, self.session, self.events = converter, session, events

    def __call__(self, chosen: Array) -> tuple[Array, Array]:
        """Return the results of both (batch, 10) for recordings by number."""
        samples = np.stack([binned(self.events, k) for k in chosen])
        step = self.converter.step
        (own,) = self.converter.source.results({"input": samples.astype(np.float64)}, STEPS, step).values()
        (found,) = self.session.run(samples).outputs.values()
        return own, found.reshape(len(found), -1)


def _in_process(chosen: Array) -> tuple[Array, Array]:
    return _both[0](chosen)


_both: list[Both] = []  # what processes inherit


def main(network: Path, recordings: Path, count: int = 1000) -> None:
    """Print the accuracy in floating point and in integers, and how many spikes are the same."""
    with np.load(recordings) as file:
        events = {key: file[key] for key in ("t", "x", "y", "p", "offset", "label")}
    every = np.random.default_rng(0).permutation(len(events["label"]))
    chosen, others = every[:count], every[max(min(count, len(every) - CALIBRATED), 0) :][:CALIBRATED]
    source = NirSource(network, writer="sinabs")
    calibration = np.stack([binned(events, k) for k in others])
    converter = StepConverter(source, calibration, Encoding(scale=1, code="frames"), STEPS)
    conversion = converter.convert({})
    print(conversion.report.text(), flush=True)
    _both.append(Both(converter, Session(conversion.network, threads=1), events))
    found = []
    with multiprocessing.get_context("fork").Pool() as pool:
        parts = [chosen[first : first + BATCH] for first in range(0, len(chosen), BATCH)]
        for done, result in enumerate(pool.imap(_in_process, parts), 1):
            found.append(result)
            print(f"\r{done} of {len(parts)}", end="", file=sys.stderr)
    own, integers = (np.concatenate(results) for results in zip(*found, strict=True))
    labels = events["label"][chosen]
    same = own.argmax(axis=1) == integers.argmax(axis=1)
    accuracy = paired(*(np.asarray(top1(r, labels), np.float64) for r in (own, integers)), same)
    new = ~np.isin(chosen, others)
    alone = 100 * float(top1(integers, labels)[new].mean())
    print(f"\ndrop {accuracy.drop:.2f} +- {accuracy.standard_error:.2f} points (paired standard error)")
    print(f"of the {new.sum()} recordings that did not calibrate {alone:.2f} % in integers")
    record(NAME, f"float network, {count} recordings", round(accuracy.ann, 2), "%")
    record(NAME, f"integers, {count} recordings", round(accuracy.snn, 2), "%")
    record(NAME, f"same class, {count} recordings", round(accuracy.agreement, 2), "%")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))

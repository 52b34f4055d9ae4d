# SPDX-License-Identifier: Apache-2.0
"""The convolutional network of NIR's paper (cnn_sinabs.nir) on N-MNIST recordings: 1 ms bins, 300 steps, spike counts.

    python benchmarks/nir_nmnist.py cnn_sinabs.nir recordings.npz [number of recordings] [--limits loihi2]
        [--reset value]

In floating point, and in integers; 64 recordings calibrate, others where there are enough. The file is in
the repository neuromorphs/NIR, paper/02_cnn. The recordings are packed as docs/datasets.md says; those of both splits
are used. With --limits the integers keep to a chip's arithmetic, and as that has no floor of membranes, the file is
read without those of sinabs; --reset names the reset of its neurons, by which sinabs subtracts. Simulators of the
paper have 97.1 % (Spyx) to 98.5 % (sinabs) of all test recordings.
"""

import multiprocessing
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from record import record

from spikerun import datasets
from spikerun.converters.encoding import Encoding
from spikerun.converters.evaluate import Evaluation, top1
from spikerun.converters.nir.source import NirSource
from spikerun.converters.spiking.convert import StepConverter
from spikerun.session import Session

NAME = "nir_nmnist"
STEPS, MICROSECONDS = 300, 1000
CALIBRATED, BATCH = 64, 8

Array = npt.NDArray[Any]


class Recordings:
    """All recordings of a file, those that train and then those that test, binned when they are asked for."""

    def __init__(self, file: Path) -> None:
        bins = datasets.Bins(STEPS, MICROSECONDS)
        self.splits = [datasets.load(file, split=split, encoder=bins) for split in ("train", "test")]
        self.labels = np.concatenate([split.require_labels() for split in self.splits])

    def __getitem__(self, chosen: Array) -> Array:
        """Return event counts (batch, steps, 2, 34, 34) of recordings by number."""
        train, test = (split.samples for split in self.splits)
        return np.stack([train[k] if k < len(train) else test[k - len(train)] for k in chosen.tolist()])


class Both:
    """The network in floating point and in integers, for the recordings of one process."""

    def __init__(self, converter: StepConverter, session: Session, recordings: Recordings) -> None:
        self.converter, self.session, self.recordings = converter, session, recordings

    def __call__(self, chosen: Array) -> tuple[Array, Array]:
        """Return the results of both (batch, 10) for recordings by number."""
        samples = self.recordings[chosen]
        step = self.converter.step
        (own,) = self.converter.source.results({"input": samples.astype(np.float64)}, STEPS, step).values()
        (found,) = self.session.run(samples).outputs.values()
        return own, found.reshape(len(found), -1)


def _in_process(chosen: Array) -> tuple[Array, Array]:
    return _both[0](chosen)


_both: list[Both] = []  # what processes inherit


def main(network: Path, file: Path, count: int = 1000, limits: str | None = None, reset: str | None = None) -> None:
    """Print the accuracy in floating point and in integers, and how many spikes are the same."""
    recordings = Recordings(file)
    every = np.random.default_rng(0).permutation(len(recordings.labels))
    chosen, others = every[:count], every[max(min(count, len(every) - CALIBRATED), 0) :][:CALIBRATED]
    source = NirSource(network, writer="sinabs", reset=reset, floor=limits is None)
    converter = StepConverter(source, recordings[others], Encoding(scale=1, code="frames"), STEPS, limits=limits)
    conversion = converter.convert({})
    print(conversion.report.text(), flush=True)
    _both.append(Both(converter, Session(conversion.network, threads=1), recordings))
    found = []
    # threads of torch do not survive a fork: each process has its own one
    with multiprocessing.get_context("fork").Pool(None, torch.set_num_threads, (1,)) as pool:
        parts = [chosen[first : first + BATCH] for first in range(0, len(chosen), BATCH)]
        for done, result in enumerate(pool.imap(_in_process, parts), 1):
            found.append(result)
            print(f"\r{done} of {len(parts)}", end="", file=sys.stderr)
    own, integers = (np.concatenate(results) for results in zip(*found, strict=True))
    labels = recordings.labels[chosen]
    accuracy = Evaluation({}, labels, {"output": own}).accuracy({"output": integers})
    new = ~np.isin(chosen, others)
    alone = 100 * float(top1(integers, labels)[new].mean())
    print(f"\ndrop {accuracy.drop:.2f} +- {accuracy.standard_error:.2f} points (paired standard error)")
    print(f"of the {new.sum()} recordings that did not calibrate {alone:.2f} % in integers")
    of = f"{count} recordings" + (f", limits {limits}" if limits else "") + (f", reset {reset}" if reset else "")
    record(NAME, f"float network, {of}", round(accuracy.ann, 2), "%")
    record(NAME, f"integers, {of}", round(accuracy.snn, 2), "%")
    record(NAME, f"same class, {of}", round(accuracy.agreement, 2), "%")


if __name__ == "__main__":
    arguments = ArgumentParser(description=__doc__)
    arguments.add_argument("network", type=Path)
    arguments.add_argument("file", type=Path)
    arguments.add_argument("count", type=int, nargs="?", default=1000)
    arguments.add_argument("--limits")
    arguments.add_argument("--reset")
    main(**vars(arguments.parse_args()))

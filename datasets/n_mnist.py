# SPDX-License-Identifier: Apache-2.0
"""N-MNIST: MNIST's digits, seen by an event camera that moved in three saccades (Orchard et al., arXiv:1507.07629).

70,000 recordings of about 300 ms, 34 x 34 pixels. In a given folder and nowhere else, or in $SPIKERUN_DATA/n-mnist and
the user's cache, there are looked for: the published folders `Train` and `Test`, with a file such as Train/5/00001.bin
for each recording, in the folder of its digit; or n-mnist.npz or nmnist.npz, packed (`spikerun.datasets.packed`).
Recordings are in the order of their names, which is MNIST's.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from spikerun.datasets.dataset import Dataset
from spikerun.datasets.events import Files, check_size
from spikerun.datasets.found import Found
from spikerun.datasets.packed import read_packed
from spikerun.errors import DataError

__all__ = ["fetch", "fetch_size", "locate", "read"]

NAME = "n-mnist"
FRAME = (2, 34, 34)
FOLDERS = {"train": "Train", "test": "Test"}
PACKED = ("n-mnist.npz", "nmnist.npz")

_SET = Found(NAME)
fetch, fetch_size = _SET.fetch, _SET.fetch_size


def locate(folder: Path | None) -> Path | None:
    """Return the first packed file, or folder that has a split, or None."""
    return next((found for split in FOLDERS for found in _found(folder, split)), None)


def read(folder: Path | None, split: str) -> Dataset:
    """Return the `train` or `test` split."""
    found = next(_found(folder, split), None)
    if found is None:
        raise _SET.missing(f"no folder {FOLDERS[split]} and no file {' or '.join(PACKED)}", folder)
    return _files(found / FOLDERS[split], split) if os.path.isdir(found) else read_packed(found, split, NAME, FRAME)


def _found(folder: Path | None, split: str) -> Iterator[Path]:
    """Yield where a split is, the best place first: the folder around that of the split, or a packed file."""
    for place in _SET.places(folder):
        if os.path.isdir(place / FOLDERS[split]):  # Path.is_dir raises for long names
            yield place
        yield from (place / name for name in PACKED if os.path.isfile(place / name))


def _files(folder: Path, split: str) -> Dataset:
    """Return the recordings in the folders of the digits."""
    found: list[tuple[str, int, Path]] = []
    for digit in range(10):
        if os.path.isdir(folder / str(digit)):
            with os.scandir(folder / str(digit)) as entries:
                for entry in entries:
                    if entry.name.endswith(".bin"):
                        check_size(entry.path, entry.stat().st_size)
                        found.append((entry.name, digit, Path(entry.path)))
    if not found:
        raise DataError(f"data set '{NAME}': no recordings such as 5/00001.bin in '{folder}': {_SET.hint}")
    found.sort()
    return Dataset(
        name=NAME,
        split=split,
        samples=Files(NAME, tuple(path for _, _, path in found), np.arange(len(found)), FRAME),
        labels=np.array([digit for _, digit, _ in found]),
        classes=tuple(map(str, range(10))),
        scale=1.0,
        source=str(folder),
    )

# SPDX-License-Identifier: Apache-2.0
"""N-MNIST: MNIST's digits, seen by an event camera that moved in three saccades (Orchard et al., arXiv:1507.07629).

70,000 recordings of about 300 ms, 34 x 34 pixels. In a given folder and nowhere else, or in $SPIKERUN_DATA/n-mnist and
the user's cache, there are looked for: the published folders `Train` and `Test`, with a file such as Train/5/00001.bin
for each recording, in the folder of its digit; or n-mnist.npz or nmnist.npz, packed (`spikerun.datasets.packed`).
Recordings are in the order of their names, which is MNIST's. The MD5 of the archives is that of the publication by
Mendeley Data (doi 10.17632/468j46mzdv), as tonic and others give it.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from spikerun.datasets.dataset import Dataset
from spikerun.datasets.events import check_size, read_bin
from spikerun.datasets.folders import recordings
from spikerun.datasets.found import Found
from spikerun.datasets.packed import read_packed

__all__ = ["fetch", "fetch_size", "locate", "read"]

NAME = "n-mnist"
FRAME = (2, 34, 34)
FOLDERS = {"train": "Train", "test": "Test"}
DIGITS = tuple(map(str, range(10)))
PACKED = ("n-mnist.npz", "nmnist.npz")

_SET = Found(
    NAME, archives={"Train.zip": "20959b8e626244a1b502305a9e6e2031", "Test.zip": "69ca8762b2fe404d9b9bad1103e97832"}
)
fetch, fetch_size = _SET.fetch, _SET.fetch_size


def locate(folder: Path | None) -> Path | None:
    """Return the first packed file, or folder that has a split, or None."""
    return next((found for split in FOLDERS for found in _found(folder, split)), None)


def read(folder: Path | None, split: str) -> Dataset:
    """Return the `train` or `test` split."""
    found = next(_found(folder, split), None)
    if found is None:
        raise _SET.missing(f"no folder {FOLDERS[split]} and no file {' or '.join(PACKED)}", folder)
    if not os.path.isdir(found):
        return read_packed(found, split, NAME, FRAME)
    return recordings(_SET, split, found / FOLDERS[split], DIGITS, DIGITS, FRAME, read_bin, "5/00001.bin", check_size)


def _found(folder: Path | None, split: str) -> Iterator[Path]:
    """Yield where a split is, the best place first: the folder around that of the split, or a packed file."""
    for place in _SET.places(folder):
        if os.path.isdir(place / FOLDERS[split]):  # Path.is_dir raises for long names
            yield place
        yield from (place / name for name in PACKED if os.path.isfile(place / name))

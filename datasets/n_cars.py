# SPDX-License-Identifier: Apache-2.0
"""N-CARS: cars, and what is none, seen from a moving car by an ATIS camera (Sironi et al., arXiv:1803.07913).

24,029 recordings of 100 ms, cut out of the sensor's 304 x 240 pixels, at most 120 x 100, in DAT files. In a given
folder and nowhere else, or in $SPIKERUN_DATA/n-cars and the user's cache, there are looked for the published folders
`n-cars_train` and `n-cars_test`, there or in `Prophesee_Dataset_n_cars`; in each, or in its `train` or `test`, `cars`
and `background` with a file such as obj_004396_td.dat for each recording. Recordings are in the order of their names.
The MD5 of the archives is that of tonic. Never tried on the set itself.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from spikerun.datasets.dataset import Dataset
from spikerun.datasets.events import LARGEST_FILE, Events, joined
from spikerun.datasets.folders import recordings
from spikerun.datasets.found import Found
from spikerun.errors import DataError
from spikerun.sources import CHUNK, dat

__all__ = ["fetch", "fetch_size", "locate", "read"]

NAME = "n-cars"
FRAME = (2, 100, 120)
CLASSES, FOLDERS = ("background", "car"), ("background", "cars")

_SET = Found(
    NAME,
    ("Prophesee_Dataset_n_cars",),
    {
        "Prophesee_Dataset_n_cars.zip": "553ce464d6e5e617b3c21ce27c19368e",
        "n-cars_train.zip": "976d126a651b95d81800b05a3093337b",
        "n-cars_test.zip": "3b5e8e9a5bffeb95614b8c0a2ba4e511",
    },
)
fetch, fetch_size = _SET.fetch, _SET.fetch_size


def locate(folder: Path | None) -> Path | None:
    """Return the first folder that has the classes of a split, or None."""
    return next((found for split in ("train", "test") for found in _found(folder, split)), None)


def read(folder: Path | None, split: str) -> Dataset:
    """Return the `train` or `test` split."""
    found = next(_found(folder, split), None)
    if found is None:
        raise _SET.missing(f"no folder n-cars_{split} with {' and '.join(FOLDERS)}", folder)
    return recordings(_SET, split, found, FOLDERS, CLASSES, FRAME, _read, "cars/obj_004396_td.dat", _check)


def _found(folder: Path | None, split: str) -> Iterator[Path]:
    for place in _SET.places(folder):
        for inside in (f"n-cars_{split}", f"n-cars_{split}/{split}", split):
            if any(os.path.isdir(place / inside / name) for name in FOLDERS):
                yield place / inside


def _check(path: str, size: int) -> None:
    if size > LARGEST_FILE:
        raise DataError(f"'{path}' has {size} bytes, the limit is {LARGEST_FILE}: no recording of 100 ms is so large")


def _read(path: Path) -> Events:
    _check(str(path), path.stat().st_size)
    return joined(events for events, _ in dat.opened(path).chunks(CHUNK))

# SPDX-License-Identifier: Apache-2.0
"""Event recordings packed in an `.npz` file (docs/datasets.md).

t:      integers (events,), microseconds since the recording began
x, y:   columns and rows
p:      channels, 0 or 1, or truth values
offset: (N + 1,), ascending from 0: recording k has the events offset[k]..offset[k+1]
label:  (N,), class numbers from 0
shape:  optional, the frame (C, H, W); otherwise two channels, and as far as x and y reach

The first 80 % of the recordings of each label train, the others test; a file of two splits has all these arrays twice,
as `train_t`, `test_t` and so on.
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikerun.datasets.archive import Names, listed, read_arrays
from spikerun.datasets.dataset import Dataset
from spikerun.datasets.events import LATEST, Packed, strangers
from spikerun.datasets.npz import class_labels
from spikerun.errors import DataError

__all__ = ["is_packed", "offset_of", "read_packed", "train_mask"]

KEYS = ("t", "x", "y", "p")
NEEDED = (*KEYS, "offset", "label")
SPLITS = ("", "train_", "test_")
TRAIN_PERCENT = 80  # of the recordings of each label
LARGEST_FILE = 1 << 31  # bytes of all arrays together
MOST_PLACES = 1 << 24  # of a frame
ADVICE = "write it with numpy.savez(path, t=..., x=..., y=..., p=..., offset=..., label=...)"

log = logging.getLogger(__name__)


def is_packed(names: Names) -> bool:
    """Tell whether a file of arrays so called holds event recordings."""
    return any({f"{split}{key}" for key in KEYS} <= names.keys() for split in SPLITS)


def read_packed(path: Path, split: str, name: str = "", frame: tuple[int, ...] | None = None) -> Dataset:
    """Return the `train` or `test` split of a file of recordings.

    name: of the data set, by default the file's. frame: (C, H, W), where it is known.
    Raises DataError where arrays are missing, do not fit one another, or hold events outside of the frame.
    """
    prefixes: list[str] = []

    def choose(found: Names) -> dict[str, str]:
        whole = "t" in found
        prefixes.append("" if whole else f"{split}_")
        if missing := [f"{prefixes[0]}{key}" for key in NEEDED if f"{prefixes[0]}{key}" not in found]:
            raise DataError(
                f"'{path}' has event recordings, and no array '{missing[0]}', only: {listed(found)}; {ADVICE}"
            )
        return {**{key: f"{prefixes[0]}{key}" for key in NEEDED}, "shape": "shape"}

    arrays, names = read_arrays(path, choose, ADVICE, LARGEST_FILE)
    where = {role: f"'{path}', array '{called}'" for role, called in names.items()}
    offset = offset_of(arrays["offset"], len(arrays["t"]) if arrays["t"].ndim else 0, "events", where["offset"])
    labels = _labels(arrays["label"], len(offset) - 1, where["label"])
    events = {key: _column(arrays[key], arrays["t"], where[key]) for key in KEYS}
    found = _frame(arrays.get("shape"), events, path) if frame is None else frame
    outside = strangers(events["x"], events["y"], events["p"], found)
    if outside is not None:
        raise DataError(f"'{path}': {outside}")
    places = np.arange(len(labels))
    if not prefixes[0]:
        mask = train_mask(labels)
        places = np.flatnonzero(mask if split == "train" else ~mask)
        log.warning(
            "'%s' has one split: of each label the first %d %% of its recordings train, the others test",
            path, TRAIN_PERCENT,
        )  # fmt: skip
    if not len(places):
        raise DataError(f"'{path}' has no recording in its {split} split; add some, or take the other split")
    return Dataset(
        name=name or path.name,
        split=split,
        samples=Packed(name or path.name, events, offset, places, found),
        labels=labels[places],
        classes=tuple(str(number) for number in range(int(labels.max()) + 1)),
        scale=1.0,
        source=str(path),
    )


def offset_of(offset: NDArray[Any], count: int, unit: str, where: str) -> NDArray[np.int64]:
    """Return where recordings begin and end, (recordings + 1,): from 0 to `count`, the number of `unit`, ascending.

    Raises DataError, which `where` begins, for other arrays.
    """
    if offset.ndim != 1 or offset.dtype.kind not in "iu" or len(offset) < 2:
        raise DataError(f"{where}: is {offset.dtype} {offset.shape}, expected integers (recordings + 1,)")
    if offset.dtype == np.uint64 and offset.max() > 2**62:
        raise DataError(f"{where}: reaches {offset.max()}, there are {count} {unit}")
    offset = offset.astype(np.int64)
    descends = bool((offset[1:] < offset[:-1]).any())
    if offset[0] != 0 or offset[-1] != count or descends:
        raise DataError(
            f"{where}: must ascend from 0 to {count}, the number of {unit}; it begins with {offset[0]}, ends with "
            f"{offset[-1]}{', and descends between' if descends else ''}"
        )
    return offset


def train_mask(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which samples train: of each label the first 80 %, rounded down."""
    mask = np.zeros(labels.size, np.bool_)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        mask[members[: TRAIN_PERCENT * members.size // 100]] = True
    return mask


def _labels(array: NDArray[Any], count: int, where: str) -> NDArray[np.int64]:
    labels, targets = class_labels(array, where)
    if len(targets) or len(labels) != count:
        raise DataError(f"{where}: is {array.dtype} {array.shape}, expected a class number for {count} recordings")
    return labels


def _column(array: NDArray[Any], t: NDArray[Any], where: str) -> NDArray[Any]:
    """Return the numbers of all events, checked."""
    if array.ndim != 1 or array.shape != t.shape or array.dtype.kind not in "iub":
        raise DataError(f"{where}: is {array.dtype} {array.shape}, expected integers, one an event, {t.shape}")
    if array is t and len(t) and not 0 <= int(t.min()) <= int(t.max()) <= LATEST:
        raise DataError(f"{where}: holds times from {t.min()} to {t.max()}, expected microseconds in 0..2^53")
    return array


def _frame(shape: NDArray[Any] | None, events: dict[str, NDArray[Any]], path: Path) -> tuple[int, ...]:
    """Return the frame (C, H, W) that a file says, or that its events need."""
    if shape is not None:
        found = tuple(shape.tolist()) if shape.shape == (3,) and shape.dtype.kind in "iu" else ()
        if not found or min(found) < 1:
            raise DataError(f"'{path}', array 'shape': is {shape.tolist()!r:.80}, expected three integers (C, H, W)")
    else:
        found = (2, *(int(events[key].max()) + 1 if len(events[key]) else 1 for key in ("y", "x")))
        log.warning("'%s' has no array 'shape', so its frame is taken as far as its events reach, %s", path, found)
    if max(found) > MOST_PLACES or np.prod([int(n) for n in found], dtype=np.float64) > MOST_PLACES:
        raise DataError(f"'{path}': a frame of {found} has too many places, the limit is {MOST_PLACES}")
    return found

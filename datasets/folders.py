# SPDX-License-Identifier: Apache-2.0
"""Recordings as they are often published: a folder for each class, a file for each recording."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from spikerun.datasets.dataset import Dataset
from spikerun.datasets.events import Events, Files
from spikerun.datasets.found import Found
from spikerun.errors import DataError

__all__ = ["recordings"]


def recordings(
    known: Found,
    split: str,
    folder: Path,
    inside: Sequence[str],
    classes: tuple[str, ...],
    frame: tuple[int, ...],
    read: Callable[[Path], Events],
    example: str,
    check: Callable[[str, int], None],
) -> Dataset:
    """Return the recordings of a folder, in the order of their names.

    inside:  the folder of each class
    read:    returns the events of a file
    example: a file, whose suffix all have
    check:   is told of each file and how many bytes it has, and may raise DataError
    """
    suffix = Path(example).suffix
    found: list[tuple[str, int, Path]] = []
    for label, name in enumerate(inside):
        if os.path.isdir(folder / name):
            with os.scandir(folder / name) as entries:
                for entry in entries:
                    if entry.name.endswith(suffix):
                        check(entry.path, entry.stat().st_size)
                        found.append((entry.name, label, Path(entry.path)))
    if not found:
        raise DataError(f"data set '{known.name}': no recordings such as {example} in '{folder}': {known.hint}")
    found.sort()
    return Dataset(
        name=known.name,
        split=split,
        samples=Files(known.name, tuple(path for _, _, path in found), np.arange(len(found)), frame, read),
        labels=np.array([label for _, label, _ in found]),
        classes=classes,
        scale=1.0,
        source=str(folder),
    )

# SPDX-License-Identifier: Apache-2.0
"""Data sets of the MNIST family: four IDX files, gzip or plain, of images of 28x28 bytes and their labels."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spikerun.datasets.dataset import Dataset
from spikerun.datasets.download import Remote, cache, download, places
from spikerun.datasets.idx import read_idx
from spikerun.errors import DataError

__all__ = ["IdxSet", "Split"]


@dataclass(frozen=True)
class Split:
    """The two files of a split, and its number of samples."""

    images: Remote
    labels: Remote
    samples: int


@dataclass(frozen=True)
class IdxSet:
    """A data set by its name: its files, where to download them, and what to do where they are not found.

    inside: where its files may lie inside a folder that is given. installed: the folders of packages.
    """

    name: str
    splits: dict[str, Split]
    classes: tuple[str, ...]
    address: str
    advice: str
    inside: tuple[str, ...] = ()
    installed: Callable[[], tuple[Path, ...]] = tuple

    @property
    def files(self) -> tuple[Remote, ...]:
        """Return the files of all splits."""
        return tuple(file for split in self.splits.values() for file in (split.images, split.labels))

    def places(self, folder: Path | None) -> tuple[Path, ...]:
        """Return the folders that are looked at, in order."""
        return places(self.name, folder, self.inside, self.installed())

    def locate(self, folder: Path | None) -> Path | None:
        """Return the first place that has all four files, or None."""
        return next((place for place in self.places(folder) if all(_file(place, one) for one in self.files)), None)

    def read(self, folder: Path | None, split: str) -> Dataset:
        """Return the `train` or `test` split; its two files are enough."""
        chosen = self.splits[split]
        for place in self.places(folder):
            images, labels = _file(place, chosen.images), _file(place, chosen.labels)
            if images and labels:
                return Dataset(
                    name=self.name,
                    split=split,
                    samples=read_idx(images, (chosen.samples, 28, 28)).reshape(-1, 1, 28, 28),
                    labels=read_idx(labels, (chosen.samples,)).astype("int64"),
                    classes=self.classes,
                    scale=1 / 255,
                    source=str(place),
                )
        raise DataError(
            f"data set '{self.name}': no files {chosen.images.name}[.gz] and {chosen.labels.name}[.gz] in "
            f"{', '.join(str(place) for place in self.places(folder))}. {self.advice}"
        )

    def fetch(self, folder: Path | None, advance: Callable[[int], None]) -> Path:
        """Download the files that are missing or damaged into `folder` (the cache if None), and return it."""
        destination = folder or cache(self.name)
        destination.mkdir(parents=True, exist_ok=True)
        for file in self.files:
            download(file, self.address, destination, advance)
        return destination

    def fetch_size(self) -> int:
        """Return how many bytes `fetch` downloads at most."""
        return sum(file.size for file in self.files)


def _file(place: Path, file: Remote) -> Path | None:
    candidates = (place / file.name, place / f"{file.name}.gz")
    return next((path for path in candidates if os.path.isfile(path)), None)  # Path.is_file raises for long names

# SPDX-License-Identifier: Apache-2.0
"""Fashion-MNIST: 70,000 photos of clothes, 28x28 bytes, 10 classes (Xiao, Rasul, Vollgraf, arXiv:1708.07747).

The four IDX files, gzip or plain, are looked for in a given folder and nowhere else, or in this order in
$SPIKERUN_DATA/fashion-mnist, Debian's package dataset-fashion-mnist, and the user's cache. They are
downloaded only on demand. MIT licence, Zalando SE.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spikerun.datasets.dataset import Dataset
from spikerun.datasets.download import Remote, download
from spikerun.datasets.idx import read_idx
from spikerun.errors import DataError

__all__ = ["fetch", "fetch_size", "locate", "read"]

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
ADDRESS = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"

CLASSES = (
    "t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip


@dataclass(frozen=True)
class _Split:
    """The two files of a split, and its number of samples."""

    images: Remote
    labels: Remote
    samples: int


# MD5 of the gzip files as published by Zalando; SHA-256 of what is in them (Debian's gzip files differ from
# Zalando's in their headers, the content is the same).
SPLITS = {
    "train": _Split(
        Remote(
            "train-images-idx3-ubyte",
            26421880,
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        ),
        Remote(
            "train-labels-idx1-ubyte",
            29515,
            "25c81989df183df01b3e8a0aad5dffbe",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        ),
        60000,
    ),
    "test": _Split(
        Remote(
            "t10k-images-idx3-ubyte",
            4422102,
            "bef4ecab320f06d8554ea6380940ec79",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        ),
        Remote(
            "t10k-labels-idx1-ubyte",
            5148,
            "bb300cfdad3c16e7a12a480ee83cd310",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
        10000,
    ),
}
FILES = tuple(file for split in SPLITS.values() for file in (split.images, split.labels))


def places(folder: Path | None) -> tuple[Path, ...]:
    """Return the folders that are looked at, in order."""
    if folder is not None:
        return (folder, folder / "fashion-mnist")
    data = os.environ.get("SPIKERUN_DATA")
    return (*([Path(data) / "fashion-mnist"] if data else []), DEBIAN, cache())


def cache() -> Path:
    """Return the folder that `fetch` fills."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "spikerun" / "fashion-mnist"


def locate(folder: Path | None) -> Path | None:
    """Return the first place that has all four files, or None."""
    return next((place for place in places(folder) if all(_file(place, one) for one in FILES)), None)


def read(folder: Path | None, split: str) -> Dataset:
    """Return the `train` or `test` split; its two files are enough."""
    chosen = SPLITS[split]
    for place in places(folder):
        images, labels = _file(place, chosen.images), _file(place, chosen.labels)
        if images and labels:
            return Dataset(
                name="fashion-mnist",
                split=split,
                samples=read_idx(images, (chosen.samples, 28, 28)).reshape(-1, 1, 28, 28),
                labels=read_idx(labels, (chosen.samples,)).astype("int64"),
                classes=CLASSES,
                scale=1 / 255,
                source=str(place),
            )
    raise DataError(
        f"data set 'fashion-mnist': no files {chosen.images.name}[.gz] and {chosen.labels.name}[.gz] in "
        f"{', '.join(str(place) for place in places(folder))}. "
        "Either: apt-get install dataset-fashion-mnist; or: spikerun datasets fetch fashion-mnist; "
        "or name their folder with --data-dir."
    )


def fetch(folder: Path | None, advance: Callable[[int], None], address: str = ADDRESS) -> Path:
    """Download the files that are missing or damaged into `folder` (the cache if None), and return it."""
    destination = folder or cache()
    destination.mkdir(parents=True, exist_ok=True)
    for file in FILES:
        download(file, address, destination, advance)
    return destination


def fetch_size() -> int:
    """Return how many bytes `fetch` downloads at most."""
    return sum(file.size for file in FILES)


def _file(place: Path, file: Remote) -> Path | None:
    candidates = (place / file.name, place / f"{file.name}.gz")
    return next((path for path in candidates if os.path.isfile(path)), None)  # Path.is_file raises for long names

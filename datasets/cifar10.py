# SPDX-License-Identifier: Apache-2.0
"""CIFAR-10: 60,000 photos of 32x32 pixels in colour, 10 classes (Krizhevsky, 2009), in its binary version.

Looked for in a given folder and nowhere else, or in $SPIKERUN_DATA/cifar-10 and the user's cache: the six files
`data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin`, there or in `cifar-10-batches-bin`, as they lie in the
published archive; or this archive itself, `cifar-10-binary.tar.gz`, which must have the published MD5 and is not
unpacked. Unpacked files have no published checksums: they must have the published size, and as many photos of each
class. The version of pickles for Python is refused: nothing is unpickled.
"""

import os
import tarfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikerun.datasets.dataset import Dataset
from spikerun.datasets.download import places
from spikerun.datasets.found import Found, md5_of
from spikerun.errors import DataError

__all__ = ["fetch", "fetch_size", "locate", "read"]

FOLDER = "cifar-10-batches-bin"
ARCHIVE = "cifar-10-binary.tar.gz"
MD5 = "c32a1d4ab5d03f1284b67883e8d87530"  # of the archive, as published
SPLITS = {"train": tuple(f"data_batch_{k}.bin" for k in range(1, 6)), "test": ("test_batch.bin",)}
PICKLES = ("cifar-10-python.tar.gz", "cifar-10-batches-py", "data_batch_1", "test_batch")
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PHOTOS = 10000  # of a file
RECORD = 1 + 3 * 32 * 32  # a label, and the rows of the red, the green and the blue channel

_SET = Found("cifar-10")
fetch, fetch_size = _SET.fetch, _SET.fetch_size


def locate(folder: Path | None) -> Path | None:
    """Return the folder of all six files, or the archive, or None."""
    names = [name for files in SPLITS.values() for name in files]
    return next((found for place in _places(folder) if (found := _found(place, names))), None)


def read(folder: Path | None, split: str) -> Dataset:
    """Return the `train` or `test` split; its files are enough."""
    for place in _places(folder):
        if source := _found(place, SPLITS[split]):
            content = _packed(source, split) if source.name == ARCHIVE else _unpacked(source, split)
            records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
            return Dataset(
                name="cifar-10",
                split=split,
                samples=np.ascontiguousarray(records[:, 1:]).reshape(-1, 3, 32, 32),
                labels=_labels(records[:, 0], source),
                classes=CLASSES,
                scale=1 / 255,
                source=str(source),
            )
    pickled = next((p / name for p in _places(folder) for name in PICKLES if os.path.exists(p / name)), None)
    if pickled is not None:
        raise DataError(
            f"data set 'cifar-10': '{pickled}' is the version for Python, which is pickled, and nothing is unpickled "
            f"here; get the binary version, {ARCHIVE}"
        )
    raise _SET.missing(f"neither {', '.join(SPLITS[split])} nor {ARCHIVE}", folder)


def _places(folder: Path | None) -> tuple[Path, ...]:
    return tuple(one for place in places("cifar-10", folder) for one in (place, place / FOLDER))


def _found(place: Path, names: list[str] | tuple[str, ...]) -> Path | None:
    """Return the folder if it has these files, or else the archive in it."""
    if all(os.path.isfile(place / name) for name in names):
        return place
    return place / ARCHIVE if os.path.isfile(place / ARCHIVE) else None


def _unpacked(folder: Path, split: str) -> bytes:
    parts = []
    for name in SPLITS[split]:
        _check_size(f"'{folder / name}'", os.path.getsize(folder / name))
        parts.append((folder / name).read_bytes())
    return b"".join(parts)


def _packed(archive: Path, split: str) -> bytes:
    """Return the files of a split, from the archive with the published checksum."""
    found = md5_of(archive)
    if found != MD5:
        raise DataError(
            f"'{archive}' has the MD5 {found}, the published one {MD5}: it was cut short or changed; get it again"
        )
    parts: dict[str, bytes] = {}
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                name = Path(member.name).name
                if member.isfile() and name in SPLITS[split]:
                    _check_size(f"'{archive}', {name}", member.size)
                    content = tar.extractfile(member)
                    assert content is not None  # of a regular file
                    parts[name] = content.read()
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DataError(f"'{archive}' is no archive that can be read: {error}; get it again") from error
    if missing := [name for name in SPLITS[split] if name not in parts]:
        raise DataError(f"'{archive}' holds no {missing[0]}: get the binary version, {ARCHIVE}")
    return b"".join(parts[name] for name in SPLITS[split])


def _check_size(what: str, size: int) -> None:
    if size != PHOTOS * RECORD:
        raise DataError(
            f"{what} has {size} bytes, the published file {PHOTOS * RECORD}: it was cut short or changed; get it again"
        )


def _labels(labels: NDArray[np.uint8], source: Path) -> NDArray[np.int64]:
    """Return the labels, of which the published files have as many of each class."""
    counts = np.bincount(labels, minlength=len(CLASSES))
    if len(counts) != len(CLASSES) or (counts != len(labels) // len(CLASSES)).any():
        raise DataError(
            f"data set 'cifar-10' ({source}): the classes have {', '.join(map(str, counts[:12]))} photos, the "
            f"published files {len(labels) // len(CLASSES)} of each of the {len(CLASSES)}; get them again"
        )
    return labels.astype(np.int64)

# SPDX-License-Identifier: Apache-2.0
"""CIFAR-10 from its archive or its files: small ones of the same form, made here."""

import hashlib
import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from spikerun import datasets
from spikerun.datasets import cifar10
from spikerun.errors import DataError, UnsupportedError

PHOTOS = 20  # of a file, where the published have 10,000
NAMES = [name for files in cifar10.SPLITS.values() for name in files]


def batch(number: int, first: int = 0) -> bytes:
    """Return a file of photos: two of each class, all pixels of the channels the file's number, and 1 and 2 more."""
    photo = np.repeat(np.arange(number, number + 3, dtype=np.uint8), 1024).tobytes()
    return b"".join(bytes([(first + k) % 10]) + photo for k in range(PHOTOS))


FILES = {name: batch(10 * k, k) for k, name in enumerate(NAMES)}


def archive(folder: Path, files: dict[str, bytes], patch: pytest.MonkeyPatch) -> Path:
    """Write files as the published archive has them, and take its checksum for the published one."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    (folder / cifar10.ARCHIVE).write_bytes(made.getvalue())
    patch.setattr(cifar10, "MD5", hashlib.md5(made.getvalue()).hexdigest())
    return folder / cifar10.ARCHIVE


def unpacked(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Make files small, and the usual places folders of the test."""
    monkeypatch.setattr(cifar10, "PHOTOS", PHOTOS)
    monkeypatch.setenv("SPIKERUN_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("packed", [True, False])
def test_photos_and_labels_are_those_of_the_files_in_their_order(
    packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = archive(tmp_path, FILES, monkeypatch) if packed else unpacked(tmp_path, FILES)
    train, test = (datasets.load("CIFAR-10", tmp_path, split=split) for split in ("train", "test"))
    assert (train.samples.shape, test.samples.shape, train.scale) == ((100, 3, 32, 32), (20, 3, 32, 32), 1 / 255)
    samples = np.asarray(train.samples)
    assert samples[::PHOTOS, :, 5, 7].tolist() == [[10 * k, 10 * k + 1, 10 * k + 2] for k in range(5)]
    assert train.labels[::PHOTOS].tolist() == [0, 1, 2, 3, 4] and test.labels[:6].tolist() == [5, 6, 7, 8, 9, 0]
    assert train.source == str(source) and cifar10.locate(tmp_path) == source


def test_pixels_are_rows_from_the_top(tmp_path: Path) -> None:
    content = bytearray(FILES["test_batch.bin"])
    content[1 + 1024 + 2 * 32 + 3] = 99  # of the first photo: green, third row, fourth column
    unpacked(tmp_path, {"test_batch.bin": bytes(content)})
    assert np.argwhere(np.asarray(datasets.load("cifar-10", tmp_path).samples)[0] == 99).tolist() == [[1, 2, 3]]


@pytest.mark.parametrize("place", ["data/cifar-10", "data/cifar-10/cifar-10-batches-bin", "cache/spikerun/cifar-10"])
def test_the_usual_places_are_looked_at(place: str, tmp_path: Path) -> None:
    folder = unpacked(tmp_path / place, FILES)
    assert cifar10.locate(None) == folder and datasets.load("cifar-10").source == str(folder)


def test_an_archive_that_was_changed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path, FILES, monkeypatch)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(DataError, match=r"has the MD5 \w{32}, the published one .* get it again"):
        datasets.load("cifar-10", tmp_path)


def test_the_published_checksum_is_the_default(tmp_path: Path) -> None:
    (tmp_path / cifar10.ARCHIVE).write_bytes(b"anything")
    with pytest.raises(DataError, match="c32a1d4ab5d03f1284b67883e8d87530"):
        datasets.load("cifar-10", tmp_path)


def test_what_is_no_archive_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / cifar10.ARCHIVE).write_bytes(b"\x1f\x8b\x08")
    monkeypatch.setattr(cifar10, "MD5", hashlib.md5(b"\x1f\x8b\x08").hexdigest())
    with pytest.raises(DataError, match="is no archive that can be read"):
        datasets.load("cifar-10", tmp_path)


def test_an_archive_without_a_file_is_refused_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive(tmp_path, {name: FILES[name] for name in NAMES[:-1]}, monkeypatch)
    with pytest.raises(DataError, match=r"holds no test_batch\.bin"):
        datasets.load("cifar-10", tmp_path)


@pytest.mark.parametrize("packed", [True, False])
def test_a_file_that_was_cut_short_is_refused(packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short = FILES | {"test_batch.bin": FILES["test_batch.bin"][:-1]}
    archive(tmp_path, short, monkeypatch) if packed else unpacked(tmp_path, short)
    with pytest.raises(DataError, match=f"test_batch.bin'? has {PHOTOS * 3073 - 1} bytes, the published file"):
        datasets.load("cifar-10", tmp_path)


@pytest.mark.parametrize("label", [9, 10, 255])
def test_classes_of_other_numbers_are_refused(label: int, tmp_path: Path) -> None:
    changed = bytearray(FILES["test_batch.bin"])
    changed[0] = label
    unpacked(tmp_path, {"test_batch.bin": bytes(changed)})
    with pytest.raises(DataError, match="2 of each of the 10"):
        datasets.load("cifar-10", tmp_path)


@pytest.mark.parametrize("name", ["cifar-10-python.tar.gz", "cifar-10-batches-py/data_batch_1", "test_batch"])
def test_the_version_of_pickles_is_refused_by_name_and_not_opened(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(pickle.dumps({}))
    with pytest.raises(DataError, match=r"is pickled, and nothing is unpickled here; get the binary version"):
        datasets.load("cifar-10", tmp_path)
    assert cifar10.locate(tmp_path) is None


def test_missing_files_are_reported_with_the_places_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        datasets.load("cifar-10")
    message = str(caught.value)
    assert str(tmp_path / "data" / "cifar-10") in message and str(tmp_path / "cache" / "spikerun") in message
    assert "test_batch.bin" in message and "--data-dir" in message and cifar10.ARCHIVE in message


def test_it_is_not_downloaded() -> None:
    with pytest.raises(UnsupportedError, match="is not downloaded"):
        cifar10.fetch(None, lambda n: None)

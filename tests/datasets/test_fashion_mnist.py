# SPDX-License-Identifier: Apache-2.0
import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest

from spikerun import datasets
from spikerun.datasets import fashion_mnist
from spikerun.errors import DataError


def idx(*shape: int) -> bytes:
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape) + bytes(int(np.prod(shape)))


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make all the usual places empty folders of this test."""
    monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path / "debian")
    monkeypatch.setenv("SPIKERUN_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def fill(folder: Path, suffix: str = "") -> None:
    folder.mkdir(parents=True)
    for prefix, count in (("t10k", 10000), ("train", 60000)):
        for name, content in (("images-idx3", idx(count, 28, 28)), ("labels-idx1", idx(count))):
            packed = gzip.compress(content, 1) if suffix else content
            (folder / f"{prefix}-{name}-ubyte{suffix}").write_bytes(packed)


def test_missing_files_are_reported_with_the_places_and_the_remedies(nowhere: Path) -> None:
    with pytest.raises(DataError) as caught:
        datasets.load("fashion-mnist")
    message = str(caught.value)
    for place in ("data/fashion-mnist", "debian", "cache/spikerun/fashion-mnist"):
        assert str(nowhere / place) in message
    for remedy in ("apt-get install dataset-fashion-mnist", "spikerun datasets fetch fashion-mnist", "--data-dir"):
        assert remedy in message


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_plain_and_gzip_files_are_read(nowhere: Path, suffix: str) -> None:
    fill(nowhere / "debian", suffix)
    data = datasets.load("fashion-mnist", limit=5)
    assert (data.samples.shape, data.scale, data.source) == ((5, 1, 28, 28), 1 / 255, str(nowhere / "debian"))


def test_places_are_tried_in_order(nowhere: Path) -> None:
    for place in ("cache/spikerun/fashion-mnist", "debian", "data/fashion-mnist"):
        fill(nowhere / place)
        assert fashion_mnist.locate(None) == nowhere / place


def test_given_folder_is_the_only_place(nowhere: Path) -> None:
    fill(nowhere / "debian")
    with pytest.raises(DataError, match="/given"):
        datasets.load("fashion-mnist", nowhere / "given")


def test_given_folder_may_hold_a_folder_of_the_name(nowhere: Path) -> None:
    fill(nowhere / "given" / "fashion-mnist")
    assert fashion_mnist.locate(nowhere / "given") == nowhere / "given" / "fashion-mnist"


def test_wrong_sizes_are_refused(nowhere: Path) -> None:
    fill(nowhere / "debian")
    (nowhere / "debian" / "t10k-images-idx3-ubyte").write_bytes(idx(10, 28, 28))
    with pytest.raises(DataError, match="t10k-images-idx3-ubyte' is not the expected IDX file"):
        datasets.load("fashion-mnist")


def test_labels_beyond_the_classes_are_refused(nowhere: Path) -> None:
    fill(nowhere / "debian")
    (nowhere / "debian" / "t10k-labels-idx1-ubyte").write_bytes(idx(10000)[:-1] + b"\x0a")
    with pytest.raises(DataError, match=r"0\.\.10, outside of the 10 classes"):
        datasets.load("fashion-mnist")


@pytest.mark.skipif(fashion_mnist.locate(None) is None, reason="Fashion-MNIST is not on this machine")
def test_test_split_on_this_machine_is_the_published_one() -> None:
    data = datasets.load("fashion-mnist")
    header = struct.pack(">BBBB3I", 0, 0, 8, 3, 10000, 28, 28)
    digest = hashlib.sha256(header + np.asarray(data.samples).tobytes()).hexdigest()
    assert digest == fashion_mnist.SPLITS["test"].images.sha256
    assert np.bincount(data.labels).tolist() == [1000] * 10

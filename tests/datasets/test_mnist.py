# SPDX-License-Identifier: Apache-2.0
import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from spikerun import datasets
from spikerun.datasets import mnist
from spikerun.errors import DataError


def idx(*shape: int) -> bytes:
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape) + bytes(int(np.prod(shape)))


def fill(folder: Path) -> None:
    """Write a test split, its labels packed."""
    folder.mkdir(parents=True)
    (folder / "t10k-images-idx3-ubyte").write_bytes(idx(10000, 28, 28))
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(10000)))


@pytest.mark.parametrize("place", ["given", "given/mnist", "given/MNIST/raw"])
def test_folders_that_others_keep_it_in_are_found(tmp_path: Path, place: str) -> None:
    fill(tmp_path / place)
    data = datasets.load("MNIST", tmp_path / "given")
    assert (data.name, data.shape, len(data), data.source) == ("mnist", (1, 28, 28), 10000, str(tmp_path / place))
    assert (data.scale, data.classes) == (1 / 255, tuple("0123456789"))


def test_files_that_are_missing_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"'mnist': no files t10k.*Either: spikerun datasets fetch mnist; or name their"
    ):
        datasets.load("mnist", tmp_path)
    assert mnist.locate(tmp_path) is None


def test_only_the_published_files_are_fetched() -> None:
    """Sizes of the files as published, and checksums of the right length."""
    files = [file for split in mnist.SPLITS.values() for file in (split.images, split.labels)]
    assert mnist.fetch_size() == 9912422 + 28881 + 1648877 + 4542
    assert {(len(file.md5), len(file.sha256)) for file in files} == {(32, 64)}

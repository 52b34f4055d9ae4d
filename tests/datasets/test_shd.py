# SPDX-License-Identifier: Apache-2.0
"""SHD in HDF5 files of our own writing, whole and broken."""

from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import numpy as np
import pytest

from spikerun import datasets
from spikerun.datasets import Bins
from spikerun.errors import DataError, FileFormatError

TIMES = [[0.0, 0.25, 0.0005], [], [1.0]]
UNITS = [[0, 699, 3], [], [5]]


def shd(folder: Path, times: Any = TIMES, units: Any = UNITS, labels: Any = (19, 0, 7), **how: Any) -> Path:
    """Write recordings as SHD has them: sequences of float16 and uint16, of variable length."""
    path = folder / "shd_test.h5"
    with h5py.File(path, "w") as file:
        for name, rows, kind in (("times", times, "f2"), ("units", units, "u2")):
            made = file.create_dataset(f"spikes/{name}", (len(rows),), h5py.vlen_dtype(np.dtype(kind)), **how)
            for k, row in enumerate(rows):
                made[k] = np.array(row, kind)
        file["labels"] = np.array(labels, "u2")
    return path


def load(folder: Path, steps: int = 300) -> Any:
    return datasets.load("shd", folder, encoder=Bins(steps, 1000)).samples[:]


@pytest.mark.parametrize("how", [{}, {"chunks": (2,), "maxshape": (None,)}])
def test_a_spike_lies_in_the_column_of_its_channel(tmp_path: Path, how: dict[str, Any]) -> None:
    shd(tmp_path, **how)
    data = datasets.load("SHD", tmp_path)
    assert (data.labels.tolist(), data.classes[19], data.shape) == ([19, 0, 7], "neun", (1, 1, 700))
    assert np.argwhere(load(tmp_path, 1001)[:, :, 0, 0]).tolist() == [[0, 0, 0], [0, 0, 3], [0, 250, 699], [2, 1000, 5]]


def test_a_network_of_700_features_takes_recordings(tmp_path: Path) -> None:
    shd(tmp_path)
    assert datasets.load("shd", tmp_path, encoder=Bins(4, 1000)).fitted((4, 700)).shape == (3, 4, 700)


def test_another_file_than_the_published_is_remarked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shd(tmp_path)
    datasets.load("shd", tmp_path)
    assert "the published one 207ad1295a0ab611e22d1734989c254e: its samples may be others" in caplog.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": (0, 1)}, r"labels: is uint16 \(2,\), expected \(3,\)"),
        ({"labels": (0, 1, 20)}, r"labels: is uint16 \(3,\), expected \(3,\), classes 0..19"),
        ({"units": UNITS[:2]}, "as many of seconds as of channels"),
        ({"times": [[0.5], [], [1.0]]}, "recording 0: has 1 times and 3 units"),
        ({"times": [[0, np.nan, 1], [], [1.0]]}, "recording 0, spike 1: the time nan s lies outside"),
        ({"times": [[0, -1, 1], [], [1.0]]}, "recording 0, spike 1: the time -1.0 s lies outside"),
        ({"units": [[0, 1, 700], [], [5]]}, "recording 0, spike 2: the unit 700 lies outside of 0..699"),
    ],
)
def test_what_cannot_be_is_refused_by_its_place(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    shd(tmp_path, **changes)
    with pytest.raises(DataError, match=f"shd_test.h5'.*{message}"):
        load(tmp_path)


def test_sequences_that_are_none_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "shd_test.h5", "w") as file:
        file["spikes/times"] = np.zeros(3)
        file["labels"] = np.zeros(3, int)
    with pytest.raises(FileFormatError, match="/spikes/times: must hold sequences of numbers"):
        load(tmp_path)


def test_sequences_that_are_compressed_are_refused(tmp_path: Path) -> None:
    shd(tmp_path, compression="gzip")
    with pytest.raises(FileFormatError, match=r"/spikes/times: .*compressed, which is not read"):
        load(tmp_path)


@pytest.mark.parametrize("chunks", [{}, {"chunks": (2,), "maxshape": (None,)}])
@pytest.mark.parametrize(("at", "raw"), [(0, b"GCOX"), (8, b"\xff" * 7), (16, b"\x09\0"), (24, b"\x01\0")])
def test_a_damaged_heap_is_refused(tmp_path: Path, chunks: dict[str, Any], at: int, raw: bytes) -> None:
    path = shd(tmp_path, **chunks)
    content = bytearray(path.read_bytes())
    place = content.index(b"GCOL") + at
    content[place : place + len(raw)] = raw
    path.write_bytes(bytes(content))
    with pytest.raises(FileFormatError, match=r"shd_test.h5': /spikes/(times|units): is (damaged|truncated)"):
        load(tmp_path)


def test_sequences_that_claim_more_than_there_is_are_refused(tmp_path: Path) -> None:
    path = shd(tmp_path)
    content = path.read_bytes()
    heap = content.index(b"GCOL").to_bytes(8, "little")
    for length, message in (
        (2**20, "a sequence is not where it says, or shorter"),
        (2**31, "at most 1048576 are read"),
    ):
        wrong = length.to_bytes(4, "little") + heap
        path.write_bytes(content.replace((3).to_bytes(4, "little") + heap, wrong))
        with pytest.raises(FileFormatError, match=message):
            load(tmp_path)

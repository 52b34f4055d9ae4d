# SPDX-License-Identifier: Apache-2.0
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from spikerun import datasets
from spikerun.datasets import Bins, n_mnist
from spikerun.datasets.events import read_bin
from spikerun.errors import DataError, UnsupportedError

EVENTS = [(10, 20, 1, 1000), (33, 0, 0, 70_000), (0, 33, 1, 2**23 - 1)]


def write(folder: Path, name: str, events: Sequence[tuple[int, int, int, int]] = EVENTS) -> Path:
    """Write events (x, y, p, t) as N-MNIST has them."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(bytes([x, y]) + (p << 23 | t).to_bytes(3, "big") for x, y, p, t in events))
    return path


def test_an_event_has_40_bits(tmp_path: Path) -> None:
    found = read_bin(write(tmp_path, "0.bin"))
    assert list(zip(*(values.tolist() for values in (found.x, found.y, found.p, found.t)), strict=True)) == EVENTS


def test_row_240_says_that_the_clock_went_round(tmp_path: Path) -> None:
    found = read_bin(write(tmp_path, "0.bin", [(1, 2, 0, 8000), (0, 240, 0, 0), (3, 4, 1, 10)]))
    assert (found.t.tolist(), found.x.tolist()) == ([8000, 8192 + 10], [1, 3])


def test_each_row_240_adds_to_all_times_behind_it(tmp_path: Path) -> None:
    turn = (0, 240, 0, 0)
    found = read_bin(write(tmp_path, "0.bin", [turn, (1, 2, 0, 5), turn, turn, (3, 4, 1, 7)]))
    assert found.t.tolist() == [8192 + 5, 3 * 8192 + 7]


def test_recordings_are_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("Test/7/00001.bin", "Test/2/00002.bin", "Test/1/00003.bin", "Test/7/00004.bin", "Train/0/00002.bin"):
        write(tmp_path, name, [(int(name[7:12][-1]) if name[7:12].isdigit() else 1, 0, 0, 5)])
    (tmp_path / "Test" / "1" / "readme.txt").touch()
    data = datasets.load("N-MNIST", tmp_path)
    assert (data.labels.tolist(), data.shape, len(data.classes)) == ([7, 2, 1, 7], (2, 34, 34), 10)
    frames = data.encoded(Bins(1, 1000)).samples[:]
    assert [int(frame[0, 0, 0].argmax()) for frame in frames] == [1, 2, 3, 4]
    assert len(datasets.load("n-mnist", tmp_path, split="train")) == 1


def test_a_packed_file_will_do(tmp_path: Path) -> None:
    events = {key: np.zeros(10, np.int64) for key in ("t", "x", "y", "p")}
    np.savez(tmp_path / "nmnist.npz", **events, offset=np.arange(11), label=np.zeros(10, np.int64))
    assert datasets.provider("n-mnist").locate(tmp_path) == tmp_path / "nmnist.npz"
    data = datasets.load("n-mnist", tmp_path)
    assert (data.name, data.shape, len(data)) == ("n-mnist", (2, 34, 34), 2)


@pytest.mark.parametrize("size", [0, 7])
def test_a_file_that_is_cut_off_is_refused_by_name(tmp_path: Path, size: int) -> None:
    path = write(tmp_path, "Test/3/00001.bin")
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DataError, match=rf"00001.bin' has {size} bytes, and events of 5 each: it is cut off"):
        datasets.load("n-mnist", tmp_path)
    with pytest.raises(DataError, match=f"has {size} bytes"):
        read_bin(path)


def test_a_file_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, "Test/3/00001.bin")
    with path.open("r+b") as file:
        file.truncate(5 * 2**40)  # a hole, which no machine has memory for
    for use in (lambda: datasets.load("n-mnist", tmp_path), lambda: read_bin(path)):
        with pytest.raises(DataError, match=r"00001.bin' has 5497558138880 bytes, the limit is 16777216: split it"):
            use()


def test_events_outside_of_the_frame_are_refused_by_file(tmp_path: Path) -> None:
    write(tmp_path, "Test/3/00001.bin", [(1, 1, 1, 1), (34, 1, 1, 2)])
    with pytest.raises(DataError, match=r"00001.bin': event 1 \(x = 34, y = 1, p = 1\) lies outside of the frame"):
        datasets.load("n-mnist", tmp_path, encoder=Bins(1, 1000))


def test_files_that_are_missing_say_where_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        DataError, match=r"no folder Test and no file n-mnist.npz or nmnist.npz in .*get Train.zip \(MD5"
    ):
        datasets.load("n-mnist", tmp_path)
    (tmp_path / "Test").mkdir()
    with pytest.raises(DataError, match="no recordings such as 5/00001"):
        datasets.load("n-mnist", tmp_path)
    with pytest.raises(UnsupportedError, match=r"is not downloaded: get Train.zip"):
        n_mnist.fetch(None, lambda n: None)


def test_folders_of_the_environment_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKERUN_DATA", str(tmp_path))
    write(tmp_path, "n-mnist/Test/3/00001.bin")
    assert datasets.provider("n-mnist").locate(None) == tmp_path / "n-mnist"
    assert len(datasets.load("n-mnist")) == 1

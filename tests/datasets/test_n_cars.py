# SPDX-License-Identifier: Apache-2.0
"""N-CARS in files of our own writing."""

from pathlib import Path

import numpy as np
import pytest

from spikerun import datasets
from spikerun.datasets import Bins
from spikerun.errors import DataError

EVENTS = [(0, 0, 0, 1), (999, 119, 99, 0), (1000, 7, 8, 1)]  # t, x, y, p


def dat(path: Path, events: list[tuple[int, int, int, int]] = EVENTS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = np.array([(t, x | y << 14 | p << 28) for t, x, y, p in events], "<u4").tobytes()
    path.write_bytes(b"% Data file containing Event2D events.\n% Version 2\n% Height 240\n% Width 304\n\x0c\x08" + raw)
    return path


@pytest.mark.parametrize("inside", ["n-cars_test", "Prophesee_Dataset_n_cars/n-cars_test/test", "test"])
def test_recordings_of_both_folders_are_in_the_order_of_their_names(tmp_path: Path, inside: str) -> None:
    for name in ("cars/obj_000001_td.dat", "cars/obj_000004_td.dat", "background/obj_000003_td.dat"):
        dat(tmp_path / inside / name)
    assert datasets.provider("n-cars").locate(tmp_path) == tmp_path / inside
    data = datasets.load("n-cars", tmp_path)
    assert (data.labels.tolist(), data.classes, data.shape) == ([1, 0, 1], ("background", "car"), (2, 100, 120))
    frames = np.asarray(data.encoded(Bins(2, 1000)).samples)
    assert np.argwhere(frames[0]).tolist() == [[0, 0, 99, 119], [0, 1, 0, 0], [1, 1, 8, 7]]


def test_what_is_damaged_is_refused_by_file(tmp_path: Path) -> None:
    path = dat(tmp_path / "n-cars_train" / "cars" / "obj_1_td.dat", [(1, 120, 0, 1)])
    with pytest.raises(DataError, match=r"obj_1_td.dat': event 0 \(x = 120, y = 0, p = 1\) lies outside of the frame"):
        datasets.load("n-cars", tmp_path, split="train", encoder=Bins(1, 1000))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"obj_1_td.dat': byte \d+: 7 of the 8 bytes of an event"):
        datasets.load("n-cars", tmp_path, split="train", encoder=Bins(1, 1000))
    with path.open("r+b") as file:
        file.truncate(2**40)
    with pytest.raises(DataError, match=r"obj_1_td.dat' has 1099511627776 bytes, the limit is 16777216"):
        datasets.load("n-cars", tmp_path, split="train")


def test_an_empty_folder_says_what_is_looked_for(tmp_path: Path) -> None:
    (tmp_path / "n-cars_test" / "cars").mkdir(parents=True)
    with pytest.raises(
        DataError, match=r"no recordings such as cars/obj_004396_td.dat in .*n-cars_test': get Prophesee"
    ):
        datasets.load("n-cars", tmp_path)

# SPDX-License-Identifier: Apache-2.0
"""DVS128 Gesture in files of our own writing."""

import struct
from pathlib import Path

import numpy as np
import pytest

from spikerun import datasets
from spikerun.datasets import Bins
from spikerun.errors import DataError

HEADER = b"#!AER-DAT3.1\r\n#!END-HEADER\r\n"
LABELS = "class,startTime_usec,endTime_usec\n3,1000,3000\n11,2500,6000\n"
EVENTS = [(999, 1, 2, 1), (1000, 5, 6, 0), (2999, 7, 8, 1), (3000, 9, 9, 1), (5999, 127, 127, 0)]  # t, x, y, p


def trial(folder: Path, name: str, events: list[tuple[int, int, int, int]] = EVENTS, labels: str = LABELS) -> None:
    raw = b"".join(struct.pack("<Ii", x << 17 | y << 2 | p << 1 | 1, t) for t, x, y, p in events)
    head = struct.pack("<hhiiiiii", 1, 1, 8, 4, 0, len(events), len(events), len(events))
    (folder / f"{name}.aedat").write_bytes(HEADER + head + raw)
    (folder / f"{name}_labels.csv").write_text(labels)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of one file that trains, and two that test."""
    found = tmp_path / "DvsGesture"
    found.mkdir()
    for name in ("user01_led", "user24_lab", "user02_led"):
        trial(found, name)
    (found / "trials_to_train.txt").write_text("user01_led.aedat\n")
    (found / "trials_to_test.txt").write_text("user24_lab.aedat\r\nuser02_led.aedat\n\n")
    return found


def test_each_gesture_of_a_file_is_a_recording_whose_times_begin_with_it(folder: Path) -> None:
    data = datasets.load("DVS128Gesture", folder.parent, split="train")
    assert (data.labels.tolist(), data.shape, data.classes[2], len(data.classes)) == (
        [2, 10],
        (2, 128, 128),
        "left_hand_wave",
        11,
    )
    assert [data.samples.events(k).t.tolist() for k in (0, 1)] == [[0, 1999], [499, 500, 3499]]  # type: ignore[union-attr]
    frames = np.asarray(data.encoded(Bins(2, 1000)).samples)
    assert frames[0].nonzero()[0].tolist() == [0, 1]
    assert frames[0, 0, 0, 6, 5] == frames[0, 1, 1, 8, 7] == 1


def test_recordings_are_in_the_order_of_the_list(folder: Path) -> None:
    trial(folder, "user02_led", labels=LABELS.replace("3,", "1,", 1))
    assert datasets.load("dvs128-gesture", folder).labels.tolist() == [2, 10, 0, 10]
    assert datasets.provider("dvs128-gesture").locate(folder.parent) == folder


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("label,start,end\n", "line 1: has the columns label,start,end, expected class,"),
        (LABELS + "12,1,2\n", "line 4: '12,1,2' is no class 1 to 11"),
        (LABELS + "1,5,5\n", "line 4: '1,5,5' is no"),
        (LABELS + "1,5\n", "line 4: '1,5' is no"),
        (LABELS + f"1,5,{'9' * 30}\n", "line 4: '1,5,999"),
        (LABELS + "1,-5,5\n", "line 4"),
        (LABELS + "1,5," + "9" * 140_000 + "\n", "line 4: is no line of labels: field larger than"),
        ("c" * 140_000 + "\n", "line 1: is no line of labels: field larger than"),
    ],
)
def test_labels_that_are_none_are_refused_by_their_line(folder: Path, labels: str, message: str) -> None:
    trial(folder, "user01_led", labels=labels)
    with pytest.raises(DataError, match=f"user01_led_labels.csv', {message}"):
        datasets.load("dvs128-gesture", folder, split="train")


@pytest.mark.parametrize("name", ["../user01_led.aedat", "/etc/x.aedat", "user01_led.npz"])
def test_a_list_names_files_beside_it_alone(folder: Path, name: str) -> None:
    (folder / "trials_to_train.txt").write_text(f"user01_led.aedat\n{name}\n")
    with pytest.raises(DataError, match=r"trials_to_train.txt', line 2: '.*' is no name of an .aedat file beside it"):
        datasets.load("dvs128-gesture", folder, split="train")


def test_files_and_labels_that_are_missing_are_named(folder: Path) -> None:
    (folder / "user24_lab_labels.csv").unlink()
    with pytest.raises(DataError, match=r"user24_lab.aedat' has no labels: there is no file 'user24_lab_labels.csv'"):
        datasets.load("dvs128-gesture", folder)
    (folder / "user24_lab.aedat").unlink()
    with pytest.raises(DataError, match=r"trials_to_test.txt', line 1: there is no file 'user24_lab.aedat' beside it"):
        datasets.load("dvs128-gesture", folder)
    (folder / "trials_to_test.txt").write_text("\n")
    with pytest.raises(DataError, match=r"trials_to_test.txt' names no file that has gestures"):
        datasets.load("dvs128-gesture", folder)


def test_events_outside_of_the_sensor_are_refused_by_file(folder: Path) -> None:
    trial(folder, "user01_led", [(2000, 128, 0, 1)])
    with pytest.raises(DataError, match=r"user01_led.aedat', from 1000 us on: event 0 \(x = 128, y = 0, p = 1\) lies"):
        datasets.load("dvs128-gesture", folder, split="train", encoder=Bins(1, 1000))


def test_a_list_too_large_is_not_read(folder: Path) -> None:
    with (folder / "trials_to_test.txt").open("r+b") as file:
        file.truncate(2**40)
    with pytest.raises(DataError, match=r"trials_to_test.txt' has 1099511627776 bytes, the limit is 1048576"):
        datasets.load("dvs128-gesture", folder)

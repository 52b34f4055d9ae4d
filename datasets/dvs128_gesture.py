# SPDX-License-Identifier: Apache-2.0
"""DVS128 Gesture: 11 gestures of 29 people in three kinds of light, seen by a DVS128 (Amir et al., CVPR 2017).

In a given folder and nowhere else, or in $SPIKERUN_DATA/dvs128-gesture and the user's cache, there is looked for what
the published archive holds, there or in `DvsGesture`: lists `trials_to_train.txt` and `trials_to_test.txt` of files
such as user01_led.aedat (AEDAT 3.1), and beside each its user01_led_labels.csv: a class 1 to 11, and the first and the
last time of a gesture, in microseconds of the file's clock. Each is a recording, in the order of the lists; its times
begin with the gesture's. The MD5 of the archive is that of its publication by IBM, as tonic, SpikingJelly and others
give it. Never tried on the set itself.
"""

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from spikerun.datasets.dataset import Dataset
from spikerun.datasets.events import LATEST, Events, Recordings, joined, strangers
from spikerun.datasets.found import Found
from spikerun.errors import DataError
from spikerun.events import EventArray
from spikerun.sources import CHUNK, aedat3

__all__ = ["fetch", "fetch_size", "locate", "read"]

NAME = "dvs128-gesture"
FRAME = (2, 128, 128)
LISTS = {"train": "trials_to_train.txt", "test": "trials_to_test.txt"}
COLUMNS = ["class", "startTime_usec", "endTime_usec"]
LARGEST_TEXT = 1 << 20  # bytes of a list, or of the labels of a file
CLASSES = (
    "hand_clapping", "right_hand_wave", "left_hand_wave", "right_arm_clockwise", "right_arm_counter_clockwise",
    "left_arm_clockwise", "left_arm_counter_clockwise", "arm_roll", "air_drums", "air_guitar", "other_gestures",
)  # fmt: skip

_SET = Found(NAME, ("DvsGesture",), {"DvsGesture.tar.gz": "8a5c71fb11e24e5ca5b11866ca6c00a1"})
fetch, fetch_size = _SET.fetch, _SET.fetch_size


@dataclass(frozen=True)
class Gesture:
    """A part of a file: the events from `begin` on, and before `end`, microseconds of its clock."""

    path: Path
    label: int
    begin: int
    end: int


class Gestures(Recordings):
    """Recordings that are parts of files, of which one is read through when a recording is asked for."""

    def __init__(self, gestures: tuple[Gesture, ...], places: NDArray[np.int64]) -> None:
        super().__init__(NAME, places, FRAME)
        self.gestures = gestures

    def _like(self, places: NDArray[np.int64], shape: tuple[int, ...]) -> Self:
        return type(self)(self.gestures, places)

    def events(self, place: int) -> Events:
        """Return the events of a gesture, its times from 0 on."""
        gesture = self.gestures[place]
        found = joined(_within(gesture))
        outside = strangers(found.x, found.y, found.p, FRAME)
        if outside is not None:
            raise DataError(f"'{gesture.path}', from {gesture.begin} us on: {outside}")
        return found


def locate(folder: Path | None) -> Path | None:
    """Return the first folder that has a list of files, or None."""
    return next((place for place in _SET.places(folder) if any(map(os.path.isfile, _lists(place)))), None)


def read(folder: Path | None, split: str) -> Dataset:
    """Return the `train` or `test` split."""
    found = next((place for place in _SET.places(folder) if os.path.isfile(place / LISTS[split])), None)
    if found is None:
        raise _SET.missing(f"no file {LISTS[split]}", folder)
    gestures = tuple(gesture for path in _files(found / LISTS[split]) for gesture in _gestures(path))
    if not gestures:
        raise DataError(f"data set '{NAME}': '{found / LISTS[split]}' names no file that has gestures: {_SET.hint}")
    return Dataset(
        name=NAME,
        split=split,
        samples=Gestures(gestures, np.arange(len(gestures))),
        labels=np.array([gesture.label for gesture in gestures]),
        classes=CLASSES,
        scale=1.0,
        source=str(found),
    )


def _lists(place: Path) -> list[Path]:
    return [place / name for name in LISTS.values()]


def _within(gesture: Gesture) -> Iterator[EventArray]:
    """Yield the events of a gesture."""
    for events, _ in aedat3.opened(gesture.path).chunks(CHUNK):
        inside = (events["t"] >= gesture.begin) & (events["t"] < gesture.end)
        if inside.any():
            found = events[inside]
            found["t"] -= gesture.begin
            yield found


def _files(path: Path) -> Iterator[Path]:
    """Yield the files that a list names, each in its own folder."""
    for number, line in enumerate(_lines(path), 1):
        name = line.strip()
        if name and (name != Path(name).name or not name.endswith(".aedat")):
            raise DataError(f"'{path}', line {number}: '{name:.80}' is no name of an .aedat file beside it")
        if name and not os.path.isfile(path.parent / name):
            raise DataError(f"'{path}', line {number}: there is no file '{name}' beside it: {_SET.hint}")
        if name:
            yield path.parent / name


def _gestures(path: Path) -> Iterator[Gesture]:
    """Yield the gestures of a file, from the table beside it."""
    table = path.with_name(f"{path.stem}_labels.csv")
    if not os.path.isfile(table):
        raise DataError(f"'{path}' has no labels: there is no file '{table.name}' beside it")
    rows = _rows(table)
    if (names := [name.strip() for name in next(rows, (1, []))[1]]) != COLUMNS:
        raise DataError(f"'{table}', line 1: has the columns {','.join(names):.80}, expected {','.join(COLUMNS)}")
    for number, row in rows:
        numbers = [int(one) if one.strip().isdecimal() and len(one) < 20 else -1 for one in row]
        known = len(row) == 3 and 1 <= numbers[0] <= len(CLASSES) and 0 <= numbers[1] < numbers[2] <= LATEST
        if row and not known:
            raise DataError(
                f"'{table}', line {number}: '{','.join(row):.80}' is no class 1 to {len(CLASSES)} with the "
                "first and the last microsecond of a gesture"
            )
        if row:
            yield Gesture(path, numbers[0] - 1, numbers[1], numbers[2])


def _rows(table: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a table, each with the number of its line."""
    rows = csv.reader(_lines(table))
    try:
        for row in rows:
            yield rows.line_num, row
    except csv.Error as error:
        raise DataError(f"'{table}', line {rows.line_num}: is no line of labels: {error}") from None


def _lines(path: Path) -> list[str]:
    if os.path.getsize(path) > LARGEST_TEXT:
        raise DataError(f"'{path}' has {os.path.getsize(path)} bytes, the limit is {LARGEST_TEXT}: no list or labels")
    return path.read_text(encoding="utf-8", errors="replace").splitlines()

# SPDX-License-Identifier: Apache-2.0
"""SHD: spoken digits, English and German, as spikes of 700 channels of a model of the cochlea (Cramer et al., 2022).

In a given folder and nowhere else, or in $SPIKERUN_DATA/shd and the user's cache, there are looked for the published
files shd_train.h5 and shd_test.h5, unpacked: spikes/times, seconds, and spikes/units, channels, a sequence of each for
each recording, and labels. They have no rows and polarities: a recording lies in a frame (1, 1, 700), the channel is
its column; networks of 700 features take it, too. A file that has not the published MD5, as norse has it, is remarked;
the MD5 of the archives is that of compneuro.net and of zenkelab.org. Never tried on the set itself.
"""

import logging
import os
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from spikerun.datasets.dataset import Dataset
from spikerun.datasets.events import LATEST, Events, Recordings
from spikerun.datasets.found import Found, md5_of
from spikerun.errors import DataError
from spikerun.hdf5 import Reader, opened
from spikerun.heap import Sequences

__all__ = ["fetch", "fetch_size", "locate", "read"]

NAME = "shd"
CHANNELS = 700
FRAME = (1, 1, CHANNELS)
FILES = {"train": "shd_train.h5", "test": "shd_test.h5"}
MD5 = {"shd_train.h5": "8e9877c85f29a28dd353ea6a54402667", "shd_test.h5": "207ad1295a0ab611e22d1734989c254e"}
LONGEST = 1 << 20  # spikes of a recording
CLASSES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
    "null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun",
)  # fmt: skip

log = logging.getLogger(__name__)

_SET = Found(
    NAME,
    archives={
        "shd_train.h5.gz": "d47c9825dee33347913e8ce0f2be08b0",
        "shd_test.h5.gz": "3062a80ec0c5719404d5b02e166543b1",
        "shd_train.h5.zip": "f3252aeb598ac776c1b526422d90eecb",
        "shd_test.h5.zip": "1503a5064faa34311c398fb0a1ed0a6f",
    },
)
fetch, fetch_size = _SET.fetch, _SET.fetch_size


class Spikes(Recordings):
    """Recordings of which each is two sequences of a file, which are read when its samples are made."""

    def __init__(self, times: Sequences, units: Sequences, places: NDArray[np.int64]) -> None:
        super().__init__(NAME, places, FRAME)
        self.times, self.units = times, units

    def _like(self, places: NDArray[np.int64], shape: tuple[int, ...]) -> Self:
        return type(self)(self.times, self.units, places)

    def events(self, place: int) -> Events:
        """Return the spikes of a recording, in the order of the file; times are rounded to microseconds."""
        seconds, units = self.times[place].astype(np.float64), self.units[place].astype(np.int64)
        where = f"'{self.times.source}', recording {place}"
        if len(seconds) != len(units):
            raise DataError(f"{where}: has {len(seconds)} times and {len(units)} units; there is one of each a spike")
        for what, bad in (
            (f"the time {{}} s lies outside of 0..{LATEST / 1e6:g}", ~((seconds >= 0) & (seconds <= LATEST / 1e6))),
            (f"the unit {{}} lies outside of 0..{CHANNELS - 1}", (units < 0) | (units >= CHANNELS)),
        ):
            if bad.any():
                k = int(np.argmax(bad))
                raise DataError(f"{where}, spike {k}: {what.format((seconds if '{} s' in what else units)[k])}")
        none = np.zeros(len(units), np.int64)
        return Events(np.rint(seconds * 1e6).astype(np.int64), units, none, none)


def locate(folder: Path | None) -> Path | None:
    """Return the first folder that has a file, or None."""
    return next((one for one in _SET.places(folder) for name in MD5 if os.path.isfile(one / name)), None)


def read(folder: Path | None, split: str) -> Dataset:
    """Return the `train` or `test` split."""
    path = next((one / FILES[split] for one in _SET.places(folder) if os.path.isfile(one / FILES[split])), None)
    if path is None:
        raise _SET.missing(f"no file {FILES[split]}", folder)
    if (found := md5_of(path)) != MD5[path.name]:
        log.warning("'%s' has the MD5 %s, the published one %s: its samples may be others", path, found, MD5[path.name])
    with opened(path, ".h5") as (source, file):
        reader = Reader(source, file)
        spikes = reader.group(reader.root, "spikes")
        times, units = (reader.sequences(spikes, name, LONGEST) for name in ("times", "units"))
        labels = reader.array(reader.root, "labels")
    if times.dtype.kind != "f" or units.dtype.kind not in "iu" or not len(times) == len(units) > 0:
        got = f"{len(times)} sequences of {times.dtype}, and {len(units)} of {units.dtype}"
        raise DataError(
            f"'{path}', spikes/times and spikes/units: are {got}; expected as many of seconds as of channels"
        )
    if labels.shape != (len(times),) or labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() > 19:
        raise DataError(f"'{path}', labels: is {labels.dtype} {labels.shape}, expected ({len(times)},), classes 0..19")
    return Dataset(
        name=NAME,
        split=split,
        samples=Spikes(times, units, np.arange(len(times))),
        labels=labels.astype(np.int64),
        classes=CLASSES,
        scale=1.0,
        source=str(path),
    )

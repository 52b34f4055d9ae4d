# SPDX-License-Identifier: Apache-2.0
"""DSEC: drives of minutes, seen by two event cameras of 640 x 480 pixels (Gehrig et al., RA-L 2021).

They have no classes: a drive is a stream, not samples, so `load` refuses the set and says how a drive is opened. In a
given folder and nowhere else, or in $SPIKERUN_DATA/dsec and the user's cache, there are looked for folders of drives
with events/left/events.h5, there or in `train`, `test`, `train_events` or `test_events`. Its publishers give no
checksums. Never tried on the set itself.
"""

from collections.abc import Iterator
from pathlib import Path

from spikerun.datasets.dataset import Dataset
from spikerun.datasets.found import Found
from spikerun.errors import UnsupportedError

__all__ = ["fetch", "fetch_size", "locate", "read"]

NAME = "dsec"
EVENTS = "*/events/left/events.h5"

_SET = Found(NAME, ("train", "test", "train_events", "test_events"))
fetch, fetch_size = _SET.fetch, _SET.fetch_size


def locate(folder: Path | None) -> Path | None:
    """Return the first folder that has a drive, or None."""
    return next((drive.parents[3] for drive in _drives(folder)), None)


def read(folder: Path | None, split: str) -> Dataset:
    """Refuse, and name a drive that is there."""
    drive = next(_drives(folder), None)
    if drive is None:
        raise _SET.missing("no drive with events/left/events.h5", folder)
    raise UnsupportedError(
        f"data set '{NAME}': its drives have no classes, each is one stream and no sample: open one as "
        f"spikerun.sources.file('{drive}')"
    )


def _drives(folder: Path | None) -> Iterator[Path]:
    for place in _SET.places(folder):
        try:
            yield from sorted(place.glob(EVENTS))
        except OSError:  # names too long for a file
            continue

# SPDX-License-Identifier: Apache-2.0
"""A recorded file as a source: its format found by name and content, its events checked as they are read."""

import importlib
import operator
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import cast, overload

from spikerun.atomic import PathLike, as_path
from spikerun.errors import DataError, UsageError, unknown_name
from spikerun.events import EVENT, EventArray, first_fault
from spikerun.plugins import rows
from spikerun.sources.format import Format, Reader, Shape
from spikerun.sources.paced import Paced, paced
from spikerun.sources.records import LONGEST_HEADER, head

__all__ = ["CHUNK", "FORMATS", "File", "file", "formats"]

ROOM = "spikerun.sources"
ENTRY_POINT_GROUP = ROOM
CHUNK = 65_536  # events
LARGEST_CHUNK = 1 << 24


def _evt(version: bytes) -> bytes:
    """Return how a RAW file begins whose header says this version of EVT."""
    return rb"(?:%[^\n]*\n)*?%\s*(?:evt |format EVT)" + version


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        row.name: row
        for row in (
            Format("aedat3", "AEDAT 3.1, of polarities", f"{ROOM}.aedat3", (".aedat",), rb"#!AER-DAT3\.1\r\n"),
            Format(
                "aedat4",
                "iniVation's AEDAT 4, by faery",
                f"{ROOM}.aedat4",
                (".aedat4", ".aedat"),
                rb"#!AER-DAT4\.0\r\n",
            ),
            Format("csv", "text, a line for each event", f"{ROOM}.text", (".csv", ".txt")),
            Format("dat", "ATIS and Prophesee DAT, of changes (CD)", f"{ROOM}.dat", (".dat",)),
            Format("hdf5", "HDF5 of DSEC, and of Prophesee", f"{ROOM}.hdf5", (".h5", ".hdf5"), rb"\x89HDF\r\n"),
            Format("es", "Event Stream of DVS and ATIS, by faery", f"{ROOM}.es", (".es",), b"Event Stream"),
            Format("evt2", "Prophesee RAW of EVT 2.0", f"{ROOM}.evt2", (".raw",), _evt(b"2")),
            Format("evt3", "Prophesee RAW of EVT 3.0", f"{ROOM}.evt3", (".raw",), _evt(b"3")),
            Format("npy", "an array of events, saved by NumPy", f"{ROOM}.npy", (".npy",), rb"\x93NUMPY"),
            Format("n-mnist", "N-MNIST's and N-Caltech101's 40 bits an event", f"{ROOM}.n_mnist", (".bin",)),
        )
    }
)


class File:
    """The events of a file, read anew each time it is iterated: arrays of EVENT in order of time, all in `shape`.

    shape:    (C, H, W); None where neither the file nor the caller says it
    format:   its name in the table
    t_offset: microseconds from the clock of the recording to t = 0 of the events
    """

    def __init__(self, path: Path, row: Format, shape: Shape | None, chunk: int, ordered: bool = True) -> None:
        opened = cast(Reader, importlib.import_module(row.module)).opened(path)
        self.path, self.format = path, row.name
        self.shape = opened.shape if shape is None else shape
        self.t_offset = opened.t_offset
        self._chunk, self._chunks, self._ordered = chunk, opened.chunks, ordered

    def __iter__(self) -> Iterator[EventArray]:
        """Yield the events. Raises DataError at the first that is out of order, or outside of the shape."""
        since = 0
        for events, where in self._chunks(self._chunk):
            columns = {field: events[field] for field in EVENT.names or ()}
            fault = first_fault(columns, self.shape, since, self._ordered)
            if fault is not None:
                k, why = fault
                t, x, y, p = events[k].item()[:4]
                raise DataError(f"'{self.path}': {where(k)}: the event (t = {t}, x = {x}, y = {y}, p = {p}) {why}")
            if len(events):
                since = int(events["t"][-1])
                yield events

    def __repr__(self) -> str:
        return f"File('{self.path}', format='{self.format}', shape={self.shape})"


@overload
def file(
    path: PathLike, format: str | None = None, shape: Shape | None = None, chunk: int = CHUNK, *, ordered: bool = True
) -> File: ...


@overload
def file(
    path: PathLike,
    format: str | None = None,
    shape: Shape | None = None,
    chunk: int = CHUNK,
    *,
    pace: float,
    ordered: bool = True,
) -> Paced: ...


def file(
    path: PathLike,
    format: str | None = None,
    shape: Shape | None = None,
    chunk: int = CHUNK,
    *,
    pace: float | None = None,
    ordered: bool = True,
) -> File | Paced:
    """Return the events of a file as a source, whose header is read now and whose events as they are asked for.

    format: a name of the table; None: by the name of the file and how it begins
    shape:  (C, H, W) of the sensor, for files that do not say it; events outside are errors. None: what the file says
    chunk:  events of an array, at most
    pace:   gives the events at the speed of the clock, 1.0, or so many times as fast: `spikerun.sources.paced`
    ordered: whether events must be in order of time; streams with late="clamp" or "drop" take others
    Raises DataError where the file is not there, or is no such file; UnsupportedError where it needs a package.
    """
    known = formats()
    if format is not None and (not isinstance(format, str) or format not in known):
        raise unknown_name("format of event files", str(format), known)
    if not isinstance(chunk, int) or isinstance(chunk, bool) or not 0 < chunk <= LARGEST_CHUNK:
        raise UsageError(f"a chunk has 1 to {LARGEST_CHUNK} events, got {chunk!r:.80}")
    place = as_path(path)
    if not os.path.isfile(place):  # Path.is_file raises for long names
        raise DataError(f"'{place}' {'is no regular file' if os.path.exists(place) else 'does not exist'}")
    if not os.path.getsize(place):
        raise DataError(f"'{place}' is empty: 0 bytes, which is no event file")
    row = known[format] if format is not None else _guessed(place, known)
    found = File(place, row, None if shape is None else _whole(shape), chunk, ordered)
    return found if pace is None else paced(found, pace)


def formats() -> dict[str, Format]:
    """Return the table, with the rows of other packages."""
    return rows(ENTRY_POINT_GROUP, Format, FORMATS)


def _guessed(path: Path, known: Mapping[str, Format]) -> Format:
    """Return the format that the name and the first bytes of a file speak for."""
    begin = head(path, LONGEST_HEADER)
    named = [row for row in known.values() if path.suffix.lower() in row.suffixes]
    found = [row for row in named or known.values() if row.begins and re.match(row.begins, begin)]
    found = found or [row for row in named if not row.begins]
    if len(found) != 1:
        names = ", ".join(row.name for row in named) or "no event file"
        raise DataError(
            f"'{path}': by its name it is {names}, and it does not begin as {'one' if named else 'any'} does; name its "
            f"format, one of {', '.join(sorted(known))}"
        )
    return found[0]


def _whole(shape: Shape) -> Shape:
    try:
        channels, height, width = (operator.index(one) for one in shape)
    except (TypeError, ValueError):
        channels = height = width = 0
    if min(channels, height, width) < 1:
        raise UsageError(f"events lie in a shape (C, H, W) of positive integers, got {shape!r:.80}")
    return channels, height, width

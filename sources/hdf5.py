# SPDX-License-Identifier: Apache-2.0
"""Events in HDF5: DSEC's arrays /events/t, x, y, p, or Prophesee's table /CD/events.

DSEC (Gehrig et al., 2021) counts t from the start of a recording, whose own time is /t_offset; its sensors have 640x480
pixels, and events are where they were seen, not rectified. Its files are compressed by Blosc, which needs the package
hdf5plugin; Prophesee's by a codec of theirs, which needs their software.
"""

import functools
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import numpy as np

from spikerun.errors import DataError, SpikerunError, UnsupportedError, printable
from spikerun.events import EVENT, FIELDS, EventArray, first_fault, packed
from spikerun.sources.format import Chunks, Opened, Shape

__all__ = ["opened"]

DSEC = (2, 480, 640)
BLOCK = 1 << 15  # events that are read at a time
LARGEST_PIECE = 1 << 24  # bytes of a compressed piece, when it is unpacked
PROPHESEE = 36559  # HDF5's number of their codec


def opened(path: Path) -> Opened:
    """Return what the file says of itself. Raises DataError where it has no events, or arrays that do not fit."""
    with _file(path) as file:
        piece = max(_piece(table) for table, _ in _columns(file).values())
        shape, offset = _of_dsec(file) if "events" in file else (_geometry(file), 0)
    return Opened(shape, functools.partial(_chunks, path, max(piece, 1 << 16)), offset)


def _chunks(path: Path, cache: int, chunk: int) -> Chunks:
    with _file(path, cache) as file:
        columns = _columns(file)
        step = min(chunk, BLOCK)
        for at in range(0, len(columns["t"][0]), step):
            yield _read(columns, slice(at, at + step)), functools.partial(_where, at)


def _read(columns: dict[str, tuple[Any, str | None]], part: slice) -> EventArray:
    read: dict[int, Any] = {}  # a table is read once for all of its columns
    found = {}
    for field, (table, name) in columns.items():
        values = read.setdefault(id(table), table[part])
        found[field] = values if name is None else values[name]
    if not all(np.can_cast(found[field].dtype, EVENT[field]) for field in EVENT.names or ()):
        fault = first_fault(found)
        if fault is not None:
            raise DataError(f"{_where(part.start, fault[0])}: the event {fault[1]}")
    return packed(found)


def _where(first: int, k: int) -> str:
    return f"event {first + k}"


def _columns(file: Any) -> dict[str, tuple[Any, str | None]]:
    """Return the array that holds each of t, x, y, p, and the name of its column where it is a table."""
    if "events" in file:
        found: dict[str, tuple[Any, str | None]] = {field: (_array(file, "events", field), None) for field in FIELDS}
    elif "CD" in file:
        table = _array(file, "CD", "events")
        names = table.dtype.names or ()
        found = {field: (table, next((one for one in FIELDS[field] if one in names), None)) for field in FIELDS}
        missing = [field for field, (_, name) in found.items() if name is None]
        if missing:
            raise DataError(f"/CD/events lacks {', '.join(missing)}: it has {', '.join(names) or table.dtype}")
    else:
        raise DataError("it has neither the arrays /events/t, x, y, p nor the table /CD/events")
    for field, (array, name) in found.items():
        dtype = array.dtype if name is None else array.dtype[name]
        if dtype.kind not in ("iu" if field == "t" else "biu"):
            raise DataError(f"{array.name}{'' if name is None else f', {name}'} must hold integers, got {dtype}")
    lengths = {len(array) for array, _ in found.values()}
    if len(lengths) > 1:
        raise DataError(f"/events/t, x, y, p have {', '.join(str(len(array)) for array, _ in found.values())} values")
    return found


def _array(file: Any, group: str, name: str) -> Any:
    """Return an array that lies in the file, is as large as it claims, and can be unpacked here."""
    place = f"/{group}/{name}"
    for inner in (group, place):
        if not isinstance(file.get(inner, getlink=True), h5py.HardLink):
            raise DataError(f"{inner} is {'missing' if inner not in file else 'a link: all must lie in this file'}")
    array = file[place]
    if not isinstance(array, h5py.Dataset) or array.ndim != 1:
        raise DataError(f"{place} must be an array of one axis")
    if array.is_virtual or array.external:
        raise DataError(f"{place} lies in another file")
    if _piece(array) > LARGEST_PIECE:
        raise DataError(f"{place} has pieces of {_piece(array)} bytes, the limit is {LARGEST_PIECE}")
    if array.size > (held := _held(array)):
        raise DataError(f"{place} claims {array.size} values, and has {held}")
    _can_be_unpacked(array)
    return array


def _piece(array: Any) -> int:
    """Return how many bytes are unpacked at once."""
    return int(np.prod(array.chunks or (0,))) * int(array.dtype.itemsize)


def _held(array: Any) -> int:
    """Return for how many values there is something in the file."""
    if array.chunks:
        return int(array.id.get_num_chunks()) * int(array.chunks[0])
    return int(array.id.get_storage_size()) // int(array.dtype.itemsize)


def _can_be_unpacked(array: Any) -> None:
    how = array.id.get_create_plist()
    filters = [how.get_filter(k)[0] for k in range(how.get_nfilters())]
    if not all(map(h5py.h5z.filter_avail, filters)):
        with suppress(ImportError):
            import hdf5plugin  # noqa: F401  # it registers what it brings
    missing = [one for one in filters if not h5py.h5z.filter_avail(one)]
    if missing:
        codec = PROPHESEE in missing
        get = (
            "the codec of Metavision; save it as RAW"
            if codec
            else "pip install 'spikerun[dsec]', which brings hdf5plugin"
        )
        raise UnsupportedError(f"{array.name} is compressed by HDF5's filter {missing[0]}, which is not here: {get}")


def _of_dsec(file: Any) -> tuple[Shape | None, int]:
    """Return the shape, and the time of t = 0, of a file of DSEC; of others that have its arrays, neither is known."""
    if "t_offset" not in file or "ms_to_idx" not in file:
        return None, 0
    offset = file["t_offset"]
    if not isinstance(offset, h5py.Dataset) or offset.shape not in ((), (1,)) or offset.dtype.kind not in "iu":
        raise DataError("/t_offset must be an integer")
    return DSEC, int(np.ravel(offset[()])[0])


def _geometry(file: Any) -> Shape | None:
    """Return the shape that the attribute `geometry` says, such as 1280x720."""
    said = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", str(file.attrs.get("geometry", "")))
    return (2, int(said[2]), int(said[1])) if said else None


@contextmanager
def _file(path: Path, cache: int = 1 << 20) -> Iterator[Any]:
    """Open a file whose arrays keep so many bytes unpacked; all that is refused names the file."""
    try:
        with h5py.File(path, "r", rdcc_nbytes=cache) as file:
            yield file
    except SpikerunError as error:
        raise type(error)(f"'{path}': {error}") from error
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, MemoryError) as error:
        raise DataError(printable(f"'{path}' is no HDF5 file, or damaged (HDF5 says: {error!s:.200})")) from error

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
from spikerun.hdf5 import require_inflatable
from spikerun.sources.format import Chunks, Opened, Shape

__all__ = ["opened"]

DSEC = (2, 480, 640)
BLOCK = 1 << 15  # events that are read at a time
LARGEST_PIECE = 1 << 24  # bytes of a compressed piece, when it is unpacked
LARGEST_VALUE = 1 << 10  # bytes of a row of a table
LONGEST_TEXT = 1 << 8  # bytes of an attribute
BLOSC, PROPHESEE = 32001, 36559  # HDF5's numbers of filters; the second is Prophesee's codec
FILTERS = (h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE, BLOSC, PROPHESEE, h5py.h5z.FILTER_FLETCHER32)
PROPHESEE_EVENT = 16  # bytes of an event that their codec unpacks


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
        tables = {id(table): table for table, _ in columns.values()}.values()
        for at in range(0, len(columns["t"][0]), step):
            for table in tables:
                _check_pieces(path, table, at, at + step)
            yield _read(columns, slice(at, at + step)), functools.partial(_where, at)


def _read(columns: dict[str, tuple[Any, str | None]], part: slice) -> EventArray:
    read: dict[int, Any] = {}  # a table is read once for all of its columns
    found = {}
    for field, (table, name) in columns.items():
        if id(table) not in read:
            read[id(table)] = table[part]
        found[field] = read[id(table)] if name is None else read[id(table)][name]
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
    _must_lie_in(file, group)
    place = f"/{group}/{name}"
    _must_lie_in(file, place)
    array = file[place]
    if not isinstance(array, h5py.Dataset) or array.ndim != 1:
        raise DataError(f"{place} must be an array of one axis")
    if array.is_virtual or array.external:
        raise DataError(f"{place} lies in another file")
    if array.dtype.hasobject or array.dtype.itemsize > LARGEST_VALUE:
        raise DataError(f"{place} must hold values of fixed size and at most {LARGEST_VALUE} bytes, got {array.dtype}")
    if _piece(array) > LARGEST_PIECE:
        raise DataError(f"{place} has pieces of {_piece(array)} bytes, the limit is {LARGEST_PIECE}")
    if array.size > (held := _held(array)):
        raise DataError(f"{place} claims {array.size} values, and has {held}")
    _can_be_unpacked(array)
    return array


def _must_lie_in(file: Any, place: str) -> None:
    if not isinstance(file.get(place, getlink=True), h5py.HardLink):
        raise DataError(f"{place} is {'missing' if place not in file else 'a link: all must lie in this file'}")


def _check_pieces(path: Path, array: Any, begin: int, end: int) -> None:
    """Raise DataError for a compressed piece that begins within values begin:end and unpacks to more than it says.

    HDF5 gives each all the memory it takes.
    """
    filters = _filters(array)
    if not filters:
        return
    size, each = _piece(array), int(array.chunks[0])
    for first in range(-(-begin // each) * each, min(end, array.size), each):
        info = array.id.get_chunk_info_by_coord((first,))
        if info.byte_offset is None:
            continue
        where = f"{array.name}: the piece of value {first}, at byte {info.byte_offset},"
        if info.size > 2 * size + LONGEST_TEXT or info.byte_offset + info.size > path.stat().st_size:
            raise DataError(f"{where} claims {info.size} bytes, and has {size} when it is unpacked")
        skipped, raw = array.id.read_direct_chunk((first,))
        try:
            _require_unpacked([one for k, one in enumerate(filters) if not skipped >> k & 1], raw, size)
        except ValueError as error:
            raise DataError(f"{where} {error}") from None


def _require_unpacked(filters: list[int], raw: bytes, size: int) -> None:
    """Raise ValueError where filters would make more than `size` bytes of a piece."""
    said = 0
    if h5py.h5z.FILTER_DEFLATE in filters:
        require_inflatable(raw, size)
    elif BLOSC in filters:  # bytes 4 to 7 of its header say how many it unpacks to
        said = int.from_bytes(raw[4:8], "little")
    elif PROPHESEE in filters:  # the upper 30 bits of its first 4 bytes say how many events it unpacks to
        said = (int.from_bytes(raw[:4], "little") >> 2) * PROPHESEE_EVENT
    else:
        said = len(raw) - 4 * (h5py.h5z.FILTER_FLETCHER32 in filters)
    if said > size:
        raise ValueError(f"unpacks to {said} bytes, where {size} belong")


def _filters(array: Any) -> list[int]:
    how = array.id.get_create_plist()
    return [how.get_filter(k)[0] for k in range(how.get_nfilters())]


def _piece(array: Any) -> int:
    """Return how many bytes are unpacked at once."""
    return int(np.prod(array.chunks or (0,))) * int(array.dtype.itemsize)


def _held(array: Any) -> int:
    """Return for how many values there is something in the file."""
    if array.chunks:
        return int(array.id.get_num_chunks()) * int(array.chunks[0])
    return int(array.id.get_storage_size()) // int(array.dtype.itemsize)


def _can_be_unpacked(array: Any) -> None:
    filters = _filters(array)
    packers = [one for one in filters if one in (h5py.h5z.FILTER_DEFLATE, BLOSC, PROPHESEE)]
    if filters != [one for one in FILTERS if one in filters] or len(packers) > 1:
        raise UnsupportedError(
            f"{array.name} is stored through HDF5's filters {filters}; only one of deflate and Blosc, with shuffle and "
            "fletcher32, is read: save it so, for of others it is not known how much memory they take"
        )
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
    _must_lie_in(file, "/t_offset")
    offset = file["t_offset"]
    if not isinstance(offset, h5py.Dataset) or offset.shape not in ((), (1,)) or offset.dtype.kind not in "iu":
        raise DataError("/t_offset must be an integer")
    if offset.id.get_create_plist().get_layout() not in (h5py.h5d.COMPACT, h5py.h5d.CONTIGUOUS) or offset.external:
        raise DataError("/t_offset must lie in this file, in one piece")
    return DSEC, int(np.ravel(offset[()])[0])


def _geometry(file: Any) -> Shape | None:
    """Return the shape that the attribute `geometry` says, such as 1280x720.

    A text of variable length, as Prophesee's software writes it, is not read: HDF5 hangs where it is damaged.
    """
    if "geometry" not in file.attrs:
        return None
    stored = file.attrs.get_id("geometry")
    if stored.shape != () or stored.dtype.kind != "S" or stored.dtype.itemsize > LONGEST_TEXT:
        return None
    said = re.fullmatch(rb"([1-9]\d{0,4})x([1-9]\d{0,4})", file.attrs["geometry"])
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

# SPDX-License-Identifier: Apache-2.0
"""Events as NumPy saves an array: `numpy.save("a.npy", events)`, with the fields that `as_events` knows.

A file is read chunk by chunk, and written while events come: its header leaves room for their number.
"""

import functools
import io
import os
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from spikerun.errors import DataError
from spikerun.events import EVENT, as_events, converted
from spikerun.sources.format import Chunks, Opened
from spikerun.sources.records import head, records

__all__ = ["NpySink", "opened"]

LONGEST_HEADER = 1 << 14  # bytes
ROOM = 192  # bytes of a header that we write


def opened(path: Path) -> Opened:
    """Return what the header says. Raises DataError where it holds no events; nothing is unpickled."""
    begin = io.BytesIO(head(path, LONGEST_HEADER))
    try:
        version = np.lib.format.read_magic(begin)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, _, dtype = read(begin)
    except Exception as error:  # NumPy evaluates a literal, of which much can be wrong: what it raises is of many types
        raise DataError(f"'{path}': no header of a .npy file of version 1 or 2: {error!s:.200}") from None
    if len(shape) != 1 or dtype.hasobject or not dtype.itemsize:
        raise DataError(f"'{path}': an array of {dtype} {shape}; events are a structured array (events,)")
    as_events(np.zeros(0, dtype))  # names the fields that are missing
    at = begin.tell()
    size, held = shape[0] * dtype.itemsize, os.path.getsize(path) - at
    if held != size:
        raise DataError(
            f"'{path}': byte {at}: the header says {shape[0]} events of {dtype.itemsize} bytes, and {held} bytes "
            f"follow: the file is {'cut off' if held < size else 'longer than it says'}"
        )
    return Opened(None, functools.partial(_chunks, path, at, dtype))


def _chunks(path: Path, begin: int, dtype: np.dtype[Any], chunk: int) -> Chunks:
    for raw, at in records(path, begin, dtype, chunk):
        where = functools.partial(_where, at, dtype.itemsize)
        try:
            yield as_events(raw, ordered=False), where  # the caller looks for order
        except DataError as error:
            raise DataError(f"'{path}': events from byte {at} on: {error}") from None


def _where(at: int, size: int, k: int) -> str:
    return f"byte {at + k * size}"


class NpySink:
    """Writes arrays of EVENT to an open file, from its beginning; `close` makes it a whole one."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._count = file, 0
        self._header()

    def write(self, events: npt.NDArray[Any]) -> None:
        """Append events."""
        self._file.write(np.ascontiguousarray(converted(events)).data)
        self._count += len(events)

    def close(self) -> None:
        """Say in the header how many there are. The file stays open."""
        self._file.seek(0)
        self._header()

    def _header(self) -> None:
        descr = np.lib.format.dtype_to_descr(EVENT)
        said = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': ({self._count},), }}"
        self._file.write(np.lib.format.magic(1, 0) + (ROOM - 10).to_bytes(2, "little") + said.ljust(ROOM - 11).encode())
        self._file.write(b"\n")

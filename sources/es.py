# SPDX-License-Identifier: Apache-2.0
"""Event Stream files of DVS and ATIS cameras, read by faery.

Such files count rows from the bottom of the frame; faery turns them, so that here, too, they count from the top. The
exposures of ATIS cameras are passed over.
"""

import functools
import os
from pathlib import Path

from spikerun.errors import DataError, UnsupportedError
from spikerun.sources.format import Chunks, Opened
from spikerun.sources.records import head
from spikerun.sources.through_faery import chunks, decoder

__all__ = ["opened"]

MAGIC = b"Event Stream"
HEADER = len(MAGIC) + 3 + 1 + 4  # version, type, columns and rows
DVS, ATIS = 1, 2
TYPES = {0: "generic", 4: "colour"}
EVENT_BYTES, LONGEST_GAP = 5, 127  # bytes of an event, and us for which one more byte stands before it


def opened(path: Path) -> Opened:
    """Return what the header says. Raises DataError where it is cut off, UnsupportedError for other types of events."""
    begin = head(path, HEADER)
    if not begin.startswith(MAGIC):
        raise DataError(f"'{path}': byte 0: an Event Stream file begins with '{MAGIC.decode()}'")
    if len(begin) < HEADER:
        raise DataError(f"'{path}': byte {len(begin)}: the file ends within its header of {HEADER} bytes")
    version, kind = begin[len(MAGIC)], begin[len(MAGIC) + 3]
    if version != 2 or kind not in (DVS, ATIS):
        raise UnsupportedError(
            f"'{path}': byte {len(MAGIC)}: Event Stream {version}, events of type {TYPES.get(kind, kind)}; those of "
            "version 2 and of the types DVS and ATIS are read"
        )
    width, height = (int.from_bytes(begin[k : k + 2], "little") for k in (HEADER - 4, HEADER - 2))
    if not width or not height:
        raise DataError(f"'{path}': byte {HEADER - 4}: a sensor of {width}x{height}")
    made = functools.partial(decoder, path, "Event Stream", file_type="es")
    made()
    read = functools.partial(chunks, path, made)
    return Opened((2, height, width), functools.partial(_whole, path, read) if kind == DVS else read)


def _whole(path: Path, read: functools.partial[Chunks], chunk: int) -> Chunks:
    """Yield chunks; then raise DataError where the bytes that are left are the beginning of one more event."""
    used, last = HEADER, 0
    for events, where in read(chunk):
        t = events["t"]
        used += EVENT_BYTES * len(t) + int((t[0] - last) // LONGEST_GAP) + int(((t[1:] - t[:-1]) // LONGEST_GAP).sum())
        last = t[-1]
        yield events, where
    with path.open("rb") as file:
        file.seek(used)
        rest = file.read(os.path.getsize(path) - used).lstrip(b"\xff\xfe")
    if 0 < len(rest) < EVENT_BYTES:
        at = os.path.getsize(path) - len(rest)
        raise DataError(f"'{path}': byte {at}: {len(rest)} of the {EVENT_BYTES} bytes of an event: the file is cut off")

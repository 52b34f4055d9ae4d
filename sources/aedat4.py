# SPDX-License-Identifier: Apache-2.0
"""AEDAT 4 files of iniVation's cameras, read by faery, once it is sure that packets lie where the file says.

A file is a line, a header, packets, and often a table of them. The header is a FlatBuffer: the compression, where the
table lies, a description in XML. faery believes it, so it is checked here first. A packet is the number of its stream,
its size, and so many bytes. Of several streams of events the first is read. Times count from 1970.
"""

import functools
import os
import struct
from pathlib import Path

from spikerun.errors import DataError
from spikerun.sources.format import Opened
from spikerun.sources.frames import unpacked
from spikerun.sources.records import head
from spikerun.sources.through_faery import chunks, decoder

__all__ = ["opened"]

MAGIC = b"#!AER-DAT4.0\r\n"
BEGIN = len(MAGIC) + 4  # where the header begins, behind its size
LONGEST_HEADER = 1 << 24
TABLE, DESCRIPTION = 1, 2  # fields of the header, behind the compression
LARGEST_PACKET = 1 << 28  # bytes, as it lies in the file
LARGEST_UNPACKED = 1 << 27  # and of what frames of LZ4 or ZSTD become


def opened(path: Path) -> Opened:
    """Return what the header says. Raises DataError where it is damaged, or packets are cut off."""
    if head(path, len(MAGIC)) != MAGIC:
        raise DataError(f"'{path}': byte 0: an AEDAT 4 file begins with {MAGIC.decode()!r}")
    size = int.from_bytes(head(path, BEGIN)[len(MAGIC) :], "little")
    raw = head(path, BEGIN + min(size, LONGEST_HEADER))[BEGIN:]
    if len(raw) < size or not size:
        raise DataError(f"'{path}': byte {len(MAGIC)}: a header of {size} bytes, and the file has {len(raw)}")
    try:
        table, packed = _table(raw)
    except (struct.error, ValueError) as error:
        raise DataError(f"'{path}': byte {BEGIN}: the header is damaged: {error}") from error
    _check_packets(path, BEGIN + size, table, packed)
    made = functools.partial(decoder, path, "AEDAT 4", file_type="aedat")
    width, height = made().dimensions()
    return Opened((2, height, width), functools.partial(chunks, path, made))


def _table(raw: bytes) -> tuple[int, bool]:
    """Return where the table of packets begins, -1 where there is none, and whether packets are compressed.

    All that the header holds is checked.
    """
    (root,) = struct.unpack_from("<I", raw)
    (back,) = struct.unpack_from("<i", raw, root)
    fields = root - back
    if fields < 0:
        raise ValueError("its fields lie outside of it")
    (size,) = struct.unpack_from("<H", raw, fields)
    offsets = struct.unpack_from(f"<{max(0, size - 4) // 2}H", raw, fields + 4)
    offsets += (0,) * (3 - len(offsets))
    if not offsets[DESCRIPTION]:
        raise ValueError("it describes no streams")
    text = root + offsets[DESCRIPTION]
    text += struct.unpack_from("<I", raw, text)[0]
    (length,) = struct.unpack_from("<I", raw, text)
    if text + 4 + length > len(raw):
        raise ValueError("its description lies outside of it")
    raw[text + 4 : text + 4 + length].decode()
    packed = offsets[0] and struct.unpack_from("<i", raw, root + offsets[0])[0]
    return int(struct.unpack_from("<q", raw, root + offsets[TABLE])[0]) if offsets[TABLE] else -1, bool(packed)


def _check_packets(path: Path, at: int, table: int, packed: bool) -> None:
    """Raise DataError at the first packet that does not lie within the file, or becomes too large."""
    size = os.path.getsize(path)
    if table > size:
        raise DataError(
            f"'{path}': byte {size}: the file ends before its table of packets, at byte {table}: it is cut off"
        )
    end = size if table < 0 else table
    with path.open("rb") as file:
        while at < end:
            file.seek(at)
            begin = file.read(8)
            length = int.from_bytes(begin[4:], "little")
            if len(begin) < 8 or at + 8 + length > end or length > LARGEST_PACKET:
                raise DataError(
                    f"'{path}': byte {at}: a packet of {length} bytes where {end - at} are left: it is cut off"
                )
            if packed:
                _check_frames(path, at + 8, file.read(length))
            at += 8 + length


def _check_frames(path: Path, at: int, raw: bytes) -> None:
    """Raise DataError where the frames of a packet become too large, or are none."""
    try:
        size = unpacked(raw)
    except (struct.error, ValueError) as error:
        raise DataError(f"'{path}': byte {at}: the packet is damaged: {error}") from error
    if size > LARGEST_UNPACKED:
        raise DataError(
            f"'{path}': byte {at}: a packet of {len(raw)} bytes may become {size} when it is unpacked, the limit is "
            f"{LARGEST_UNPACKED}"
        )

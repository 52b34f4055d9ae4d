# SPDX-License-Identifier: Apache-2.0
"""Texts of variable length in HDF5 files, read from the bytes: HDF5 itself hangs where they are damaged.

A data set of them holds, for each, a length and a place in a global heap: the address of a collection of objects, and
the number of the object there (HDF5 File Format Specification 3.0, section III.E).
"""

import struct
from pathlib import Path
from typing import Any, BinaryIO

import h5py  # type: ignore[import-untyped]

__all__ = ["texts"]

ELEMENT = struct.Struct("<IQI")  # length, address of the collection, number of the object
HEAD = struct.Struct("<4sB3xQ")  # signature, version, size of the collection with its head
OBJECT = struct.Struct("<HH4xQ")  # number, references, size
Places = dict[int, tuple[int, int]]  # of the objects of a collection: offset and size


def texts(source: Path, stored: Any, count: int, longest: int) -> list[bytes]:
    """Return the `count` texts of an open data set. Raises ValueError for whatever does not lie where it should."""
    made = h5py.h5i.get_file_id(stored).get_create_plist()
    if made.get_sizes() != (8, 8) or made.get_userblock():
        raise ValueError("is a text in a file with short addresses, or with a block in front, which are not read")
    at = stored.get_offset() if stored.get_create_plist().get_layout() == h5py.h5d.CONTIGUOUS else None
    if count and at is None:
        raise ValueError("is empty, or a text of variable length that is compressed, which is not read")
    size = source.stat().st_size
    left = size  # of the bytes that collections may claim: they do not overlap
    collections: dict[int, Places] = {}
    found = []
    with source.open("rb") as file:
        elements = _bytes(file, at or 0, ELEMENT.size * count, size)
        for length, address, number in ELEMENT.iter_unpack(elements):
            if length > longest:
                raise ValueError(f"holds a text of {length} bytes, at most {longest} are read")
            if length and address not in collections:
                signature, version, claimed = HEAD.unpack(_bytes(file, address, HEAD.size, size))
                if signature != b"GCOL" or version != 1 or claimed > left:
                    raise ValueError("is damaged: its texts are not where it says")
                left -= claimed
                collections[address] = _objects(_bytes(file, address, claimed, size), address)
            where, room = collections[address].get(number, (0, -1)) if length else (0, 0)
            if room < length:
                raise ValueError("is damaged: a text is not where it says, or shorter")
            found.append(_bytes(file, where, length, size))
    return found


def _objects(collection: bytes, address: int) -> Places:
    """Return where the objects of a collection lie in the file."""
    found: Places = {}
    at = HEAD.size
    while at + OBJECT.size <= len(collection):
        number, _, size = OBJECT.unpack_from(collection, at)
        if number == 0:  # the rest is free
            break
        found[number] = (address + at + OBJECT.size, size)
        at += OBJECT.size + -(-size // 8) * 8
    return found


def _bytes(file: BinaryIO, at: int, count: int, size: int) -> bytes:
    if at + count > size:
        raise ValueError(f"is truncated: {count} bytes at {at} of {size}")
    file.seek(at)
    return file.read(count)

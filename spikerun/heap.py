# SPDX-License-Identifier: Apache-2.0
"""Texts of variable length in HDF5 files, read from the bytes: HDF5 itself hangs where they are damaged.

A data set of them holds, for each, a length and a place in a global heap: the address of a collection of objects, and
the number of the object there (HDF5 File Format Specification 3.0, section III.E).
"""

import struct
from pathlib import Path
from typing import Any, BinaryIO

import h5py  # type: ignore[import-untyped]

__all__ = ["Heap"]

ELEMENT = struct.Struct("<IQI")  # length, address of the collection, number of the object
HEAD = struct.Struct("<4sB3xQ")  # signature, version, size of the collection with its head
OBJECT = struct.Struct("<HH4xQ")  # number, references, size
Places = dict[int, tuple[int, int]]  # of the objects of a collection: offset and size


class Heap:
    """The texts of variable length of one open file; each collection is looked through once."""

    def __init__(self, source: Path, file: Any) -> None:
        self.source = source
        self.size = source.stat().st_size
        self.left = self.size  # of the bytes that collections may claim: they do not overlap
        self.collections: dict[int, Places] = {}
        made = file.id.get_create_plist()
        self.plain = made.get_sizes() == (8, 8) and not made.get_userblock()

    def texts(self, stored: Any, count: int, longest: int) -> list[bytes]:
        """Return the `count` texts of an open data set. Raises ValueError for what does not lie where it should."""
        if not self.plain:
            raise ValueError("is a text in a file with short addresses, or with a block in front, which are not read")
        at = stored.get_offset() if stored.get_create_plist().get_layout() == h5py.h5d.CONTIGUOUS else None
        if at is None:
            raise ValueError("is empty, or a text of variable length that is compressed, which is not read")
        found = []
        with self.source.open("rb") as file:
            for length, address, number in ELEMENT.iter_unpack(self._bytes(file, at, ELEMENT.size * count)):
                if length > longest:
                    raise ValueError(f"holds a text of {length} bytes, at most {longest} are read")
                where, room = self._places(file, address).get(number, (0, -1)) if length else (0, 0)
                if room < length:
                    raise ValueError("is damaged: a text is not where it says, or shorter")
                found.append(self._bytes(file, where, length))
        return found

    def _places(self, file: BinaryIO, address: int) -> Places:
        """Return the objects of the collection at an address."""
        if address not in self.collections:
            signature, version, claimed = HEAD.unpack(self._bytes(file, address, HEAD.size))
            if signature != b"GCOL" or version != 1 or claimed > self.left:
                raise ValueError("is damaged: its texts are not where it says")
            self.left -= claimed
            self.collections[address] = _objects(self._bytes(file, address, claimed), address)
        return self.collections[address]

    def _bytes(self, file: BinaryIO, at: int, count: int) -> bytes:
        if at + count > self.size:
            raise ValueError(f"is truncated: {count} bytes at {at} of {self.size}")
        file.seek(at)
        return file.read(count)


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

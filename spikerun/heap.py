# SPDX-License-Identifier: Apache-2.0
"""Texts and sequences of variable length in HDF5 files, read from the bytes: HDF5 hangs where they are damaged.

A data set of them holds, for each, a length and a place in a global heap: the address of a collection of objects, and
the number of the object there (HDF5 File Format Specification 3.0, section III.E).
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import h5py  # type: ignore[import-untyped]
import numpy as np

__all__ = ["Heap", "Sequences"]

ELEMENT = struct.Struct("<IQI")  # length, address of the collection, number of the object
HEAD = struct.Struct("<4sB3xQ")  # signature, version, size of the collection with its head
OBJECT = struct.Struct("<HH4xQ")  # number, references, size
Places = dict[int, tuple[int, int]]  # of the objects of a collection: offset and size


@dataclass(frozen=True, eq=False)
class Sequences:
    """Sequences of numbers of variable length, each read when it is asked for.

    where, length: int64 (N,), at which byte of the file each begins, and how many numbers it has
    """

    source: Path
    dtype: np.dtype[Any]
    where: np.ndarray[Any, Any]
    length: np.ndarray[Any, Any]

    def __len__(self) -> int:
        """Return the number of sequences."""
        return len(self.where)

    def __getitem__(self, k: int) -> np.ndarray[Any, Any]:
        """Return the k-th."""
        return np.fromfile(self.source, self.dtype, int(self.length[k]), offset=int(self.where[k]))


class Heap:
    """What has variable length in one open file; each collection is looked through once."""

    def __init__(self, source: Path, file: Any) -> None:
        self.source = source
        self.size = source.stat().st_size
        self.left = self.size  # of the bytes that collections may claim: they do not overlap
        self.collections: dict[int, Places] = {}
        made = file.id.get_create_plist()
        self.plain = made.get_sizes() == (8, 8) and not made.get_userblock()

    def texts(self, stored: Any, count: int, longest: int) -> list[bytes]:
        """Return the `count` texts of an open data set. Raises ValueError for what does not lie where it should."""
        found = self.sequences(stored, count, 1, longest, "text")
        with self.source.open("rb") as file:
            return [self._bytes(file, where, length) for where, length in found]

    def sequences(self, stored: Any, count: int, size: int, longest: int, what: str) -> list[tuple[int, int]]:
        """Return where each of the `count` sequences of an open data set begins in the file, and how long it is.

        size: bytes of one of its values. longest: how many values a sequence may have. what: its name, for messages.
        Raises ValueError for what does not lie where it should.
        """
        if not self.plain:
            raise ValueError(
                f"is a {what} in a file with short addresses, or with a block in front, which are not read"
            )
        found = []
        with self.source.open("rb") as file:
            for length, address, number in ELEMENT.iter_unpack(self._elements(file, stored, count, what)):
                if length > longest:
                    unit = "bytes" if size == 1 else "values"
                    raise ValueError(f"holds a {what} of {length} {unit}, at most {longest} are read")
                where, room = self._places(file, address).get(number, (0, -1)) if length else (0, 0)
                if room < length * size:
                    raise ValueError(f"is damaged: a {what} is not where it says, or shorter")
                found.append((where, length))
        return found

    def _elements(self, file: BinaryIO, stored: Any, count: int, what: str) -> bytes:
        """Return the lengths and places of all sequences, as they lie in the file."""
        how = stored.get_create_plist()
        if how.get_layout() == h5py.h5d.CHUNKED and not how.get_nfilters() and len(how.get_chunk()) == 1:
            return self._chunks(file, stored, count, how.get_chunk()[0])
        at = stored.get_offset() if how.get_layout() == h5py.h5d.CONTIGUOUS else None
        if at is None:
            raise ValueError(f"is empty, or a {what} of variable length that is compressed, which is not read")
        return self._bytes(file, at, ELEMENT.size * count)

    def _chunks(self, file: BinaryIO, stored: Any, count: int, each: int) -> bytes:
        """Return the same of a data set in chunks of `each` sequences."""
        chunks: list[Any] = []
        stored.chunk_iter(chunks.append)
        if len(chunks) != -(-count // each) or len(chunks) * each * ELEMENT.size > self.size:
            raise ValueError(f"is damaged, or lacks some of its chunks: there are {len(chunks)} of {each} for {count}")
        found = []
        for k, info in enumerate(sorted(chunks, key=lambda one: int(one.chunk_offset[0]))):
            if info.byte_offset is None or info.chunk_offset[0] != k * each or info.size != each * ELEMENT.size:
                raise ValueError("is damaged: a chunk is not where it says, or shorter")
            found.append(self._bytes(file, info.byte_offset, info.size))
        return b"".join(found)[: ELEMENT.size * count]

    def _places(self, file: BinaryIO, address: int) -> Places:
        """Return the objects of the collection at an address."""
        if address not in self.collections:
            signature, version, claimed = HEAD.unpack(self._bytes(file, address, HEAD.size))
            if signature != b"GCOL" or version != 1 or claimed > self.left:
                raise ValueError("is damaged: its sequences are not where it says")
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

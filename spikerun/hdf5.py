# SPDX-License-Identifier: Apache-2.0
"""Attributes and arrays in HDF5, written such that every byte has a checksum, and read without trusting any.

Nothing is read before its type and its size have been checked against limits and against the bytes that the file really
holds, and no link is followed.
"""

import io
import math
import os
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import numpy as np

from spikerun.atomic import PathLike, as_path
from spikerun.errors import FileFormatError, UsageError, printable
from spikerun.heap import Heap, Sequences

__all__ = [
    "Group",
    "Reader",
    "Sequences",
    "image",
    "located",
    "make_group",
    "opened",
    "require_inflatable",
    "write_array",
    "write_attributes",
]

MAX_BYTES = 2**32  # of one array
MAX_TEXT = 2**16
MAX_AXES = 8
MAX_ATTRIBUTES = 1000  # of one group
MAX_COMPACT = 512  # bytes of an array that is kept in a header
MAX_INFLATION = 1100  # DEFLATE cannot expand further
MAX_MESSAGE = 1000  # characters quoted from a file's own names and values
FILTERS = (h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_FLETCHER32)  # in the order of writing
TYPES = {bool: "true or false", int: "an integer", float: "a number", str: "a text", tuple: "a list of integers"}


def image(write: Callable[[Any], None]) -> bytes:
    """Return the bytes of the file that `write` fills, given its root. In memory: HDF5 crashes where a disk is full."""
    # The format of 1.10 has checksums, and half the size of the oldest. Closed before its bytes are taken: those of an
    # open file (`get_file_image`) come from many versions of HDF5 with a superblock that its checksum no longer fits.
    raw = io.BytesIO()
    how = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    how.set_obj_track_times(False)  # of the root group, which h5py before 3.15 keeps
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fileobj_driver(h5py.h5fd.fileobj_driver, raw)
    access.set_libver_bounds(h5py.h5f.LIBVER_V110, h5py.h5f.LIBVER_V110)
    file = h5py.h5f.create(b"in memory", h5py.h5f.ACC_TRUNC, how, access)
    try:
        write(file)
    finally:
        file.close()
    return raw.getvalue()


def make_group(parent: Any, name: str, ordered: bool = False) -> Any:
    """Return a new group, named in ASCII. `ordered`: its members stay in the order in which they are made."""
    return h5py.h5g.create(parent, name.encode("ascii"), gcpl=_how_group(ordered))


@cache
def _how_group(ordered: bool) -> Any:
    how = h5py.h5p.create(h5py.h5p.GROUP_CREATE)
    how.set_obj_track_times(False)
    if ordered:
        how.set_link_creation_order(h5py.h5p.CRT_ORDER_TRACKED | h5py.h5p.CRT_ORDER_INDEXED)
        how.set_attr_creation_order(h5py.h5p.CRT_ORDER_TRACKED | h5py.h5p.CRT_ORDER_INDEXED)
    return how


def write_array(group: Any, name: str, value: np.ndarray[Any, Any]) -> None:
    """Write a small array into the header of its data set, which has a checksum; others compressed, with their own."""
    if value.nbytes > MAX_COMPACT:
        filters = {"compression": "gzip", "shuffle": True, "fletcher32": True}
        h5py.Group(group).create_dataset(name, data=value, track_times=False, **filters)
        return
    kind = _type(value.dtype)
    made = h5py.h5d.create(group, name.encode(), kind, _space(value.shape), _how_compact())
    made.write(h5py.h5s.ALL, h5py.h5s.ALL, np.ascontiguousarray(value), kind)


@cache
def _how_compact() -> Any:
    how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    how.set_layout(h5py.h5d.COMPACT)
    how.set_obj_track_times(False)
    return how


@lru_cache(1000)
def _type(dtype: np.dtype[Any], text: str | None = None) -> Any:
    """Return HDF5's type for a dtype, a bool as an enum. text: the encoding, which equal dtypes may differ in."""
    return h5py.h5t.py_create(h5py.string_dtype(text, dtype.itemsize) if text else dtype, logical=True)


@lru_cache(1000)
def _space(shape: tuple[int, ...]) -> Any:
    return h5py.h5s.create_simple(shape) if shape else h5py.h5s.create(h5py.h5s.SCALAR)


def write_attributes(group: Any, values: Mapping[str, Any]) -> None:
    """Write numbers, texts and tuples of integers. Texts of variable length are avoided: damaged ones hang HDF5.

    Raises UsageError for other values, and for names that HDF5 cannot hold.
    """
    if len(values) > MAX_ATTRIBUTES:
        raise UsageError(f"{_path(group)}: has {len(values)} attributes, at most {MAX_ATTRIBUTES} are read")
    for name, value in values.items():
        if not isinstance(name, str) or not name or "\0" in name or len(name) > MAX_TEXT:
            raise UsageError(f"{_path(group)}: an attribute's name is a text, not empty, without zeros, got {name!r}")
        array = _stored(group, name, value)
        kind = _type(array.dtype, "utf-8" if array.dtype.kind == "S" else None)
        h5py.h5a.create(group, name.encode(), kind, _space(array.shape)).write(array, kind)


def _stored(group: Any, name: str, value: Any) -> np.ndarray[Any, Any]:
    """Return what is written of the value of an attribute."""
    if isinstance(value, str):
        raw = value.encode()
        if len(raw) > MAX_TEXT or b"\0" in raw:
            raise UsageError(f"{_path(group)}: {name!r} must have at most {MAX_TEXT} bytes, none of them zero")
        return np.array(raw, f"S{max(len(raw), 1)}")
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise UsageError(f"{_path(group)}: {name!r} is {value}, which 64 bits do not hold: write it as a text")
    if isinstance(value, tuple):
        return np.array(value, np.int64)
    if isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        return np.array(value)
    raise UsageError(f"{_path(group)}: {name!r} must be a text, an integer or a finite number, got {value!r:.80}")


def _path(group: Any) -> str:
    return str(h5py.h5i.get_name(group).decode())


@contextmanager
def located(source: Path, where: str, found: str = ": is damaged") -> Iterator[None]:
    """Turn whatever HDF5 or the description refuses into one error that names the file and the place in it.

    What HDF5 itself says stands in brackets behind what it comes to: `found`.
    """
    try:
        yield
    except FileFormatError:
        raise
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, OverflowError, MemoryError) as error:
        said = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
        said = said[:MAX_MESSAGE] or type(error).__name__
        if _of_hdf5(error):
            raise FileFormatError(printable(f"'{source}': {where}{found} (HDF5 says: {said})")) from error
        raise FileFormatError(printable(f"'{source}': {where}: {said}")) from error


def _of_hdf5(error: Exception) -> bool:
    """Return whether HDF5 or h5py raised an error; they raise the kinds that we do."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return place is not None and str(place.tb_frame.f_globals.get("__name__")).partition(".")[0] == "h5py"


@contextmanager
def opened(path: PathLike, suffix: str) -> Iterator[tuple[Path, Any]]:
    """Open a file of others to be read; `suffix`: what its name should end in."""
    source = as_path(path)
    with located(source, "it cannot be read"):
        if not source.is_file():
            what = "is no regular file" if source.exists() else "there is no such file"
            raise FileFormatError(f"'{source}': {what}; give the name of a {suffix} file")
        if not os.access(source, os.R_OK):
            raise FileFormatError(f"'{source}': you may not read it; change its permissions")
    with located(source, "it is not an HDF5 file, or damaged", ""), h5py.File(source, "r") as file:
        yield source, file


@dataclass(frozen=True, eq=False)
class Group:
    """A group of the file, its members all its own, and its attributes, not yet read.

    HDF5 is spoken to without h5py's objects for groups and attributes, which take most of the time of small networks.
    """

    id: Any
    name: str
    members: Collection[str]
    attributes: Mapping[str, Any]

    def attribute(self, name: str, *kinds: type) -> Any:
        """Return an attribute as one of the `kinds` bool, int, float, str, tuple (of integers); refuse all else."""
        if name not in self.attributes:
            raise ValueError(f"attribute '{name}' is missing")
        stored = self.attributes[name]
        dtype, kind = _numpy(stored)
        shape = stored.get_space().shape
        if stored.get_storage_size() > MAX_TEXT:
            raise ValueError(f"attribute '{name}' is longer than {MAX_TEXT} bytes")
        if dtype.kind not in "biufS" or shape is None or len(shape) > (0 if dtype.kind == "S" else 1):
            raise ValueError(f"attribute '{name}' is no number, no text of fixed length, and no list of integers")
        if shape and shape[0] > MAX_AXES:
            raise ValueError(f"attribute '{name}' is a list of {shape[0]} numbers, at most {MAX_AXES} are read")
        read = np.zeros(shape, dtype)
        stored.read(read, kind)
        value = read.tolist()
        if isinstance(value, list) and dtype.kind in "iu":
            value = tuple(value)
        elif isinstance(value, bytes):
            value = value.decode()
        if type(value) not in kinds or (isinstance(value, float) and not math.isfinite(value)):
            wanted = " or ".join(TYPES[kind] for kind in kinds)
            raise ValueError(f"attribute '{name}' must be {wanted}, got {value!r:.80}")
        return value


class Reader:
    """Reads one open file. `left`: how many more bytes its arrays may claim, given the bytes that the file holds."""

    def __init__(self, source: Path, file: Any) -> None:
        self.source = source
        self.size = source.stat().st_size
        self.left = MAX_INFLATION * self.size
        self.heap = Heap(source, file)
        self.root = self._group(file.id, "/", "/")

    def group(self, parent: Group, name: str, most: int | None = None) -> Group:
        """Return a group that really lies in this file, and whose members do, of which there are at most so many."""
        path = f"{parent.name.rstrip('/')}/{name}"
        if name not in parent.members:
            raise FileFormatError(printable(f"'{self.source}': {path}: is missing"))
        return self._group(parent.id, name, path, most)

    def _group(self, parent: Any, name: str, path: str, most: int | None = None) -> Group:
        with located(self.source, path):
            opened = h5py.h5o.open(parent, name.encode())
            if not isinstance(opened, h5py.h5g.GroupID):
                raise ValueError("is no group")
            if most is not None and len(opened) > most:
                raise ValueError(f"has {len(opened)} members, at most {most} are read")
            members = _members(opened)
            count = h5py.h5a.get_num_attrs(opened)
            if count > MAX_ATTRIBUTES:
                raise ValueError(f"has {count} attributes, at most {MAX_ATTRIBUTES} are read")
            attributes = (h5py.h5a.open(opened, index=k) for k in range(count))
            return Group(opened, path, members.keys(), {_text(stored.name): stored for stored in attributes})

    def array(self, group: Group, name: str, finite: bool = True) -> np.ndarray[Any, Any]:
        """Return a data set as an array, after checking that it lies in this file and is as large as it claims."""
        with located(self.source, f"{group.name}/{name}"):
            stored, how = self._stored(group, name)
            dtype, kind = _numpy(stored)
            shape = stored.get_space().shape
            if dtype.kind not in "iuf" or dtype.itemsize > 8 or shape is None:
                raise ValueError(f"must hold plain numbers, got dtype {dtype}")
            self._affordable(stored, how, shape, dtype)
            result = np.empty(shape, dtype)
            stored.read(h5py.h5s.ALL, h5py.h5s.ALL, result, kind)
            if finite and dtype.kind == "f" and not np.isfinite(result).all():
                raise ValueError("has values that are not finite")
            return result

    def texts(self, group: Group, name: str, most: int) -> np.ndarray[Any, Any]:
        """Return a data set of at most so many texts, of fixed or variable length, as an array of str."""
        with located(self.source, f"{group.name}/{name}"):
            stored, how = self._stored(group, name)
            shape, form = stored.shape, h5py.check_string_dtype(stored.dtype)
            if form is None or shape is None:
                raise ValueError(f"must hold text, got dtype {stored.dtype}")
            if math.prod(shape) > most:
                raise ValueError(f"claims shape {shape}, and at most {most} texts are read")
            if form.length is None:
                raw = self.heap.texts(stored, math.prod(shape), MAX_TEXT)
            else:
                self._affordable(stored, how, shape, stored.dtype)
                fixed = np.empty(shape, stored.dtype)
                stored.read(h5py.h5s.ALL, h5py.h5s.ALL, fixed)
                raw = fixed.ravel().tolist()
            result = np.empty(len(raw), object)
            result[:] = [_text(one) for one in raw]
            return result.reshape(shape)

    def sequences(self, group: Group, name: str, longest: int) -> Sequences:
        """Return where the sequences of numbers lie of a data set (N,) that holds one in each place.

        longest: how many numbers a sequence may have.
        """
        with located(self.source, f"{group.name}/{name}"):
            stored, _ = self._stored(group, name)
            shape, dtype = stored.shape, h5py.check_vlen_dtype(stored.dtype)
            if dtype is None or dtype.kind not in "iuf" or shape is None or len(shape) != 1:
                raise ValueError(f"must hold sequences of numbers (N,), got dtype {stored.dtype} of shape {shape}")
            found = self.heap.sequences(stored, shape[0], dtype.itemsize, longest, "sequence")
            where, length = np.array(found, np.int64).reshape(-1, 2).T
            return Sequences(self.source, dtype, where, length)

    def text(self, group: Group, name: str) -> str:
        """Return a data set that is one text."""
        found = self.texts(group, name, 1)
        with located(self.source, f"{group.name}/{name}"):
            if found.size != 1:
                raise ValueError("must be one text, and is empty")
            return str(found.reshape(-1)[0])

    def form(self, group: Group, name: str) -> tuple[bool, tuple[int, ...]]:
        """Return whether a data set claims to hold text, and its shape, without reading it."""
        with located(self.source, f"{group.name}/{name}"):
            stored, _ = self._stored(group, name)
            return h5py.check_string_dtype(stored.dtype) is not None, tuple(stored.shape or ())

    def _stored(self, group: Group, name: str) -> tuple[Any, Any]:
        """Return a data set that lies in this file, and how it was made."""
        stored = h5py.h5o.open(group.id, name.encode())
        if not isinstance(stored, h5py.h5d.DatasetID):
            raise ValueError("must be a data set")
        how = stored.get_create_plist()
        if how.get_external_count() or how.get_layout() == h5py.h5d.VIRTUAL:
            raise ValueError("lies in another file")
        return stored, how

    def _affordable(self, dataset: Any, how: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Refuse a data set that needs more memory than the bytes behind it can fill."""
        chunk = math.prod(how.get_chunk()) * dtype.itemsize if how.get_layout() == h5py.h5d.CHUNKED else 0
        size = max(math.prod(shape) * dtype.itemsize, chunk)
        stored = min(dataset.get_storage_size(), self.size)  # what the file claims to store may be a lie, too
        if size > MAX_BYTES or size > MAX_INFLATION * (stored + 64) or size > self.left:
            raise ValueError(f"claims shape {shape} of {dtype}, and the file holds {stored} bytes of it")
        self.left -= size
        filters = [how.get_filter(k)[0] for k in range(how.get_nfilters())]
        if filters != [f for f in FILTERS if f in filters]:
            raise ValueError(f"is stored through the filters {filters}; only shuffle, deflate, fletcher32 are read")
        if h5py.h5z.FILTER_DEFLATE in filters:
            chunks: list[Any] = []
            dataset.chunk_iter(chunks.append)  # one pass: to ask for the k-th walks through all before it
            for info in chunks:
                self._inflatable(dataset, info, chunk)

    def _inflatable(self, dataset: Any, info: Any, chunk: int) -> None:
        """Refuse a compressed chunk that would become larger than it says: HDF5 gives it all the memory it takes."""
        if info.byte_offset is None or info.byte_offset + info.size > self.size:
            raise ValueError("is truncated")
        skipped, raw = dataset.read_direct_chunk(info.chunk_offset)
        if skipped:
            raise ValueError("has a chunk that leaves out a filter")
        require_inflatable(raw, chunk)


def require_inflatable(raw: bytes, size: int) -> None:
    """Raise ValueError where a compressed chunk would become larger than `size` bytes, or is damaged."""
    stream = zlib.decompressobj()
    try:
        stream.decompress(raw, size + 1)
    except zlib.error as error:
        raise ValueError(f"is damaged: {error}") from None
    if not stream.eof:
        raise ValueError("has a compressed chunk that is larger than it says, or damaged")


def _numpy(stored: Any) -> tuple[np.dtype[Any], Any]:
    """Return the dtype of an attribute or a data set, and HDF5's type of its values in memory."""
    return _decoded(stored.get_type().encode())


@lru_cache(1000)
def _decoded(kind: bytes) -> tuple[np.dtype[Any], Any]:
    dtype = h5py.h5t.decode(kind).dtype
    return dtype, h5py.h5t.py_create(dtype)


def _members(group: Any) -> dict[str, None]:
    """Return the names in a group, in the order in which they were made if the file kept it; all lie in this file."""
    if not len(group):
        return {}
    kept = len(group) > 1 and group.get_create_plist().get_link_creation_order() & h5py.h5p.CRT_ORDER_TRACKED
    found: list[tuple[bytes, Any, int]] = []
    # As they lie, and sorted here: HDF5 before 2.0 sorts them in a table, and where it cannot read them all it frees
    # what it never wrote.
    order = h5py.h5.ITER_NATIVE
    group.links.iterate(lambda name, info: found.append((name, info.type, info.corder)), info=True, order=order)
    members: dict[str, None] = {}
    for name, kind, _ in sorted(found, key=lambda link: link[2] if kept else link[0]):
        member = _text(name)
        if kind != h5py.h5l.TYPE_HARD:
            raise ValueError(f"{member!r} is a link; everything must lie in this file")
        members[member] = None
    return members


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise ValueError(f"holds a name that is not UTF-8: {name!r}") from None

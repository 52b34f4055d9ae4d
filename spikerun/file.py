"""The `.snn` file: a network as HDF5, without pickles and without code (docs/file-format.md).

Files are untrusted. Nothing is read before its type and its size have been checked against limits and against the
bytes that the file really holds, what does not belong there is refused, and no link is followed.
"""

import dataclasses
import json
import math
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args, get_origin

import h5py  # type: ignore[import-untyped]
import numpy as np

from spikerun import connections, neurons
from spikerun.atomic import write_atomically
from spikerun.errors import FileFormatError, UsageError
from spikerun.network import Network, Population, Projection

__all__ = ["CONTRACT", "load", "save"]

FORMAT = "spikerun"
CONTRACT = 1
MAX_BYTES = 2**32  # of one array
MAX_MEMBERS = 10_000
MAX_TEXT = 2**16
MAX_AXES = 8
MAX_COMPACT = 512  # bytes of an array that is kept in a header
MAX_INFLATION = 1100  # DEFLATE cannot expand further
FILTERS = (h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_FLETCHER32)  # in the order of writing
TYPES = {bool: "true or false", int: "an integer", float: "a number", str: "a text", tuple: "a list of integers"}
MAX_MESSAGE = 1000  # characters quoted from a file's own names and values

Path_ = str | os.PathLike[str]


def save(net: Network, path: Path_, force: bool = False) -> Path:
    """Write `net` to `path` whole or not at all; an existing file is replaced only with `force`.

    Raises UsageError if the file exists or its folder does not.
    """

    def write(temporary: Path) -> None:
        with h5py.File(temporary, "w", libver=("v110", "v110")) as file:  # half the size of the oldest form
            _write(net, file)

    return write_atomically(path, write, force)


def _write(net: Network, file: h5py.File) -> None:
    outputs = json.dumps(net.outputs)
    _write_attributes(file, {"format": FORMAT, "contract": CONTRACT, "steps": int(net.window), "outputs": outputs})
    _write_attributes(file.create_group("meta"), net.meta)
    file.create_group("populations", track_order=True)
    for name, population in net.populations.items():
        group = file.create_group(f"populations/{name}")
        _write_attributes(group, {"shape": tuple(population.shape)})
        _write_fields(group, population.neuron)
    file.create_group("projections")
    for k, p in enumerate(net.projections):
        group = file.create_group(f"projections/{k:06d}")
        channels = {} if p.target_channels is None else {"target_channels": tuple(p.target_channels)}
        _write_attributes(group, {"source": p.source, "target": p.target, "delay": int(p.delay), **channels})
        _write_fields(group, p.connection)


def _write_fields(group: h5py.Group, item: Any) -> None:
    """Write a neuron or a connection: arrays as data sets, the rest as attributes, None left out."""
    values = {field.name: getattr(item, field.name) for field in dataclasses.fields(item)}
    arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
    others = {name: value for name, value in values.items() if name not in arrays and value is not None}
    _write_attributes(group, {"kind": item.kind, **others})
    for name, value in arrays.items():
        _write_array(group, name, value)


def _write_array(group: h5py.Group, name: str, value: np.ndarray[Any, Any]) -> None:
    """Write a small array into the header of its data set, which has a checksum; others compressed, with their own."""
    if value.nbytes > MAX_COMPACT:
        filters = {"compression": "gzip", "shuffle": True, "fletcher32": True}
        group.create_dataset(name, data=value, track_times=False, **filters)
        return
    how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    how.set_layout(h5py.h5d.COMPACT)
    how.set_obj_track_times(False)
    space = h5py.h5s.create_simple(value.shape) if value.shape else h5py.h5s.create(h5py.h5s.SCALAR)
    made = h5py.h5d.create(group.id, name.encode(), h5py.h5t.py_create(value.dtype), space, how)
    made.write(h5py.h5s.ALL, h5py.h5s.ALL, np.ascontiguousarray(value))


def _write_attributes(group: h5py.Group, values: Mapping[str, Any]) -> None:
    """Write numbers, texts and tuples of integers. Texts of variable length are avoided: damaged ones hang HDF5."""
    for name, value in values.items():
        if isinstance(value, str):
            raw = value.encode()
            if len(raw) > MAX_TEXT or b"\0" in raw:
                raise UsageError(f"{group.name}: '{name}' must have at most {MAX_TEXT} bytes, none of them zero")
            group.attrs.create(name, raw, dtype=h5py.string_dtype("utf-8", max(len(raw), 1)))
        elif isinstance(value, (bool, int, tuple)) or (isinstance(value, float) and math.isfinite(value)):
            group.attrs[name] = np.array(value, np.int64) if isinstance(value, tuple) else value
        else:
            raise UsageError(f"{group.name}: '{name}' must be a text, an integer or a finite number, got {value!r:.80}")


def load(path: Path_) -> Network:
    """Read and validate a network; nothing is executed.

    Raises FileFormatError with the path of the offending part, for whatever is wrong with the file.
    """
    source = Path(path)
    if not source.is_file():
        what = "is no regular file" if source.exists() else "there is no such file"
        raise FileFormatError(f"'{source}': {what}; give the name of a .snn file")
    with _located(source, "it is not an HDF5 file, or damaged"), h5py.File(source, "r") as file:
        return _Reader(source, file).network()


@contextmanager
def _located(source: Path, where: str) -> Iterator[None]:
    """Turn whatever HDF5 or the description refuses into one error that names the file and the place in it."""
    try:
        yield
    except FileFormatError:
        raise
    except (
        OSError,
        RuntimeError,
        LookupError,
        ValueError,
        TypeError,
        OverflowError,
    ) as error:
        raise FileFormatError(f"'{source}': {where}: {str(error)[:MAX_MESSAGE]}") from error


class _Reader:
    """Reads one open file. `left`: how many more bytes its arrays may claim, given the bytes that the file holds."""

    def __init__(self, source: Path, file: h5py.File) -> None:
        self.source = source
        self.file = file
        self.size = source.stat().st_size
        self.left = MAX_INFLATION * self.size

    def network(self) -> Network:
        """Return the network of the file."""
        with _located(self.source, "/"):
            self._headed()
            _only(self.file, {"format", "contract", "steps", "outputs", "meta", "populations", "projections"})
        populations = {name: self._population(group) for name, group in self._members("populations")}
        projections = [
            self._projection(k, group, populations) for k, (_, group) in enumerate(self._members("projections"))
        ]
        meta = self._meta()
        with _located(self.source, "/"):
            outputs = json.loads(_attribute(self.file, "outputs", str))
            if not isinstance(outputs, list) or not all(isinstance(name, str) for name in outputs):
                raise ValueError("attribute 'outputs' must be a JSON list of names")
            return Network(populations, projections, outputs, _attribute(self.file, "steps", int), meta)

    def _headed(self) -> None:
        if _attribute(self.file, "format", str) != FORMAT:
            raise ValueError(f"attribute 'format' does not say '{FORMAT}': this is another kind of HDF5 file")
        contract = _attribute(self.file, "contract", int)
        if contract != CONTRACT:
            raise ValueError(f"written for contract {contract}, this version of spikerun runs contract {CONTRACT}")

    def _meta(self) -> dict[str, Any]:
        group = self._group(self.file, "meta")
        with _located(self.source, "/meta"):
            if len(group):
                raise ValueError("holds attributes only")
            return {name: _attribute(group, name, str, int, float) for name in group.attrs}

    def _population(self, group: h5py.Group) -> Population:
        with _located(self.source, group.name):
            neuron = self._fields(group, neurons.KINDS, {"shape"})
            return Population(_attribute(group, "shape", tuple), neuron)

    def _projection(self, k: int, group: h5py.Group, populations: dict[str, Population]) -> Projection:
        with _located(self.source, group.name):
            if group.name != f"/projections/{k:06d}":
                raise ValueError(f"projections must be numbered without gaps, expected {k:06d}")
            ends = [_attribute(group, end, str) for end in ("source", "target")]
            for end in ends:
                if end not in populations:
                    raise ValueError(f"there is no population '{end}'")
            connection = self._fields(group, connections.KINDS, {"source", "target", "delay", "target_channels"})
            channels = _attribute(group, "target_channels", tuple) if "target_channels" in group.attrs else None
            if channels is not None and len(channels) != 2:
                raise ValueError(f"target_channels must be two integers, got {channels}")
            return Projection(ends[0], ends[1], connection, _attribute(group, "delay", int), channels)

    def _group(self, parent: h5py.Group, name: str) -> h5py.Group:
        """Return a group that really lies in this file, and whose members do."""
        with _located(self.source, f"{parent.name.rstrip('/')}/{name}"):
            if name not in parent:
                raise ValueError("is missing")
            _own(parent, name)
            group = parent[name]
            if not isinstance(group, h5py.Group):
                raise ValueError("is no group")
            for member in group:
                _own(group, member)
            return group

    def _members(self, name: str) -> list[tuple[str, h5py.Group]]:
        parent = self._group(self.file, name)
        with _located(self.source, f"/{name}"):
            if len(parent) > MAX_MEMBERS or len(parent.attrs):
                raise ValueError(f"holds at most {MAX_MEMBERS} groups, and no attributes")
        return [(key, self._group(parent, key)) for key in parent]

    def _fields(self, group: h5py.Group, kinds: dict[str, Any], others: set[str]) -> Any:
        """Build a neuron or a connection from a group; what neither its kind nor `others` knows is refused."""
        kind = _attribute(group, "kind", str)
        if kind not in kinds:
            raise ValueError(f"unknown kind '{kind}'; known: {', '.join(kinds)}")
        fields = dataclasses.fields(kinds[kind])
        members, attributes = _only(group, {"kind", *others, *(field.name for field in fields)})
        values: dict[str, Any] = {}
        for field in fields:
            accepted = _accepted(field.type)
            if np.ndarray in accepted and field.name in members:
                values[field.name] = self._array(group, field.name)
            elif np.ndarray not in accepted and field.name in attributes:
                values[field.name] = _attribute(group, field.name, *accepted)
            elif field.name in members | attributes:
                raise ValueError(f"'{field.name}' must be {'a data set' if np.ndarray in accepted else 'an attribute'}")
            elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                raise ValueError(f"'{field.name}' is missing")
        return kinds[kind](**values)

    def _array(self, group: h5py.Group, name: str) -> np.ndarray[Any, Any]:
        """Return a data set as an array, after checking that it lies in this file and is as large as it claims."""
        with _located(self.source, f"{group.name}/{name}"):
            dataset = group[name]
            if not isinstance(dataset, h5py.Dataset):
                raise ValueError("must be a data set")
            if dataset.external or dataset.is_virtual:
                raise ValueError("lies in another file")
            if dataset.dtype.kind not in "iuf" or dataset.dtype.itemsize > 8 or dataset.shape is None:
                raise ValueError(f"must hold plain numbers, got dtype {dataset.dtype}")
            self._affordable(dataset)
            result = np.asarray(dataset[()])
            if result.dtype.kind == "f" and not np.isfinite(result).all():
                raise ValueError("has values that are not finite")
            return result

    def _affordable(self, dataset: h5py.Dataset) -> None:
        """Refuse a data set that needs more memory than the bytes behind it can fill."""
        chunk = math.prod(dataset.chunks) * dataset.dtype.itemsize if dataset.chunks else 0
        size = max(math.prod(dataset.shape) * dataset.dtype.itemsize, chunk)
        stored = min(dataset.id.get_storage_size(), self.size)  # what the file claims to store may be a lie, too
        if size > MAX_BYTES or size > MAX_INFLATION * (stored + 64) or size > self.left:
            raise ValueError(
                f"claims shape {dataset.shape} of {dataset.dtype}, and the file holds {stored} bytes of it"
            )
        self.left -= size
        pipeline = dataset.id.get_create_plist()
        filters = [pipeline.get_filter(k)[0] for k in range(pipeline.get_nfilters())]
        if filters != [f for f in FILTERS if f in filters]:
            raise ValueError(f"is stored through the filters {filters}; only shuffle, deflate, fletcher32 are read")
        if h5py.h5z.FILTER_DEFLATE in filters:
            for k in range(dataset.id.get_num_chunks()):
                self._inflatable(dataset, dataset.id.get_chunk_info(k), chunk)

    def _inflatable(self, dataset: h5py.Dataset, info: Any, chunk: int) -> None:
        """Refuse a compressed chunk that would become larger than it says: HDF5 gives it all the memory it takes."""
        if info.byte_offset is None or info.byte_offset + info.size > self.size:
            raise ValueError("is truncated")
        skipped, raw = dataset.id.read_direct_chunk(info.chunk_offset)
        if skipped:
            raise ValueError("has a chunk that leaves out a filter")
        stream = zlib.decompressobj()
        try:
            stream.decompress(raw, chunk + 1)
        except zlib.error as error:
            raise ValueError(f"is damaged: {error}") from None
        if not stream.eof:
            raise ValueError("has a compressed chunk that is larger than it says, or damaged")


def _own(group: h5py.Group, name: str) -> None:
    """Refuse a member that is a link, which could lead to another file."""
    if group.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
        raise ValueError(f"'{name}' is a link; everything must lie in this file")


def _only(group: h5py.Group, known: set[str]) -> tuple[set[str], set[str]]:
    """Return the members and the attributes of a group, which are all `known`."""
    members, attributes = set(group), set(group.attrs)
    unknown = (members | attributes) - known
    if unknown:
        raise ValueError(f"does not belong here: {', '.join(sorted(unknown))}")
    return members, attributes


def _accepted(hint: Any) -> set[type]:
    """Return the types that a field's annotation allows, None left out."""
    alternatives = get_args(hint) if type(None) in get_args(hint) else (hint,)
    return {get_origin(kind) or kind for kind in alternatives} - {type(None)}


def _attribute(group: h5py.Group, name: str, *kinds: type) -> Any:
    """Return an attribute as one of the `kinds` bool, int, float, str, tuple (of integers); refuse all else."""
    attributes = group.attrs
    if name not in attributes:
        raise ValueError(f"attribute '{name}' is missing")
    stored = attributes.get_id(name)
    dtype, shape = stored.dtype, stored.shape
    if stored.get_storage_size() > MAX_TEXT:
        raise ValueError(f"attribute '{name}' is longer than {MAX_TEXT} bytes")
    if dtype.kind not in "biufS" or len(shape) > (0 if dtype.kind == "S" else 1):
        raise ValueError(f"attribute '{name}' is no number, no text of fixed length, and no list of integers")
    if shape and shape[0] > MAX_AXES:
        raise ValueError(f"attribute '{name}' is a list of {shape[0]} numbers, at most {MAX_AXES} are read")
    read = np.zeros(shape, dtype)
    stored.read(read)
    value = read.tolist()
    if isinstance(value, list) and dtype.kind in "iu":
        value = tuple(value)
    elif isinstance(value, bytes):
        value = value.decode()
    if type(value) not in kinds or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(f"attribute '{name}' must be {' or '.join(TYPES[kind] for kind in kinds)}, got {value!r:.80}")
    return value

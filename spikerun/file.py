"""The `.snn` file: a network as HDF5, without pickles and without code (docs/file-format.md).

Files are untrusted. Nothing is read before its type and its size have been checked against limits and against the
bytes that the file really holds, and what does not belong there is refused.
"""

import dataclasses
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import numpy as np

from spikerun import connections, neurons
from spikerun.errors import FileFormatError, UsageError
from spikerun.network import Network, Population, Projection

__all__ = ["CONTRACT", "load", "save"]

FORMAT = "spikerun"
CONTRACT = 1
MAX_BYTES = 2**32  # of one array
MAX_MEMBERS = 100_000
MAX_TEXT = 2**16
MAX_INFLATION = 1100  # DEFLATE cannot expand further

Path_ = str | os.PathLike[str]


def save(net: Network, path: Path_, force: bool = False) -> Path:
    """Write `net` to `path` whole or not at all; an existing file is replaced only with `force`.

    Raises UsageError if the file exists or its folder does not.
    """
    target = Path(path)
    if target.exists() and not force:
        raise UsageError(f"'{target}' exists: give another name, or force to replace it")
    if not target.parent.is_dir():
        raise UsageError(f"cannot write '{target}': there is no folder '{target.parent}'")
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with h5py.File(temporary, "w") as file:
            _write(net, file)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return target


def _write(net: Network, file: h5py.File) -> None:
    file.attrs.update(format=FORMAT, contract=CONTRACT, steps=net.steps, outputs=json.dumps(net.outputs))
    file.create_group("meta").attrs.update(net.meta)
    file.create_group("populations", track_order=True)
    for name, population in net.populations.items():
        group = file.create_group(f"populations/{name}")
        group.attrs["shape"] = np.array(population.shape, np.int64)
        _write_fields(group, population.neuron)
    file.require_group("projections")
    for k, p in enumerate(net.projections):
        group = file.create_group(f"projections/{k:06d}")
        group.attrs.update(source=p.source, target=p.target, delay=p.delay)
        if p.target_channels is not None:
            group.attrs["target_channels"] = np.array(p.target_channels, np.int64)
        _write_fields(group, p.connection)


def _write_fields(group: h5py.Group, item: Any) -> None:
    """Write a neuron or a connection: arrays as checksummed data sets, the rest as attributes, None left out."""
    group.attrs["kind"] = item.kind
    for field in dataclasses.fields(item):
        value = getattr(item, field.name)
        if isinstance(value, np.ndarray):
            filters = {"compression": "gzip", "shuffle": True, "fletcher32": True} if value.size > 1 else {}
            group.create_dataset(field.name, data=value, track_times=False, **filters)
        elif value is not None:
            group.attrs[field.name] = np.array(value, np.int64) if isinstance(value, tuple) else value


def load(path: Path_) -> Network:
    """Read and validate a network; nothing is executed.

    Raises FileFormatError with the path of the offending part, for whatever is wrong with the file.
    """
    source = Path(path)
    if not source.is_file():
        raise FileFormatError(f"'{source}': there is no such file")
    with _located(source, "it is not an HDF5 file, or damaged"), h5py.File(source, "r") as file:
        return _read(source, file)


@contextmanager
def _located(source: Path, what: str) -> Iterator[None]:
    """Turn whatever HDF5 or the description refuses into one error that names the file and the place in it."""
    try:
        yield
    except FileFormatError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:  # NetworkError is a ValueError
        raise FileFormatError(f"'{source}': {what}: {error}") from error


def _read(source: Path, file: h5py.File) -> Network:
    if _attribute(file, "format", str) != FORMAT:
        raise FileFormatError(f"'{source}': its attribute 'format' does not say '{FORMAT}'")
    contract = _attribute(file, "contract", int)
    if contract != CONTRACT:
        raise FileFormatError(
            f"'{source}': written for contract {contract}, this version of spikerun runs contract {CONTRACT}"
        )
    meta = {name: _attribute(_group(file, "meta"), name, str, int, float) for name in _group(file, "meta").attrs}
    populations, projections = {}, []
    for name, group in _members(file, "populations"):
        with _located(source, f"/populations/{name}"):
            _only(group, {"shape", *_field_names(neurons.KINDS, group)})
            neuron = _read_fields(group, neurons.KINDS)
            populations[name] = Population(_attribute(group, "shape", tuple), neuron)
    for k, (name, group) in enumerate(_members(file, "projections")):
        with _located(source, f"/projections/{name}"):
            if name != f"{k:06d}":
                raise ValueError(f"projections must be numbered without gaps, expected {k:06d}")
            _only(
                group,
                {"source", "target", "delay", "target_channels", *_field_names(connections.KINDS, group)},
            )
            projections.append(_projection(group))
    with _located(source, "the network"):
        outputs = json.loads(_attribute(file, "outputs", str))
        if not isinstance(outputs, list) or not all(isinstance(name, str) for name in outputs):
            raise ValueError("the attribute 'outputs' must be a list of names")
        return Network(populations, projections, outputs, _attribute(file, "steps", int), meta)


def _projection(group: h5py.Group) -> Projection:
    channels = _attribute(group, "target_channels", tuple) if "target_channels" in group.attrs else None
    if channels is not None and len(channels) != 2:
        raise ValueError(f"target_channels must be two integers, got {channels}")
    return Projection(
        _attribute(group, "source", str),
        _attribute(group, "target", str),
        _read_fields(group, connections.KINDS),
        _attribute(group, "delay", int),
        channels,
    )


def _group(parent: h5py.Group, name: str) -> h5py.Group:
    """Return a group that really lies in this file: links to other files are refused."""
    link = parent.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink) or not isinstance(parent[name], h5py.Group):
        raise FileFormatError(f"'{parent.file.filename}': /{name} is missing, or is not a group of this file")
    return parent[name]


def _members(file: h5py.File, name: str) -> list[tuple[str, h5py.Group]]:
    parent = _group(file, name)
    if len(parent) > MAX_MEMBERS:
        raise FileFormatError(f"'{file.filename}': /{name} has {len(parent)} members, the limit is {MAX_MEMBERS}")
    return [(key, _group(parent, key)) for key in parent]


def _kind(kinds: dict[str, Any], group: h5py.Group) -> Any:
    kind = _attribute(group, "kind", str)
    if kind not in kinds:
        raise ValueError(f"unknown kind '{kind}'; known: {', '.join(kinds)}")
    return kinds[kind]


def _field_names(kinds: dict[str, Any], group: h5py.Group) -> set[str]:
    return {"kind"} | {field.name for field in dataclasses.fields(_kind(kinds, group))}


def _only(group: h5py.Group, known: set[str]) -> None:
    unknown = (set(group) | set(group.attrs)) - known
    if unknown:
        raise ValueError(f"does not belong here: {', '.join(sorted(unknown))}")


def _read_fields(group: h5py.Group, kinds: dict[str, Any]) -> Any:
    """Build a neuron or a connection from a group; what its kind does not know is refused."""
    cls = _kind(kinds, group)
    values: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        if field.name in group:
            values[field.name] = _array(group, field.name)
        elif field.name in group.attrs:
            values[field.name] = _attribute(group, field.name, bool, int, str, tuple)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ValueError(f"'{field.name}' is missing")
    return cls(**values)


def _attribute(group: h5py.Group, name: str, *kinds: type) -> Any:
    """Return an attribute as one of the `kinds` bool, int, float, str, tuple (of integers); refuse all else."""
    if name not in group.attrs:
        raise ValueError(f"attribute '{name}' is missing")
    if group.attrs.get_id(name).get_storage_size() > MAX_TEXT:
        raise ValueError(f"attribute '{name}' is longer than {MAX_TEXT} bytes")
    value = group.attrs[name]
    if isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in "iu":
        value = tuple(int(x) for x in value)
    elif isinstance(value, np.bool_):
        value = bool(value)
    elif isinstance(value, np.integer):
        value = int(value)
    elif isinstance(value, np.floating):
        value = float(value)
    if type(value) not in kinds or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(f"attribute '{name}' must be {' or '.join(k.__name__ for k in kinds)}, got {value!r:.80}")
    return value


def _array(group: h5py.Group, name: str) -> np.ndarray[Any, Any]:
    """Return a data set as an array, after checking that it lies in this file and is as large as it claims."""
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"'{name}' is a link; everything must lie in this file")
    dataset = group[name]
    if not isinstance(dataset, h5py.Dataset):
        raise ValueError(f"'{name}' must be a data set")
    if dataset.external or dataset.is_virtual:
        raise ValueError(f"'{name}' lies in another file")
    if dataset.dtype.kind not in "iuf" or dataset.shape is None:
        raise ValueError(f"'{name}' must hold plain numbers, got dtype {dataset.dtype}")
    size = math.prod(dataset.shape) * dataset.dtype.itemsize
    stored = dataset.id.get_storage_size()
    chunk = math.prod(dataset.chunks) * dataset.dtype.itemsize if dataset.chunks else 0
    if max(size, chunk) > MAX_BYTES or max(size, chunk) > MAX_INFLATION * (stored + 64):
        raise ValueError(
            f"'{name}' claims shape {dataset.shape} of {dataset.dtype}, and the file holds {stored} bytes of it"
        )
    result = np.asarray(dataset[()])
    if result.dtype.kind == "f" and not np.isfinite(result).all():
        raise ValueError(f"'{name}' has values that are not finite")
    return result

# SPDX-License-Identifier: Apache-2.0
"""The `.snn` file: a network as HDF5, without pickles and without code (docs/file-format.md).

Files are untrusted: `spikerun.hdf5` reads them, what does not belong there is refused, and nothing is executed.
"""

import dataclasses
import json
import logging
from collections.abc import Iterator, Mapping
from functools import cache
from inspect import Parameter, signature
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from spikerun import __version__, connections, neurons
from spikerun.atomic import PathLike, as_path, require_writable, write_atomically
from spikerun.errors import UsageError
from spikerun.hdf5 import Group, Reader, image, located, make_group, opened, write_array, write_attributes
from spikerun.network import Network, Population, Projection

__all__ = ["CONTAINER", "CONTRACT", "load", "require_snn", "save"]

FORMAT = "spikerun"
CONTAINER = 2  # how values lie in the file
CONTRACT = 2  # what they mean when the network runs
# What a kind of neuron was before: its attributes are the parameters of a function that makes today's.
OLDER: Mapping[int, Mapping[str, Any]] = {1: {"lif": neurons.LIF.loihi}, 2: {}}
MAX_MEMBERS = 10_000
MEMBERS = {"format", "contract", "outputs", "meta", "populations", "projections"}
MORE = {1: {"steps"}, 2: {"container", "writer", "window"}}  # of each container
WRITER = f"spikerun {__version__}"

log = logging.getLogger(__name__)


def save(net: Network, path: PathLike, force: bool = False) -> Path:
    """Write `net` to `path` whole or not at all, and return the path; only with `force` is a file replaced.

    Raises UsageError if the file exists, if it cannot be written, or if `meta` holds what no file can.
    """
    if not isinstance(net, Network):
        swapped = ", the network first" if isinstance(path, Network) else ""
        raise UsageError(f"what is saved is a Network, got {type(net).__name__}: save(net, path){swapped}")
    require_snn(path)
    for name, value in net.meta.items():
        if isinstance(value, bool | tuple):  # which attributes elsewhere may be
            raise UsageError(f"/meta: {name!r} must be a text, an integer or a finite number, got {value!r:.80}")
    target = require_writable(path, force)
    try:
        raw = image(lambda root: _write(net, root))
    except UsageError:
        raise
    except (ValueError, TypeError, OSError, RuntimeError) as error:  # whatever HDF5 says of a value
        raise UsageError(f"cannot write '{target}': {error}") from error
    write_atomically(target, raw, force)
    log.info("wrote '%s': container %d, contract %d, %d bytes", target, CONTAINER, CONTRACT, len(raw))
    return target


def require_snn(path: PathLike) -> None:
    """Refuse the name of another kind of file for a network."""
    if as_path(path).suffix != ".snn":
        raise UsageError(f"a network is written to a name that ends in .snn, such as 'model.snn', got '{path}'")


def _write(net: Network, root: Any) -> None:
    head = {"format": FORMAT, "container": CONTAINER, "contract": CONTRACT, "writer": WRITER}
    write_attributes(root, {**head, "window": int(net.window), "outputs": json.dumps(list(net.outputs))})
    write_attributes(make_group(root, "meta"), net.meta)
    populations = make_group(root, "populations", ordered=True)
    for name, population in net.populations.items():
        group = make_group(populations, name)
        write_attributes(group, {"shape": tuple(population.shape)})
        _write_fields(group, population.neuron)
    projections = make_group(root, "projections")
    for k, p in enumerate(net.projections):
        group = make_group(projections, f"{k:06d}")
        numbers = {key: int(value) for key, value in (("delay", p.delay), ("exponent", p.exponent)) if value}
        channels = {} if p.target_channels is None else {"target_channels": tuple(p.target_channels)}
        write_attributes(group, {"source": p.source, "target": p.target, **numbers, **channels})
        _write_fields(group, p.connection)


def _write_fields(group: Any, item: Any) -> None:
    """Write of a neuron or a connection what differs from its defaults: arrays as data sets, the rest as attributes."""
    given = ((field, getattr(item, field.name)) for field in _parameters(item.__class__))
    values = {field.name: value for field, value in given if not _is_default(field, value)}
    arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
    write_attributes(group, {"kind": item.kind, **{name: v for name, v in values.items() if name not in arrays}})
    for name, value in arrays.items():
        write_array(group, name, value)


@cache
def _parameters(kind: type) -> "tuple[dataclasses.Field[Any], ...]":
    return tuple(field for field in dataclasses.fields(kind) if field.init)


def _is_default(field: "dataclasses.Field[Any]", value: Any) -> bool:
    if field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    elif field.default is not dataclasses.MISSING:
        default = field.default
    else:
        return False
    if isinstance(value, np.ndarray):
        return value.shape == np.shape(default) and bool((value == default).all())
    return bool(value == default)


def load(path: PathLike) -> Network:
    """Read and validate a network; nothing is executed.

    Raises FileFormatError with the path of the offending part, for whatever is wrong with the file.
    """
    with opened(path, ".snn") as (source, file):
        return _NetworkReader(source, file).network()


class _NetworkReader(Reader):
    """Reads the network of one open file. `advice` ends the refusal of what this version does not know."""

    advice = ""
    neurons: Mapping[str, Any] = neurons.KINDS

    def network(self) -> Network:
        """Return the network of the file."""
        with located(self.source, "/"):
            container = self._headed()
            self._only(self.root, MEMBERS | MORE[container])
        populations = {name: self._population(group) for name, group in self._members("populations")}
        numbered = enumerate(group for _, group in self._members("projections"))
        projections = [self._projection(k, group, populations) for k, group in numbered]
        meta = self._meta()
        with located(self.source, "/"):
            outputs = json.loads(self.root.attribute("outputs", str))
            if not isinstance(outputs, list) or not all(isinstance(name, str) for name in outputs):
                raise ValueError("attribute 'outputs' must be a JSON list of names")
            window = self.root.attribute("steps" if container == 1 else "window", int)
            return Network(populations, projections, outputs, window, meta)

    def _headed(self) -> int:
        """Return the version of the container; refuse other kinds of files and versions that are not known here."""
        if self.root.attribute("format", str) != FORMAT:
            raise ValueError(f"attribute 'format' does not say '{FORMAT}': this is another kind of HDF5 file")
        versioned = "container" in self.root.attributes
        writer = self.root.attribute("writer", str) if versioned else "an early spikerun"
        container = self.root.attribute("container", int) if versioned else 1
        contract = self.root.attribute("contract", int)
        if container not in MORE or contract not in OLDER:
            raise ValueError(
                f"written by {writer:.80} in container {container} for contract {contract}; this is {WRITER}, which "
                f"reads containers 1 to {CONTAINER} and contracts 1 to {CONTRACT}: install the version that wrote it"
            )
        self.neurons = {**neurons.KINDS, **OLDER[contract]}
        log.info("reading '%s': container %d, contract %d, by %s", self.source, container, contract, writer)
        if versioned and writer != WRITER:
            self.advice = f" (written by {writer:.80}, and this is {WRITER}: install the version that wrote it)"
        return container

    def _only(self, group: Group, known: set[str]) -> tuple[set[str], set[str]]:
        """Return the members and the attributes of a group, which are all `known`."""
        members, attributes = set(group.members), set(group.attributes)
        unknown = sorted((members | attributes) - known)
        if unknown:
            raise ValueError(f"does not belong here: {', '.join(map(repr, unknown))}{self.advice}")
        return members, attributes

    def _members(self, name: str) -> Iterator[tuple[str, Group]]:
        """Yield the groups in a group, one at a time: HDF5 is slow where very many are open."""
        parent = self.group(self.root, name)
        with located(self.source, f"/{name}"):
            if len(parent.members) > MAX_MEMBERS or parent.attributes:
                raise ValueError(f"holds at most {MAX_MEMBERS} groups, and no attributes")
        for key in parent.members:
            yield key, self.group(parent, key)

    def _meta(self) -> dict[str, Any]:
        group = self.group(self.root, "meta")
        with located(self.source, "/meta"):
            if group.members:
                raise ValueError("holds attributes only")
            return {name: group.attribute(name, str, int, float) for name in group.attributes}

    def _population(self, group: Group) -> Population:
        with located(self.source, group.name):
            neuron = self._fields(group, self.neurons, {"shape"})
            return Population(group.attribute("shape", tuple), neuron)

    def _projection(self, k: int, group: Group, populations: dict[str, Population]) -> Projection:
        with located(self.source, group.name):
            if group.name != f"/projections/{k:06d}":
                raise ValueError(f"projections must be numbered without gaps, expected {k:06d}")
            ends = [group.attribute(end, str) for end in ("source", "target")]
            for end in ends:
                if end not in populations:
                    raise ValueError(f"there is no population {end!r}")
            own = {"source", "target", "delay", "target_channels", "exponent"}
            connection = self._fields(group, connections.KINDS, own)
            delay, exponent = (
                group.attribute(key, int) if key in group.attributes else 0 for key in ("delay", "exponent")
            )
            channels = group.attribute("target_channels", tuple) if "target_channels" in group.attributes else None
            if channels is not None and len(channels) != 2:
                raise ValueError(f"target_channels must be two integers, got {channels}")
            return Projection(ends[0], ends[1], connection, delay, channels, exponent)

    def _fields(self, group: Group, kinds: Mapping[str, Any], others: set[str]) -> Any:
        """Build a neuron or a connection from a group; what neither its kind nor `others` knows is refused."""
        kind = group.attribute("kind", str)
        if kind not in kinds:
            raise ValueError(f"unknown kind {kind!r}; known: {', '.join(kinds)}{self.advice}")
        accepted = _accepted(kinds[kind])
        members, attributes = self._only(group, {"kind", *others, *accepted})
        values: dict[str, Any] = {}
        for name, (types, required) in accepted.items():
            if np.ndarray in types and name in members:
                values[name] = self.array(group, name)
            elif np.ndarray not in types and name in attributes:
                values[name] = group.attribute(name, *types)
            elif name in members | attributes:
                raise ValueError(f"'{name}' must be {'a data set' if np.ndarray in types else 'an attribute'}")
            elif required:
                raise ValueError(f"'{name}' is missing")
        return kinds[kind](**values)


@cache
def _accepted(kind: Any) -> dict[str, tuple[set[type], bool]]:
    """Return, for each parameter of a kind, the types that its annotation allows, None left out; is it required?"""
    hints = get_type_hints(kind)  # annotations may be texts
    given = signature(kind).parameters.items()
    return {name: (set(_types(hints[name])) - {type(None)}, p.default is Parameter.empty) for name, p in given}


def _types(hint: Any) -> Iterator[type]:
    origin = get_origin(hint)
    alias = origin or hint
    if hasattr(alias, "__value__"):  # of Python 3.12: NumPy's NDArray is one from 2.5 on
        yield from _types(alias.__value__)
    elif origin in (Union, UnionType):
        for alternative in get_args(hint):
            yield from _types(alternative)
    elif origin is Literal:
        yield from map(type, get_args(hint))
    else:
        yield origin or hint

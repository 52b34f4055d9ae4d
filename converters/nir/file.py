# SPDX-License-Identifier: Apache-2.0
"""What a NIR file holds: nodes with their values, and edges; graphs within graphs are laid open.

Files are untrusted: `spikerun.hdf5` reads them, and nothing is executed.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from spikerun.atomic import PathLike
from spikerun.converters.graph import Array
from spikerun.errors import FileFormatError, printable
from spikerun.hdf5 import Group, Reader, located, opened

__all__ = ["FIELDS", "GRAPH", "PORT", "Item", "Raw", "read"]

MAX_NODES = 10_000
MAX_EDGES = 4 * MAX_NODES
MAX_DEPTH = 16
MAX_MEMBERS = 64  # of one node
GRAPH = "NIRGraph"
PORT = "port"  # the Input or the Output of a graph within a graph: it passes on what comes

_NEURON = {"r": True}
_FIRING = {**_NEURON, "v_threshold": True, "v_reset": False}
_LEAKY = {**_NEURON, "tau": True, "v_leak": True}
_CUBA = {**_NEURON, "tau_mem": True, "tau_syn": True, "v_leak": True, "w_in": False}
_CONV = {"weight": True, "bias": False, "stride": False, "padding": False, "dilation": False, "groups": False}
_POOL = {"kernel_size": True, "stride": False, "padding": False}
# The values of each type of node of NIR, and whether they must be there; all others are unknown to it.
FIELDS: Mapping[str, Mapping[str, bool]] = {
    "Input": {"shape": True},
    "Output": {"shape": False},
    "Affine": {"weight": True, "bias": True},
    "Linear": {"weight": True},
    "Scale": {"scale": True},
    "Conv1d": _CONV,
    "Conv2d": _CONV,
    "SumPool2d": _POOL,
    "AvgPool2d": _POOL,
    "Flatten": {"start_dim": True, "end_dim": True, "input_type": False},
    "Delay": {"delay": True},
    "Threshold": {"threshold": True},
    "I": _NEURON,
    "IF": _FIRING,
    "LI": _LEAKY,
    "LIF": _LEAKY | _FIRING,
    "CubaLI": _CUBA,
    "CubaLIF": _CUBA | _FIRING,
}
TEXTS = {"padding"}  # values that may be texts


@dataclass(frozen=True, eq=False)
class Item:
    """A node: its name (with those of the graphs around it), its type, and its values."""

    name: str
    type: str
    values: Mapping[str, Array | str]

    def array(self, key: str) -> Array:
        """Return a value that is no text, floats as they are, other numbers as they lie in the file."""
        value = self.values[key]
        if isinstance(value, str):
            raise ValueError(f"{key} must be a number, got '{value:.40}'")
        return value


@dataclass(frozen=True, eq=False)
class Raw:
    """Nodes by name, and edges between them, each once and in order; doubled: how many edges were there again."""

    source: Path
    items: Mapping[str, Item]
    edges: tuple[tuple[str, str], ...]
    doubled: int = 0

    @contextmanager
    def at(self, name: str) -> Iterator[None]:
        """Turn a refusal within into one that names the file and the node."""
        with located(self.source, f"node '{name}'"):
            yield

    def refused(self, message: str) -> FileFormatError:
        """Return the error that says this of the file."""
        return FileFormatError(printable(f"'{self.source}': {message}"))


def read(path: PathLike) -> Raw:
    """Return what a file holds. Raises FileFormatError with the place of whatever is wrong."""
    with opened(path, ".nir") as (source, file):
        reader = _GraphReader(source, file)
        root = reader.group(reader.root, "node", MAX_MEMBERS)
        kind = reader.type(root)
        with located(source, root.name):
            if kind != GRAPH:
                raise ValueError(f"is a single {kind:.40}: a network is a {GRAPH}")
        reader.graph(root, "", 0)
        edges = tuple(sorted(set(reader.edges)))
        return Raw(source, reader.items, edges, len(reader.edges) - len(edges))


class _GraphReader(Reader):
    """Reads the graph of one open file into `items` and `edges`."""

    def __init__(self, source: Path, file: object) -> None:
        super().__init__(source, file)
        self.items: dict[str, Item] = {}
        self.edges: list[tuple[str, str]] = []

    def type(self, group: Group) -> str:
        """Return the type that a node says it has."""
        with located(self.source, group.name):
            if "type" not in group.members:
                raise ValueError("has no 'type', so it is no node")
        return self.text(group, "type")

    def graph(self, group: Group, prefix: str, depth: int) -> tuple[list[str], list[str]]:
        """Add the nodes and edges of a graph; return the names of its inputs and outputs."""
        with located(self.source, group.name):
            if depth > MAX_DEPTH:
                raise ValueError(f"lies in more than {MAX_DEPTH} graphs")
            if not {"nodes", "edges"} <= set(group.members):
                raise ValueError("is a graph without 'nodes' or 'edges'")
        nodes = self.group(group, "nodes", MAX_NODES)
        ports: dict[str, tuple[list[str], list[str]]] = {}  # by name: where edges into it and out of it are
        ends: tuple[list[str], list[str]] = ([], [])
        for key in nodes.members:
            node = self.group(nodes, key, MAX_MEMBERS)
            name, kind = prefix + key, self.type(node)
            if kind == GRAPH:
                ports[key] = self.graph(node, f"{name}.", depth + 1)
                continue
            ports[key] = ([name], [name])
            for k, port in enumerate(("Input", "Output")):
                if kind == port:
                    ends[k].append(name)
            self._add(Item(name, PORT if depth and kind in ("Input", "Output") else kind, self._values(node, kind)))
        for pair in self._pairs(group):
            self.edges.append(self._edge(group, pair, ports))
        return ends

    def _add(self, item: Item) -> None:
        with located(self.source, f"node '{item.name}'"):
            if item.name in self.items:
                raise ValueError("there are two of this name, one in a graph within the graph")
            if len(self.items) == MAX_NODES:
                raise ValueError(f"is one too many: at most {MAX_NODES} nodes are read")
        self.items[item.name] = item

    def _values(self, node: Group, kind: str) -> dict[str, Array | str]:
        with located(self.source, node.name):
            if kind not in FIELDS:
                raise ValueError(f"has type '{kind:.40}', which is not read; known are {', '.join(FIELDS)}")
            missing = [key for key, needed in FIELDS[kind].items() if needed and key not in node.members]
            if missing:
                raise ValueError(f"is a {kind} without {', '.join(missing)}")
        present = [key for key in FIELDS[kind] if key in node.members]
        return {key: self._value(node, key) for key in present}

    def _value(self, node: Group, key: str) -> Array | str:
        if key in TEXTS and self.form(node, key)[0]:
            return self.text(node, key)
        value = self.array(node, key, finite=False)
        with located(self.source, f"{node.name}/{key}"):
            if not value.size:
                raise ValueError("must not be empty")
            if np.isnan(value).any():
                raise ValueError("has values that are no numbers (NaN)")
        return value if value.dtype.kind != "f" or value.itemsize > 2 else value.astype(np.float32)

    def _pairs(self, group: Group) -> list[tuple[str, str]]:
        with located(self.source, f"{group.name}/edges"):
            if 0 in self.form(group, "edges")[1]:
                return []
            found = self.texts(group, "edges", 2 * MAX_EDGES)
            if found.ndim != 2 or found.shape[1] != 2:
                raise ValueError(f"must be pairs of names, got shape {found.shape}")
            return [(str(a), str(b)) for a, b in found]

    def _edge(
        self, group: Group, pair: tuple[str, str], ports: Mapping[str, tuple[list[str], list[str]]]
    ) -> tuple[str, str]:
        """Return an edge with the names of the nodes that it really joins."""
        ends = []
        with located(self.source, f"{group.name}/edges"):
            for key, side, what in ((pair[0], 1, "Output"), (pair[1], 0, "Input")):
                if key not in ports:
                    known = ", ".join(islice(ports, 8)) + (", ..." if len(ports) > 8 else "")
                    raise ValueError(f"{pair[0]} -> {pair[1]}: there is no node '{key}'; there are {known}")
                found = ports[key][side]
                if len(found) != 1:
                    raise ValueError(
                        f"{pair[0]} -> {pair[1]}: the graph '{key}' has {len(found)} nodes {what}, so which is meant "
                        "is not said"
                    )
                ends.append(found[0])
        return ends[0], ends[1]

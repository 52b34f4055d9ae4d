# SPDX-License-Identifier: Apache-2.0
"""A NIR file as one step of a spiking network.

An edge carries what its source has in the same step, but where it closes a cycle: there, and behind a Delay, it carries
what the source had before, computed of the spikes that came then (`Previous`). Before the first step nothing spiked.
"""

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from spikerun.atomic import PathLike
from spikerun.converters.graph import Add, Affine, Graph, Identity, Input, Node, Op, Origin, Output, Shape
from spikerun.converters.nir.file import Item, Raw, read
from spikerun.converters.nir.maps import MAPS, shape_of
from spikerun.converters.nir.neurons import NEURONS, Reading, cell, fit, lifted, reading, told
from spikerun.converters.spiking.cell import Cell, Membrane, Previous
from spikerun.converters.spiking.step import Step

__all__ = ["read_nir"]

MAX_CHAIN = 200  # nodes in a row without a neuron
MAX_MADE = 40_000  # operators of the graph
MAX_DELAY = 2**15 - 1  # steps
MAX_DELAYS = 64  # different ones of one node
NEAR = 1e-3  # by what share of a step a delay may miss a whole number of them


def read_nir(
    path: PathLike, dt: float | None = None, writer: str | None = None, reset: str | None = None, floor: bool = True
) -> Step:
    """Return the network of a file as one step; `assumed` of it says what the file did not.

    dt: the time step in seconds; writer: one of `WRITERS`, who wrote the file; reset: of all neurons, in place of that
    of the file; floor: whether neurons have the floor that sinabs gives them and files do not say. Raises
    FileFormatError that names the node that cannot be read, and UsageError that names the option to give where the
    file can be read in two ways.
    """
    raw = read(path)
    how = replace(reading(raw, dt, writer, reset), floor=floor)
    net = _resolved(raw, how)
    graph, cycles = _Builder(net).build()
    said = list(how.assumed)
    if raw.doubled:
        said.append(f"{raw.doubled} edges are there more than once, and count once")
    if net.left_out:
        said.append(f"nodes that lead to no output are left out: {_some(net.left_out)}")
    if cycles:
        said.append(f"spikes take one step where they go round in a cycle: {_some(cycles)}")
    said += (sentence for item in net.items.values() for sentence in told(item, how))
    return Step(graph, timed=frozenset(graph.inputs), assumed=tuple(dict.fromkeys(said)))


def _some(names: Sequence[str]) -> str:
    """Return the first few names, and how many more there are."""
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


# --- what each node is ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Net:
    """Nodes that lead to an output, those that lead to each, what each computes, and the shape of NIR that it gives.

    delays: of Delay nodes, in steps, shape () or as `fit` gives them.
    """

    raw: Raw
    items: Mapping[str, Item]
    sources: Mapping[str, tuple[str, ...]]
    shapes: Mapping[str, Shape]
    ops: Mapping[str, Op]
    delays: Mapping[str, "np.ndarray[tuple[int, ...], np.dtype[np.int64]]"]
    left_out: tuple[str, ...]


def _resolved(raw: Raw, how: Reading) -> _Net:
    """Return the nodes with their operators; shapes spread from the inputs along the edges."""
    ends = {kind: [name for name, item in raw.items.items() if item.type == kind] for kind in ("Input", "Output")}
    for kind, names in ends.items():
        if not names:
            raise raw.refused(f"has no {kind}, so it is no network")
    sources: dict[str, list[str]] = {name: [] for name in raw.items}
    targets: dict[str, list[str]] = {name: [] for name in raw.items}
    for source, target in raw.edges:
        if raw.items[source].type == "Output":
            raise raw.refused(f"node '{source}': is an output of the network, and leads to '{target}'")
        sources[target].append(source)
        targets[source].append(target)
    used = _reached(ends["Output"], sources)
    items = {name: item for name, item in raw.items.items() if name in used}
    taken: dict[str, Shape] = {}  # the shape that comes to a node
    shapes: dict[str, Shape] = {}
    ops: dict[str, Op] = {}
    delays: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.int64]]] = {}
    waiting = deque(name for name in ends["Input"] if name in used)
    while waiting:
        name = waiting.popleft()
        item = items[name]
        with raw.at(name):
            if item.type == "Input":
                if sources[name]:
                    raise ValueError(f"is an input of the network, and '{sources[name][0]}' leads to it")
                taken[name] = shape_of(item)
            if item.type == "Delay":
                delays[name] = _delay(item, taken[name], how)
            ops[name], shapes[name] = _op(item, taken[name], how)
        for target in targets[name]:
            if target in used and target not in taken:
                taken[target] = shapes[name]
                waiting.append(target)
    for name in items:
        if name not in taken:
            raise raw.refused(f"node '{name}': nothing leads to it from an input")
        for source in sources[name]:
            if source in shapes and shapes[source] != taken[name]:
                raise raw.refused(
                    f"node '{name}': '{source}' brings shape {shapes[source]}, and other nodes {taken[name]}"
                )
    left_out = tuple(sorted(raw.items.keys() - used))
    return _Net(raw, items, {n: tuple(sources[n]) for n in items}, shapes, ops, delays, left_out)


def _reached(start: Iterable[str], along: Mapping[str, Iterable[str]]) -> set[str]:
    """Return what can be reached from `start`."""
    found, waiting = set(start), list(start)
    while waiting:
        for name in along[waiting.pop()]:
            if name not in found:
                found.add(name)
                waiting.append(name)
    return found


def _op(item: Item, shape: Shape, how: Reading) -> tuple[Op, Shape]:
    if item.type in MAPS:
        return MAPS[item.type](item, shape)
    if item.type in (*NEURONS, "Threshold"):
        return cell(item, shape, how), shape
    return {"Input": Input(item.name), "Output": Output(item.name)}.get(item.type, Identity()), shape


def _delay(item: Item, shape: Shape, how: Reading) -> "np.ndarray[tuple[int, ...], np.dtype[np.int64]]":
    seconds = fit("delay", item.array("delay"), shape)
    steps = seconds / how.dt
    if not (np.isfinite(steps) & (steps >= 0) & (steps <= MAX_DELAY)).all():
        raise ValueError(f"delay must be within 0..{MAX_DELAY} steps of {how.dt:g} s, got {seconds.max():g} s")
    whole = np.rint(steps)
    if (np.abs(steps - whole) > NEAR).any():
        off = seconds.flat[np.abs(steps - whole).argmax()]
        raise ValueError(f"delay {off:g} s is no whole number of time steps of {how.dt:g} s: another --dt")
    if len(np.unique(whole)) > MAX_DELAYS:
        raise ValueError(f"has {len(np.unique(whole))} different delays, at most {MAX_DELAYS} are read")
    return whole.astype(np.int64)


# --- the graph --------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class _Builder:
    """Makes the graph: the cells in the order in which they are updated, and before each what leads to it."""

    net: _Net
    nodes: dict[str, Node] = field(default_factory=dict)
    made: dict[tuple[str, int, float], str] = field(default_factory=dict)
    rank: dict[str, int] = field(default_factory=dict)  # of cells, in the order of updates
    again: dict[str, int] = field(default_factory=dict)  # how often a name was wanted that was taken
    cycles: list[str] = field(default_factory=list)
    target: str = ""  # the cell or output whose inputs are made

    def build(self) -> tuple[Graph, list[str]]:
        """Return the graph without what leads to no output, and where spikes go round in cycles."""
        ordered = _order(self.net)
        cells = [name for name in ordered if isinstance(self.net.ops[name], Cell)]
        self.rank = {name: k for k, name in enumerate(cells)}
        for name in [n for n in self.net.items if isinstance(self.net.ops[n], Input)]:
            self._put(name, self.net.ops[name], (), self.net.shapes[name], name)
        for name in cells:
            self._cell(name)
        for name in [n for n in self.net.items if isinstance(self.net.ops[n], Output)]:
            self._output(name)
        return Graph(_needed(self.nodes)), self.cycles

    def _put(self, name: str, op: Op, inputs: tuple[str, ...], shape: Shape, item: str) -> str:
        """Add a node under a name like `name`, and return that."""
        if len(self.nodes) == MAX_MADE:
            raise self.net.raw.refused(f"node '{item}': makes more than {MAX_MADE} operators: too much goes in cycles")
        free = name
        while free in self.nodes:
            self.again[name] = self.again.get(name, 0) + 1
            free = f"{name}.{self.again[name]}"
        self.nodes[free] = Node(free, op, inputs, lifted(shape), Origin(self.net.items[item].type, item))
        return free

    def _cell(self, name: str) -> None:
        op, sources = self.net.ops[name], self.net.sources[name]
        assert isinstance(op, Cell)
        self.target = name
        before = self.net.ops[sources[0]] if len(sources) == 1 else None
        if self.net.items[name].type == "Threshold" and isinstance(before, Cell) and not before.fires:
            # a threshold behind an integrator is that integrator, which fires and is not reset
            with self.net.raw.at(name):
                op = replace(before, name=name, threshold=np.asarray(op.threshold - before.offset))
            sources = self.net.sources[sources[0]]
        found, _ = self._sum(sources, 0, self.rank[name], ())
        self._put(name, op, (found,), self.net.shapes[name], name)

    def _output(self, name: str) -> None:
        self.target = name
        shape = self.net.shapes[name]
        found, _ = self._sum(self.net.sources[name], 0, math.inf, ())
        if not isinstance(self.nodes[found].op, Cell | Membrane):
            # what is no neuron is the membrane of one that keeps nothing
            found = self._put(
                f"{name}.value", Cell.of(f"{name}.value", reset="none", keep_v=0.0), (found,), shape, name
            )
            found = self._put(f"{name}.membrane", Membrane(), (found,), shape, name)
        self._put(name, Output(name), (found,), shape, name)

    def _sum(self, sources: tuple[str, ...], delay: int, rank: float, path: tuple[str, ...]) -> tuple[str, bool]:
        """Return the node that has the sum of the sources, so many steps ago, and whether that depends on the rank."""
        found = [self._value(source, delay, rank, path) for source in sources]
        total = found[0][0]
        for k, (other, _) in enumerate(found[1:], 1):
            total = self._put(f"{sources[k]}.sum", Add(), (total, other), self.net.shapes[sources[0]], sources[k])
        return total, any(depends for _, depends in found)

    def _value(self, name: str, delay: int, rank: float, path: tuple[str, ...]) -> tuple[str, bool]:
        """Return the node that has what a node of NIR had `delay` steps ago, for a reader that is updated at `rank`.

        Cells that are updated later, or are the reader itself, close a cycle: of them it is what they had one step ago.
        """
        for key in ((name, delay, -1), (name, delay, rank)):
            if key in self.made:
                return self.made[key], key[2] != -1
        with self.net.raw.at(name):
            if name in path:
                raise ValueError(
                    f"lies in a cycle without a neuron: {' -> '.join(reversed((*path[path.index(name) :], name)))}"
                )
            if len(path) > MAX_CHAIN:
                raise ValueError(f"follows more than {MAX_CHAIN} nodes without a neuron")
        op = self.net.ops[name]
        if isinstance(op, Input):
            with self.net.raw.at(name):
                if delay:
                    raise ValueError(
                        f"is an input that '{self.target}' needs late, and inputs keep no past: delay spikes"
                    )
            found, depends = name, False
        elif isinstance(op, Cell):
            found, depends = self._spikes(op, delay, rank)
        elif name in self.net.delays:
            found, depends = self._delayed(name, delay, rank, path)
        else:
            found, depends = self._sum(self.net.sources[name], delay, rank, (*path, name))
            if not isinstance(op, Identity):
                found = self._put(name, op, (found,), self.net.shapes[name], name)
        self.made[name, delay, rank if depends else -1] = found
        return found, depends

    def _spikes(self, op: Cell, delay: int, rank: float) -> tuple[str, bool]:
        name, shape = op.name, self.net.shapes[op.name]
        circular = not delay and self.rank[name] >= rank
        back = delay + circular
        if not op.fires:
            with self.net.raw.at(name):
                if back:
                    raise ValueError(f"is no spiking neuron, and '{self.target}' needs its membrane late: delay spikes")
            return self._put(f"{name}.membrane", Membrane(), (name,), shape, name), False
        if circular:
            self.cycles.append(f"{name} -> {self.target}")
        return (self._put(f"{name}.before", Previous(name, back), (), shape, name) if back else name), circular

    def _delayed(self, name: str, delay: int, rank: float, path: tuple[str, ...]) -> tuple[str, bool]:
        """Return what a Delay gives: the sum, over its different delays, of what has that delay."""
        steps, shape = self.net.delays[name], self.net.shapes[name]
        depends, total = False, ""
        for one in np.unique(steps):
            found, here = self._sum(self.net.sources[name], delay + int(one), rank, (*path, name))
            depends |= here
            if steps.ndim:
                mask = Affine((steps == one).astype(np.float64), np.zeros(()))
                found = self._put(f"{name}.{one}", mask, (found,), shape, name)
            total = self._put(name, Add(), (total, found), shape, name) if total else found
        return total, depends


def _order(net: _Net) -> list[str]:
    """Return the nodes such that each comes after those that lead to it, but in cycles: reverse postorder.

    Edges into a Delay of at least one step do not count: what it gives is there before.
    """
    targets: dict[str, list[str]] = {name: [] for name in net.items}
    late = {name for name, steps in net.delays.items() if steps.min() >= 1}
    for name, sources in net.sources.items():
        for source in sources if name not in late else ():
            targets[source].append(name)
    roots = [name for name, item in net.items.items() if item.type == "Input"]
    done: list[str] = []
    seen: set[str] = set()
    for root in (*roots, *sorted(late)):
        stack = [] if root in seen else [(root, iter(sorted(targets[root])))]
        seen.add(root)
        while stack:
            for target in stack[-1][1]:
                if target not in seen:
                    seen.add(target)
                    stack.append((target, iter(sorted(targets[target]))))
                    break
            else:
                done.append(stack.pop()[0])
    return done[::-1]


def _needed(nodes: Mapping[str, Node]) -> dict[str, Node]:
    """Return the nodes, in order, that lead to an output."""
    along = {n.name: (n.op.cell,) if isinstance(n.op, Previous) else n.inputs for n in nodes.values()}
    kept = _reached([n.name for n in nodes.values() if isinstance(n.op, Output)], along)
    return {name: node for name, node in nodes.items() if name in kept}

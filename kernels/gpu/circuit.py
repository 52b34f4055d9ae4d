# SPDX-License-Identifier: Apache-2.0
"""From a program to a circuit: spiking neurons that reach each other after a pass or more, and what drives them.

That is what the kernel of `recurrent` executes. A program is one if it goes on without end and takes nothing from
outside; if all its operations happen at every pass; if its neurons are `IfStep` and `LifStep`; if their currents come
from other neurons, through maps whose synapses can be listed or drawn, a pass later or more, or from Poisson sources.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from spikerun.kernels.operations import Count, IfStep, LifStep, Map, Operation, Poisson, Shape
from spikerun.kernels.program import Program

__all__ = ["Circuit", "Drive", "Group", "Link", "NotACircuit", "Past", "Ring", "circuit", "delays"]

# Kinds of maps: whether neurons reach those at their own place; all others have no synapses that are known one by one.
AT_ITS_PLACE: Mapping[str, bool] = {"diagonal": True, "sparse": False, "dense": False, "random": False}
LONGEST_PAST = 64  # passes: a bit for each


class NotACircuit(Exception):
    """Why a program is none."""


@dataclass(frozen=True)
class Group:
    """Neurons that lie side by side, numbers first <= j < first + size: those of one operation.

    register: what they send. A Poisson source is one if lists of synapses lead from it; all others are drives.
    """

    register: str
    shape: Shape
    first: int
    operation: IfStep | LifStep | Poisson

    @property
    def size(self) -> int:
        """Return the number of neurons."""
        return math.prod(self.shape)

    @property
    def span(self) -> slice:
        """Return where they lie."""
        return slice(self.first, self.first + self.size)


@dataclass(frozen=True)
class Link:
    """A map from one group to another; its synapses arrive `delay` passes later, besides their own delays.

    past: it takes what was sent then, from a register of its own; otherwise currents are under way in that of the ring.
    """

    source: Group
    target: Group
    map: Map
    delay: int
    past: bool

    @property
    def first_target(self) -> int:
        """Return the number of the first neuron of the channels that the map reaches."""
        return self.target.first + self.map.channels[0] * (self.target.size // self.target.shape[0])


@dataclass(frozen=True)
class Drive:
    """A Poisson source that reaches each neuron at its own place, `delay` passes later."""

    poisson: Poisson
    target: Group
    map: Map
    delay: int

    @property
    def first_target(self) -> int:
        """Return the number of the first neuron of the channels that the map reaches."""
        return self.target.first + self.map.channels[0] * (self.target.size // self.target.shape[0])


@dataclass(frozen=True)
class Past:
    """A register of past events: before pass t, place p holds those of the latest pass u < t with u % steps = p.

    early: it turns before its source sends: these are events of the pass before u.
    """

    source: str
    steps: int
    early: int


@dataclass(frozen=True)
class Ring:
    """A register of currents under way to a group, (slots, *shape)."""

    target: Group
    slots: int


@dataclass(frozen=True)
class Circuit:
    """What there is of each; pasts and rings by register, poisson all such sources by what they send."""

    groups: tuple[Group, ...]
    links: tuple[Link, ...]
    drives: tuple[Drive, ...]
    counts: tuple[Count, ...]
    pasts: dict[str, Past]
    rings: dict[str, Ring]
    poisson: dict[str, Poisson]

    @property
    def neurons(self) -> int:
        """Return the number of neurons."""
        return sum(group.size for group in self.groups)

    @property
    def keeps_past(self) -> bool:
        """Return whether past spikes have to be known."""
        return any(link.past for link in self.links)


def circuit(program: Program) -> Circuit:
    """Return the circuit that a program is. Raises NotACircuit with the reason why it is none."""
    if not program.endless:
        raise NotACircuit("a run of so many passes has results of its own")
    if program.inputs:
        raise NotACircuit(f"the input '{program.inputs[0][0]}' is given from outside")
    found = _Found(program)
    for op in program.operations:
        found.read(op)
    groups = found.groups()
    by_current = {group.operation.i: group for group in groups.values() if not isinstance(group.operation, Poisson)}
    links, drives = [], []
    for wire in found.wires:
        target = by_current.get(found.arrives.get(wire.to, wire.to))
        if target is None:
            raise NotACircuit(f"what arrives in '{wire.to}' reaches no neurons that spike")
        if wire.source in groups:
            links.append(Link(groups[wire.source], target, wire.map, wire.delay, wire.past))
        else:
            drives.append(Drive(found.sent[wire.source], target, wire.map, wire.delay))  # type: ignore[arg-type]
    kept = {o.register for group in groups.values() for o in group.operation.operands()}
    for _, register in program.outputs:
        if register not in kept or isinstance(found.sent.get(register), Poisson):
            raise NotACircuit(f"the output '{register}' is neither spikes nor state of neurons")
    rings = {ring: Ring(by_current[acc], found.slots[ring]) for ring, acc in found.arrives.items() if acc in by_current}
    poisson = {s: op for s, op in found.sent.items() if isinstance(op, Poisson)}
    given = tuple(groups.values()), tuple(links), tuple(drives), tuple(found.counts)
    return Circuit(*given, found.pasts, rings, poisson)


def delays(map_: Map) -> tuple[int, int]:
    """Return the smallest and the largest delay of a map's synapses."""
    own = dict(map_.parameters).get("delays")
    return (0, 0) if own is None or not np.size(own) else (int(np.min(own)), int(np.max(own)))


def _at_once(map_: Map) -> Map:
    """Return a map without delays of its synapses: what is applied has been delayed already."""
    given = dict(map_.parameters)
    if given.get("delays") is None:
        return map_
    none = np.zeros_like(given["delays"]) if "delay_thresholds" in given else None
    return replace(map_, parameters=tuple((given | {"delays": none}).items()))


@dataclass(frozen=True)
class _Wire:
    source: str
    to: str  # the register of currents, or of those under way
    map: Map
    delay: int
    past: bool

    @property
    def at_its_place(self) -> bool:
        return AT_ITS_PLACE[self.map.kind]


@dataclass
class _Found:
    """What has been read so far, operation by operation."""

    program: Program
    sent: dict[str, IfStep | LifStep | Poisson] = field(default_factory=dict)  # by register
    pasts: dict[str, Past] = field(default_factory=dict)
    late: dict[str, tuple[str, int]] = field(default_factory=dict)  # what a register holds: of which one, how long ago
    wires: list[_Wire] = field(default_factory=list)
    arrives: dict[str, str] = field(default_factory=dict)  # from a ring to the currents
    slots: dict[str, int] = field(default_factory=dict)
    counts: list[Count] = field(default_factory=list)

    def read(self, op: Operation) -> None:
        """Take the next operation."""
        if not op.time.always:
            raise NotACircuit(f"'{op.name}' happens at some passes only")
        if op.name not in _READ:
            raise NotACircuit(f"'{op.name}' is no operation of such networks")
        _READ[op.name](self, op)

    def step(self, op: Any) -> None:
        self.sent[op.s] = op

    def delay(self, op: Any) -> None:
        early = self.early(op.x)
        self.pasts[op.ring] = Past(op.x, op.steps, early)
        self.late[op.y] = op.x, op.steps + early

    def copy(self, op: Any) -> None:
        self.late[op.y] = op.x, self.early(op.x)

    def fill(self, op: Any) -> None:
        if op.value.any():
            raise NotACircuit(f"'{op.acc}' begins with something else than zero")

    def apply(self, op: Any) -> None:
        source, lag = self.late.get(op.x, (op.x, self.early(op.x)))
        self.wires.append(_Wire(source, op.acc, _at_once(op.map), lag, True))

    def scatter(self, op: Any) -> None:
        if op.bits:
            raise NotACircuit("currents under way are shifted")
        source, lag = self.late.get(op.x, (op.x, self.early(op.x)))
        self.slots[op.ring] = op.slots
        self.wires.append(_Wire(source, op.ring, op.map, op.delay + lag, False))

    def arrive(self, op: Any) -> None:
        self.arrives[op.ring] = op.acc

    def count(self, op: Any) -> None:
        if op.mode != "nonzero":
            raise NotACircuit("the bits of words are counted")
        self.counts.append(op)

    def early(self, register: str) -> int:
        """Return 1 where what is read now was sent in the pass before, 0 where it was in this one."""
        return int(register not in self.sent)

    def groups(self) -> dict[str, Group]:
        """Return the groups, those of one operation side by side; Poisson sources that only drive are none."""
        for wire in self.wires:
            self._check(wire)
        for source, _ in self.late.values():
            self._require_sent(source)
        sends = {wire.source for wire in self.wires if not self._drives(wire)}
        if any(self._drives(wire) and wire.source in sends for wire in self.wires):
            raise NotACircuit("a Poisson source reaches neurons at its own place, and others")
        shapes = {register.name: register.shape for register in self.program.registers}
        kept = {s: op for s, op in self.sent.items() if s in sends or not isinstance(op, Poisson)}
        found, first = {}, 0
        for s in sorted(kept, key=lambda s: kept[s].name):
            found[s] = Group(s, shapes[s], first, kept[s])
            first += found[s].size
        if all(isinstance(op, Poisson) for op in kept.values()):
            raise NotACircuit("it has no neurons that integrate step by step")
        return found

    def _check(self, wire: _Wire) -> None:
        self._require_sent(wire.source)
        if wire.map.kind not in AT_ITS_PLACE:
            raise NotACircuit(f"synapses of a map of kind '{wire.map.kind}' are not listed")
        if not self._drives(wire) and wire.delay + delays(wire.map)[0] < 1:
            raise NotACircuit(f"spikes of '{wire.source}' arrive in the pass in which they are sent")
        if wire.past and wire.delay > LONGEST_PAST and not self._drives(wire):
            raise NotACircuit(f"spikes of '{wire.source}' arrive more than {LONGEST_PAST} passes later, all at once")

    def _require_sent(self, register: str) -> None:
        if register not in self.sent:
            raise NotACircuit(f"'{register}' is no register of spikes")

    def _drives(self, wire: _Wire) -> bool:
        return wire.at_its_place and isinstance(self.sent[wire.source], Poisson)


# Programs that have any of all others are no circuits.
_READ: Mapping[str, Callable[[_Found, Any], None]] = {
    "if_step": _Found.step,
    "lif_step": _Found.step,
    "poisson": _Found.step,
    "delay": _Found.delay,
    "copy": _Found.copy,
    "fill": _Found.fill,
    "apply": _Found.apply,
    "scatter": _Found.scatter,
    "arrive": _Found.arrive,
    "count": _Found.count,
}

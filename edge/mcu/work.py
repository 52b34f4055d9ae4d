# SPDX-License-Identifier: Apache-2.0
"""What a run takes before anything ran: instructions of each population, and of other ways to compute the same.

Three ways are compared: the firmware as it is, the same words as binary spikes step by step, and a dense int8 network
of the same shape as CMSIS-NN computes it. All are estimates from the core's tables, [costs] of our kernels and [int8]
of CMSIS-NN's. What is no map and no firing, as a pool, takes the same in all three.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from spikerun.edge.golden import Activity
from spikerun.edge.mcu import costs, packings
from spikerun.edge.mcu.costs import Costs
from spikerun.edge.mcu.crossover import ASSUMED
from spikerun.edge.mcu.int8 import LAYERS, Int8
from spikerun.edge.mcu.kernels import Call
from spikerun.edge.mcu.model import Model, Printed
from spikerun.edge.target import Measure, Table
from spikerun.kernels.operations import Map

__all__ = ["COLUMNS", "Part", "Work", "estimate"]

COLUMNS = ("population", "active", "known", "microseconds", "firmware", "binary steps", "dense int8", "even at")
SPIKES = 2.0  # that an active neuron sends in a window, where nobody has measured
PLAIN, MAX_TAP, SUM_TAP = 12.0, 14.0, 12.0  # of each value that is written, or that a pool reads; see OTHERS
# instructions of a Cortex-M4 for each value, where a core's table has none; all others take PLAIN
OTHERS: Mapping[str, float] = {"copy": 1.5, "clear": 0.5, "fill": 1.6}
M4_FIRE = 13.0  # of a silent neuron: how a core compares with the Cortex-M4 where its table says nothing else
STEPS = 64  # of the search for where two ways are even: the share is known to 2^-STEPS


@dataclass(frozen=True)
class Part:
    """Instructions of a population in a frame, in the three ways; of the last None where nothing is known.

    active: the share of its sources' neurons that are active; known: `measured` or `assumed`. at: the firmware, for all
    these shares times a factor.
    """

    name: str
    active: float
    known: str
    firmware: float
    binary: float | None
    dense: float | None
    at: Callable[[float], float]

    @property
    def activity(self) -> tuple[str, str]:
        """Return its share as text, and how that is known."""
        return ("-" if self.known == "-" else f"{self.active:.0%}"), self.known

    @property
    def even(self) -> str:
        """Return the share of active neurons at which firmware and dense int8 take the same."""
        if self.dense is None or self.active <= 0:
            return "-"
        factor = _even(self.at, self.dense, 1 / self.active)
        return "always less" if factor is None else "never" if factor <= 0 else f"{factor * self.active:.0%}"


@dataclass(frozen=True)
class Work:
    """What all populations take. unknown: kernels without a cost in the core's table, whose costs are guesses.

    each: microseconds that an instruction takes, 0 if that is not known; steps: passes that firmware makes in a frame.
    """

    parts: tuple[Part, ...]
    unknown: tuple[str, ...]
    each: float = 0.0
    steps: int = 1

    @property
    def firmware(self) -> float:
        """Return the instructions of firmware."""
        return sum(part.firmware for part in self.parts)

    @property
    def binary(self) -> float | None:
        """Return the instructions of binary steps; None for a network that goes step by step anyway."""
        return _sum(part.binary for part in self.parts)

    @property
    def dense(self) -> float | None:
        """Return the instructions of dense int8; None where something is not known."""
        return _sum(part.dense for part in self.parts)

    @property
    def table(self) -> Table:
        """Return a row for each population, and one for all."""
        rows: list[tuple[Measure, ...]] = [
            (p.name, *p.activity, *self._row(p.firmware, p.binary, p.dense), p.even) for p in self.parts
        ]
        total = ("(all)", "", "", *self._row(self.firmware, self.binary, self.dense), self.even)
        return Table(COLUMNS, (*rows, total))

    def _row(self, firmware: float, *others: float | None) -> tuple[Measure, ...]:
        time = round(firmware * self.each) if self.each else "-"
        return (time, round(firmware), *("-" if way is None else round(way) for way in others))

    @property
    def factor(self) -> float | None:
        """Return the number that all activities can be multiplied with until dense int8 takes the same, at most 100.

        None where dense int8 is not known, or is never reached.
        """
        dense = self.dense
        if dense is None:
            return None
        return _even(lambda factor: sum(part.at(factor) for part in self.parts), dense, 100.0)

    @property
    def even(self) -> str:
        """Return how many times this activity makes firmware and dense int8 take the same."""
        if self.dense is None:
            return "-"
        factor = self.factor
        return "always less" if factor is None else "never" if factor <= 0 else f"{factor:.2g}x"

    def sentences(self) -> list[str]:
        """Return which way is the fastest, in sentences."""
        found = []
        if self.dense is not None and self.dense > 0:
            ratio = self.firmware / self.dense
            if self.steps > 1:
                found.append(f"dense int8 is taken to see a frame once, where firmware takes {self.steps} steps")
            if ratio > 1:
                found.append(f"on this board dense int8 (CMSIS-NN) would be {ratio:.2g}x faster, by instructions")
            else:
                found.append(f"on this board dense int8 (CMSIS-NN) would take {1 / ratio:.2g}x the instructions")
            if self.even not in ("-", "always less", "never"):
                found.append(f"firmware and dense int8 were even at {self.even} of this activity")
        if self.binary is not None and self.binary > 0:
            found.append(f"binary spikes step by step would take {self.binary / self.firmware:.2g}x the instructions")
        if self.unknown:
            found.append(
                f"the costs of {', '.join(self.unknown)} are guesses, which may be several times off: "
                "this core's table has none, but --run counts"
            )
        return found


def _sum(values: Iterable[float | None]) -> float | None:
    found = list(values)
    return None if any(value is None for value in found) else sum(value for value in found if value is not None)


def _even(at: Callable[[float], float], wanted: float, most: float) -> float | None:
    """Return the factor, 0 to `most`, at which a cost that grows with it is as wanted; None: it never gets there.

    >>> round(_even(lambda factor: 10 + 5 * factor, 20, 8), 6)
    2.0
    """
    if at(most) < wanted:
        return None
    low, high = 0.0, most
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if at(middle) < wanted else (low, middle)
    return low


@dataclass(frozen=True)
class _Core:
    """What a core's kernels take; unknown: where it is not known."""

    costs: Costs
    unknown: set[str]

    @property
    def scale(self) -> float:
        """Return how many instructions this core takes for one of a Cortex-M4, where nothing better is known."""
        return self.costs.get("fire", {}).get("neuron", M4_FIRE) / M4_FIRE

    def map(self, kind: str, m: Map, share: float, spikes: bool) -> float:
        """Return the instructions of a map that reads a register so many of whose neurons are active."""
        found = costs.of_map(self.costs, kind, m, share, spikes)
        if found is not None:
            return found
        self.unknown.add(f"'{kind}'")
        if m.kind not in LAYERS:
            return self.scale * SUM_TAP * math.prod((*m.target, *dict(m.parameters).get("kernel", ())))
        known = packings.costs(m, kind.removeprefix("conv_"))
        cost = known.get(kind) or next(iter(known.values()))
        return self.scale * (cost.instructions * share or PLAIN * math.prod(m.target))

    def neurons(self, kind: str, shape: tuple[int, ...], share: float) -> float:
        """Return the instructions of an operation on all neurons of a shape."""
        found = costs.of_neurons(self.costs, kind, shape, share)
        if found is not None:
            return found
        if kind not in OTHERS:
            self.unknown.add(f"'{kind}'")
        return self.scale * OTHERS.get(kind, PLAIN) * math.prod(shape)


def estimate(
    model: Model, table: Costs, int8: Int8 | None, activity: Mapping[str, Activity], each: float = 0.0
) -> Work:
    """Return what a frame takes on a core of these tables; activity: of populations, where it was measured.

    each: microseconds that an instruction takes, 0 if that is not known.
    """
    core = _Core(table, set())
    owned: dict[str, list[Call]] = {}
    for call in model.run.calls:
        owned.setdefault(model.owners[call.writes[0]], []).append(call)
    own = {name: calls for name, calls in owned.items() if name not in model.net.inputs}
    parts = [_part(model, core, int8, name, calls, activity) for name, calls in own.items()]
    steps = 1 if model.run.at_once else model.run.program.steps
    return Work(tuple(parts), tuple(sorted(core.unknown)), each, steps)


def _part(
    model: Model, core: _Core, int8: Int8 | None, name: str, calls: list[Call], activity: Mapping[str, Activity]
) -> Part:
    """Return what a population takes."""
    registers, at_once = model.run.registers, model.run.at_once
    times = {id(call): _times(call, model.run) for call in calls}

    def share_of(register: str) -> tuple[float, float, bool]:
        owner = model.owners[register]
        if owner in activity:
            return (*activity[owner], True)
        return ASSUMED[registers[register].largest == 1], SPIKES, False

    def at(factor: float) -> float:
        return sum(times[id(call)] * _call(core, call, model, share_of, factor) for call in calls)

    maps = [call for call in calls if _is_layer(call)]
    read = [share_of(_operation(call).x) for call in maps]
    rest = sum(times[id(c)] * _call(core, c, model, share_of, 1.0) for c in calls if c not in maps and _stays(c))
    dense = None
    if int8 is not None:
        adds = max(0, len(maps) - 1) * int8.of_add(model.net.populations[name].size)
        dense = _sum([*(int8.of_map(_operation(call).map) for call in maps), rest, adds])
    binary = _binary(model, core, name, calls, share_of) if at_once else None
    active = sum(share for share, _, _ in read) / len(read) if read else 0.0
    known = "-" if not read else "measured" if all(measured for *_, measured in read) else "assumed"
    return Part(name, active, known, at(1.0), binary, dense, at)


def _operation(call: Call) -> Any:
    """Return the operation of a call, for the fields that only some have."""
    return call.operation


def _is_layer(call: Call) -> bool:
    """Return whether a call applies weights."""
    return call.operation.name == "apply" and _operation(call).map.kind in LAYERS


def _stays(call: Call) -> bool:
    """Return whether a call that applies no weights stays as it is, however its network computes: a pool does."""
    return call.operation.name not in ("fill", "fire", "fire_levels")


def _times(call: Call, printed: Printed) -> int:
    """Return in how many passes of a frame a call executes."""
    when = call.operation.time
    return 1 if printed.at_once else sum(when.includes(t) for t in range(printed.program.steps))


Shares = Callable[[str], tuple[float, float, bool]]


def _call(core: _Core, call: Call, model: Model, share_of: Shares, factor: float) -> float:
    """Return the instructions of a call, all activities times a factor; those of a row at a time stand for all rows."""
    operation: Any = call.operation
    registers = model.run.registers
    kind = call.kernel.kind.removesuffix("_wide")
    if operation.name == "apply":
        share, _, _ = share_of(operation.x)
        return core.map(kind, operation.map, min(1.0, share * factor), registers[operation.x].largest == 1)
    written = registers[call.writes[0]]
    if operation.name == "max_pool":
        return core.scale * MAX_TAP * math.prod((written.size, *operation.geometry.kernel))
    share, _, _ = share_of(call.writes[0])
    shape = model.net.populations[model.owners[written.name]].shape if kind == "fill" else written.shape
    return core.neurons(kind, shape, min(1.0, share * factor))


def _binary(model: Model, core: _Core, name: str, calls: list[Call], share_of: Shares) -> float:
    """Return the instructions of a population whose sources send their digits in as many steps as they have."""
    registers, total = model.run.registers, 0.0
    for call in calls:
        operation: Any = call.operation
        if _is_layer(call):
            share, spikes, _ = share_of(operation.x)
            word = model.net.sender_of(model.owners[operation.x])
            steps = word.bits if word is not None else 1
            kind = "depthwise" if call.kernel.kind.startswith("depthwise") else operation.map.kind
            total += steps * core.map(kind, operation.map, min(1.0, share * spikes / steps), True)
        elif operation.name in ("fire", "fire_levels"):
            own = model.net.sender_of(name)
            share, spikes, _ = share_of(call.writes[0])
            steps = own.bits if own is not None else 1
            total += steps * core.neurons("fire", registers[call.writes[0]].shape, min(1.0, share * spikes / steps))
        else:
            total += _call(core, call, model, share_of, 1.0)
    return total

# SPDX-License-Identifier: Apache-2.0
"""What a run does, operation by operation, as a table: which kernels, which layouts, how active, how long."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import overload

from spikerun.kernels.executor import Choice, Footprint
from spikerun.kernels.operations import Map, Operation
from spikerun.kernels.program import Program
from spikerun.text import plural, table

__all__ = ["ASSUMED", "Plan", "Row"]

ASSUMED = 0.1  # the share of active inputs where nothing has run yet
HEAD = ("into", "operation", "passes", "kernel", "layout", "bytes", "active", "us")
RIGHT = (2, 5, 6, 7)


@dataclass(frozen=True)
class Row:
    """One operation. population: that which it changes; passes: of a run, in which it executes.

    choice: the kernel of its map, which layout and how many bytes the weights have, what it costs, and what has passed
    through it (`spikerun.kernels.executor.Choice`); None: it has no map, and one kernel.
    """

    population: str
    operation: str
    passes: int
    choice: Choice | None = None

    def __str__(self) -> str:
        if self.choice is None:
            return f"{self.population}: {self.operation}"
        layout = f" in the layout '{self.choice.layout}'" if self.choice.layout else ""
        kernel = f"{self.choice.kernel}, {self.choice.bytes:,} bytes of weights{layout}"
        return f"{self.population}: {self.operation}: {kernel} ({self.choice.reason})"

    @property
    def active(self) -> float | None:
        """Return the share of active inputs, on average over the runs since the session was opened; None: not seen."""
        if self.choice is None or self.choice.seen is None or self.choice.seen.active is None:
            return None
        return self.choice.seen.active / self.choice.n_in

    def us(self, activity: float) -> float | None:
        """Return the microseconds that a run is expected to spend here, if such a share of inputs is active in each
        pass; None: not measured."""
        if self.choice is None or self.choice.cost is None:
            return None
        active, cost = activity * self.choice.n_in, self.choice.cost
        return self.passes * (cost.event_driven(active) if active <= self.choice.cut > 0 else cost.dense)


@dataclass(frozen=True)
class Plan(Sequence[Row]):
    """What a run does: a sequence of `Row`, in the order of a pass; as text, a table.

    layouts: by population, how weights into it lie in memory, and their bytes, where there was a choice. footprint:
    what it takes of the memory of a device that has its own.
    """

    title: str
    rows: tuple[Row, ...] = field(repr=False)
    footprint: Footprint | None = None

    @classmethod
    def of(
        cls, program: Program, choices: Iterable[Choice], schedule: str, footprint: Footprint | None = None
    ) -> "Plan":
        """Return the plan of a program that was compiled so."""
        chosen = {choice.place: choice for choice in choices}
        rows = tuple(
            Row(_population(operation), _text(operation), _passes(operation, program.steps), chosen.get(place))
            for place, operation in enumerate(program.operations)
        )
        passes = "1 pass" if program.steps == 1 else f"{program.steps:,} passes"
        return cls(f"a run, schedule '{schedule}': {passes} of {plural(len(rows), 'operation')}", rows, footprint)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def maps(self) -> tuple[Row, ...]:
        """Return the rows that have a map, and so a choice of kernels."""
        return tuple(row for row in self.rows if row.choice is not None)

    @property
    def layouts(self) -> dict[str, list[tuple[str, int]]]:
        """Return, by population, how weights into it lie in memory, and their bytes, where there was a choice."""
        found: dict[str, list[tuple[str, int]]] = {}
        for row in self.rows:
            if row.choice is not None and row.choice.layout:
                found.setdefault(row.population, []).append((row.choice.layout, row.choice.bytes))
        return found

    def __str__(self) -> str:
        seen = any(row.active is not None for row in self.maps)
        us = "as measured on this machine, for the activity seen" if seen else f"for {ASSUMED:.0%} of active inputs"
        text = table(HEAD, [_cells(row) for row in self.rows], RIGHT)
        memory = "" if self.footprint is None else f"\nmemory of the device: {self.footprint}"
        return f"{self.title}\n\n{text}\n\nus: of the sums of a run, {us}{memory}"


def _population(operation: Operation) -> str:
    written = [operand.register for operand in operation.operands() if operand.role != "read"]
    register = written[0] if written else next(operation.operands()).register
    return register.partition(":")[0]


def _text(operation: Operation) -> str:
    maps = (str(value) for _, value in operation.numbers() if isinstance(value, Map))
    return next(maps, operation.name)


def _passes(operation: Operation, steps: int) -> int:
    return sum(operation.time.includes(t) for t in range(steps))


def _cells(row: Row) -> tuple[str, ...]:
    begin = (row.population, row.operation, str(row.passes))
    if row.choice is None:
        return (*begin, "", "", "", "", "")
    us, active = row.us(ASSUMED if row.active is None else row.active), row.active
    return (
        *begin,
        row.choice.kernel,
        row.choice.layout,
        f"{row.choice.bytes:,}" if row.choice.bytes else "",
        "" if active is None else f"{active:.1%}",
        "" if us is None else f"{us:,.1f}",
    )

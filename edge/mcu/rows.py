# SPDX-License-Identifier: Apache-2.0
"""What is computed row by row: populations of words need the membranes of one row of pixels, not of all."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from spikerun.edge.mcu.kernels import Call
from spikerun.edge.mcu.maps import slides
from spikerun.kernels.operations import ALWAYS, Operand, Operation, When
from spikerun.kernels.program import Program, Register

__all__ = ["Loop", "by_row", "each_alone"]


@dataclass(frozen=True, eq=False)
class Loop:
    """Calls that are made together for each of so many rows of pixels."""

    rows: int
    calls: tuple[Call, ...]


@dataclass(frozen=True, eq=False)
class Together(Operation):
    """The operations of a loop as one: each register in the role that it has where it is first used."""

    calls: tuple[Call, ...]
    when: When = ALWAYS

    def operands(self) -> Iterator[Operand]:
        """Yield the registers that the loop uses."""
        found: dict[str, Operand] = {}
        for call in self.calls:
            for operand in call.operands:
                found.setdefault(operand.register, operand)
        yield from found.values()


def each_alone(calls: Iterable[Call]) -> tuple[Loop, ...]:
    """Return a loop for each call."""
    return tuple(Loop(_rows(call), (call,)) for call in calls)


def by_row(program: Program, calls: Sequence[Call]) -> tuple[Program, tuple[Loop, ...]]:
    """Return a program of one pass with as few membranes as it needs, and the loops that execute it.

    calls: those of its operations that are executed, in order; those of a population are neighbours. The calls of a
    population whose membranes nothing but its words needs become one loop: its registers of membranes shrink to a row.
    """
    registers = {register.name: register for register in program.registers}
    kept = {name for _, name in program.outputs}
    places = {id(getattr(operation, "operation", operation)): k for k, operation in enumerate(program.operations)}
    operations: list[Operation | None] = list(program.operations)
    loops: list[Loop] = []
    for _, members in groupby(calls, lambda call: call.writes[0].partition(":")[0]):
        group = tuple(members)
        rows = _common_rows(group, registers, kept)
        if rows < 2:
            loops += each_alone(group)
            continue
        group = _one_memory(group, registers)
        loops.append(Loop(rows, group))
        for call in group:
            operations[places[id(call.operation)]] = None
        operations[places[id(group[-1].operation)]] = Together(group)
        for name in {name for call in group for name in call.writes}:
            if registers[name].dtype == "int32" and len(registers[name].shape) == 3:
                channels, _, width = registers[name].shape
                registers[name] = replace(registers[name], shape=(channels, 1, width))
    used = tuple(operation for operation in operations if operation is not None)
    return replace(program, registers=tuple(registers.values()), operations=used), tuple(loops)


def _rows(call: Call) -> int:
    """Return for how many rows a call is made that works on whole registers."""
    operation: Any = call.operation
    if call.kernel.stretch or not call.kernel.row:
        return 1
    if operation.name == "max_pool":
        return _height(operation.geometry.target)
    m = operation.map
    # a matrix of weights takes all of its target as one pixel, even where that is an image
    return _height(m.target) if slides(m) or "gain" in dict(m.parameters) else 1


def _height(shape: Sequence[int]) -> int:
    return shape[1] if len(shape) == 3 else 1


def _common_rows(calls: Sequence[Call], registers: Mapping[str, Register], kept: set[str]) -> int:
    """Return for how many rows all calls of a population can be made together; 1 if they cannot."""
    words = registers[calls[-1].writes[0]]
    if words.dtype == "int32" or any(
        registers[name].dtype == "int32" and name in kept for c in calls for name in c.writes
    ):
        return 1
    able = all(call.kernel.stretch or (call.kernel.row and _rows(call) == _height(words.shape)) for call in calls)
    return _height(words.shape) if able else 1


def _one_memory(calls: Sequence[Call], registers: dict[str, Register]) -> tuple[Call, ...]:
    """Return calls whose kernels share memory, for they need it one after the other; the registers of the rest go."""
    names = sorted(
        (o.register for call in calls for o in call.operands if o.field == "memory"),
        key=lambda name: registers[name].size,
    )
    for name in names[:-1]:
        del registers[name]

    def shared(operand: Operand) -> Operand:
        return operand._replace(register=names[-1]) if operand.field == "memory" else operand

    return tuple(replace(call, operands=tuple(map(shared, call.operands))) for call in calls)

# SPDX-License-Identifier: Apache-2.0
"""Memory that kernels have to themselves while they execute: registers of the program, so that it is shared."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from spikerun.edge.mcu.kernels import Call
from spikerun.kernels.operations import Operand, Operation, When, Writes
from spikerun.kernels.program import Program, Register

__all__ = ["with_memory"]


@dataclass(frozen=True, eq=False)
class WithMemory(Operation):
    """An operation whose kernel has memory of its own."""

    operation: Operation
    memory: Writes
    when: When

    def operands(self) -> Iterator[Operand]:
        """Yield the registers of the operation, and the memory."""
        yield from self.operation.operands()
        yield Operand("memory", self.memory, "write")


def with_memory(program: Program, calls: Sequence[Call]) -> tuple[Program, tuple[Call, ...]]:
    """Return a program and its calls with a register for each kernel that takes memory: `POPULATION:memory K`."""
    registers, operations = list(program.registers), list(program.operations)
    places = {id(operation): k for k, operation in enumerate(operations)}
    found = []
    for call in calls:
        if call.kernel.memory is not None:
            k = places[id(call.operation)]
            name = f"{call.writes[0].partition(':')[0]}:memory {k}"
            registers.append(Register(name, "int32", (call.kernel.memory(call.operation),), "memory of a kernel"))
            operation = WithMemory(call.operation, name, call.operation.time)
            operations[k] = operation
            call = replace(call, operands=tuple(operation.operands()))
        found.append(call)
    return replace(program, registers=tuple(registers), operations=tuple(operations)), tuple(found)

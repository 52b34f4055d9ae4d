# SPDX-License-Identifier: Apache-2.0
"""From a program to lines of C: a straight line of calls, one an operation."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from spikerun.edge.mcu import emit, kernels
from spikerun.edge.mcu.constants import Constants
from spikerun.edge.mcu.kernels import Call, Table
from spikerun.edge.mcu.model import Model, Port, Printed
from spikerun.kernels.operations import FOREVER, When

__all__ = ["Body"]


@dataclass
class Body:
    """The calls of one program. `given` is the C name of what the caller gives: `frame` or `events`."""

    model: Model
    printed: Printed
    constants: Constants
    given: str
    ports: Mapping[str, Port]
    phases: dict[tuple[int, int], int] = field(default_factory=dict)  # (divisor, begin modulo it) -> place in the clock

    @property
    def last(self) -> int:
        """Return the pass from which on only phases matter."""
        whens = [call.operation.time for call in self.printed.calls]
        ends = [t for when in whens for t in (when.begin, when.end) if t != FOREVER]
        return max([1, *ends])

    def at(self, register: str) -> str:
        """Return the C expression for where a register is."""
        found = self.printed.registers[register]
        if register in self.printed.in_place:
            return self._caller(register)
        place = self.printed.places[register]
        return f"memory + {place // 4}" if found.dtype == "int32" else f"bytes + {place}"

    def _caller(self, register: str) -> str:
        """Return the C expression for the caller's values of an input."""
        label = next(label for label, name in self.printed.program.inputs if name == register)
        step = f" + t * {self.model.net.populations[label].size}" if label in self.printed.windowed else ""
        return f"{self.given} + {self.ports[label].offset}{step}"

    def phase(self, divisor: int, begin: int = 0) -> str:
        """Return the C expression for (t - begin) % divisor."""
        if divisor == 1:
            return "0"
        place = self.phases.setdefault((divisor, begin % divisor), 1 + len(self.phases))
        return f"clock[{place}]"

    def condition(self, when: When) -> str:
        """Return the C expression for whether an operation executes, empty if it always does."""
        parts = [f"clock[0] >= {when.begin}"] if when.begin else []
        parts += [f"clock[0] < {when.end}"] if when.end != FOREVER else []
        if when.last - when.first < when.period - 1:
            phase = self.phase(when.period)
            parts += [f"{phase} == {when.first}"] if when.first == when.last else []
            parts += [f"{phase} >= {when.first}"] if when.first and when.first != when.last else []
            parts += [f"{phase} <= {when.last}"] if when.last < when.period - 1 and when.first != when.last else []
        return " && ".join(parts)

    def shape(self, register: str) -> str:
        """Return the symbol of the shape of a register."""
        owner, shape = register.partition(":")[0], self.printed.registers[register].shape
        return self.constants.table(Table("spikerun_shape", kernels.shape_of(shape)), owner)

    def take(self, windowed: bool) -> Iterator[str]:
        """Yield what brings the caller's values into registers of inputs: of those that are `windowed`, or others."""
        for label, name in self.printed.program.inputs:
            if name in self.printed.in_place or windowed != (label in self.printed.windowed):
                continue
            call = f"spikerun_take(&{self.shape(name)}, {self._caller(name)}, {self.at(name)});"
            if not windowed:
                yield call
                continue
            clear = self.constants.table(Table("spikerun_clear", {"bytes": self.printed.registers[name].size}), label)
            yield f"if (t < {self.model.net.window}) {{"
            yield from (f"    {call}", "} else {", f"    spikerun_clear_run(&{clear}, {self.at(name)});", "}")

    def calls(self) -> Iterator[str]:
        """Yield the calls of one pass; those that execute at the same times share an `if`."""
        seen = self._observations()
        open_condition = whose = ""
        for k, call in enumerate(self.printed.calls):
            condition, owner = self.condition(call.operation.time), self._owner(call)
            if condition != open_condition or owner != whose:
                yield from ["}"] if open_condition else []
                yield from [emit.comment(owner)] if owner != whose else []
                yield from [f"if ({condition}) {{"] if condition else []
            open_condition, whose = condition, owner
            indent = "    " if condition else ""
            yield indent + self._call(call)
            if k in seen:
                yield from ["}"] if open_condition else []
                open_condition = ""
                yield from seen[k]
        yield from ["}"] if open_condition else []

    def _call(self, call: Call) -> str:
        table = call.kernel.pack(call.operation, self.printed.registers)
        phase = [self.phase(*call.kernel.time(call.operation))] if call.kernel.time else []
        arguments = [f"&{self.constants.table(table, self._owner(call))}", *phase]
        arguments += [self.at(operand.register) for operand in call.operands]
        return f"spikerun_{call.kernel.kind}_run({', '.join(arguments)});"

    def _owner(self, call: Call) -> str:
        """Return the population whose call it is: that of a register that it writes, or else reads."""
        registers = [*call.writes, *(operand.register for operand in call.operands)]
        heads = (register.partition(":")[0] for register in registers)
        return next(head for head in heads if head in self.model.net.populations)

    def _observations(self) -> dict[int, list[str]]:
        """Return the calls of the observer that follow the last operation to write what they show."""
        last = {register: k for k, call in enumerate(self.printed.calls) for register in call.writes}
        found: dict[int, list[str]] = {}
        for label, key, register in self.printed.program.traces:
            if (label, key) in self.model.traces:
                index, size = self.model.traces[label, key], self.printed.registers[register].size
                values = self.printed.registers[register].dtype == "int32"
                where = f"{self.at(register)}, NULL" if values else f"NULL, {self.at(register)}"
                found.setdefault(last[register], []).append(f"spikerun_see(observer, {index}, {where}, {size});")
        return found

    def begin(self) -> Iterator[str]:
        """Yield what makes a program of many passes forget everything."""
        clear = self.constants.table(Table("spikerun_clear", {"bytes": self.model.memory}), "")
        yield f"spikerun_clear_run(&{clear}, memory);"
        for register in self.printed.registers.values():
            if register.initial is not None:
                table = kernels.fill(register.initial, register.shape)
                symbol = self.constants.table(table, register.name.partition(":")[0])
                yield f"spikerun_fill_run(&{symbol}, {self.at(register.name)});"
        yield "clock[0] = 0;"
        for (divisor, begin), place in self.phases.items():
            yield f"clock[{place}] = {(divisor - begin) % divisor};"

    def tick(self) -> Iterator[str]:
        """Yield what ends a pass."""
        periods = np.array([divisor for divisor, _ in self.phases], np.int32)
        symbol = f"{self.model.name}_{self.given}_periods"
        symbol = self.constants.array(symbol, periods, "") if periods.size else "NULL"
        yield f"spikerun_tick(clock, {self.last}, {symbol}, {periods.size});"

    def read(self) -> Iterator[str]:
        """Yield what copies the results."""
        for label, name in self.printed.program.outputs:
            register, out = self.printed.registers[name], f"out + {self.model.outputs[label].offset}"
            if register.dtype == "int32":
                yield f"spikerun_read_values(&{self.shape(name)}, {self.at(name)}, {out});"
            else:
                yield f"spikerun_read_words(&{self.shape(name)}, {kernels.sign_of(register)}, {self.at(name)}, {out});"

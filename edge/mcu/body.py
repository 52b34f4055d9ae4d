# SPDX-License-Identifier: Apache-2.0
"""From a program to lines of C: one call an operation, in a loop where that takes several rows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from spikerun.edge.mcu import emit, kernels
from spikerun.edge.mcu.constants import Constants
from spikerun.edge.mcu.kernels import Call
from spikerun.edge.mcu.model import Model, Port, Printed
from spikerun.edge.mcu.rows import Loop
from spikerun.edge.mcu.table import Table, shape_of
from spikerun.kernels.operations import FOREVER, Operand, When

__all__ = ["Body"]

# the functions of the runtime that are no kernels, and their files
HELPERS = {
    "check_events": "spikerun_events.c",
    "check_events_wide": "spikerun_events_wide.c",
    "check_snapshot": "spikerun_snapshot.c",
    "check_words": "spikerun_check.c",
    "check_words_wide": "spikerun_check_wide.c",
    "clear_run": "spikerun_memory.c",
    "fill_run": "spikerun_fill.c",
    "load_state": "spikerun_snapshot.c",
    "place_events": "spikerun_events.c",
    "place_events_wide": "spikerun_events_wide.c",
    "read_values": "spikerun_read.c",
    "read_words": "spikerun_read.c",
    "read_words_wide": "spikerun_read_wide.c",
    "save_state": "spikerun_snapshot.c",
    "see": "spikerun_see.c",
    "take": "spikerun_read.c",
    "take_wide": "spikerun_read_wide.c",
    "tick": "spikerun_tick.c",
    "wind": "spikerun_snapshot.c",
}
VARIABLES = {
    "memory": "int32_t* const memory = state->memory;",
    "bytes": "uint8_t* const bytes = (uint8_t*)state->memory;",
    "clock": "int32_t* const clock = state->clock;",
}


@dataclass
class Body:
    """The calls of one program. `given` is the C name of what the caller gives: `frame` or `events`.

    files: of the runtime, that what was written so far needs; used: names of VARIABLES in it since `variables`.
    """

    model: Model
    printed: Printed
    constants: Constants
    given: str
    ports: Mapping[str, Port]
    phases: dict[tuple[int, int], int] = field(default_factory=dict)  # (divisor, begin modulo it) -> place in the clock
    files: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)

    def variables(self) -> list[str]:
        """Return the definitions of the variables in what was written since the last call."""
        found = [text for name, text in VARIABLES.items() if name in self.used]
        self.used.clear()
        return found

    def helper(self, function: str, *arguments: str | int) -> str:
        """Return a call of one of HELPERS."""
        self.files.add(HELPERS[function])
        if function.endswith("_wide"):
            self.files.add(HELPERS[function.removesuffix("_wide")])  # which the other file includes
        return f"spikerun_{function}({', '.join(map(str, arguments))})"

    def variable(self, name: str, rest: str = "") -> str:
        """Return one of VARIABLES, with what follows it."""
        self.used.add(name)
        return f"{name}{rest}"

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
        if found.dtype == "int32":
            return self.variable("memory", f" + {place // 4}")
        return self.variable("bytes", f" + {place}")

    def _caller(self, register: str) -> str:
        """Return the C expression for the caller's values of an input."""
        label = next(label for label, name in self.printed.program.inputs if name == register)
        found = self.printed.registers[register]
        step = f" + t * {found.size * kernels.bytes_of(found)}" if label in self.printed.windowed else ""
        return f"{self.given} + {self.ports[label].offset}{step}"

    def phase(self, divisor: int, begin: int = 0) -> str:
        """Return the C expression for (t - begin) % divisor."""
        if divisor == 1:
            return "0"
        place = self.phases.setdefault((divisor, begin % divisor), 1 + len(self.phases))
        return self.variable("clock", f"[{place}]")

    def condition(self, when: When) -> str:
        """Return the C expression for whether an operation executes, empty if it always does."""
        parts = [self.variable("clock", f"[0] >= {when.begin}")] if when.begin else []
        parts += [self.variable("clock", f"[0] < {when.end}")] if when.end != FOREVER else []
        if when.last - when.first < when.period - 1:
            phase = self.phase(when.period)
            parts += [f"{phase} == {when.first}"] if when.first == when.last else []
            parts += [f"{phase} >= {when.first}"] if when.first and when.first != when.last else []
            parts += [f"{phase} <= {when.last}"] if when.last < when.period - 1 and when.first != when.last else []
        return " && ".join(parts)

    def shape(self, register: str) -> str:
        """Return the symbol of the shape of a register."""
        shape = shape_of(self.printed.registers[register].shape)
        return self.constants.table(Table("spikerun_shape", shape), self.model.owners[register])

    def take(self, windowed: bool) -> Iterator[str]:
        """Yield what brings the caller's values into registers of inputs: of those that are `windowed`, or others."""
        for label, name in self.printed.program.inputs:
            if name in self.printed.in_place or windowed != (label in self.printed.windowed):
                continue
            found = self.printed.registers[name]
            take = "take_wide" if kernels.wide(found) else "take"
            call = f"{self.helper(take, f'&{self.shape(name)}', self._caller(name), self.at(name))};"
            if not windowed or self.printed.program.steps <= self.model.net.window:
                yield call
                continue
            yield f"if (t < {self.model.net.window}) {{"
            yield from (f"    {call}", "} else {", f"    {self._clear(name, label)}", "}")

    def _clear(self, register: str, owner: str) -> str:
        found = self.printed.registers[register]
        clear = self.constants.table(Table("spikerun_clear", {"bytes": found.size * kernels.bytes_of(found)}), owner)
        return f"{self.helper('clear_run', f'&{clear}', self.at(register))};"

    def place_events(self, function: str) -> Iterator[str]:
        """Yield what brings a list of events into the registers of inputs."""
        for label, name in self.printed.program.inputs:
            yield self._clear(name, label)
            first = f"{self.ports[label].offset}u"
            call = self.helper(function, f"&{self.shape(name)}", first, "events", "count", self.at(name))
            yield f"{call};"

    def calls(self) -> Iterator[str]:
        """Yield the calls of one pass, each for the owner of what it writes; those of equal times share an `if`."""
        seen = self._observations()
        open_condition = whose = ""
        for loop in self.printed.loops:
            call = loop.calls[0]
            condition, owner = self.condition(call.operation.time), self.model.owners[call.writes[0]]
            indent = "    " if condition else ""
            same = condition == open_condition
            yield from ["}"] if open_condition and not same else []
            yield from [f"{indent if same else ''}{emit.comment(owner)}"] if owner != whose else []
            yield from [f"if ({condition}) {{"] if condition and not same else []
            open_condition, whose = condition, owner
            yield from (indent + line for line in self._loop(loop, owner, seen))
            if after := self._shown(loop, seen):
                yield from ["}"] if open_condition else []
                open_condition = ""
                yield from after
        yield from ["}"] if open_condition else []

    def _loop(self, loop: Loop, owner: str, seen: Mapping[str, tuple[Call, str]]) -> Iterator[str]:
        """Yield the calls of a loop; of membranes of one row it shows each."""
        if loop.rows == 1:
            yield from (self._call(call, owner) for call in loop.calls)
            return
        yield f"for (int32_t row = 0; row < {loop.rows}; row++) {{"
        for call in loop.calls:
            yield f"    {self._call(call, owner, loop.rows)}"
            yield from (
                f"    {seen[name][1]}" for name in self._rows_of(loop) if name in seen and seen[name][0] is call
            )
        yield "}"

    def _rows_of(self, loop: Loop) -> list[str]:
        """Return the registers of which a loop of several rows has but one."""
        written = dict.fromkeys(name for call in loop.calls for name in call.writes)
        return [name for name in written if loop.rows > 1 and self.printed.registers[name].shape[1:2] == (1,)]

    def _call(self, call: Call, owner: str, rows: int = 1) -> str:
        table = call.kernel.pack(call.operation, self.printed.registers)
        phase = [self.phase(*call.kernel.time(call.operation))] if call.kernel.time else []
        row = ["row" if rows > 1 else "0"] if call.kernel.row else []
        arguments = [f"&{self.constants.table(table, owner)}", *phase, *row]
        arguments += [self.at(operand.register) + self._step(operand, rows) for operand in call.operands]
        return f"spikerun_{call.kernel.kind}_run({', '.join(arguments)});"

    def _step(self, operand: Operand, rows: int) -> str:
        """Return what leads to the current row of what a call writes."""
        register = self.printed.registers[operand.register]
        if rows == 1 or operand.role == "read" or register.shape[1:2] != (rows,):
            return ""
        size = register.size // rows
        return f" + row * {size if register.dtype == 'int32' else size * kernels.bytes_of(register)}"

    def _shown(self, loop: Loop, seen: Mapping[str, tuple[Call, str]]) -> list[str]:
        """Return the calls of the observer that follow a loop."""
        rows = self._rows_of(loop)
        written = [(name, call) for call in loop.calls for name in call.writes if name not in rows]
        return [seen[name][1] for name, call in written if name in seen and seen[name][0] is call]

    def _observations(self) -> dict[str, tuple[Call, str]]:
        """Return for each register that is shown the last call that writes it, and the call of the observer."""
        last = {register: call for call in self.printed.calls for register in call.writes}
        found: dict[str, tuple[Call, str]] = {}
        for label, key, register in self.printed.program.traces:
            if (label, key) in self.model.traces:
                index, shown = self.model.traces[label, key], self.printed.registers[register]
                values = shown.dtype == "int32"
                size = shown.size if values else shown.size * kernels.bytes_of(shown)
                where = (self.at(register), "NULL") if values else ("NULL", self.at(register))
                found[register] = last[register], f"{self.helper('see', 'observer', index, *where, size)};"
        return found

    def begin(self) -> Iterator[str]:
        """Yield what makes a program of many passes forget everything."""
        clear = self.constants.table(Table("spikerun_clear", {"bytes": self.model.memory}), "")
        yield f"{self.helper('clear_run', f'&{clear}', self.variable('memory'))};"
        for register in self.printed.registers.values():
            if register.initial is not None:
                table = kernels.fill(register.initial, register.shape)
                symbol = self.constants.table(table, self.model.owners[register.name])
                yield f"{self.helper('fill_run', f'&{symbol}', 0, self.at(register.name))};"
        yield self.variable("clock", "[0] = 0;")
        for (divisor, begin), place in self.phases.items():
            yield f"clock[{place}] = {(divisor - begin) % divisor};"

    def tick(self) -> Iterator[str]:
        """Yield what ends a pass."""
        yield f"{self.helper('tick', self.variable('clock'), self.last, *self._periods())};"
        if self.printed.program.endless:
            yield "state->steps[0]++;"
            yield "state->steps[1] += state->steps[0] == 0u ? 1u : 0u;"

    def wind(self) -> Iterator[str]:
        """Yield what turns the clock of step 0 to that of the state's steps."""
        yield f"{self.helper('wind', 'state->clock', self.last, *self._periods(), 'state->steps')};"

    def _periods(self) -> tuple[str, int]:
        """Return the symbol of the periods of the phases in the calls so far, and their number."""
        periods = np.array([divisor for divisor, _ in self.phases], np.int32)
        symbol = f"{self.model.name}_{self.given}_periods"
        return self.constants.array(symbol, periods, "") if periods.size else "NULL", periods.size

    def read(self) -> Iterator[str]:
        """Yield what copies the results."""
        for label, name in self.printed.program.outputs:
            register, out = self.printed.registers[name], f"out + {self.model.outputs[label].offset}"
            where, shape = self.at(name), f"&{self.shape(name)}"
            if register.dtype == "int32":
                yield f"{self.helper('read_values', shape, where, out)};"
            else:
                read = "read_words_wide" if kernels.wide(register) else "read_words"
                yield f"{self.helper(read, shape, kernels.sign_of(register), where, out)};"

# SPDX-License-Identifier: Apache-2.0
"""The memory report: made from the network alone, before anything is compiled."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from spikerun.edge.mcu import packings, vectors
from spikerun.edge.mcu.board import HOLDS, Board, Region
from spikerun.edge.mcu.bounds import code_of
from spikerun.edge.mcu.kernels import bytes_of
from spikerun.edge.mcu.model import ALIGNMENT, Model, total
from spikerun.edge.mcu.printer import Source
from spikerun.edge.mcu.stack import Stack
from spikerun.edge.target import Measure, Table, Verdict
from spikerun.errors import TargetError

__all__ = ["STACK_BYTES", "Memory", "limits", "report"]

BOUND, COMPILED = "upper bound", "by gcc, interrupts not counted"
STACK_BYTES = 1024  # bound of the deepest call, the self-test included; tests hold it
BASE_BYTES = 4096  # bound of the code of self-test and start-up; tests hold it
CALL_BYTES = 40  # bound of the code of a call, with its conditions
COLUMNS = (
    *("population", "kind", "neurons", "flash", "words", "membranes"),
    *("weights", "zeros", "packing", "packed"),
)

NO_WEIGHTS = (0, 0, "-", 0)


@dataclass(frozen=True)
class Memory:
    """What the self-test of a network needs of each kind of memory in bytes, against what the board has.

    table: of each population, its constants in flash, its words with the rings that hold them back, and its membranes
    and other numbers; their sums are all constants, and all registers with the clock; then how many weights it has, how
    many of them are 0, their packing, and its bytes, which are among the constants. golden: bytes of the golden
    samples, which are among `tables`; state: registers, results and checksums.
    """

    board: Board
    table: Table
    code: int
    tables: int
    golden: int
    state: int
    deepest: Stack | None = None
    deepest_kernel: tuple[str, str] = ("", "")
    notes: tuple[str, ...] = ()  # which kernel was chosen where there was a choice, and why
    computes: bool = True  # a network of inputs alone gives firmware nothing to do

    @property
    def flash(self) -> int:
        """Return the flash that firmware needs: code and constants, without golden samples."""
        return self.code + self.tables - self.golden

    @property
    def stack(self) -> int:
        """Return the stack that is kept free: the bound of the linker script, or more where gcc says so."""
        return max(STACK_BYTES, self.deepest.selftest if self.deepest else 0)

    @property
    def ram(self) -> int:
        """Return the RAM that it needs, with the stack."""
        return self.state + self.stack

    def verdict(self) -> Verdict:
        """Return the report, with what does not fit and what would help."""
        complaints = tuple(text for region in self.board.memory for text in self._complain(region))
        if not self.computes:
            complaints = ("every population is an input: there is nothing to compute", *complaints)
        measures: dict[str, Measure] = {"flash_bytes": self.flash, "ram_bytes": self.ram, "stack_bytes": self.stack}
        labels = dict.fromkeys(measures, BOUND)
        if self.deepest is not None:
            measures |= {"stack_bytes": self.deepest.selftest, "network_stack_bytes": self.deepest.network}
            labels |= dict.fromkeys(("stack_bytes", "network_stack_bytes"), COMPILED)
        measures |= {"weight_bytes": sum(int(row[COLUMNS.index("packed")]) for row in self.table.rows)}
        measures |= {"golden_bytes": self.golden, **limits(self.board)}
        return Verdict(self.board.name, not complaints, complaints, self.table, measures, self.notes, labels)

    def _complain(self, region: Region) -> list[str]:
        needs = {what: int(getattr(self, what)) for what in HOLDS if what in region.holds}
        needed = sum(needs.values())
        if needed <= region.bytes:
            return []
        what = f"{'RAM' if 'state' in needs else 'flash'} ({region.name})"
        if "tables" in needs and needed - self.golden <= region.bytes:
            return [
                f"the network fits, but not together with {self.golden} bytes of golden samples: "
                f"{what} {needed} of {region.bytes} bytes. Use fewer --samples."
            ]
        if "tables" in needs:
            worst = max(self.table.rows, key=lambda row: row[3])
            return [
                f"{what}: {needed - self.golden} of {region.bytes} bytes. Most of it are the tables of population "
                f"'{worst[0]}' ({worst[3]} bytes). Give it fewer inputs (pool before it), fewer neurons, "
                "or prune it: weights that are 0 take hardly any flash."
            ]
        if needed - needs.get("stack", 0) <= region.bytes:
            kernel, owner = self.deepest_kernel
            most = f" (the most of it takes the kernel '{kernel}' of population '{owner}')" if kernel else ""
            return [
                f"{what}: {needed} of {region.bytes} bytes, of which the stack takes {self.stack}{most}. What a kernel "
                "takes does not depend on the size of the network: another --set packing may take another one; "
                "fewer neurons or channels make room for it where they share this memory."
            ]
        worst = max(self.table.rows, key=lambda row: int(row[4]) + int(row[5]))
        return [
            f"{what}: {needed} of {region.bytes} bytes. The largest population is '{worst[0]}' "
            f"({worst[2]} neurons: {worst[5]} bytes of membranes, {worst[4]} of words). "
            "Give it fewer channels, or a larger stride, or pool before it."
        ]

    def require_fit(self) -> None:
        """Raise TargetError with advice if the network does not fit the board."""
        verdict = self.verdict()
        if not verdict.fits:
            raise TargetError(f"the network does not fit '{self.board.name}': " + " ".join(verdict.complaints))


def limits(board: Board) -> Mapping[str, int]:
    """Return the bytes of flash and RAM that a board has, where that is known."""
    found = {"flash_limit": ("code", "tables"), "ram_limit": ("state", "stack")}
    return {
        name: sum(region.bytes for region in board.memory if set(held) & set(region.holds))
        for name, held in found.items()
        if board.memory
    }


def report(model: Model, made: Source, board: Board, samples: int, deepest: Stack | None = None) -> Memory:
    """Return what a model needs on a board, with `samples` golden samples in its self-test.

    deepest: the stack, where gcc was asked for it: then the table has a column of what the kernels of each population
    take.
    """
    words, membranes = _registers(model)
    weights = _weights(model)
    rows: list[tuple[Measure, ...]] = []
    for name in model.net.order:
        population = model.net.populations[name]
        taken = [column.get(name, 0) for column in (made.constants.flash, words, membranes)]
        if any(taken):
            rows.append((name, population.neuron.kind, population.size, *taken, *weights.get(name, NO_WEIGHTS)))
    if made.clock:
        rows.append(("(all)", "clock", 0, made.constants.flash.get("", 0), 0, made.time, *NO_WEIGHTS))
    stacks = _stacks(model, deepest) if deepest is not None else {}
    table = Table(COLUMNS, tuple(rows))
    if deepest is not None:
        table = Table((*COLUMNS, "stack"), tuple((*row, stacks.get(str(row[0]), (0, ""))[0]) for row in rows))
    most = max(stacks, key=lambda name: stacks[name][0], default="")
    outputs, traces = total(model.outputs.values()), len(model.traces)
    golden = vectors.size(model, samples, len(made.constants.arrays))
    calls = sum(len(printed.calls) + len(model.traces) + 8 for printed in model.programs)
    return Memory(
        board,
        table,
        code=BASE_BYTES + sum(map(code_of, {"spikerun_crc32.c", *made.sources})) + CALL_BYTES * calls,
        tables=sum(made.constants.flash.values()) + golden,
        golden=golden,
        state=made.state + 4 * (outputs + traces),
        deepest=deepest,
        deepest_kernel=(stacks[most][1], most) if most else ("", ""),
        notes=tuple(_choices(model)),
        computes=bool(model.traces),
    )


def _weights(model: Model) -> dict[str, tuple[int, int, str, int]]:
    """Return of each population that has any: its weights, how many are 0, their packings, and the bytes of these."""
    found: dict[str, tuple[int, int, str, int]] = {}
    for call in model.run.calls:
        weights = packings.weights_of(call.operation)
        if weights.size:
            owner, packing = model.owners[call.writes[0]], packings.name_of(call.kernel.kind.removesuffix("_wide"))
            arrays = call.kernel.pack(call.operation, model.run.registers).arrays.values()
            before, zeros, named, size = found.get(owner, (0, 0, "", 0))
            found[owner] = (
                before + weights.size,
                zeros + weights.size - int(np.count_nonzero(weights)),
                named if packing in named.split() else f"{named} {packing}".strip(),
                size + sum(array.nbytes for array in arrays),
            )
    return found


def _stacks(model: Model, deepest: Stack) -> dict[str, tuple[int, str]]:
    """Return of each population the kernel that takes the most stack, behind the bytes of that."""
    found: dict[str, tuple[int, str]] = {}
    for call in (call for printed in model.programs for call in printed.calls):
        kind, owner = call.kernel.kind, model.owners[call.writes[0]]
        found[owner] = max(found.get(owner, (0, "")), (deepest.kernels.get(f"spikerun_{kind}_run", 0), kind))
    return found


def _choices(model: Model) -> Iterator[str]:
    """Yield, in a sentence each, which kernel was chosen where there was a choice, and why."""
    for call in model.run.calls:
        if call.reason:
            yield f"population '{model.owners[call.writes[0]]}' takes the kernel '{call.kernel.kind}': {call.reason}."


def _registers(model: Model) -> tuple[dict[str, int], dict[str, int]]:
    """Return the bytes of words, and of numbers of 32 bits, that each population has to itself while it needs them.

    They are those of the program that needs more, with what alignment adds.
    """
    words: dict[str, int] = {}
    numbers: dict[str, int] = {}
    printed = max(model.programs, key=lambda program: program.bytes)
    for name in printed.places:
        owner, register = model.owners[name], printed.registers[name]
        if register.dtype == "int32":
            numbers[owner] = numbers.get(owner, 0) + 4 * register.size
        else:
            size = register.size * bytes_of(register)
            words[owner] = words.get(owner, 0) + -(-size // ALIGNMENT) * ALIGNMENT
    return words, numbers

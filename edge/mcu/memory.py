# SPDX-License-Identifier: Apache-2.0
"""The memory report: made from the network alone, before anything is compiled."""

from collections.abc import Mapping
from dataclasses import dataclass

from spikerun.edge.mcu import vectors
from spikerun.edge.mcu.board import HOLDS, Board, Region
from spikerun.edge.mcu.kernels import bytes_of
from spikerun.edge.mcu.model import ALIGNMENT, Model, total
from spikerun.edge.mcu.printer import Source
from spikerun.edge.target import Measure, Table, Verdict
from spikerun.errors import TargetError

__all__ = ["STACK_BYTES", "Memory", "report"]

STACK_BYTES = 1024  # bound of the deepest call, the self-test included; tests hold it
BASE_BYTES = 4096  # bound of the code of self-test and start-up; tests hold it
CALL_BYTES = 40  # bound of the code of a call, with its conditions
# bounds of the code of each file of the runtime for a Cortex-M4, -O2: the larger of gcc's and zig's; tests hold them;
# clear and copy are in `memory`, apply is its maps, and count has none; all others are UNMEASURED
CODE: Mapping[str, int] = {
    "accumulate": 352, "add_rows": 1152, "add_shifted": 128, "check": 256, "collect": 256, "conv": 1216,
    "crc32": 928, "delay": 256, "dense": 448, "diagonal": 160, "encode": 640, "fill": 256, "fire": 448,
    "fire_levels": 640, "if_step": 1280, "latch": 256, "lif_step": 544, "max_pool": 1216, "max_pool_step": 1408,
    "max_pool_sums": 640, "memory": 256, "read": 608, "see": 64, "send": 896, "sparse": 608, "sum_pool": 352,
    "tick": 288, "weigh": 320,
}  # fmt: skip
UNMEASURED = 1536  # of a file that is not among them
WIDE_BYTES = 64  # that code for words of two bytes takes more at most
COLUMNS = ("population", "kind", "neurons", "flash", "words", "membranes")


@dataclass(frozen=True)
class Memory:
    """What the self-test of a network needs of each kind of memory in bytes, against what the board has.

    table: of each population, its constants in flash, its words with the rings that hold them back, and its membranes
    and other numbers; their sums are all constants, and all registers with the clock. golden: bytes of the golden
    samples, which are among `tables`; state: registers, results and checksums.
    """

    board: Board
    table: Table
    code: int
    tables: int
    golden: int
    state: int
    stack: int = STACK_BYTES
    computes: bool = True  # a network of inputs alone gives firmware nothing to do

    @property
    def flash(self) -> int:
        """Return the flash that firmware needs: code and constants, without golden samples."""
        return self.code + self.tables - self.golden

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
        measures |= {"golden_bytes": self.golden, **limits(self.board)}
        return Verdict(self.board.name, not complaints, complaints, self.table, measures)

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
                "or prune it into a sparse connection."
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


def report(model: Model, made: Source, board: Board, samples: int) -> Memory:
    """Return what a model needs on a board, with `samples` golden samples in its self-test."""
    words, membranes = _registers(model)
    rows: list[tuple[Measure, ...]] = []
    for name in model.net.order:
        population = model.net.populations[name]
        taken = [column.get(name, 0) for column in (made.constants.flash, words, membranes)]
        if any(taken):
            rows.append((name, population.neuron.kind, population.size, *taken))
    if made.clock:
        rows.append(("(all)", "clock", 0, made.constants.flash.get("", 0), 0, 4 * made.clock))
    outputs, traces = total(model.outputs.values()), len(model.traces)
    golden = vectors.size(model, samples, len(made.constants.arrays))
    calls = sum(len(printed.calls) + len(model.traces) + 8 for printed in model.programs)
    return Memory(
        board,
        Table(COLUMNS, tuple(rows)),
        code=BASE_BYTES + CODE["crc32"] + sum(map(_code, made.sources)) + CALL_BYTES * calls,
        tables=sum(made.constants.flash.values()) + golden,
        golden=golden,
        state=model.memory + 4 * made.clock + 4 * (outputs + traces),
        computes=bool(model.traces),
    )


def _code(file: str) -> int:
    name = file.removeprefix("spikerun_").removesuffix(".c")
    kind = name.removesuffix("_wide")
    return CODE.get(kind, UNMEASURED) + (WIDE_BYTES if kind != name else 0)


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

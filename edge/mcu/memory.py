"""The memory report: made from the network alone, before anything is compiled."""

from dataclasses import dataclass

from spikerun.edge.mcu.board import Board
from spikerun.edge.mcu.calls import Model
from spikerun.errors import TargetError

__all__ = ["CODE_BYTES", "STACK_BYTES", "MemoryReport", "Row", "report", "require_fit"]

CODE_BYTES = 16 * 1024  # bound of all code: runtime, model, self-test, start-up; tests hold it
STACK_BYTES = 1024  # bound of the deepest call, the self-test included; tests hold it
POINTERS = 8  # a row of model_tables


@dataclass(frozen=True)
class Row:
    """What one population costs, in bytes: its tables in flash, its words and its membranes in RAM."""

    population: str
    kind: str
    neurons: int
    flash: int
    words: int
    membranes: int


@dataclass(frozen=True)
class MemoryReport:
    """What the model needs, against what the board has (None: no limit known).

    `flash` and `ram` are those of the self-test, which contains the golden samples: the most that is ever needed.
    """

    board: Board
    rows: tuple[Row, ...]
    tables: int
    golden: int
    membranes: int
    words: int
    results: int  # and the checksums of the self-test

    @property
    def flash(self) -> int:
        """Return the flash needed."""
        return self.tables + self.golden + CODE_BYTES

    @property
    def ram(self) -> int:
        """Return the RAM needed: the arena, the results and the stack."""
        return self.membranes + self.words + self.results + STACK_BYTES

    @property
    def fits(self) -> bool:
        """Return whether flash and RAM suffice."""
        return not self.complaints()

    def complaints(self) -> list[str]:
        """Return what does not fit and which population is too big, in sentences; empty if all fits."""
        found = []
        if self.board.flash and self.flash > self.board.flash.bytes:
            found.append(self._flash_complaint(self.board.flash.bytes))
        if self.board.ram and self.ram > self.board.ram.bytes:
            found.append(self._ram_complaint(self.board.ram.bytes))
        return found

    def _flash_complaint(self, limit: int) -> str:
        if self.tables + CODE_BYTES <= limit:
            return (
                f"the network fits, but not together with {self.golden} bytes of golden samples: "
                f"flash {self.flash} of {limit} bytes. Use fewer --samples."
            )
        worst = max(self.rows, key=lambda row: row.flash)
        return (
            f"flash: {self.tables + CODE_BYTES} of {limit} bytes. Most of it are the tables of population "
            f"'{worst.population}' ({worst.flash} bytes). Give it fewer inputs (pool before it), fewer neurons, "
            "or prune it into a sparse connection."
        )

    def _ram_complaint(self, limit: int) -> str:
        worst = max(self.rows, key=lambda row: (row.membranes, row.words))
        return (
            f"RAM: {self.ram} of {limit} bytes. The largest population is '{worst.population}' "
            f"({worst.neurons} neurons: {worst.membranes} bytes of membranes, {worst.words} of words). "
            "Give it fewer channels, or a larger stride, or pool before it."
        )


def report(model: Model, board: Board, samples: int) -> MemoryReport:
    """Return the memory report of a model, with `samples` golden samples in its self-test."""
    layout = model.layout
    rows = []
    for name in layout.order:
        population = layout.net.populations[name]
        arrays = sum(len(table.arrays) for table in model.tables[name].values())
        flash = sum(table.bytes for table in model.tables[name].values()) + POINTERS * arrays
        words = layout.words[name][1] if name in layout.words else 0
        membranes = 4 * layout.cells[name][1] if name in layout.cells else 0
        rows.append(Row(name, population.neuron.kind, population.size, flash, words, membranes))
    per_sample = layout.frame_bytes + 4 * layout.output_count + 8 * len(layout.order)
    golden = samples * per_sample + 4 * len(model.arrays) + sum(len(name) + 5 for name in layout.order)
    return MemoryReport(
        board,
        tuple(rows),
        sum(row.flash for row in rows),
        golden,
        layout.membrane_bytes,
        layout.word_bytes,
        4 * layout.output_count + 8 * len(layout.order),
    )


def require_fit(memory: MemoryReport) -> None:
    """Raise TargetError with advice if the model does not fit the board."""
    complaints = memory.complaints()
    if complaints:
        raise TargetError(f"the network does not fit '{memory.board.name}': " + " ".join(complaints))

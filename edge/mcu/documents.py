# SPDX-License-Identifier: Apache-2.0
"""The text files of a bundle: CMake files, README, reports."""

from collections.abc import Iterable, Mapping
from string import Template
from typing import Any

from spikerun.edge.mcu import arch
from spikerun.edge.mcu.board import Board
from spikerun.edge.mcu.emit import fill_in
from spikerun.edge.mcu.memory import COLUMNS, Memory
from spikerun.edge.mcu.model import Model, total
from spikerun.edge.target import Bundle, Table
from spikerun.text import plural

__all__ = ["cmake", "readme", "report_text"]

TEXTS = (0, 1, COLUMNS.index("packing"))
PACKET_BYTES = 10  # of a request beside its payload
CROSS = """
For ${what} (the ELF file prints through a debugger's semihosting):

    cmake -B build-board -DCMAKE_TOOLCHAIN_FILE=toolchain.cmake && cmake --build build-board
"""
LISTED = """
`${name}_step_events(&state, places, count, results)` takes the places of the spikes among these bytes instead.
"""
TRIED = """On a board give them
`line_read` and `line_send` of `examples/line.h`; on this computer they take standard input and output:

    cc -Iruntime -Imodel -Iserial runtime/*.c model/*.c serial/*.c examples/line_host.c examples/frames.c -o frames
"""
TWIN = "an emulator, with the board's sizes (firmware for the board itself is linked by its maker's SDK)"


def cmake(model: Model, board: Board, runtime: list[str], examples: Iterable[str]) -> str:
    """Return CMakeLists.txt: a static library, and for the computer at hand or the board the self-test and examples."""
    sources = "\n".join(f"    runtime/{file}" for file in runtime)
    ports = " ".join(f"port/{port}" for port in arch.of(board).ports)
    return fill_in("CMakeLists.txt", name=model.name, sources=sources, ports=ports, kinds=" ".join(examples))


def readme(model: Model, board: Board, memory: Memory, state: int, layout: str) -> str:
    """Return README.md of a bundle of the format `layout`, whose network has a state of so many bytes."""
    name, upper = model.name, model.name.upper()
    listed = Template(LISTED).substitute(name=name) if model.binary else ""
    first = {"name": name, "NAME": upper, "board": board.known.get(layout, "YOUR_BOARD"), "cross": _cross(board)}
    return fill_in(
        "README.md",
        name=name,
        NAME=upper,
        board=board.name,
        tables=memory.tables - memory.golden,
        state=state,
        frame=total(model.frames.values()),
        weights=_weights(memory),
        step=fill_in("step.md", name=name, NAME=upper, listed=listed) if model.step is not None else "",
        layout=fill_in(f"{layout}/layout.md", name=name),
        first=fill_in(f"{layout}/first.md", **first),
        serial=_serial(model, tried=TRIED if layout == "c" else ""),
    )


def _serial(model: Model, tried: str) -> str:
    """Return what there is to say of the network at the end of a serial line; tried: how, on this computer."""
    said = ",\nthe example `events` the places of the spikes of each step" if model.binary else ""
    letter = "H" if model.event_type == "uint16_t" else "I"
    frame, events = total(model.frames.values()), total(model.events.values()) * {"H": 2, "I": 4}[letter]
    return fill_in(
        "serial.md",
        name=model.name,
        frame=frame,
        longest=max(frame, events if model.binary else 0) + PACKET_BYTES,
        events_said=said,
        events=fill_in("serial_events.md", letter=letter) if model.binary else "",
        tried=Template(tried).substitute(name=model.name),
    )


def _cross(board: Board) -> str:
    """Return how the self-test is built for the board, or for an emulated machine where its maker places all."""
    if arch.of(board).toolchain_file is None:
        return ""
    return Template(CROSS).substitute(what="the board" if board.placed else TWIN)


def _weights(memory: Memory) -> str:
    """Return what there is to say of weights that are packed."""
    rows = [dict(zip(memory.table.columns, row, strict=True)) for row in memory.table.rows]
    packed = [row for row in rows if {"delta", "bitmap"} & set(str(row["packing"]).split())]
    said = [
        f"`{r['population']}` {r['weights']} ({r['zeros']} are 0) as {r['packing']} in {r['packed']} bytes"
        for r in packed
    ]
    return f"  Weights that are 0 are left out: {'; '.join(said)}.\n" if said else ""


def report_text(board: Board, memory: Memory, bundle: Bundle) -> str:
    """Return report.md: what the network takes, and how it ran."""
    table, measures, run = memory.table, bundle.measures, bundle.run
    measured = "measured" if bundle.measured else "upper bound"
    lines = [
        f"# {board.name}: {board.summary}",
        "",
        f"| {' | '.join(table.columns)} |",
        f"|{'|'.join('---' if k in TEXTS else '---:' for k in range(len(table.columns)))}|",
        *(f"| {' | '.join(map(str, row))} |" for row in table.rows),
        "",
        "Neurons, weights and zeros (weights that are 0) are counted, all else is in bytes. Registers that are never "
        "needed at the same time share memory, so a column may have a larger sum than the whole.",
        "",
        f"- flash: {measures['flash_bytes']}{_of(measures, 'flash_limit')} ({measured}: tables "
        f"{memory.tables - memory.golden}, the rest is code, self-test and start-up); golden samples beside it: "
        f"{memory.golden}",
        f"- RAM: {measures['ram_bytes']}{_of(measures, 'ram_limit')} ({measured}: registers, results and checksums "
        f"{memory.state}, stack {measures['stack_bytes']})",
        f"- fits: {'yes' if bundle.verdict.fits else 'no'}",
        f"- source of the board's numbers: {board.source}",
    ]
    lines += [f"- {note}" for note in bundle.verdict.notes]
    if run is not None:
        verdict = "yes" if run.identical else "NO"
        lines.append(
            f"- {plural(bundle.samples, 'sample')} run on {run.where}, identical with the reference: {verdict}"
        )
        if "instructions_per_inference" in measures:
            lines.append(f"- emulated instructions per inference (median): {measures['instructions_per_inference']}")
        lines += _estimated(board, measures)
        lines += [f"  - {text}" for text in run.mismatches[:20]]
        lines += [f"- {note}" for note in run.notes]
        lines += _parts(run.parts) if run.parts else []
    return "\n".join(lines) + "\n"


def _estimated(board: Board, measures: Mapping[str, Any]) -> list[str]:
    """Return cycles, time and energy of what was counted, and where they are from."""
    if "cycles_per_inference" not in measures or board.cycles is None:
        return []
    said = [f"{measures['cycles_per_inference']} cycles"]
    if "microseconds_per_inference" in measures:
        said.append(f"{measures['microseconds_per_inference']} us at {board.clock / 1e6:g} MHz")
    if "microjoules_per_inference" in measures and board.energy is not None:
        said.append(f"{measures['microjoules_per_inference']} uJ ({board.energy.source})")
    where = f"wait states are not modelled; {board.cycles.source}"
    return [f"- estimated of these: {', '.join(said)}; {where}"]


def _parts(table: Table) -> list[str]:
    """Return what each population took, as it was counted."""
    return [
        "",
        f"| {' | '.join(table.columns)} |",
        f"|---{'|---:' * (len(table.columns) - 1)}|",
        *(f"| {' | '.join(map(str, row))} |" for row in table.rows),
        "",
        "Of an emulated inference, the mean; with the observer that tells the populations apart (some 20 instructions "
        "for each look at it), and without what ends a pass.",
    ]


def _of(measures: Mapping[str, Any], limit: str) -> str:
    return f" of {measures[limit]}" if limit in measures else ""

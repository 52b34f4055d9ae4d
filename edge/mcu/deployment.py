# SPDX-License-Identifier: Apache-2.0
"""Boards as targets: judge a network, write its bundle, run it."""

import json
import math
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from spikerun.atomic import as_path
from spikerun.edge import golden
from spikerun.edge.bundle import LICENSE, finish, read_report, require_free, scratch, write_all
from spikerun.edge.mcu import arch, documents, running, stack, vectors
from spikerun.edge.mcu import board as board_table
from spikerun.edge.mcu.arch.row import choose, require_known
from spikerun.edge.mcu.board import Board
from spikerun.edge.mcu.build import SCRIPT, TWIN
from spikerun.edge.mcu.cycles import taken
from spikerun.edge.mcu.formats import FORMATS, kinds, laid_out
from spikerun.edge.mcu.memory import STACK_BYTES, Memory, limits, report
from spikerun.edge.mcu.model import Model, compose, require_name, require_network
from spikerun.edge.mcu.packings import WISHES
from spikerun.edge.mcu.printer import Source, header, source
from spikerun.edge.mcu.running import COUNTED, Expected
from spikerun.edge.mcu.stack import Stack
from spikerun.edge.mcu.vectors import Vectors
from spikerun.edge.mcu.work import estimate
from spikerun.edge.target import Bundle, Frames, Measure, Options, RunReport, Tool, Verdict, option
from spikerun.errors import UsageError, unknown_name
from spikerun.network import Network

__all__ = ["McuOptions", "McuTarget", "deploy", "run_bundle", "targets"]

HERE = Path(__file__).parent
HEADERS = ("spikerun.h", "spikerun_word.h")
CHECKS = ("spikerun_crc32.c",)  # what the self-test needs of the runtime
# the self-test, under the name `model`; each file in the bundle bears the network's name
SELFTEST = {"golden.h": "{}_golden.h", "selftest.h": "{}_selftest.h", "selftest.c": "{}_selftest.c", "main.c": "main.c"}
SERIAL = {
    **{"packet.h": "spikerun_packet.h", "packet.c": "spikerun_packet.c"},
    **{"serial.h": "{}_serial.h", "serial.c": "{}_serial.c"},
}


@dataclass(frozen=True)
class McuOptions(Options):
    """What can be chosen for a microcontroller."""

    name: str = option("model", "the prefix of all symbols and files, so that several networks fit one firmware")
    format: str = option("c", "c (and CMake), arduino, platformio or zephyr: for which tool the files lie")
    toolchain: str = option("auto", "gcc, zig, or auto: what is found first")
    emulator: str = option("auto", "qemu, unicorn, none (this computer), or auto: what is found first")
    timeout: float = option(600.0, "seconds that the self-test may take")
    packing: str = option("auto", "of weights that are 0: auto, small, dense, delta or bitmap")

    def __post_init__(self) -> None:
        super().__post_init__()
        require_name(self.name)
        if self.format not in FORMATS:
            raise unknown_name("format", self.format, FORMATS)
        if self.packing not in WISHES:
            raise unknown_name("packing", self.packing, WISHES)
        if not (self.timeout > 0 and math.isfinite(self.timeout)):
            raise UsageError(f"option 'timeout' must be a number of seconds above 0, got {self.timeout:g}")


@dataclass(frozen=True)
class McuTarget:
    """A board as a target (`spikerun.edge.Target`)."""

    board: Board

    @property
    def name(self) -> str:
        """Return the name of the board."""
        return self.board.name

    @property
    def summary(self) -> str:
        """Return what the board is."""
        return self.board.summary

    @property
    def facts(self) -> Mapping[str, Measure]:
        """Return the core, and where they are known the clock and the bytes of memory."""
        known = {"core": self.board.core.title} if self.board.memory else {}
        sizes = {key.replace("_limit", "_bytes"): size for key, size in limits(self.board).items()}
        return {**known, **({"clock_hz": self.board.clock} if self.board.clock else {}), **sizes}

    @property
    def options(self) -> type[Options]:
        """Return the class of its options."""
        return McuOptions

    def tools(self) -> list[Tool]:
        """Return the compilers and emulators that the board can use."""
        return arch.of(self.board).tools(self.board)

    def require(self, options: Options | None = None) -> None:
        """Raise TargetError unless there are a compiler and an emulator for the board."""
        _tools(self.board, _own(options))

    def check(self, net: Network, options: Options | None = None, samples: Frames | int | None = None) -> Verdict:
        """Judge whether the network fits the board's memory.

        samples: where there are any it also says how deep the stack gets, if there is a gcc for the board; and what a
        run takes beside dense int8, of the activity of these frames.
        """
        chosen = _own(options)
        require_network(net)
        if samples is None:
            model, made = _unmeasured(net, chosen.name, frozenset(self.board.features), chosen.packing)
            return report(model, made, self.board, samples=0).verdict()
        seen = {} if isinstance(samples, int) else golden.seen(net, golden.frames_of(net, samples))
        shares = {name: found.share for name, found in seen.items()}
        model = compose(net, chosen.name, self.board.features, chosen.packing, shares)
        made = source(model)
        verdict = report(model, made, self.board, 0, _stack(model, made, self.board, chosen)).verdict()
        return _with_work(verdict, self.board, model, seen)

    def deploy(
        self,
        net: Network,
        out: str | Path,
        samples: Frames | int = 16,
        options: Options | None = None,
        *,
        run: bool = False,
        force: bool = False,
    ) -> Bundle:
        """Write a bundle to the folder `out`, and with `run` build it and run it against the reference.

        samples: integers (samples, *shape of the input) whose results the self-test checks, by name if there are
        several inputs; or a number of random samples. Raises TargetError if the network does not fit the board, before
        anything is written.
        """
        out, chosen, board = as_path(out), _own(options), self.board
        core = arch.of(board)
        require_known(board, "toolchain", chosen.toolchain, core.compilers)
        require_known(board, "emulator", chosen.emulator, core.emulators)
        require_free(out, force)
        require_network(net)
        frames = golden.frames_of(net, samples)
        seen = {} if isinstance(samples, int) else golden.activity(net, frames)  # random samples tell nothing
        model = compose(net, chosen.name, board.features, chosen.packing, seen)
        made = source(model)
        memory = report(model, made, board, len(next(iter(frames.values()))))
        memory.require_fit()
        if run:  # before the samples are computed: a missing tool is said at once
            self.require(options)
        found = vectors.make(model, golden.make(net, frames), list(made.constants.arrays.values()))
        with scratch(out) as folder:
            write_all(folder, _files(model, made, board, memory, found, chosen.format))
            expected = Expected(found.outputs, _traces(model))
            done = _run(folder, board, expected, chosen, keep=True) if run else None
            bundle = _bundle(out, memory, chosen.name, done, len(found.frames))
            finish(folder, bundle, documents.report_text(board, memory, bundle))
        return bundle


@lru_cache(maxsize=1)
def _unmeasured(net: Network, name: str, features: frozenset[str], packing: str) -> tuple[Model, Source]:
    """Return a network as firmware of unknown activity, which one board after the other asks for in `targets`."""
    model = compose(net, name, features, packing)
    return model, source(model)


def targets() -> dict[str, McuTarget]:
    """Return all boards as targets, by name; those that take the same kernels follow each other."""
    boards = sorted(map(board_table.load, board_table.boards()), key=lambda board: (sorted(board.features), board.name))
    return {board.name: McuTarget(board) for board in boards}


def deploy(
    net: Network,
    out: str | Path,
    target: str = "generic-cortex-m4",
    samples: Frames | int = 16,
    *,
    run: bool = False,
    force: bool = False,
    **options: Any,
) -> Bundle:
    """Write a bundle for the board `target`; options are those of McuOptions. See `McuTarget.deploy`."""
    board = McuTarget(board_table.load(target))
    return board.deploy(net, out, samples, McuOptions(**options), run=run, force=force)


def run_bundle(path: str | Path, emulator: str = "auto", toolchain: str = "auto", timeout: float = 600.0) -> RunReport:
    """Build the self-test of the bundle in a folder and run it; nothing is written to the folder."""
    folder = as_path(path)
    board = board_table.load(str(read_report(folder).get("target")))
    try:
        held = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
        expected = Expected(np.array(held["outputs"], np.int32), tuple(map(str, held.get("traces", ()))))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise UsageError(f"'{folder / 'golden.json'}' does not hold the expected results: {error}") from error
    return _run(folder, board, expected, McuOptions(toolchain=toolchain, emulator=emulator, timeout=timeout))


def _run(folder: Path, board: Board, expected: Expected, options: McuOptions, keep: bool = False) -> RunReport:
    return running.run(folder, board, expected, *_tools(board, options), options.timeout, keep)


def _traces(model: Model) -> tuple[str, ...]:
    """Return the population of each trace of a pass."""
    return tuple(label for label, _ in sorted(model.traces, key=lambda trace: model.traces[trace]))


def _own(options: Options | None) -> McuOptions:
    if options is not None and not isinstance(options, McuOptions):
        raise UsageError(f"a microcontroller takes McuOptions, got {options!r:.80}")
    return options or McuOptions()


def _tools(board: Board, options: McuOptions) -> tuple[str, str]:
    """Return the names of the compiler and the emulator to use."""
    core = arch.of(board)
    compiler = choose(board, "toolchain", options.toolchain, core.compilers)
    return compiler, choose(board, "emulator", options.emulator, core.emulators)


def _files(model: Model, made: Source, board: Board, memory: Memory, found: Vectors, layout: str) -> dict[str, str]:
    """Return the files of a bundle of the format `layout`, but for the reports."""
    core, name = arch.of(board), model.name
    files = _code(model, made, board) | {
        f"model/{name}.c": made.text,
        f"selftest/{name}_golden.c": vectors.source(model, found),
        "golden.json": json.dumps(
            {"schema": "spikerun.golden/1", "outputs": found.outputs.tolist(), "traces": _traces(model)}
        ),
        "CMakeLists.txt": documents.cmake(
            model,
            board,
            [file for file in _runtime(made) if file.endswith(".c")],
            kinds(model) if layout == "c" else (),  # the other formats have examples of their own
        ),
        "README.md": documents.readme(model, board, memory, made.state, layout),
        "LICENSE": LICENSE.read_text(encoding="utf-8"),
    }
    if core.linker_script is not None:
        memory_map = board.memory if board.placed else board.twin
        files[f"port/{SCRIPT}"] = core.linker_script(board, memory_map, STACK_BYTES)
        if memory_map != board.twin:
            files[f"port/{TWIN}"] = core.linker_script(board, board.twin, STACK_BYTES)
    if core.toolchain_file is not None and "gcc" in board.tools:
        files["toolchain.cmake"] = core.toolchain_file(board)
    return laid_out(layout, model, board, files)


def _runtime(made: Source) -> list[str]:
    return sorted({*HEADERS, *CHECKS, *made.sources})


def _code(model: Model, made: Source, board: Board) -> dict[str, str]:
    """Return the files of a bundle that are code, but for the functions of the network."""
    core, name = arch.of(board), model.name
    files = {f"runtime/{file}": _text("runtime", file) for file in _runtime(made)}
    files |= {f"selftest/{to.format(name)}": _renamed(_text("port", file), name) for file, to in SELFTEST.items()}
    files |= {f"serial/{to.format(name)}": _renamed(_text("port", file), name) for file, to in SERIAL.items()}
    ports = {"port.h", "host.c", *core.ports, *(["start.h"] if "start.c" in core.ports else [])}
    files |= {f"port/{file}": _text("port", file) for file in sorted(ports)}
    return files | {f"model/{name}.h": header(model, made)}


def _stack(model: Model, made: Source, board: Board, options: McuOptions) -> Stack | None:
    """Return what gcc says of the stack; None where it is not there or not wished for, or the system has its own."""
    core, name = arch.of(board), model.name
    gcc = core.compilers["gcc"].tool(board).path if "gcc" in board.tools else None
    if core.linker_script is None or gcc is None or options.toolchain not in ("auto", "gcc") or not model.traces:
        return None
    with tempfile.TemporaryDirectory(prefix="spikerun-") as folder:
        write_all(Path(folder), _code(model, made, board) | {f"model/{name}.c": made.outline})
        return stack.measure(Path(folder), board, name)


def _with_work(verdict: Verdict, board: Board, model: Model, seen: Mapping[str, golden.Activity]) -> Verdict:
    """Return a verdict that also says what a run takes, and what other ways to compute the same would take."""
    core = board.core
    if not core.costs or not model.traces:
        return verdict
    each = _taken(board, {"instructions": 1e6}).get("microseconds_per_inference", 0.0) / 1e6
    work = estimate(model, core.costs, core.int8, seen, each)
    ways = {"": work.firmware, "dense_int8_": work.dense, "binary_steps_": work.binary}
    found = {f"{way}instructions_per_inference": round(count) for way, count in ways.items() if count is not None}
    found |= _taken(board, {"instructions": work.firmware})
    measures = {**verdict.measures, **found}
    labels = {**verdict.labels, **dict.fromkeys(found, "estimated")}
    notes = (*verdict.notes, *work.sentences(), *_unmodelled(board, work.firmware))
    return replace(verdict, measures=measures, labels=labels, notes=notes, tables={"instructions": work.table})


def _taken(board: Board, counted: Mapping[str, float]) -> dict[str, Any]:
    return taken(board.cycles, board.energy, board.clock, counted)


def _unmodelled(board: Board, instructions: float) -> list[str]:
    """Return where estimates of time and energy are from, and what they leave out."""
    found = []
    if board.cycles is not None:
        found.append(f"wait states of flash are not modelled; cycles: {board.cycles.source}")
    elif board.clock:
        least = f"{instructions / board.clock * 1e6:,.0f} microseconds at a cycle an instruction"
        found.append(f"cycles of this {board.core.title} are not modelled, wait states of flash neither: {least}")
    if board.energy is not None:
        found.append(f"energy: of the processor alone; {board.energy.source}")
    return found


def _text(folder: str, file: str) -> str:
    return (HERE / folder / file).read_text(encoding="utf-8")


def _renamed(text: str, name: str) -> str:
    """Return a file of the self-test for a network of this name.

    >>> _renamed('#include "model.h" MODEL_RUN model_run remodel_', "ear")
    '#include "ear.h" EAR_RUN ear_run remodel_'
    """
    text = re.sub(r"\bmodel(?=_|\.h\b)", name, text)
    return re.sub(r"\bMODEL(?=_)", name.upper(), text)


def _bundle(out: Path, memory: Memory, name: str, done: RunReport | None, samples: int) -> Bundle:
    """Return what is said of a bundle: measures of the run take the place of bounds."""
    verdict, board = memory.verdict(), memory.board
    if done is None:
        return Bundle(out, verdict, samples, name)
    measures: dict[str, Any] = {**verdict.measures, **done.measures}
    measured = "flash_bytes" in done.measures
    if measured:
        measures["flash_bytes"] -= memory.golden
        measures["ram_bytes"] += measures["stack_bytes"]
    per = {key: done.measures.get(f"{key}_per_inference") for key in COUNTED}
    counted = {key: float(value) for key, value in per.items() if value is not None}
    labels = {**verdict.labels, **dict.fromkeys(done.measures, "emulated")}
    labels |= dict.fromkeys(("flash_bytes", "ram_bytes"), "linked") if measured else {}
    if counted and board.arch != "host":
        spent = _taken(board, counted)
        measures |= spent
        labels |= dict.fromkeys(spent, "estimated of what was emulated")
    verdict = replace(verdict, measures=measures, notes=(*verdict.notes, *done.notes), labels=labels)
    return Bundle(out, verdict, samples, name, measured, done)

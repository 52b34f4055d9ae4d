"""Make a bundle for a microcontroller, and run it."""

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikerun.edge.mcu import board as board_table
from spikerun.edge.mcu import documents, golden
from spikerun.edge.mcu.board import Board
from spikerun.edge.mcu.build import build, footprint
from spikerun.edge.mcu.bundle import SCHEMA, place, read_report, require_free, scratch, write_all
from spikerun.edge.mcu.calls import Model, compose
from spikerun.edge.mcu.cgen import header, source
from spikerun.edge.mcu.emulate import Transcript, execute
from spikerun.edge.mcu.golden import Golden
from spikerun.edge.mcu.layout import plan
from spikerun.edge.mcu.memory import CODE_BYTES, STACK_BYTES, MemoryReport, report, require_fit
from spikerun.edge.mcu.tools import choose_emulator, choose_toolchain, tools
from spikerun.edge.target import Bundle, Frames, RunReport, Tool
from spikerun.errors import TargetError
from spikerun.network import Network

__all__ = ["McuTarget", "deploy", "run_bundle", "target"]

HERE = Path(__file__).parent
SELFTEST = ("golden.h", "main.c", "selftest.c", "selftest.h")
TIMEOUT = 600.0


@dataclass(frozen=True)
class McuTarget:
    """A board as a target (`spikerun.edge.Target`)."""

    board: Board

    @property
    def name(self) -> str:
        """Return the name of the board."""
        return self.board.name

    def tools(self) -> list[Tool]:
        """Return the compilers and emulators that the board can use."""
        return tools(self.board)

    def require(self, emulator: str = "auto", toolchain: str = "auto") -> None:
        """Raise TargetError unless there are a compiler and an emulator for the board."""
        choose_toolchain(self.board, toolchain)
        choose_emulator(self.board, emulator)

    def check(self, net: Network) -> dict[str, Any]:
        """Return the memory report, with `fits` and `advice`."""
        memory = report(compose(plan(net)), self.board, samples=0)
        return _values(memory, None, samples=0)

    def deploy(self, net: Network, out: Path, samples: Frames | int = 16, **options: Any) -> Bundle:
        """Write a bundle to the folder `out`; see `deploy`."""
        return deploy(net, out, self.name, samples, **options)


def target(name: str) -> McuTarget:
    """Return the target called `name`."""
    return McuTarget(board_table.load(name))


def deploy(
    net: Network,
    out: str | Path,
    target: str = "generic-cortex-m4",
    samples: Frames | int = 16,
    *,
    run: bool = False,
    emulator: str = "auto",
    toolchain: str = "auto",
    force: bool = False,
    timeout: float = TIMEOUT,
) -> Bundle:
    """Write a bundle to the folder `out`, and with `run` build it and run it against the reference.

    samples: integers (samples, *shape of the input) whose results the self-test checks, by name if there are several
    inputs; or a number of random samples. Raises TargetError if the network does not fit the board, before anything
    is written.
    """
    out, board = Path(out), board_table.load(target)
    require_free(out, force)
    model = compose(plan(net))
    if isinstance(samples, int):
        samples = golden.random_frames(net, samples)
    count = len(next(iter(golden.frames_of(net, samples).values())))
    memory = report(model, board, count)
    require_fit(memory)
    if run:  # before the samples are computed: a missing tool is said at once
        choose_toolchain(board, toolchain), choose_emulator(board, emulator)
    made = scratch(out)
    try:
        vectors = golden.make(model, samples)
        write_all(made, _sources(model, board, memory, vectors))
        done = _run(made, board, vectors.outputs, emulator, toolchain, timeout, keep=made) if run else None
        values = _values(memory, done, count)
        values["files"] = sorted(str(p.relative_to(made)) for p in made.rglob("*") if p.is_file())
        values["files"] += ["report.json", "report.md"]
        text = documents.report_text(memory, values)
        write_all(made, {"report.md": text, "report.json": json.dumps(values, indent=2)})
        place(made, out)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return Bundle(out, values, done)


def run_bundle(
    path: str | Path, emulator: str = "auto", toolchain: str = "auto", timeout: float = TIMEOUT
) -> RunReport:
    """Build the self-test of the bundle in a folder and run it; nothing is written to the folder."""
    folder = Path(path)
    board = board_table.load(str(read_report(folder)["target"]))
    expected = np.array(json.loads((folder / "golden.json").read_text(encoding="utf-8"))["outputs"], np.int32)
    return _run(folder, board, expected, emulator, toolchain, timeout)


def _sources(model: Model, board: Board, memory: MemoryReport, vectors: Golden) -> dict[str, str]:
    """Return the files of a bundle but for the reports."""
    runtime = sorted(path.name for path in (HERE / "runtime").iterdir())
    files = {f"runtime/{name}": (HERE / "runtime" / name).read_text(encoding="utf-8") for name in runtime}
    files |= {f"selftest/{name}": (HERE / "port" / name).read_text(encoding="utf-8") for name in SELFTEST}
    files |= {f"port/{name}": (HERE / "port" / name).read_text(encoding="utf-8") for name in ("port.h", "host.c")}
    files |= {
        "model/model.h": header(model),
        "model/model.c": source(model),
        "selftest/golden.c": golden.source(model.layout, vectors),
        "golden.json": json.dumps({"schema": "spikerun.golden/1", "outputs": vectors.outputs.tolist()}),
        "CMakeLists.txt": documents.cmake(board, [name for name in runtime if name.endswith(".c")]),
        "README.md": documents.readme(model, board, memory),
    }
    if not board.is_host:
        files["port/cortex_m.c"] = (HERE / "port" / "cortex_m.c").read_text(encoding="utf-8")
        files["port/board.ld"] = documents.linker_script(board)
        files["toolchain.cmake"] = documents.toolchain_file(board)
    return files


def _run(
    folder: Path,
    board: Board,
    expected: np.ndarray[tuple[int, ...], np.dtype[np.int32]],
    emulator: str,
    toolchain: str,
    timeout: float,
    keep: Path | None = None,
) -> RunReport:
    """Build and run; with `keep` leave the executable there as selftest.elf."""
    toolchain, emulator = choose_toolchain(board, toolchain), choose_emulator(board, emulator)
    with tempfile.TemporaryDirectory(prefix="spikerun-") as scratch_name:
        executable = build(folder.resolve(), board, toolchain, Path(scratch_name) / "selftest.elf")
        transcript = execute(executable, board, emulator, timeout)
        weight = None if board.is_host else footprint(executable, board)
        if keep is not None and not board.is_host:
            shutil.copy(executable, keep / "selftest.elf")
    return _judge(transcript, expected, board, emulator, toolchain, weight)


def _judge(
    transcript: Transcript,
    expected: np.ndarray[tuple[int, ...], np.dtype[np.int32]],
    board: Board,
    emulator: str,
    toolchain: str,
    weight: tuple[int, int] | None,
) -> RunReport:
    """Identical means: it came to its end, found no mismatch, exited with 0, and printed the expected results."""
    mismatches = list(transcript.mismatches)
    if not transcript.complete or len(transcript.samples) != len(expected):
        mismatches.append(f"the self-test ended after {len(transcript.samples)} of {len(expected)} samples")
    if transcript.code != 0 and not mismatches:
        mismatches.append(f"the self-test exited with {transcript.code}")
    try:
        outputs = np.array([results for _, _, results in transcript.samples], np.int32).reshape(-1, expected.shape[1])
    except ValueError as error:
        raise TargetError(f"the self-test printed lines of different length: {error}") from error
    if len(outputs) == len(expected):
        wrong = np.flatnonzero((outputs != expected).any(axis=1))
        mismatches += [f"sample {k}: printed results are not those of golden.json" for k in wrong]
    ticks = np.array([t for _, t, _ in transcript.samples], np.int64)
    counts = emulator == "qemu" and bool(board.qemu.get("instructions_per_tick"))
    return RunReport(
        identical=not mismatches,
        outputs=outputs,
        mismatches=tuple(mismatches),
        emulator=emulator,
        toolchain=toolchain,
        instructions=ticks * int(board.qemu["instructions_per_tick"]) if counts else None,
        flash_bytes=weight and weight[0],
        ram_bytes=weight and weight[1],
        stack_bytes=transcript.stack or None,
    )


def _values(memory: MemoryReport, done: RunReport | None, samples: int) -> dict[str, Any]:
    """Return the content of report.json."""
    measured = done is not None and done.flash_bytes is not None
    stack = (done and done.stack_bytes) or STACK_BYTES
    flash, ram = memory.tables + CODE_BYTES, memory.ram - STACK_BYTES + stack
    if done is not None and done.flash_bytes is not None and done.ram_bytes is not None:
        flash, ram = done.flash_bytes - memory.golden, done.ram_bytes + stack
    counts = None if done is None else done.instructions
    return {
        "schema": SCHEMA,
        "target": memory.board.name,
        "fits": memory.fits,
        "advice": memory.complaints(),
        "measured": measured,
        "flash_bytes": flash,
        "ram_bytes": ram,
        "stack_bytes": stack,
        "golden_bytes": memory.golden,
        "flash_limit": memory.board.flash.bytes if memory.board.flash else None,
        "ram_limit": memory.board.ram.bytes if memory.board.ram else None,
        "populations": [vars(row) for row in memory.rows],
        "samples": samples,
        "identical": done.identical if done else None,
        "mismatches": list(done.mismatches) if done else [],
        "emulator": done.emulator if done else None,
        "toolchain": done.toolchain if done else None,
        "instructions_per_inference": None if counts is None else int(np.percentile(counts, 50)),
    }

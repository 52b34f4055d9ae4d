# SPDX-License-Identifier: Apache-2.0
"""From a bundle's sources to an executable, and from what it prints to what that says."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from spikerun.edge.mcu import arch
from spikerun.edge.mcu.arch.row import Count, call
from spikerun.edge.mcu.board import Board
from spikerun.errors import TargetError

__all__ = ["FOLDERS", "SANITIZERS", "SCRIPT", "TWIN", "WARNINGS", "Transcript", "build", "execute", "parse", "sources"]

FOLDERS = ("runtime", "model", "selftest")
FLAT = ("src", "extras/selftest")  # of a library whose sources are in one folder
WARNINGS = (
    *("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wsign-conversion", "-Wshadow"),
    *("-Wcast-align", "-Wundef", "-Werror"),
)
SANITIZERS = ("-fsanitize=undefined,address", "-fno-sanitize-recover=all", "-g")
SCRIPT, TWIN = "board.ld", "twin.ld"  # of the board, and of the emulated machine where its addresses are others
_OBJECTS: dict[bytes, bytes] = {}  # of the runtime, by all that they are made of
TIMEOUT = 300  # zig builds its own support library the first time


def sources(bundle: Path, board: Board) -> list[Path]:
    """Return the C files of the self-test."""
    found = [path for folder in (*FOLDERS, *FLAT) for path in sorted((bundle / folder).glob("*.c"))]
    return [*found, *(_port(bundle) / port for port in arch.of(board).ports)]


def _port(bundle: Path) -> Path:
    """Return the folder of start-up code and linker scripts."""
    return bundle / "port" if (bundle / "port").is_dir() else bundle / "extras" / "port"


def _script(bundle: Path) -> Path:
    """Return the linker script of what an emulator runs."""
    twin = _port(bundle) / TWIN
    return twin if twin.is_file() else _port(bundle) / SCRIPT


def build(bundle: Path, board: Board, toolchain: str, out: Path, extra: tuple[str, ...] = ()) -> Path:
    """Compile the self-test of a bundle to the file `out`; `extra` are more flags, such as WARNINGS or SANITIZERS."""
    core = arch.of(board)
    compiler = core.compilers[toolchain]
    command = [*compiler.command(board), "-std=c99", "-O2", *extra, *core.flags, *compiler.flags]
    what = f"'{bundle}'", toolchain
    files = sources(bundle, board)
    runtime = [path for path in files if path.name.startswith("spikerun_")]
    if runtime and toolchain == "gcc":  # zig remembers objects itself
        files = _compiled(runtime, command, out.parent, what) + [path for path in files if path not in runtime]
    if core.linker_script is not None:
        command += ["-T", str(_script(bundle))]
    command += [
        f"-I{folder}" for folder in (*(bundle / name for name in (*FOLDERS, *FLAT)), _port(bundle)) if folder.is_dir()
    ]
    _compile([*command, *map(str, files), "-o", str(out), *compiler.libraries], out.parent, what)
    return out


def _compiled(files: list[Path], command: list[str], folder: Path, what: tuple[str, str]) -> list[Path]:
    """Return objects of the runtime's files in a folder; a process compiles each once, whatever bundle it is of."""
    flags = [flag for flag in command if not flag.startswith("-Wl,") and flag != "-nostdlib"]
    same = "\0".join([*flags, *(path.read_text() for path in sorted(files[0].parent.glob("*.h")))])
    keys = {path: hashlib.sha256(f"{same}\0{path.name}\0{path.read_text()}".encode()).digest() for path in files}
    if missing := [path for path in files if keys[path] not in _OBJECTS]:
        _compile([*flags, f"-I{files[0].parent}", "-c", *map(str, missing)], folder, what)
        _OBJECTS.update({keys[path]: (folder / f"{path.stem}.o").read_bytes() for path in missing})
    for path in files:
        (folder / f"{path.stem}.o").write_bytes(_OBJECTS[keys[path]])
    return [folder / f"{path.stem}.o" for path in files]


def _compile(command: list[str], folder: Path, what: tuple[str, str]) -> None:
    """Run a compiler in a folder. Raises TargetError with what it said; what: the bundle, the compiler's name."""
    done = call(command, TIMEOUT, folder)
    if done.code is None:
        raise TargetError(f"compiling {what[0]} with {what[1]} took more than {TIMEOUT} s")
    if done.code != 0:
        raise TargetError(f"{what[0]} does not compile with {what[1]}:\n{(done.errors or done.text).strip()[:4000]}")


@dataclass
class Transcript:
    """What the self-test printed. `complete`: it came to its end; samples: (status, ticks, results) in order.

    counts, note: what the emulator counted (`Ran`).
    """

    complete: bool = False
    samples: list[tuple[int, int, list[int]]] = field(default_factory=list)
    counts: tuple[Count, ...] = ()
    note: str = ""
    mismatches: list[str] = field(default_factory=list)
    stack: int = 0
    code: int = 0


def execute(executable: Path, board: Board, emulator: str, timeout: float) -> Transcript:
    """Run an executable and return its transcript."""
    core = arch.of(board)
    ran = core.emulators[emulator].run(executable, board, timeout)
    found = parse(ran.text, ran.code)
    found.counts, found.note = ran.counts, ran.note
    found.samples = [(status, ticks & core.tick_mask, results) for status, ticks, results in found.samples]
    return found


def parse(text: str, code: int) -> Transcript:
    """Return what the lines of a self-test say.

    >>> found = parse("begin 1 2 1\\nsample 0 0 7 -3\\nmismatch 0 conv word\\nstack 96\\nend 1\\n", 1)
    >>> found.complete, found.samples, found.mismatches, found.stack
    (True, [(0, 7, [-3])], ['sample 0, population conv: word'], 96)
    """
    found = Transcript(code=code)
    for line in text.splitlines():
        match line.split():
            case ["begin", _, _, _]:
                pass
            case ["sample", _, status, ticks, *results]:
                found.samples.append((int(status), int(ticks), [int(r) for r in results]))
            case ["mismatch", sample, population, what]:
                where = "stream" if sample == "stream" else f"sample {sample}"
                found.mismatches.append(
                    f"{where}: {what}" if population == "-" else f"{where}, population {population}: {what}"
                )
            case ["table", index]:
                found.mismatches.append(f"constant table {index} is not as generated")
            case ["stack", size]:
                found.stack = int(size)
            case ["end", _]:
                found.complete = True
            case _:
                found.mismatches.append(f"unexpected line: {line[:200]}")
    return found

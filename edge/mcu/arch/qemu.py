# SPDX-License-Identifier: Apache-2.0
"""QEMU, with a plugin of our own that counts instructions; without it, their number is told by the emulated clock."""

import os
import shutil
from pathlib import Path

from spikerun.edge.mcu.arch.row import Count, Ran, call, ended, on_path
from spikerun.edge.mcu.board import Board
from spikerun.edge.target import Tool

__all__ = ["host_compiler", "per_tick", "plugin", "run"]

SOURCE = Path(__file__).parent / "count.c"
COMPILING = 60.0  # seconds
REFUSED = "plugin"  # QEMU's word for one that it does not load


def per_tick(board: Board) -> float:
    """Return how many instructions there are in a tick of the emulated clock: each takes one nanosecond of its time."""
    return 1e9 / int(board.tools["qemu"]["clock"])


def host_compiler() -> Tool:
    """Return the C compiler of this computer: $CC, or the first of cc, gcc, clang."""
    found = on_path(("cc", "gcc", "clang"), "compiler", "apt-get install gcc")
    given = os.environ.get("CC")
    return Tool(found.name, found.purpose, given, found.install) if given else found


def plugin(folder: Path) -> str:
    """Build the plugin as `count.so` in a folder; return why there is none, or an empty text."""
    compiler = host_compiler().path
    if compiler is None or shutil.which(compiler.split()[0]) is None:
        return "there is no C compiler for this computer (apt-get install gcc)"
    command = [*compiler.split(), "-std=c99", "-O1", "-shared", "-fPIC", str(SOURCE), "-o", "count.so"]
    done = call(command, COMPILING, folder)
    return "" if done.code == 0 else f"{compiler} does not compile it"


def run(program: str, options: tuple[str, ...], executable: Path, board: Board, timeout: float) -> Ran:
    """Run a self-test in QEMU, with files beside it that the caller removes."""
    folder = executable.parent
    command = [
        *(program, "-M", str(board.tools["qemu"]["machine"]), *options, "-display", "none", "-monitor", "none"),
        *("-serial", "none", "-chardev", "stdio,id=out"),
        *("-semihosting-config", "enable=on,target=native,chardev=out", "-kernel", executable.name),
    ]
    why = plugin(folder)
    if not why:
        done = call([*command, "-plugin", "./count.so,out=counts"], timeout, folder)
        if done.text or REFUSED not in done.errors:
            return Ran(*ended(done, "qemu", timeout), counts=_counts(folder / "counts"))
        why = "this QEMU does not load it"
    done = call([*command, "-icount", "shift=0"], timeout, folder)
    note = f"the plugin that counts instructions is missing: {why}. Their number is a multiple of a tick of the "
    return Ran(*ended(done, "qemu", timeout), note=f"{note}emulated clock ({per_tick(board):g} instructions).")


def _counts(path: Path) -> tuple[Count, ...]:
    """Return what the plugin wrote."""
    return tuple(Count(*map(int, line.split())) for line in path.read_text(encoding="ascii").splitlines())

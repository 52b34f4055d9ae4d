# SPDX-License-Identifier: Apache-2.0
"""The computer at hand."""

import os
import sys
from dataclasses import replace
from pathlib import Path

from spikerun.edge.mcu.arch.row import Arch, Compiler, Emulator, module, on_path, start
from spikerun.edge.mcu.board import Board
from spikerun.edge.target import Tool

__all__ = ["HOST"]


def _cc(board: Board) -> Tool:
    """Return the system's C compiler: $CC, or the first of cc, gcc, clang."""
    found = on_path(("cc", "gcc", "clang"), "compiler", "apt-get install gcc")
    given = os.environ.get("CC")
    return replace(found, path=given) if given else found


def _system(executable: Path, board: Board, timeout: float) -> tuple[str, int]:
    return start([str(executable)], "this computer", timeout)


HOST = Arch(
    name="host",
    port="host.c",
    compilers={
        "gcc": Compiler(_cc, lambda board: (_cc(board).path or "cc").split()),
        "zig": Compiler(
            lambda board: module("ziglang", "compiler"),
            lambda board: [sys.executable, "-m", "ziglang", "cc"],
            ("-fno-sanitize=all",),
        ),
    },
    emulators={"none": Emulator(lambda board: Tool("this computer", "emulator", sys.executable, ""), _system)},
)

# SPDX-License-Identifier: Apache-2.0
"""The computer at hand."""

import sys
from pathlib import Path

from spikerun.edge.mcu.arch.qemu import host_compiler
from spikerun.edge.mcu.arch.row import Arch, Compiler, Emulator, Ran, call, ended, zig
from spikerun.edge.mcu.board import Board
from spikerun.edge.target import Tool

__all__ = ["HOST"]


def _system(executable: Path, board: Board, timeout: float) -> Ran:
    return Ran(*ended(call([str(executable)], timeout, executable.parent), "this computer", timeout))


HOST = Arch(
    name="host",
    ports=("host.c",),
    compilers={
        "gcc": Compiler(lambda board: host_compiler(), lambda board: (host_compiler().path or "cc").split()),
        "zig": zig(),
    },
    emulators={"none": Emulator(lambda board: Tool("this computer", "emulator", sys.executable, ""), _system)},
)

# SPDX-License-Identifier: Apache-2.0
"""RISC-V of 32 bits: riscv64-unknown-elf-gcc or zig, QEMU."""

from pathlib import Path

from spikerun.edge.mcu.arch import bare, qemu
from spikerun.edge.mcu.arch.row import Arch, Compiler, Emulator, Ran, on_path, zig
from spikerun.edge.mcu.board import Board

__all__ = ["RISCV"]

PREFIX = "riscv64-unknown-elf-"
QEMU = "qemu-system-riscv32"


def _qemu(executable: Path, board: Board, timeout: float) -> Ran:
    return qemu.run(QEMU, ("-bios", "none"), executable, board, timeout)


RISCV = Arch(
    name="riscv",
    ports=("riscv.c", "start.c"),
    compilers={
        "gcc": Compiler(
            lambda board: on_path((f"{PREFIX}gcc",), "compiler", "apt-get install gcc-riscv64-unknown-elf"),
            lambda board: [f"{PREFIX}gcc", *board.tools["gcc"]["flags"]],
            libraries=("-lgcc",),
        ),
        "zig": zig(),
    },
    emulators={
        "qemu": Emulator(
            lambda board: on_path((QEMU,), "emulator", "apt-get install qemu-system-misc"), _qemu, qemu.per_tick
        ),
    },
    flags=bare.FLAGS,
    linker_script=bare.linker_script,
    toolchain_file=lambda board: bare.toolchain_file(board, PREFIX, "riscv"),
    footprint=bare.footprint,
)

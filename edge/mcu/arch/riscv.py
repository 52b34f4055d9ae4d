# SPDX-License-Identifier: Apache-2.0
"""RISC-V of 32 bits: riscv64-unknown-elf-gcc or zig, QEMU or Unicorn."""

import importlib
from pathlib import Path
from typing import Any

from spikerun.edge.mcu.arch import bare, qemu, unicorn
from spikerun.edge.mcu.arch.row import Arch, Compiler, Emulator, Ran, module, on_path, zig
from spikerun.edge.mcu.board import Board, region

__all__ = ["RISCV"]

PREFIX = "riscv64-unknown-elf-"
QEMU = "qemu-system-riscv32"
EBREAK = b"\x73\x00\x10\x00"


def _qemu(executable: Path, board: Board, timeout: float) -> Ran:
    return qemu.run(QEMU, ("-bios", "none"), executable, board, timeout)


def _unicorn(executable: Path, board: Board, timeout: float) -> Ran:
    """Begin where the code begins, which sets the stack."""
    package: Any = importlib.import_module("unicorn")
    names: Any = importlib.import_module("unicorn.riscv_const")
    machine = package.Uc(package.UC_ARCH_RISCV, package.UC_MODE_RISCV32)
    machine.ctl_set_cpu_model(getattr(names, board.tools["unicorn"]["model"]))
    unicorn.load(machine, executable, board)
    code = region(board.twin, "code")
    assert code is not None and code.origin is not None
    calls = unicorn.Calls(names.UC_RISCV_REG_A0, names.UC_RISCV_REG_A1, names.UC_RISCV_REG_PC, EBREAK)
    return unicorn.serve(machine, calls, code.origin, timeout)


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
        "unicorn": Emulator(lambda board: module("unicorn", "emulator"), _unicorn),
    },
    flags=bare.FLAGS,
    linker_script=bare.linker_script,
    toolchain_file=lambda board: bare.toolchain_file(board, PREFIX, "riscv"),
    footprint=bare.footprint,
)

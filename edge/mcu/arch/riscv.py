# SPDX-License-Identifier: Apache-2.0
"""RISC-V of 32 bits: riscv64-unknown-elf-gcc or zig, QEMU or Unicorn."""

import importlib
from pathlib import Path
from typing import Any

from spikerun.edge.mcu.arch import bare, unicorn
from spikerun.edge.mcu.arch.row import Ran
from spikerun.edge.mcu.board import Board, region

__all__ = ["RISCV"]

EBREAK = b"\x73\x00\x10\x00"


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


RISCV = bare.arch(
    "riscv",
    "riscv.c",
    ("riscv64-unknown-elf-", "gcc-riscv64-unknown-elf", "riscv"),
    ("qemu-system-riscv32", "qemu-system-misc", ("-bios", "none")),
    _unicorn,
)

# SPDX-License-Identifier: Apache-2.0
"""Arm Cortex-M: arm-none-eabi-gcc or zig, QEMU or Unicorn."""

import importlib
import struct
from pathlib import Path
from typing import Any

from spikerun.edge.mcu.arch import bare, unicorn
from spikerun.edge.mcu.arch.row import Ran
from spikerun.edge.mcu.board import Board, region

__all__ = ["CORTEX_M"]

PERIPHERALS = (0xE0000000, 0x00100000)
BREAKPOINT = b"\xab\xbe"  # bkpt 0xab


def _unicorn(executable: Path, board: Board, timeout: float) -> Ran:
    """Begin as the hardware does, with the stack and the address of the table of vectors."""
    package: Any = importlib.import_module("unicorn")
    names: Any = importlib.import_module("unicorn.arm_const")
    machine = package.Uc(package.UC_ARCH_ARM, package.UC_MODE_THUMB | package.UC_MODE_MCLASS)
    machine.ctl_set_cpu_model(getattr(names, board.tools["unicorn"]["model"]))
    machine.mem_map(*PERIPHERALS)
    unicorn.load(machine, executable, board)
    vectors = region(board.twin, "vectors") or region(board.twin, "code")
    assert vectors is not None
    stack, begin = struct.unpack("<II", machine.mem_read(vectors.origin, 8))
    machine.reg_write(names.UC_ARM_REG_SP, stack)
    calls = unicorn.Calls(names.UC_ARM_REG_R0, names.UC_ARM_REG_R1, names.UC_ARM_REG_PC, BREAKPOINT, thumb=1)
    return unicorn.serve(machine, calls, begin, timeout)


CORTEX_M = bare.arch(
    "cortex-m",
    "cortex_m.c",
    ("arm-none-eabi-", "gcc-arm-none-eabi", "arm"),
    ("qemu-system-arm", "qemu-system-arm", ()),
    _unicorn,
    tick_mask=0xFFFFFF,  # SysTick has 24 bits
)

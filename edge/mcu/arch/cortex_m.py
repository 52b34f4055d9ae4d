# SPDX-License-Identifier: Apache-2.0
"""Arm Cortex-M: arm-none-eabi-gcc or zig, QEMU or Unicorn."""

import importlib
import struct
from pathlib import Path
from typing import Any

from spikerun.edge.mcu.arch import bare, qemu
from spikerun.edge.mcu.arch.row import Arch, Compiler, Emulator, Ran, module, on_path, zig
from spikerun.edge.mcu.board import Board, region
from spikerun.errors import TargetError

__all__ = ["CORTEX_M"]

SYS_WRITE0, SYS_EXIT_EXTENDED = 0x04, 0x20
PERIPHERALS = (0xE0000000, 0x00100000)
PAGE = 4096  # what Unicorn maps are multiples of it
PREFIX = "arm-none-eabi-"
QEMU = "qemu-system-arm"


def _qemu(executable: Path, board: Board, timeout: float) -> Ran:
    return qemu.run(QEMU, (), executable, board, timeout)


def _unicorn(executable: Path, board: Board, timeout: float) -> Ran:
    """Load an executable into Unicorn and serve its semihosting calls."""
    unicorn: Any = importlib.import_module("unicorn")
    arm_const: Any = importlib.import_module("unicorn.arm_const")
    machine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
    machine.ctl_set_cpu_model(getattr(arm_const, board.tools["unicorn"]["model"]))
    for origin, size in (*((held.origin, held.bytes) for held in board.twin), PERIPHERALS):
        machine.mem_map(origin, -(-size // PAGE) * PAGE)
    for part in bare.segments(executable):
        machine.mem_write(part.load, part.content)
    vectors = region(board.twin, "vectors") or region(board.twin, "code")
    assert vectors is not None
    stack, begin = struct.unpack("<II", machine.mem_read(vectors.origin, 8))
    machine.reg_write(arm_const.UC_ARM_REG_SP, stack)
    text: list[str] = []
    exit_code: list[int] = []

    def semihost(uc: Any, _number: int, _data: Any) -> None:
        operation, argument = uc.reg_read(arm_const.UC_ARM_REG_R0), uc.reg_read(arm_const.UC_ARM_REG_R1)
        if operation == SYS_WRITE0:
            text.append(_string(uc, argument))
        elif operation == SYS_EXIT_EXTENDED:
            exit_code.append(struct.unpack("<II", uc.mem_read(argument, 8))[1])
            uc.emu_stop()
            return
        uc.reg_write(arm_const.UC_ARM_REG_PC, (uc.reg_read(arm_const.UC_ARM_REG_PC) + 2) | 1)

    machine.hook_add(unicorn.UC_HOOK_INTR, semihost)
    try:
        machine.emu_start(begin, 0xFFFFFFFF, timeout=int(timeout * 1e6))
    except unicorn.UcError as error:
        where = machine.reg_read(arm_const.UC_ARM_REG_PC)
        raise TargetError(f"the self-test failed in unicorn at address {where:#x}: {error}") from error
    if not exit_code:
        raise TargetError(
            f"the self-test did not end within {timeout:g} s in unicorn: give it more time or fewer samples"
        )
    return Ran("".join(text), exit_code[0])


def _string(uc: Any, address: int) -> str:
    """Return the text at an address, up to its zero byte."""
    found = bytearray()
    while not found or found[-1]:
        found += uc.mem_read(address + len(found), 1)
    return found[:-1].decode("ascii", "replace")


CORTEX_M = Arch(
    name="cortex-m",
    ports=("cortex_m.c", "start.c"),
    compilers={
        "gcc": Compiler(
            lambda board: on_path((f"{PREFIX}gcc",), "compiler", "apt-get install gcc-arm-none-eabi"),
            lambda board: [f"{PREFIX}gcc", *board.tools["gcc"]["flags"]],
            libraries=("-lgcc",),
        ),
        "zig": zig(),
    },
    emulators={
        "qemu": Emulator(
            lambda board: on_path((QEMU,), "emulator", "apt-get install qemu-system-arm"), _qemu, qemu.per_tick
        ),
        "unicorn": Emulator(lambda board: module("unicorn", "emulator"), _unicorn),
    },
    flags=bare.FLAGS,
    linker_script=bare.linker_script,
    toolchain_file=lambda board: bare.toolchain_file(board, PREFIX, "arm"),
    footprint=bare.footprint,
    tick_mask=0xFFFFFF,  # SysTick has 24 bits
)

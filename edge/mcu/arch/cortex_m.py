# SPDX-License-Identifier: Apache-2.0
"""Arm Cortex-M: arm-none-eabi-gcc or zig, QEMU or Unicorn."""

import importlib
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikerun.edge.mcu.arch.row import Arch, Compiler, Emulator, module, on_path, start
from spikerun.edge.mcu.board import Board
from spikerun.errors import TargetError

__all__ = ["CORTEX_M", "Segment", "segments"]

SYS_WRITE0, SYS_EXIT_EXTENDED = 0x04, 0x20
PERIPHERALS = (0xE0000000, 0x00100000)
QEMU = "qemu-system-arm"


def _gcc(board: Board) -> list[str]:
    return [f"{board.tools['gcc']['prefix']}gcc", *board.tools["gcc"]["flags"]]


def _qemu(executable: Path, board: Board, timeout: float) -> tuple[str, int]:
    """One instruction takes one nanosecond of emulated time, so that the clock of the machine counts instructions."""
    machine = str(board.tools["qemu"]["machine"])
    command = [
        *(QEMU, "-M", machine, "-display", "none", "-monitor", "none", "-serial", "none"),
        *("-icount", "shift=0", "-chardev", "stdio,id=out"),
        *("-semihosting-config", "enable=on,target=native,chardev=out", "-kernel", str(executable)),
    ]
    return start(command, "qemu", timeout)


def _unicorn(executable: Path, board: Board, timeout: float) -> tuple[str, int]:
    """Load an executable into Unicorn and serve its semihosting calls; return what it printed, and its exit code."""
    unicorn: Any = importlib.import_module("unicorn")
    arm_const: Any = importlib.import_module("unicorn.arm_const")
    machine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
    machine.ctl_set_cpu_model(getattr(arm_const, board.tools["unicorn"]["model"]))
    for origin, size in (*((region.origin, region.bytes) for region in board.memory), PERIPHERALS):
        machine.mem_map(origin, size)
    for part in segments(executable):
        machine.mem_write(part.load, part.content)
    code = board.region("code")
    assert code is not None
    stack, begin = struct.unpack("<II", machine.mem_read(code.origin, 8))
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
    return "".join(text), exit_code[0]


def _string(uc: Any, address: int) -> str:
    """Return the text at an address, up to its zero byte."""
    found = bytearray()
    while not found or found[-1]:
        found += uc.mem_read(address + len(found), 1)
    return found[:-1].decode("ascii", "replace")


@dataclass(frozen=True)
class Segment:
    """A part of an executable that is loaded: where it is stored, where it lives, its bytes, its size in memory."""

    load: int
    address: int
    content: bytes
    size: int


def segments(elf: Path) -> list[Segment]:
    """Return the loaded parts of a 32-bit little-endian ELF file."""
    data = elf.read_bytes()
    if data[:6] != b"\x7fELF\x01\x01":
        raise TargetError(f"'{elf}' is no 32-bit little-endian ELF file")
    offset, size, count = struct.unpack_from("<I", data, 28)[0], *struct.unpack_from("<HH", data, 42)
    found = []
    for k in range(count):
        kind, start_, address, load, stored, memory = struct.unpack_from("<6I", data, offset + k * size)
        if kind == 1 and memory:  # PT_LOAD
            found.append(Segment(load, address, data[start_ : start_ + stored], memory))
    return found


def _footprint(elf: Path, board: Board) -> tuple[int, int]:
    """Return the bytes that are stored, and those in the regions of state: flash and RAM, the stack not counted."""
    held = [region for region in board.memory if {"state", "stack"} & set(region.holds)]
    parts = segments(elf)
    inside = [s for s in parts if any(r.origin <= s.address < r.origin + r.bytes for r in held)]
    return sum(len(s.content) for s in parts), sum(s.size for s in inside)


def _linker_script(board: Board, stack: int) -> str:
    """Return the linker script: linking fails if the program does not fit the board."""
    where = {what: region for what in ("code", "tables", "state", "stack") if (region := board.region(what))}
    regions = "\n".join(
        f"    {r.name} ({'rx' if 'code' in r.holds or 'tables' in r.holds else 'rw'}) : "
        f"ORIGIN = {r.origin:#010x}, LENGTH = {r.bytes:#x}"
        for r in board.memory
    )
    code, tables, state, last = (where[what].name for what in ("code", "tables", "state", "stack"))
    return f"""/* SPDX-License-Identifier: Apache-2.0 */
/* {board.name}: {board.summary}
   source of the numbers: {board.source} */
MEMORY {{
{regions}
}}
ENTRY(port_reset)
SECTIONS {{
    .text : {{ KEEP(*(.vectors)) *(.text*) . = ALIGN(4); }} > {code}
    .rodata : {{ *(.rodata*) . = ALIGN(4); }} > {tables}
    /DISCARD/ : {{ *(.ARM.exidx*) *(.ARM.extab*) }}
    port_data_load = LOADADDR(.data);
    .data : {{ port_data_begin = .; *(.data*) . = ALIGN(4); port_data_end = .; }} > {state} AT > {tables}
    .bss (NOLOAD) : {{ port_bss_begin = .; *(.bss*) *(COMMON) . = ALIGN(4); port_bss_end = .; }} > {state}
    port_stack_top = ORIGIN({last}) + LENGTH({last});
    port_stack_paint = port_stack_top - {stack};
    ASSERT(port_bss_end <= port_stack_paint || port_bss_begin >= port_stack_top, "no room for the stack in RAM")
}}
"""


def _toolchain_file(board: Board) -> str:
    """Return the CMake toolchain file of a board."""
    prefix, flags = board.tools["gcc"]["prefix"], " ".join(board.tools["gcc"]["flags"])
    return f"""# SPDX-License-Identifier: Apache-2.0
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)
set(CMAKE_C_COMPILER {prefix}gcc)
set(CMAKE_C_FLAGS_INIT "{flags}")
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
"""


CORTEX_M = Arch(
    name="cortex-m",
    port="cortex_m.c",
    compilers={
        "gcc": Compiler(
            lambda board: on_path(_gcc(board)[:1], "compiler", "apt-get install gcc-arm-none-eabi"),
            _gcc,
            libraries=("-lgcc",),
        ),
        "zig": Compiler(
            lambda board: module("ziglang", "compiler"),
            lambda board: [sys.executable, "-m", "ziglang", "cc", *board.tools["zig"]["flags"]],
            ("-fno-sanitize=all",),
        ),
    },
    emulators={
        "qemu": Emulator(
            lambda board: on_path((QEMU,), "emulator", "apt-get install qemu-system-arm"),
            _qemu,
            lambda board: int(board.tools["qemu"]["instructions_per_tick"]),
        ),
        "unicorn": Emulator(lambda board: module("unicorn", "emulator"), _unicorn),
    },
    flags=("-ffreestanding", "-ffunction-sections", "-fdata-sections", "-nostdlib", "-Wl,--gc-sections"),
    linker_script=_linker_script,
    toolchain_file=_toolchain_file,
    footprint=_footprint,
    tick_mask=0xFFFFFF,  # SysTick has 24 bits
)

# SPDX-License-Identifier: Apache-2.0
"""What all cores without an operating system share: linker script, CMake toolchain, and what an executable takes."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spikerun.edge.mcu.arch import qemu
from spikerun.edge.mcu.arch.row import Arch, Compiler, Emulator, Ran, module, on_path, zig
from spikerun.edge.mcu.board import Board, Region, region
from spikerun.errors import TargetError

__all__ = ["Segment", "arch", "linker_script", "segments"]

FLAGS = ("-ffreestanding", "-ffunction-sections", "-fdata-sections", "-nostdlib", "-Wl,--gc-sections")


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
        kind, start, address, load, stored, memory = struct.unpack_from("<6I", data, offset + k * size)
        if kind == 1 and memory:  # PT_LOAD
            found.append(Segment(load, address, data[start : start + stored], memory))
    return found


def _footprint(elf: Path, board: Board) -> tuple[int, int]:
    """Return the bytes that are stored, and those in the regions of state: flash and RAM, the stack not counted."""
    held = [region for region in board.twin if {"state", "stack"} & set(region.holds)]
    parts = segments(elf)
    inside = [s for s in parts if any(_origin(r) <= s.address < _origin(r) + r.bytes for r in held)]
    return sum(len(s.content) for s in parts), sum(s.size for s in inside)


def _origin(region: Region) -> int:
    assert region.origin is not None
    return region.origin


def linker_script(board: Board, memory: tuple[Region, ...], stack: int) -> str:
    """Return the linker script for regions, the board's own or its twin's: linking fails if a program does not fit."""
    where = {what: found for what in ("code", "tables", "state", "stack") if (found := region(memory, what))}
    code, tables, state, last = (where[what].name for what in ("code", "tables", "state", "stack"))
    vectors = found.name if (found := region(memory, "vectors")) else code
    regions = "\n".join(
        f"    {r.name} ({'rw' if {'state', 'stack'} & set(r.holds) else 'rx'}) : "
        f"ORIGIN = {_origin(r):#010x}, LENGTH = {r.bytes:#x}"
        for r in memory
    )
    twin = "" if memory == board.memory else f"\n   addresses of the emulated machine of a {board.core.title}"
    return f"""/* SPDX-License-Identifier: Apache-2.0 */
/* {board.name}: {board.summary}
   source of the numbers: {board.source}{twin} */
MEMORY {{
{regions}
}}
ENTRY(port_reset)
SECTIONS {{
    .vectors : {{ KEEP(*(.vectors)) }} > {vectors}
    .text : {{ *(.text*) . = ALIGN(4); }} > {code}
    .rodata : {{ *(.rodata* .srodata*) . = ALIGN(4); }} > {tables}
    /DISCARD/ : {{ *(.ARM.exidx*) *(.ARM.extab*) }}
    port_data_load = LOADADDR(.data);
    .data : {{ port_data_begin = .; *(.data* .sdata*) . = ALIGN(4); port_data_end = .; }} > {state} AT > {tables}
    .bss (NOLOAD) : {{ port_bss_begin = .; *(.bss* .sbss*) *(COMMON) . = ALIGN(4); port_bss_end = .; }} > {state}
    port_stack_top = ORIGIN({last}) + LENGTH({last});
    port_stack_paint = port_stack_top - {stack};
    ASSERT(port_bss_end <= port_stack_paint || port_bss_begin >= port_stack_top, "no room for the stack in RAM")
}}
"""


def _toolchain_file(board: Board, prefix: str, processor: str) -> str:
    """Return the CMake toolchain file of a board."""
    return f"""# SPDX-License-Identifier: Apache-2.0
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR {processor})
set(CMAKE_C_COMPILER {prefix}gcc)
set(CMAKE_C_FLAGS_INIT "{" ".join(board.tools["gcc"]["flags"])}")
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
"""


def arch(
    name: str,
    port: str,
    gcc: tuple[str, str, str],
    machine: tuple[str, str, tuple[str, ...]],
    unicorn: Callable[[Path, Board, float], Ran],
    tick_mask: int = 0xFFFFFFFF,
) -> Arch:
    """Return the row of a kind of core: gcc or zig, QEMU or Unicorn.

    port: its file of `port/`; gcc: what its programs' names begin with, Debian's package, and CMake's word for the
    processor; machine: QEMU's program, Debian's package, and options; unicorn: runs an executable; tick_mask: the bits
    that the counter of the port has.
    """
    prefix, compiler, processor = gcc
    program, emulator, options = machine
    return Arch(
        name=name,
        ports=(port, "start.c"),
        compilers={
            "gcc": Compiler(
                lambda board: on_path((f"{prefix}gcc",), "compiler", f"apt-get install {compiler}"),
                lambda board: [f"{prefix}gcc", *board.tools["gcc"]["flags"]],
                libraries=("-lgcc",),
            ),
            "zig": zig(),
        },
        emulators={
            "qemu": Emulator(
                lambda board: on_path((program,), "emulator", f"apt-get install {emulator}"),
                lambda executable, board, timeout: qemu.run(program, options, executable, board, timeout),
                qemu.per_tick,
            ),
            "unicorn": Emulator(lambda board: module("unicorn", "emulator"), unicorn),
        },
        flags=FLAGS,
        linker_script=linker_script,
        toolchain_file=lambda board: _toolchain_file(board, prefix, processor),
        footprint=_footprint,
        tick_mask=tick_mask,
    )

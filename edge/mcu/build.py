"""From a bundle's sources to an executable, and what it weighs."""

import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from spikerun.edge.mcu.board import Board
from spikerun.edge.mcu.tools import compiler
from spikerun.errors import TargetError

__all__ = ["FOLDERS", "SANITIZERS", "WARNINGS", "Segment", "build", "footprint", "segments", "sources"]

FOLDERS = ("runtime", "model", "selftest")
WARNINGS = (
    *("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wsign-conversion", "-Wshadow"),
    *("-Wcast-align", "-Wundef", "-Werror"),
)
SANITIZERS = ("-fsanitize=undefined,address", "-fno-sanitize-recover=all", "-g")
BARE = ("-ffreestanding", "-ffunction-sections", "-fdata-sections", "-nostdlib", "-Wl,--gc-sections")
TIMEOUT = 300  # zig builds its own support library the first time


@dataclass(frozen=True)
class Segment:
    """A part of an executable that is loaded: where it is stored, where it lives, its bytes, its size in memory."""

    load: int
    address: int
    content: bytes
    size: int


def sources(bundle: Path, board: Board) -> list[Path]:
    """Return the C files of the self-test."""
    port = "host.c" if board.is_host else "cortex_m.c"
    return [path for folder in FOLDERS for path in sorted((bundle / folder).glob("*.c"))] + [bundle / "port" / port]


def build(bundle: Path, board: Board, toolchain: str, out: Path, extra: tuple[str, ...] = ()) -> Path:
    """Compile the self-test of a bundle to the file `out`; `extra` are more flags, such as WARNINGS or SANITIZERS."""
    command = [*compiler(board, toolchain), "-std=c99", "-O2", *extra]
    if not board.is_host:
        command += [*BARE, "-T", str(bundle / "port" / "board.ld")]
    if toolchain == "zig":
        command.append("-fno-sanitize=all")
    elif not board.is_host:
        command.append("-mthumb")
    command += [f"-I{bundle / folder}" for folder in FOLDERS] + [f"-I{bundle / 'port'}"]
    command += [str(path) for path in sources(bundle, board)] + ["-o", str(out)]
    if toolchain == "gcc" and not board.is_host:
        command.append("-lgcc")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, cwd=out.parent)
    except subprocess.TimeoutExpired as error:
        raise TargetError(f"compiling '{bundle}' with {toolchain} took more than {TIMEOUT} s") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[:4000]
        raise TargetError(f"'{bundle}' does not compile with {toolchain}:\n{said}")
    return out


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


def footprint(elf: Path, board: Board) -> tuple[int, int]:
    """Return the bytes of flash and RAM that an executable takes, its stack not counted."""
    assert board.ram is not None
    begin, end = board.ram.origin, board.ram.origin + board.ram.bytes
    parts = segments(elf)
    return sum(len(s.content) for s in parts), sum(s.size for s in parts if begin <= s.address < end)

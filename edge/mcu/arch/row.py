# SPDX-License-Identifier: Apache-2.0
"""What a row of the table of architectures holds, and how a tool is chosen among those that are on this machine."""

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from spikerun.edge.mcu.board import Board, Region
from spikerun.edge.target import Tool
from spikerun.errors import TargetError, unknown_name

__all__ = [
    "PIP", "Arch", "Compiler", "Count", "Done", "Emulator", "Ran", "call", "choose", "ended", "module", "on_path",
    "require_known", "usable", "zig",
]  # fmt: skip

PIP = "pip install 'spikerun[mcu]'"


@dataclass(frozen=True)
class Compiler:
    """A C compiler: what finds it, its command with the flags of a board, and what is added for linking."""

    tool: Callable[[Board], Tool]
    command: Callable[[Board], list[str]]
    flags: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()


@dataclass(frozen=True)
class Count:
    """What was counted between two marks of the self-test: `index` tells which of its parts they enclose.

    0: an inference; k + 1: what led to the k-th trace of a pass. loads, stores: of values, those of a vector one by
    one; branches: that were taken; vectors: instructions of the FPU and of Helium, which are among `instructions`.
    """

    index: int
    instructions: int
    loads: int
    stores: int
    branches: int
    vectors: int


@dataclass(frozen=True)
class Ran:
    """What an emulator tells of a self-test: its text, its exit code, and what was counted; note: what was not."""

    text: str
    code: int
    counts: tuple[Count, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Emulator:
    """What runs an executable, in a folder of its own: (executable, board, seconds) -> what it did.

    instructions: how many there are in a tick of the board's counter; 0 where nobody counts them.
    """

    tool: Callable[[Board], Tool]
    run: Callable[[Path, Board, float], Ran]
    instructions: Callable[[Board], float] = lambda board: 0


Row = TypeVar("Row", Compiler, Emulator)


@dataclass(frozen=True)
class Arch:
    """A kind of core.

    ports: the files of `port/` for it; compilers, emulators: by name, the preferred one first; flags: of every
    compiler; linker_script: of a board, its own memory or its twin's, and the bytes of the stack; toolchain_file: for
    CMake; footprint: bytes of flash and RAM of an executable, without its stack. These three are None where the system
    has its own. tick_mask: the bits that the counter of the port has.
    """

    name: str
    ports: tuple[str, ...]
    compilers: Mapping[str, Compiler]
    emulators: Mapping[str, Emulator]
    flags: tuple[str, ...] = ()
    linker_script: Callable[[Board, tuple[Region, ...], int], str] | None = None
    toolchain_file: Callable[[Board], str] | None = None
    footprint: Callable[[Path, Board], tuple[int, int]] | None = None
    tick_mask: int = 0xFFFFFFFF

    def tools(self, board: Board) -> list[Tool]:
        """Return the tools for a board; one for each purpose is enough."""
        compilers, emulators = usable(board, self.compilers), usable(board, self.emulators)
        return [*(row.tool(board) for row in compilers.values()), *(row.tool(board) for row in emulators.values())]


def usable(board: Board, known: Mapping[str, Row]) -> dict[str, Row]:
    """Return the compilers or emulators that the file of a board has a section for; `none` needs none."""
    return {name: row for name, row in known.items() if name in board.tools or name == "none"}


def require_known(board: Board, kind: str, wish: str, known: Mapping[str, Row]) -> None:
    """Raise UsageError for the name of a tool that the board does not have; whether it is installed is not asked."""
    if wish not in ("auto", *usable(board, known)):
        raise unknown_name(f"{kind} of target '{board.name}'", wish, [*usable(board, known), "auto"])


def choose(board: Board, kind: str, wish: str, known: Mapping[str, Row]) -> str:
    """Return the name of the tool wished for, or with `auto` the first that is on this machine.

    Raises UsageError for an unknown name, TargetError where none is found, with what to install.
    """
    tools: dict[str, Tool] = {name: row.tool(board) for name, row in usable(board, known).items()}
    if wish == "auto":
        found = next((name for name, tool in tools.items() if tool.path), None)
        if found is None:
            ways = " or ".join(dict.fromkeys(tool.install for tool in tools.values())) or "its file names none"
            raise TargetError(f"target '{board.name}' needs a tool ({kind}) and none was found: {ways}")
        return found
    require_known(board, kind, wish, known)
    if not tools[wish].path:
        raise TargetError(f"the {kind} '{wish}' ({tools[wish].name}) is missing: {tools[wish].install}")
    return wish


def module(name: str, purpose: str) -> Tool:
    """Return a Python package as a tool."""
    found = importlib.util.find_spec(name)
    return Tool(name, purpose, found.origin if found else None, PIP)


def on_path(names: Sequence[str], purpose: str, install: str) -> Tool:
    """Return the first program of these names that is on the path."""
    found = next((path for path in map(shutil.which, names) if path), None)
    return Tool(names[0], purpose, found, install)


@dataclass(frozen=True)
class Done:
    """What a process left: what it printed, its errors, its exit code, None if it did not end in time."""

    text: str
    errors: str
    code: int | None


def call(command: Sequence[str], timeout: float, folder: Path) -> Done:
    """Run a process in a folder, for so many seconds at most."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL, cwd=folder
        )
    except subprocess.TimeoutExpired:
        return Done("", "", None)
    return Done(done.stdout, done.stderr, done.returncode)


def ended(done: Done, where: str, timeout: float) -> tuple[str, int]:
    """Return what a self-test printed, and its exit code. Raises TargetError if it did not end, or did not begin."""
    if done.code is None:
        raise TargetError(
            f"the self-test did not end within {timeout:g} s in {where}: give it more time or fewer samples"
        )
    if not done.text.startswith("begin"):
        raise TargetError(f"the self-test did not start in {where}: {(done.errors or done.text).strip()[:2000]}")
    return done.text, done.code


def zig() -> Compiler:
    """Return the compiler in the package ziglang, with the flags of a board."""
    return Compiler(
        lambda board: module("ziglang", "compiler"),
        lambda board: [sys.executable, "-m", "ziglang", "cc", *board.tools["zig"]["flags"]],
        ("-fno-sanitize=all",),
    )

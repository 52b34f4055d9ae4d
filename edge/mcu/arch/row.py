# SPDX-License-Identifier: Apache-2.0
"""What a row of the table of architectures holds, and how a tool is chosen among those that are on this machine."""

import importlib.util
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from spikerun.edge.mcu.board import Board
from spikerun.edge.target import Tool
from spikerun.errors import TargetError, unknown_name

__all__ = ["PIP", "Arch", "Compiler", "Emulator", "choose", "module", "on_path", "start", "usable"]

PIP = "pip install 'spikerun[mcu]'"


@dataclass(frozen=True)
class Compiler:
    """A C compiler: what finds it, its command with the flags of a board, and what is added for linking."""

    tool: Callable[[Board], Tool]
    command: Callable[[Board], list[str]]
    flags: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()


@dataclass(frozen=True)
class Emulator:
    """What runs an executable: (executable, board, seconds) -> (text, exit code).

    instructions: how many there are in a tick of the board's counter; 0 where nobody counts them.
    """

    tool: Callable[[Board], Tool]
    run: Callable[[Path, Board, float], tuple[str, int]]
    instructions: Callable[[Board], int] = lambda board: 0


Row = TypeVar("Row", Compiler, Emulator)


@dataclass(frozen=True)
class Arch:
    """A kind of core.

    port: the file of `port/` for it; compilers, emulators: by name, the preferred one first; flags: of every compiler;
    linker_script: of a board and the bytes of the stack; toolchain_file: for CMake; footprint: bytes of flash and RAM
    of an executable, without its stack. These three are None where the system has its own.
    tick_mask: the bits that the counter of the port has.
    """

    name: str
    port: str
    compilers: Mapping[str, Compiler]
    emulators: Mapping[str, Emulator]
    flags: tuple[str, ...] = ()
    linker_script: Callable[[Board, int], str] | None = None
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


def start(command: Sequence[str], where: str, timeout: float) -> tuple[str, int]:
    """Run a self-test as a process; return what it printed, and its exit code."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as error:
        raise TargetError(
            f"the self-test did not end within {timeout:g} s in {where}: give it more time or fewer samples"
        ) from error
    if not done.stdout.startswith("begin"):
        raise TargetError(f"the self-test did not start in {where}: {(done.stderr or done.stdout).strip()[:2000]}")
    return done.stdout, done.returncode

"""Which compilers and emulators are on this machine; found when they are needed, never at import."""

import importlib.util
import os
import shutil
import sys

from spikerun.edge.mcu.board import Board
from spikerun.edge.target import Tool
from spikerun.errors import TargetError, unknown_name

__all__ = ["choose_emulator", "choose_toolchain", "compiler", "tools"]

APT_GCC = "apt-get install gcc-arm-none-eabi"
APT_QEMU = "apt-get install qemu-system-arm"
PIP = "pip install 'spikerun[mcu]'"
QEMU = "qemu-system-arm"


def tools(board: Board) -> list[Tool]:
    """Return the tools for a board; one for each purpose is enough."""
    if board.is_host:
        found = host_compiler()
        return [
            Tool("cc", "compiler", found[0] if found else None, "apt-get install gcc"),
            _module("ziglang", "compiler"),
        ]
    gcc = f"{board.gcc['prefix']}gcc"
    return [
        Tool(gcc, "compiler", shutil.which(gcc), APT_GCC),
        _module("ziglang", "compiler"),
        Tool(QEMU, "emulator", shutil.which(QEMU), APT_QEMU),
        _module("unicorn", "emulator"),
    ]


def _module(name: str, purpose: str) -> Tool:
    found = importlib.util.find_spec(name)
    return Tool(name, purpose, found.origin if found else None, PIP)


def host_compiler() -> list[str] | None:
    """Return the command of the system's C compiler: $CC, or the first of cc, gcc, clang."""
    if os.environ.get("CC"):
        return os.environ["CC"].split()
    found = next((path for path in map(shutil.which, ("cc", "gcc", "clang")) if path), None)
    return [found] if found else None


def choose_toolchain(board: Board, wish: str = "auto") -> str:
    """Return `gcc` or `zig`: the one wished for, or the first that is there."""
    gcc, zig = (tool for tool in tools(board) if tool.purpose == "compiler")
    return _choose(board, "toolchain", wish, {"gcc": gcc, "zig": zig})


def choose_emulator(board: Board, wish: str = "auto") -> str:
    """Return `qemu`, `unicorn`, or for the host `none`: the one wished for, or the first that is there."""
    if board.is_host:
        if wish not in ("auto", "none"):
            raise TargetError(f"target 'host' runs on this computer itself: leave out the emulator '{wish}'")
        return "none"
    qemu, unicorn = (tool for tool in tools(board) if tool.purpose == "emulator")
    return _choose(board, "emulator", wish, {"qemu": qemu, "unicorn": unicorn})


def _choose(board: Board, kind: str, wish: str, known: dict[str, Tool]) -> str:
    if wish == "auto":
        for name, tool in known.items():
            if tool.path:
                return name
        ways = " or ".join(dict.fromkeys(tool.install for tool in known.values()))
        raise TargetError(f"target '{board.name}' needs a {known.popitem()[1].purpose} and none was found: {ways}")
    if wish not in known:
        raise unknown_name(kind, wish, [*known, "auto"])
    if not known[wish].path:
        raise TargetError(f"the {kind} '{wish}' ({known[wish].name}) is missing: {known[wish].install}")
    return wish


def compiler(board: Board, toolchain: str) -> list[str]:
    """Return the command of a C compiler for the board, with the flags of the board."""
    if toolchain == "zig":
        return [sys.executable, "-m", "ziglang", "cc", *board.zig.get("flags", [])]
    if board.is_host:
        command = host_compiler()
        assert command is not None
        return command
    return [f"{board.gcc['prefix']}gcc", *board.gcc["flags"]]

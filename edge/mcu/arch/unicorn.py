# SPDX-License-Identifier: Apache-2.0
"""Unicorn: an emulator that is a Python package. It stops at each semihosting call, which is served here."""

import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikerun.edge.mcu.arch import bare
from spikerun.edge.mcu.arch.row import Ran
from spikerun.edge.mcu.board import Board
from spikerun.errors import TargetError

__all__ = ["Calls", "load", "serve"]

SYS_WRITE0, SYS_EXIT_EXTENDED = 0x04, 0x20
PAGE = 4096  # what Unicorn maps are multiples of it


@dataclass(frozen=True)
class Calls:
    """How a core makes a semihosting call: Unicorn's numbers of registers, and the bytes of the instruction.

    thumb: what is added to addresses of instructions.
    """

    operation: int
    argument: int
    counter: int
    instruction: bytes
    thumb: int = 0


def load(machine: Any, executable: Path, board: Board) -> None:
    """Give a machine the memory of a board's twin, and put an executable into it."""
    for held in board.twin:
        machine.mem_map(held.origin, -(-held.bytes // PAGE) * PAGE)
    for part in bare.segments(executable):
        machine.mem_write(part.load, part.content)


def serve(machine: Any, calls: Calls, begin: int, timeout: float) -> Ran:
    """Run a machine from an address on, for so many seconds at most. Raises TargetError if the program fails."""
    text: list[str] = []
    end = time.monotonic() + timeout
    while (left := end - time.monotonic()) > 0:
        why = _until_call(machine, begin, left)
        at = machine.reg_read(calls.counter)
        if why is None:
            break
        if machine.mem_read(at, len(calls.instruction)) != calls.instruction:
            raise TargetError(f"the self-test failed in unicorn at address {at:#x}: {why}") from why
        operation, argument = machine.reg_read(calls.operation), machine.reg_read(calls.argument)
        if operation == SYS_EXIT_EXTENDED:
            return Ran("".join(text), struct.unpack("<II", machine.mem_read(argument, 8))[1])
        if operation == SYS_WRITE0:
            text.append(_string(machine, argument))
        begin = at + len(calls.instruction) + calls.thumb
    raise TargetError(f"the self-test did not end within {timeout:g} s in unicorn: give it more time or fewer samples")


def _until_call(machine: Any, begin: int, seconds: float) -> Exception | None:
    """Return the exception that stopped the machine; None if its time is over."""
    try:
        machine.emu_start(begin, 0xFFFFFFFF, timeout=int(seconds * 1e6) + 1)
    except Exception as error:
        if type(error).__name__ != "UcError":  # the package is imported where it is used
            raise
        return error
    return None


def _string(machine: Any, address: int) -> str:
    """Return the text at an address, up to its zero byte."""
    found = bytearray()
    while not found or found[-1]:
        found += machine.mem_read(address + len(found), 1)
    return found[:-1].decode("ascii", "replace")

"""Run the self-test of a bundle: in QEMU, in Unicorn, or on the computer at hand; and read what it prints."""

import importlib
import struct
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spikerun.edge.mcu.board import Board
from spikerun.edge.mcu.build import segments
from spikerun.edge.mcu.tools import QEMU
from spikerun.errors import TargetError

__all__ = ["Transcript", "execute", "parse"]

SYS_WRITE0, SYS_EXIT_EXTENDED = 0x04, 0x20
TICK_MASK = 0xFFFFFF  # SysTick has 24 bits
PERIPHERALS = (0xE0000000, 0x00100000)


@dataclass
class Transcript:
    """What the self-test printed. `complete`: it came to its end; samples: (status, ticks, results) in order."""

    complete: bool = False
    samples: list[tuple[int, int, list[int]]] = field(default_factory=list)
    mismatches: list[str] = field(default_factory=list)
    expected_samples: int = 0
    stack: int = 0
    code: int = 0


def execute(executable: Path, board: Board, emulator: str, timeout: float) -> Transcript:
    """Run an executable and return its transcript."""
    if emulator == "unicorn":
        text, code = _unicorn(executable, board, timeout)
    else:
        command = _qemu(executable, board) if emulator == "qemu" else [str(executable)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired as error:
            raise TargetError(
                f"the self-test did not end within {timeout:.0f} s in {emulator}: give it more time or fewer samples"
            ) from error
        text, code = done.stdout, done.returncode
        if not text.startswith("begin"):
            raise TargetError(f"the self-test did not start in {emulator}: {(done.stderr or text).strip()[:2000]}")
    return parse(text, code)


def parse(text: str, code: int) -> Transcript:
    """Return what the lines of a self-test say.

    >>> found = parse("begin 1 2 1\\nsample 0 0 7 -3\\nmismatch 0 conv words\\nstack 96\\nend 1\\n", 1)
    >>> found.complete, found.samples, found.mismatches, found.stack
    (True, [(0, 7, [-3])], ['sample 0, population conv: words'], 96)
    """
    found = Transcript(code=code)
    for line in text.splitlines():
        match line.split():
            case ["begin", samples, _, _]:
                found.expected_samples = int(samples)
            case ["sample", _, status, ticks, *results]:
                found.samples.append((int(status), int(ticks) & TICK_MASK, [int(r) for r in results]))
            case ["mismatch", sample, "-", what]:
                found.mismatches.append(f"sample {sample}: {what}")
            case ["mismatch", sample, population, what]:
                found.mismatches.append(f"sample {sample}, population {population}: {what}")
            case ["table", index]:
                found.mismatches.append(f"constant table {index} is not as generated")
            case ["stack", size]:
                found.stack = int(size)
            case ["end", _]:
                found.complete = True
            case _:
                found.mismatches.append(f"unexpected line: {line[:200]}")
    return found


def _qemu(executable: Path, board: Board) -> list[str]:
    """One instruction takes one nanosecond of emulated time, so that the clock of the machine counts instructions."""
    return [
        *(QEMU, "-M", str(board.qemu["machine"]), "-display", "none", "-monitor", "none", "-serial", "none"),
        *("-icount", "shift=0", "-chardev", "stdio,id=out"),
        *("-semihosting-config", "enable=on,target=native,chardev=out", "-kernel", str(executable)),
    ]


def _unicorn(executable: Path, board: Board, timeout: float) -> tuple[str, int]:
    """Load an executable into Unicorn and serve its semihosting calls; return what it printed, and its exit code."""
    unicorn: Any = importlib.import_module("unicorn")
    arm_const: Any = importlib.import_module("unicorn.arm_const")
    assert board.flash is not None and board.ram is not None
    machine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
    machine.ctl_set_cpu_model(getattr(arm_const, board.unicorn["model"]))
    for origin, size in ((board.flash.origin, board.flash.bytes), (board.ram.origin, board.ram.bytes), PERIPHERALS):
        machine.mem_map(origin, size)
    for part in segments(executable):
        machine.mem_write(part.load, part.content)
    stack, start = struct.unpack("<II", machine.mem_read(board.flash.origin, 8))
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
        machine.emu_start(start, 0xFFFFFFFF, timeout=int(timeout * 1e6))
    except unicorn.UcError as error:
        where = machine.reg_read(arm_const.UC_ARM_REG_PC)
        raise TargetError(f"the self-test failed in unicorn at address {where:#x}: {error}") from error
    if not exit_code:
        raise TargetError(f"the self-test did not end within {timeout:.0f} s in unicorn: give it fewer samples")
    return "".join(text), exit_code[0]


def _string(uc: Any, address: int) -> str:
    """Return the text at an address, up to its zero byte."""
    found = bytearray()
    while not found or found[-1]:
        found += uc.mem_read(address + len(found), 1)
    return found[:-1].decode("ascii", "replace")

# SPDX-License-Identifier: Apache-2.0
"""A program: the registers and the operations of a pass, as data, with its equality and its text."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spikerun.kernels.operations import Dtype, Operation, Shape, same, shape_text

__all__ = ["Program", "Register"]


@dataclass(frozen=True, eq=False)
class Register:
    """Memory of a program.

    holds: what, in words; initial: int32 (), (C,) or `shape`, the content before pass 0; largest: of the magnitudes
    that it can hold.
    """

    name: str
    dtype: Dtype
    shape: Shape
    holds: str
    initial: npt.NDArray[np.int32] | None = None  # None is zero
    largest: int = 2**31

    @property
    def size(self) -> int:
        """Return the number of elements."""
        return math.prod(self.shape)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Register) and same(self, other)


@dataclass(frozen=True, eq=False)
class Program:
    """Registers, and the operations of one pass.

    steps: passes of one run; endless: there is no run, passes go on. inputs, outputs: (label, register) pairs, what is
    put in before a run (before a pass, if endless) and what is read after it. traces: (label, key, register), what an
    observer may read after the last operation; counters: a label for each slot.
    Raises ValueError where names are unknown or used twice.
    """

    registers: tuple[Register, ...]
    operations: tuple[Operation, ...]
    steps: int
    inputs: tuple[tuple[str, str], ...]
    outputs: tuple[tuple[str, str], ...]
    traces: tuple[tuple[str, str, str], ...] = ()
    counters: tuple[str, ...] = ()
    endless: bool = False

    def __post_init__(self) -> None:
        known = {register.name for register in self.registers}
        if len(known) != len(self.registers):
            raise ValueError("two registers of a program have the same name")
        used = {o.register for operation in self.operations for o in operation.operands()}
        used |= {name for _, name in (*self.inputs, *self.outputs)} | {name for _, _, name in self.traces}
        if used - known:
            raise ValueError(f"no register has the name '{min(used - known)}'")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Program) and same(self, other)

    def __str__(self) -> str:
        lines = [f"{r.name}: {r.dtype} {shape_text(r.shape)}, {r.holds}" for r in self.registers]
        return "\n".join([*lines, "", *map(str, self.operations)])

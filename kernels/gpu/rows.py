# SPDX-License-Identifier: Apache-2.0
"""The operands of an operation at some of its passes, as tensors."""

from collections.abc import Hashable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch

from spikerun.kernels.gpu.choice import Events
from spikerun.kernels.gpu.distribute import Schedule
from spikerun.kernels.gpu.layout import Constants, in_order
from spikerun.kernels.program import Program, Register

__all__ = ["BITS", "At", "Run"]

BITS = 8  # rows of a packed register that a byte holds


class Run(NamedTuple):
    """What operations work on: of each register its rows (E, B, *shape there); counters int64 (slots, 2).

    alive: int64 (B,), 0 for samples that have ended, or None where none ends early.
    """

    program: Program
    schedule: Schedule
    constants: Constants
    registers: Mapping[str, torch.Tensor]
    counters: torch.Tensor
    alive: torch.Tensor | None
    fast: bool = False  # fused kernels where they fit
    zeros: dict[int, torch.Tensor] | None = None
    events: Events | None = None

    def scratch(self, size: int) -> torch.Tensor:
        """Return int32 zeros, at least so many, which are zero again when they are given back."""
        assert self.zeros is not None
        if 0 not in self.zeros or len(self.zeros[0]) < size:
            self.zeros[0] = torch.zeros(size, dtype=torch.int32, device=self.counters.device)
        return self.zeros[0]


class At:
    """An operation, and some of its passes: `first`..`end` of those that the schedule names.

    Where `time` is given, it is that of the only pass.
    """

    def __init__(self, run: Run, number: int, first: int, end: int, time: int | None = None) -> None:
        self.run, self.number, self.first, self.end = run, number, first, end
        self.time = time
        self.op: Any = run.program.operations[number]  # of which class it is, the row of its function knows
        self._names = {o.field: o.register for o in self.op.operands()}

    @property
    def passes(self) -> tuple[int, ...]:
        """Return the passes."""
        return (self.time,) if self.time is not None else self.run.schedule.passes[self.number][self.first : self.end]

    @property
    def significance(self) -> torch.Tensor | int:
        """Return g of each pass, int32 (P, 1, ...) as it multiplies values; a number where there is one pass."""
        g = self.op.significance
        if len(self.passes) == 1:
            return int(g[self.passes[0] % self.op.when.period])
        dims = self._of(next(iter(self._names))).ndim - 1
        values = tuple(g[t % self.op.when.period] for t in self.passes)
        made = lambda: np.array(values, np.int32).reshape(-1, *(1,) * dims)  # noqa: E731
        return self.run.constants.tensor(("significance", values, dims), made)

    def value(self, name: str) -> torch.Tensor:
        """Return a parameter as it meets a register of the shape of the first operand: int32, of an axis at least.

        (torch lets what has no axis say nothing about the type of a product.)
        """
        values = np.atleast_1d(getattr(self.op, name))
        return self.constant(name, lambda: in_order(values))

    def constant(self, name: Hashable, make: Any) -> torch.Tensor:
        """Return an array of this operation, made once, on the device."""
        return self.run.constants.tensor((self.number, name), make)

    def described(self, field: str) -> Register:
        """Return the register of an operand."""
        return next(r for r in self.run.program.registers if r.name == self._names[field])

    @property
    def samples(self) -> int:
        """Return B."""
        return len(self._of(next(iter(self._names)))[0])

    def shape(self, field: str) -> tuple[int, ...]:
        """Return the shape of an operand as it lies on the device, samples left out."""
        return tuple(self._of(field).shape[2:])

    def read(self, field: str) -> torch.Tensor:
        """Return the rows of an operand: (P, B, *shape), a view where they are evenly spaced."""
        return self._rows(field)

    def whole(self, field: str) -> torch.Tensor:
        """Return the same as int32."""
        return self._rows(field).to(torch.int32)

    def view(self, field: str) -> torch.Tensor | None:
        """Return the rows of an operand where they are one piece of memory, else None."""
        if self._packed(field):
            return None
        first, step = self._even(field)
        return self._of(field)[first : first + len(self.passes)] if step == 1 or len(self.passes) == 1 else None

    def bytes(self, field: str) -> torch.Tensor | None:
        """Return all bytes of a packed operand, (bytes, B, *shape), or None where these passes are not all its rows."""
        if not self._packed(field) or self._used(field) != tuple(range(len(self.passes))):
            return None
        whole = self._of(field)
        return whole if len(whole) == -(-len(self.passes) // BITS) else None

    def piece(self, field: str) -> tuple[torch.Tensor | None, int]:
        """Return the rows of an operand as one piece of memory, and how often each is meant; None where it is none."""
        first, step = self._even(field)
        if self._packed(field) or step not in (0, 1):
            return None, 1
        return self._of(field)[first : first + (len(self.passes) if step else 1)], 1 if step else len(self.passes)

    def state(self, field: str) -> torch.Tensor:
        """Return the one row of an operand that is the same in all these passes: (B, *shape)."""
        return self._of(field)[self._used(field)[0]]

    def put(self, field: str, values: torch.Tensor | int) -> None:
        """Write the rows of an operand, each its own."""
        whole = self._of(field)
        if self._packed(field):
            assert isinstance(values, torch.Tensor)
            for k, byte in enumerate(whole):
                bits = (values[k * BITS : (k + 1) * BITS] != 0).to(torch.int32)
                weights = 1 << torch.arange(len(bits), device=bits.device, dtype=torch.int32)
                byte.copy_((bits * weights.reshape(-1, *(1,) * (bits.ndim - 1))).sum(dim=0))
            return
        first, step = self._even(field)
        if step > 0:
            target = whole[first : first + step * (len(self.passes) - 1) + 1 : step]
            target.copy_(values) if isinstance(values, torch.Tensor) else target.fill_(values)
            return
        rows = self._index(field)
        if not isinstance(values, torch.Tensor):
            whole.index_fill_(0, rows, values)
            return
        shape = (len(self.passes), *whole.shape[1:])
        whole.index_copy_(0, rows, values.to(whole.dtype).expand(shape))

    def add(self, field: str, values: torch.Tensor, channels: tuple[int, int] | None = None) -> None:
        """Add (P, B, *shape) to the rows of an operand, modulo 2^32; channels: to these, the last axis, alone."""
        whole = self._of(field)
        if channels is not None and channels != (0, whole.shape[-1]):
            whole = whole[..., channels[0] : channels[1]]
        first, step = self._even(field)
        if len(values) == 1:
            whole[first] += values[0]
        elif step > 0:
            whole[first : first + step * (len(values) - 1) + 1 : step] += values
        elif step == 0:
            whole[first] += values.sum(dim=0, dtype=torch.int32)
        else:
            whole.index_add_(0, self._index(field), values.to(whole.dtype))

    def groups(self, field: str) -> list[tuple[int, list[int]]]:
        """Return the rows of an operand, and the places among these passes that have each."""
        found: dict[int, list[int]] = {}
        for place, row in enumerate(self._used(field)):
            found.setdefault(row, []).append(place)
        return list(found.items())

    def _used(self, field: str) -> tuple[int, ...]:
        return self.run.schedule.used[self.number, field][self.first : self.end]

    def _of(self, field: str) -> torch.Tensor:
        return self.run.registers[self._names[field]]

    def _even(self, field: str) -> tuple[int, int]:
        """Return the first row, and the distance of each from the one before; -1: it differs, or is below 0."""
        rows = self._used(field)
        steps = {b - a for a, b in pairwise(rows)}
        return rows[0], 1 if not steps else steps.pop() if len(steps) == 1 and min(steps) >= 0 else -1

    def _packed(self, field: str) -> bool:
        return self._names[field] in self.run.schedule.packed

    def _rows(self, field: str) -> torch.Tensor:
        if self._packed(field):
            whole = self._of(field)
            return torch.stack([(whole[row // BITS] >> row % BITS) & 1 for row in self._used(field)])
        whole, (first, step) = self._of(field), self._even(field)
        if step > 0:
            return whole[first : first + step * (len(self.passes) - 1) + 1 : step]
        if step == 0:
            return whole[first : first + 1].expand(len(self.passes), *whole.shape[1:])
        return whole.index_select(0, self._index(field))

    def _index(self, field: str) -> torch.Tensor:
        rows = self._used(field)
        return self.run.constants.tensor(("rows", rows), lambda: np.array(rows, np.int64))

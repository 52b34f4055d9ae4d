# SPDX-License-Identifier: Apache-2.0
"""A batch of one size: its memory, and what is executed in it."""

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial

import torch

from spikerun.kernels.gpu.layers import layer
from spikerun.kernels.gpu.layout import DTYPES, Constants, element, in_order, on_device, to_device
from spikerun.kernels.gpu.memory import Placed
from spikerun.kernels.gpu.rows import At, Run
from spikerun.kernels.gpu.table import ROWS
from spikerun.kernels.program import Program, Register

__all__ = ["Batch", "Passes", "begin"]

MOST_CALLS = 4096  # of a graph: longer runs gain little from one, and capturing them takes long


class Batch:
    """Memory for so many samples, and the calls of a run.

    The first run executes them one by one; with the second they become a CUDA graph, one call from then on.
    """

    def __init__(
        self, program: Program, placed: Placed, constants: Constants, count: int, keep: Collection[str]
    ) -> None:
        schedule, device = placed.schedule, constants.device
        self._program, self._schedule = program, schedule
        arena = torch.empty(placed.arena * count, dtype=torch.uint8, device=device)
        self._rows = {r.name: _view(arena, r, placed, count) for r in program.registers}
        decides = any(operation.name == "decide" for operation in program.operations)
        self._run = Run(
            program,
            schedule,
            constants,
            self._rows,
            torch.zeros((len(program.counters), 2), dtype=torch.int64, device=device),
            torch.ones(count, dtype=torch.int64, device=device) if decides else None,
            fast=not decides,
            zeros={},
        )
        self._given: frozenset[str] = frozenset()
        self._kept = {name for _, name in program.outputs} | set(keep)
        self._frozen: dict[str, torch.Tensor] = {}
        self._calls = [] if decides else list(_calls(self._run))
        self._by_pass: dict[str, torch.Tensor] = {}
        self._graph: torch.cuda.CUDAGraph | None = None
        self._ran = False  # all constants are on the device, all kernels compiled

    @property
    def counters(self) -> torch.Tensor:
        """Return the counters of the last run, int64 (slots, 2)."""
        return self._run.counters

    def load(self, inputs: Mapping[str, torch.Tensor]) -> None:
        """Put inputs in: (B, *shape), or (B, k, *shape): before each of the first k passes, zeros before the others."""
        self._given = frozenset(inputs)
        for name, values in inputs.items():
            shape = next(r.shape for r in self._program.registers if r.name == name)
            there, rows = to_device(values.to(self._run.constants.device, non_blocking=True), shape), self._rows[name]
            if values.ndim == len(shape) + 1:
                rows[0].copy_(there)
            elif name in self._schedule.packed:
                k = min(there.shape[1], self._program.steps)
                line = torch.zeros((8 * len(rows), *rows.shape[1:]), dtype=torch.uint8, device=rows.device)
                line[:k].copy_(there[:, :k].movedim(1, 0))
                bits = 1 << torch.arange(8, dtype=torch.uint8, device=rows.device)
                bytes_ = line.reshape(-1, 8, *line.shape[1:]) * bits.reshape(-1, *(1,) * (rows.ndim - 1))
                rows.copy_(bytes_.sum(dim=1))
            elif name in self._schedule.loaded:
                k = min(there.shape[1], self._program.steps)
                first = self._schedule.loaded[name][0]
                rows[first : first + k].copy_(there[:, :k].movedim(1, 0))
                rows[first + k :].zero_()
            else:
                self._by_pass[name] = there.movedim(1, 0)

    def run(self) -> None:
        """Execute all passes."""
        if self._run.alive is not None:
            self._decided(self._run.alive)
        elif self._graph is not None:
            self._graph.replay()
        elif self._ran and self._run.constants.device.type == "cuda" and len(self._calls) <= MOST_CALLS:
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
                self._execute()
            self._graph.replay()
        else:
            self._execute()
            self._ran = True

    def last(self, name: str) -> torch.Tensor:
        """Return what a register holds after the last pass: (B, *shape there)."""
        return self._frozen[name] if name in self._frozen else self._rows[name][self._schedule.last[name]]

    def _execute(self) -> None:
        self._run.counters.zero_()
        begin(self._run, self._given)
        for call in self._calls:
            call()

    def _decided(self, alive: torch.Tensor) -> None:
        """Execute pass by pass; what a sample that has ended comes to stays as it is."""
        self._run.counters.zero_()
        begin(self._run, self._given)
        alive.fill_(1)
        passes = Passes(self._run)
        self._frozen = {name: self._rows[name][0].clone() for name in self._kept}
        for t in range(self._program.steps):
            for name, values in self._by_pass.items():
                self._rows[name][0].copy_(values[t]) if t < len(values) else self._rows[name].zero_()
            before = alive.bool()
            passes.execute(t)
            for name, frozen in self._frozen.items():
                now = before.reshape(-1, *(1,) * (frozen.ndim - 1))
                frozen.copy_(torch.where(now, self._rows[name][0], frozen))
            if not alive.any():
                return


def begin(run: Run, given: Collection[str] = ()) -> None:
    """Fill the registers whose content before pass 0 matters; those that are given are full."""
    for register in run.program.registers:
        none = not run.schedule.rows[register.name]
        if none or register.name not in run.schedule.begin or register.name in given:
            continue
        first, initial = run.registers[register.name][0], register.initial
        if initial is None or not initial.any():
            first.zero_()
        elif not initial.ndim:
            first.fill_(int(initial))
        else:
            first.copy_(run.constants.tensor(("initial", register.name), partial(in_order, initial)))


class Passes:
    """The passes of a program that goes pass by pass."""

    def __init__(self, run: Run) -> None:
        operations = run.program.operations
        self._calls = [(op.time, ROWS[op.name], At(run, number, 0, 1)) for number, op in enumerate(operations)]

    def execute(self, t: int) -> None:
        """Execute pass t."""
        for when, function, at in self._calls:
            if when.includes(t):
                at.time = t
                function(at)


def _calls(run: Run) -> Iterator[Callable[[], None]]:
    """Yield what a run executes, one after the other."""
    for part in run.schedule.parts:
        if part.layer is not None:
            yield partial(layer, run, part.layer)
            continue
        passes = {number: run.schedule.passes[number] for number in part.numbers}
        if part.whole:
            (number,) = part.numbers
            order = [(number, 0, len(passes[number]))]
        else:
            each = sorted((t, number, place) for number, own in passes.items() for place, t in enumerate(own))
            order = [(number, place, place + 1) for _, number, place in each]
        yield from (partial(ROWS[run.program.operations[n].name], At(run, n, *span)) for n, *span in order)


def _view(arena: torch.Tensor, register: Register, placed: Placed, count: int) -> torch.Tensor:
    rows = placed.schedule.rows[register.name]
    size = rows * register.size * element(register) * count
    offset = placed.offsets.get(register.name, 0) * count
    return arena[offset : offset + size].view(DTYPES[register.dtype]).view(rows, count, *on_device(register.shape))

# SPDX-License-Identifier: Apache-2.0
"""A batch of one size: its memory, and what is executed in it."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from spikerun.kernels.gpu.choice import Events
from spikerun.kernels.gpu.layers import layer
from spikerun.kernels.gpu.layout import DTYPES, Constants, element, from_device, in_order, on_device, to_device
from spikerun.kernels.gpu.memory import Placed
from spikerun.kernels.gpu.neurons import pack
from spikerun.kernels.gpu.rows import BITS, At, Run
from spikerun.kernels.gpu.table import ROWS
from spikerun.kernels.program import Program, Register

__all__ = ["Batch", "Passes", "begin"]

Array = npt.NDArray[Any]

ALIGNED = 16  # bytes, of what is told
MOST_CALLS = 4096  # of a graph: longer runs gain little from one, and capturing them takes long


class Told:
    """What is told of registers, and counters, side by side, so that one copy brings all of it."""

    def __init__(self, parts: Sequence[tuple[str, torch.Tensor]], counters: torch.Tensor) -> None:
        self._from = [part for _, part in parts] + [counters]
        sizes = [part.numel() * part.element_size() for part in self._from]
        ends = np.cumsum([0, *(-(-size // ALIGNED) * ALIGNED for size in sizes)]).tolist()
        self._near = torch.empty(ends[-1], dtype=torch.uint8, device=counters.device)
        self._far = torch.empty(ends[-1], dtype=torch.uint8, pin_memory=counters.is_cuda)
        spans = [(first, first + size) for first, size in zip(ends, sizes, strict=False)]
        self._to = [
            self._near[a:b].view(part.dtype).view(part.shape) for part, (a, b) in zip(self._from, spans, strict=True)
        ]
        line = self._far.numpy()
        self._arrays = [
            line[a:b].view(_NUMPY[part.dtype]).reshape(tuple(part.shape))
            for part, (a, b) in zip(self._from, spans, strict=True)
        ]

    def gather(self) -> None:
        """Put it side by side."""
        for to, part in zip(self._to, self._from, strict=True):
            to.copy_(part)

    def fetch(self) -> list[Array]:
        """Return all of it, the counters last; it is overwritten the next time."""
        self._far.copy_(self._near, non_blocking=True)
        if self._near.is_cuda:
            torch.cuda.current_stream().synchronize()
        return self._arrays


_NUMPY: Mapping[torch.dtype, type[np.integer[Any]]] = {
    getattr(torch, kind.__name__): kind for kind in (np.uint8, np.int8, np.int16, np.int32, np.int64)
}


class Batch:
    """Memory for so many samples, and the calls of a run.

    The first run executes them one by one; with the second they become a CUDA graph, one call from then on. given: the
    shapes of the inputs; fast: fused kernels are used; tail: what is computed of the batch at the end of each run, and
    is `answer`.
    """

    @torch.inference_mode(False)
    def __init__(
        self,
        program: Program,
        placed: Placed,
        constants: Constants,
        keep: Collection[str],
        given: Mapping[str, tuple[int, ...]],
        fast: bool = True,
        tail: Callable[["Batch"], torch.Tensor] | None = None,
        events: Events | None = None,
    ) -> None:
        schedule, device = placed.schedule, constants.device
        self._program, self._schedule, self._tail = program, schedule, tail
        self._described = {register.name: register for register in program.registers}
        count = next(iter(given.values()))[0]
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
            fast=fast and not decides,
            zeros={},
            events=events,
        )
        self._near = {
            n: torch.empty(s, dtype=DTYPES[self._described[n].dtype], device=device) for n, s in given.items()
        }
        pinned = device.type == "cuda"
        self._far = {n: torch.empty(v.shape, dtype=v.dtype, pin_memory=pinned) for n, v in self._near.items()}
        self._kept = {name for _, name in program.outputs} | set(keep)
        self._frozen: dict[str, torch.Tensor] = {}
        self._calls = [] if decides else list(_calls(self._run))
        self._graph: torch.cuda.CUDAGraph | None = None
        self._ran = False  # all constants are on the device, all kernels compiled
        self._told: dict[tuple[str, ...], Told] = {}
        self._reported = tuple(name for _, name in program.outputs)
        self.answer = torch.empty(0)

    @property
    def counters(self) -> torch.Tensor:
        """Return the counters of the last run, int64 (slots, 2)."""
        return self._run.counters

    @torch.inference_mode(False)
    def load(self, inputs: Mapping[str, Any]) -> None:
        """Put inputs in: (B, *shape), or (B, k, *shape): before each of the first k passes, zeros before the others.

        They are arrays, or tensors on the device.
        """
        for name, values in inputs.items():
            if isinstance(values, torch.Tensor):
                self._near[name].copy_(values)
            else:
                np.copyto(self._far[name].numpy(), values, casting="unsafe")
                self._near[name].copy_(self._far[name], non_blocking=True)

    @torch.inference_mode(False)
    def run(self) -> None:
        """Execute all passes."""
        if self._run.alive is not None:
            self._place()
            self._decided(self._run.alive)
        elif self._run.constants.device.type != "cuda" or not self._ran or len(self._calls) > MOST_CALLS:
            self._execute()
            self._ran = True
        elif torch.cuda.is_current_stream_capturing():  # it becomes part of another graph
            self._execute()
        else:
            if self._graph is None:
                self._graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
                    self._execute()
            self._graph.replay()

    def last(self, name: str) -> torch.Tensor:
        """Return what a register holds after the last pass: (B, *shape there)."""
        return self._frozen[name] if name in self._frozen else self._rows[name][self._schedule.last[name]]

    @torch.inference_mode(False)
    def told(self, names: Sequence[str]) -> tuple[dict[str, Array], npt.NDArray[np.int64]]:
        """Return what registers hold after the last pass, and the counters: all of it comes in one copy."""
        key = tuple(names)
        if key not in self._told:
            self._told[key] = Told([(name, self._shown(name)) for name in names], self.counters)
        told = self._told[key]
        if key != self._reported or self._run.alive is not None or self._tail is not None:  # else the run has done it
            told.gather()
        arrays = told.fetch()
        found = {n: _words(a, self._described[n]) for n, a in zip(names, arrays, strict=False)}
        return found, arrays[-1].copy()

    def _shown(self, name: str) -> torch.Tensor:
        return from_device(self.last(name), self._described[name].shape)

    def _execute(self) -> None:
        self._place()
        self._run.counters.zero_()
        begin(self._run, self._near)
        for call in self._calls:
            call()
        if self._tail is not None:
            self.answer = self._tail(self)
            return
        if self._reported not in self._told:
            self._told[self._reported] = Told([(name, self._shown(name)) for name in self._reported], self.counters)
        self._told[self._reported].gather()

    def _place(self) -> None:
        """Put the inputs where the program has them."""
        for name, values in self._near.items():
            shape, rows = self._described[name].shape, self._rows[name]
            there, steps = to_device(values, shape), self._program.steps
            if values.ndim == len(shape) + 1:
                rows[0].copy_(there)
            elif name in self._schedule.packed:
                line = torch.zeros((BITS * len(rows), *rows.shape[1:]), dtype=torch.uint8, device=rows.device)
                line[: min(there.shape[1], steps)].copy_(there.movedim(1, 0)[:steps])
                for k, byte in enumerate(rows):
                    pack(line[BITS * k : BITS * (k + 1)], byte)
            elif name in self._schedule.loaded:
                first = self._schedule.loaded[name][0]
                k = min(there.shape[1], steps)
                rows[first : first + k].copy_(there[:, :k].movedim(1, 0))
                rows[first + k :].zero_()

    def _decided(self, alive: torch.Tensor) -> None:
        """Execute pass by pass; what a sample that has ended comes to stays as it is."""
        self._run.counters.zero_()
        begin(self._run, self._near)
        alive.fill_(1)
        passes = Passes(self._run)
        by_pass = {
            n: to_device(v, self._described[n].shape).movedim(1, 0)
            for n, v in self._near.items()
            if v.ndim > len(self._described[n].shape) + 1
        }
        if not self._frozen:
            self._frozen = {name: torch.empty_like(self._rows[name][0]) for name in self._kept}
        for name, frozen in self._frozen.items():
            frozen.copy_(self._rows[name][0])
        for t in range(self._program.steps):
            for name, values in by_pass.items():
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


def _words(values: Array, register: Register) -> Array:
    """Return a copy of what a register holds, words as int16, or uint16 where they need it."""
    if register.dtype == "int32":
        return values.copy()
    return values.astype(np.uint16 if register.dtype == "uint16" and register.largest >= 2**15 else np.int16)

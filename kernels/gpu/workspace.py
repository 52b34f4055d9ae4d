# SPDX-License-Identifier: Apache-2.0
"""One sample that goes on, on a GPU, pass by pass."""

import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from spikerun.kernels.executor import SPIKE, Capture, Sent
from spikerun.kernels.gpu.batch import Passes, begin
from spikerun.kernels.gpu.distribute import pass_by_pass
from spikerun.kernels.gpu.feed import GpuFeed, alone
from spikerun.kernels.gpu.layout import DTYPES, Constants, from_device, on_device, to_device
from spikerun.kernels.gpu.rows import Run
from spikerun.kernels.program import Program, Register

__all__ = ["GpuWorkspace", "deferred"]

Array = npt.NDArray[Any]
WIDE_SPIKE = np.dtype([("step", "<i8"), ("index", "<i4"), ("value", "<u2")], align=True)
LOOKED_AT = 256  # passes whose watched registers are kept until it is looked what fired


class GpuWorkspace:
    """One sample that goes on (`spikerun.kernels.executor.Workspace`)."""

    def __init__(
        self, program: Program, constants: Constants, watch: Sequence[str], capture: Sequence[Capture]
    ) -> None:
        self.t = 0
        self._described = {register.name: register for register in program.registers}
        make = constants.device
        rows = {
            r.name: torch.zeros((1, 1, *on_device(r.shape)), dtype=DTYPES[r.dtype], device=make)
            for r in program.registers
        }
        counters = torch.zeros((len(program.counters), 2), dtype=torch.int64, device=make)
        self._run = Run(program, pass_by_pass(program), constants, rows, counters, None)
        self._inputs = [name for _, name in program.inputs]
        self._watch, self._capture = list(watch), list(capture)
        self._busy = threading.Lock()
        self._passes = Passes(self._run)
        begin(self._run)

    @property
    def counters(self) -> npt.NDArray[np.int64]:
        """Return the counters, (slots, 2)."""
        with alone(self._busy):
            found: npt.NDArray[np.int64] = self._run.counters.cpu().numpy().copy()
            return found

    def reset(self) -> None:
        """Return to rest."""
        with alone(self._busy):
            self.t = 0
            self._run.counters.zero_()
            for rows in self._run.registers.values():
                rows.zero_()
            begin(self._run)

    def read(self, register: str) -> Array:
        """Return a copy of a register, of its shape."""
        with alone(self._busy):
            described = self._described[register]
            values: Array = from_device(self._run.registers[register][0, 0], described.shape).cpu().numpy()
            return np.ascontiguousarray(values).astype(_told(described))

    def write(self, register: str, values: Array) -> None:
        """Set a register."""
        with alone(self._busy):
            self._put(register, values)

    def step(self, passes: int, rows: Mapping[str, Array] | None = None) -> Sent:
        """Execute some passes. Raises UsageError while another thread does."""
        given = rows or {}
        with alone(self._busy):
            return self.passes(passes, lambda k: {n: v[k] for n, v in given.items() if k < len(v)})

    def passes(self, count: int, rows: Any, done: Any = None) -> Sent:
        """Execute passes: `rows(k)` is put into the inputs before pass k, the others are silent; done() after each."""
        seen: list[list[Array]] = [[] for _ in self._watch]
        captured: list[tuple[list[int], list[torch.Tensor]]] = [([], []) for _ in self._capture]
        shown: list[list[torch.Tensor]] = [[] for _ in self._watch]
        error = None
        with deferred() as interrupted:
            for k in range(count):
                self._pass(rows(k), shown, captured)
                if done is not None:
                    done()
                if len(shown) and len(shown[0]) == LOOKED_AT:
                    self._look(shown, seen)
                if error := interrupted():
                    break
            self._look(shown, seen)
        watched = tuple(
            np.concatenate(s) if s else np.zeros(0, self._spike(n)) for n, s in zip(self._watch, seen, strict=True)
        )
        contents = tuple(self._content(c, *found) for c, found in zip(self._capture, captured, strict=True))
        return Sent(watched, contents, interrupted() or error)

    def feed(self, register: str, step_ns: int, late: str, graded: int | None) -> GpuFeed:
        """Return what feeds events to the only input."""
        return GpuFeed(self, register, self._described[register].shape, step_ns, late, graded)

    def _pass(self, given: Mapping[str, Array], shown: Any, captured: Any) -> None:
        for name in self._inputs:
            self._put(name, given[name]) if name in given else self._run.registers[name].zero_()
        self._passes.execute(self.t)
        for name, kept in zip(self._watch, shown, strict=True):
            kept.append(self._run.registers[name][0, 0].clone())
        for capture, (times, values) in zip(self._capture, captured, strict=True):
            if self.t >= capture.begin and self.t % capture.period == capture.period - 1:
                times.append(self.t)
                values.append(self._run.registers[capture.register][0, 0].clone())
        self.t += 1

    def _put(self, name: str, values: Array) -> None:
        shape = self._described[name].shape
        there = torch.from_numpy(np.array(values, np.int32, order="C")).to(self._run.constants.device)
        self._run.registers[name][0, 0].copy_(to_device(there, shape))

    def _look(self, shown: list[list[torch.Tensor]], seen: list[list[Array]]) -> None:
        """Find what is not zero in the passes that were kept, the last of which was the one before `t`."""
        for name, kept, found in zip(self._watch, shown, seen, strict=True):
            if not kept:
                continue
            values = from_device(torch.stack(kept), self._described[name].shape).flatten(1).contiguous()
            places = values.nonzero()
            spikes = np.zeros(len(places), self._spike(name))
            spikes["step"], spikes["index"] = (places + places.new_tensor([self.t - len(kept), 0])).T.cpu().numpy()
            spikes["value"] = values[places[:, 0], places[:, 1]].cpu().numpy()
            found.append(spikes)
            kept.clear()

    def _spike(self, name: str) -> "np.dtype[np.void]":
        return WIDE_SPIKE if _told(self._described[name]) == np.uint16 else SPIKE

    def _content(self, capture: Capture, times: list[int], values: list[torch.Tensor]) -> tuple[Array, Array]:
        shape = self._described[capture.register].shape
        content = np.zeros((0, *shape), np.int32)
        if values:
            content = np.ascontiguousarray(from_device(torch.stack(values), shape).cpu().numpy())
        return np.array(times, np.int64), content


def _told(register: Register) -> type[Any]:
    """Return the type in which others are told what a register holds."""
    if register.dtype == "int32":
        return np.int32
    return np.uint16 if register.dtype == "uint16" and register.largest >= 2**15 else np.int16


@contextmanager
def deferred() -> Iterator[Any]:
    """Hold Ctrl-C back; what is yielded returns what it raises, or None. Behind, ask once more for a late one."""
    pressed: list[Any] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    before = signal.getsignal(signal.SIGINT)
    if not callable(before):
        yield lambda: None
        return

    def raised() -> BaseException | None:
        found, pressed[:] = pressed[:1], []
        try:
            for press in found:
                before(*press)
        except BaseException as error:
            return error
        return None

    signal.signal(signal.SIGINT, lambda *found: pressed.append(found))
    try:
        yield raised
    except BaseException:
        signal.signal(signal.SIGINT, before)
        if error := raised():
            raise error  # noqa: B904 -- what it interrupts is its context
        raise
    signal.signal(signal.SIGINT, before)

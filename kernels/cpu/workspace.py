# SPDX-License-Identifier: Apache-2.0
"""One sample that goes on, on the CPU, and events on their way into it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.errors import UsageError
from spikerun.kernels.cpu import native
from spikerun.kernels.cpu.order import from_kernel, hwc, to_kernel
from spikerun.kernels.executor import SPIKE, Capture, Refused, Sent
from spikerun.kernels.program import Register

__all__ = ["WIDTH", "CpuFeed", "CpuWorkspace", "channels_of", "is_unsigned", "read"]

Array = npt.NDArray[Any]
Int64Array = npt.NDArray[np.int64]
WIDTH = {"uint8": "int16", "int8": "int16", "uint16": "int16", "int16": "int16", "int32": "int32"}


class CpuWorkspace:
    """One sample that goes on (`spikerun.kernels.executor.Workspace`)."""

    def __init__(
        self,
        program: native.Program,
        threads: int,
        ids: Mapping[str, int],
        registers: Mapping[str, Register],
        with_taps: Collection[str],
        inputs: Sequence[str],
        watch: Sequence[str],
        capture: Sequence[Capture],
    ) -> None:
        self._program, self._threads = program, threads
        self._ids = ids
        self._registers = registers
        self._with_taps = with_taps
        self._work = program.workspace()
        self._watch = [(ids[n], channels_of(registers[n].shape)) for n in watch]
        self._capture = [(ids[c.register], c.period, c.begin, c.period - 1) for c in capture]
        self._silence = {name: (ids[name], np.zeros((0, registers[name].size), np.int16)) for name in inputs}
        self._wide = [is_unsigned(registers[name]) for name in watch]
        self._captured_shapes = [registers[c.register].shape for c in capture]

    @property
    def t(self) -> int:
        """Return the passes done."""
        return int(self._work.t)

    @t.setter
    def t(self, value: int) -> None:
        with _for_one_thread():
            self._work.t = value

    @property
    def counters(self) -> npt.NDArray[np.int64]:
        """Return the counters, (slots, 2)."""
        with _for_one_thread():
            return np.array(self._work.counters)

    def reset(self) -> None:
        """Return to rest."""
        with _for_one_thread():
            self._work.reset()

    def read(self, register: str) -> Array:
        """Return a copy of a register, of its shape."""
        described = self._registers[register]
        with _for_one_thread():
            values, shape = read(self._program.read(self._work, self._ids[register]), described), described.shape
        if register in self._with_taps:
            taps, c, h, w = shape
            return np.ascontiguousarray(values.reshape(h, w, taps, c).transpose(2, 3, 0, 1))
        return from_kernel(values, shape)

    def write(self, register: str, values: Array) -> None:
        """Set a register."""
        described = self._registers[register]
        if register in self._with_taps:
            flat = np.ascontiguousarray(values.transpose(2, 3, 0, 1)).ravel()
        else:
            flat = to_kernel(values, described.shape)
        with _for_one_thread():
            self._program.write(self._work, self._ids[register], flat.astype(WIDTH[described.dtype]))

    def step(self, passes: int, rows: Mapping[str, Array] | None = None) -> Sent:
        """Execute some passes. Raises UsageError while another thread does."""
        given = dict(self._silence)
        for name, values in (rows or {}).items():
            words = values.astype(np.int16, copy=False)
            given[name] = (self._ids[name], to_kernel(words, self._registers[name].shape))
        with _for_one_thread():
            found = self._program.step(
                self._work,
                passes,
                rows=list(given.values()),
                watch=self._watch,
                capture=self._capture,
                threads=self._threads,
            )
        return self.sent(*found)

    def feed(self, register: str, step_ns: int, late: str, graded: int | None) -> "CpuFeed":
        """Return what feeds events to the only input."""
        described = self._registers[register]
        shape = described.shape if len(described.shape) == 3 else (1, 1, described.size)
        fed = native.Feed(
            self._program,
            self._work,
            register=self._ids[register],
            hwc=hwc(shape),
            graded=graded,
            step_ns=step_ns,
            late=late,
            watch=self._watch,
            capture=self._capture,
            threads=self._threads,
        )
        return CpuFeed(fed, self)

    def sent(self, watched: Sequence[Array], captured: Sequence[tuple[Int64Array, Array]], error: Any) -> Sent:
        """Return what passes sent, as C++ returns it."""
        contents = tuple(
            (steps, from_kernel(values, shape))
            for (steps, values), shape in zip(captured, self._captured_shapes, strict=True)
        )
        seen = tuple(spikes.view(SPIKE) for spikes in watched)
        if any(self._wide):  # words of 2^15 and more, which these 16 bits hold modulo 2^16
            seen = tuple(_widened(spikes) if wide else spikes for spikes, wide in zip(seen, self._wide, strict=True))
        return Sent(seen, contents, error if isinstance(error, BaseException) else None)


class CpuFeed:
    """Events on their way into a workspace (`spikerun.kernels.executor.Feed`)."""

    def __init__(self, fed: native.Feed, workspace: CpuWorkspace) -> None:
        self._fed, self._workspace = fed, workspace

    def push(self, events: Array) -> Sent | Refused | None:
        """Take records of 16 bytes (t, x, y, p). Raises UsageError while another thread uses the workspace."""
        try:  # not _for_one_thread, which takes half as long as a push of one event
            found = self._fed.push(events)
        except RuntimeError as problem:
            raise _busy(problem) from None
        return None if found is None else self._told(found)

    def push_steps(self, steps: Int64Array, index: Int64Array) -> Sent | Refused | None:
        """Take events by pass and place in C order."""
        with _for_one_thread():
            found = self._fed.push_steps(steps, index)
        return None if found is None else self._told(found)

    def run(self, until: int) -> Sent:
        """Execute passes until this is the next one."""
        with _for_one_thread():
            found = self._fed.run(until)
        return self._workspace.sent(*found)

    def hold(self, steps: Int64Array, index: Int64Array) -> Refused | None:
        """Hold these back, and nothing else."""
        with _for_one_thread():
            found: Any = self._fed.hold(steps, index)
        return None if found is None else Refused(*found)

    def held(self) -> Int64Array:
        """Return what is held back, (2, n)."""
        with _for_one_thread():
            return np.asarray(self._fed.held())

    @property
    def newest(self) -> int:
        """Return the pass of the newest event that is held back, or -1."""
        with _for_one_thread():
            return int(self._fed.newest)

    @property
    def counts(self) -> tuple[int, int, int, int, int]:
        """Return events, those late, dropped and clipped, and passes skipped."""
        events, late, dropped, clipped, skipped = self._fed.counts
        return events, late, dropped, clipped, skipped

    @property
    def durations(self) -> Int64Array:
        """Return how often a pass took 2^k (1 + j / parts) nanoseconds, (powers, parts)."""
        return np.asarray(self._fed.durations)

    def _told(self, found: Any) -> Sent | Refused:
        return Refused(*found) if isinstance(found[0], str) else self._workspace.sent(*found)


def channels_of(shape: tuple[int, ...]) -> int:
    """Return how many channels lie beside each other in the layout of the kernels."""
    return shape[0] if len(shape) == 3 else 1


def is_unsigned(register: Register) -> bool:
    """Return whether a register of int16 holds words of 2^15 and more, modulo 2^16."""
    return register.dtype == "uint16" and register.largest >= 2**15


def read(values: Array, register: Register) -> Array:
    """Return what a register holds, as the words that they stand for."""
    return values.view(np.uint16) if is_unsigned(register) else values


def _widened(spikes: Array) -> Array:
    """Return spikes whose words are 16 bits without a sign."""
    wide = np.dtype([("step", "<i8"), ("index", "<i4"), ("value", "<u2")], align=True)
    return spikes.view(wide)


@contextmanager
def _for_one_thread() -> Iterator[None]:
    """Tell users what to do where another thread is at work in the same workspace."""
    try:
        yield
    except RuntimeError as problem:
        raise _busy(problem) from None


def _busy(problem: RuntimeError) -> UsageError:
    return UsageError(f"{problem}: give each thread a stream of its own")

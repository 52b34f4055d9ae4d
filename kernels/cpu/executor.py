# SPDX-License-Identifier: Apache-2.0
"""Programs on the CPU: compiled to C++ kernels, event-driven or dense by the times measured on this machine.

Weights that are zero are a matter of layout here, not a kind of connection: what a network means, its file, and what
other targets make of it stay as they are, and each machine takes the layout that is the fastest there.
"""

import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from spikerun.errors import UnsupportedError, UsageError, unknown_name
from spikerun.kernels.cpu import native
from spikerun.kernels.cpu.maps import LAYOUTS, layouts, linear
from spikerun.kernels.cpu.order import from_kernel, hwc, positions, to_kernel
from spikerun.kernels.cpu.threads import MAX_THREADS, default_threads
from spikerun.kernels.executor import Capture, Choice, Events, Sent, Single
from spikerun.kernels.liveness import lifetimes, place
from spikerun.kernels.operations import Accumulate, Geometry, Map, MaxPool, MaxPoolStep, Operation
from spikerun.kernels.program import Program, Register

__all__ = ["Cpu", "CpuExecutor", "CpuWorkspace"]

Array = npt.NDArray[Any]
ALIGNMENT = 32  # elements: a cache line of words, two of accumulators
_NATIVE = frozenset(map(np.dtype, (np.uint8, np.int8, np.int16)))
WIDTH = {"uint8": "int16", "int8": "int16", "uint16": "int16", "int16": "int16", "int32": "int32"}


class Kernel(NamedTuple):
    """What executes a map: event-driven where at most `cut` inputs are active; layout: of its weights, if chosen."""

    map: Map
    linear: native.Linear
    layout: str
    cut: int
    reason: str

    @property
    def bytes(self) -> int:
        """Return what weights whose layout is chosen take, with the places of those that are kept; 0 for others."""
        if not self.layout:
            return 0
        return self.linear.n_in * self.linear.n_out if self.layout == "dense" else self.linear.bytes


class Cpu:
    """This computer's processor.

    kernels: `event`, `dense`, or `auto`: for each map, by the activity it meets and the times measured on this machine
    while programs are compiled (some milliseconds a layer). layout: of the weights of all `dense` maps: `dense`,
    `blocks` (of 16 outputs, those that are not all zero), `csr` (weights that are not zero), or `auto`: the fastest, as
    measured, for large maps with many zeros where `kernels` is `auto` too, else dense. threads: default
    $SPIKERUN_NUM_THREADS, or the physical cores. None of them changes a result.
    """

    def __init__(self, kernels: str = "auto", threads: int | None = None, layout: str = "auto") -> None:
        if kernels not in ("auto", "event", "dense"):
            raise unknown_name("choice of kernels", str(kernels), ("auto", "event", "dense"))
        if layout not in ("auto", *LAYOUTS):
            raise unknown_name("layout", str(layout), ("auto", *LAYOUTS))
        self.kernels, self.layout = kernels, layout
        self.threads = default_threads() if threads is None else _threads(threads)
        self._maps: dict[tuple[Any, ...], Kernel] = {}
        self._measured: dict[tuple[Any, ...], tuple[int, int]] = {}

    def compile(self, program: Program, keep: Collection[str] = ()) -> "CpuExecutor":
        """Return an executor of the program. Raises UnsupportedError for what has no kernel, or is too large."""
        return CpuExecutor(self, program, keep)

    def kernel(self, map_: Map, largest: int, unsigned_words: bool) -> Kernel:
        """Return the kernel of a map; programs of one network share them.

        largest: the magnitude of its inputs; unsigned_words: they may be 2^15 and more.
        """
        key = (unsigned_words, map_.kind, map_.source, map_.target, map_.channels, *map(_identity, map_.parameters))
        if key not in self._maps:
            names = self._layouts(map_)
            made = [linear(map_, layout) for layout in names]
            if unsigned_words:
                made = [native.Linear.unsigned_words(one) for one in made]
            which, cut, reason = self._choice(map_, made, largest)
            self._maps[key] = Kernel(map_, made[which], names[which], cut, reason)
        return self._maps[key]

    def _layouts(self, map_: Map) -> tuple[str, ...]:
        found = layouts(map_) or ("",)
        if found == ("",) or (self.layout, self.kernels) == ("auto", "auto"):
            return found
        return ("dense" if self.layout == "auto" else self.layout,)

    def _choice(self, map_: Map, made: Sequence[native.Linear], largest: int) -> tuple[int, int, str]:
        """Return which of a map's layouts to take, its cut, and why."""
        if self.kernels != "auto":
            return 0, made[0].n_in if self.kernels == "event" else 0, "asked for"
        sizes = ((n, getattr(v, "shape", v)) for n, v in map_.parameters)
        shares = (round(100 * one.bytes / one.n_in / one.n_out) for one in made[1:])
        # maps of one form, and as many zeros, take one time
        key = (map_.kind, map_.source, map_.target, map_.channels, largest, *sizes, *shares)
        if key not in self._measured:
            from spikerun.kernels.cpu.cost import calibrate

            self._measured[key] = calibrate(made, largest)
        return (*self._measured[key], "times measured on this machine")


class CpuExecutor:
    """A program compiled for the CPU."""

    def __init__(self, device: Cpu, program: Program, keep: Collection[str]) -> None:
        self.program = program
        self._device = device
        self._registers = {register.name: register for register in program.registers}
        self._ids = {name: number for number, name in enumerate(self._registers)}
        self._with_taps = {op.alive for op in program.operations if isinstance(op, MaxPoolStep)}
        self._choices: list[Choice] = []
        self._program = self._built(keep)

    def _built(self, keep: Collection[str]) -> native.Program:
        offsets: dict[str, int] = {}
        spans = lifetimes(self.program, keep)
        for width in ("int16", "int32"):
            offsets |= place(self.program, spans, _size_in(width), ALIGNMENT)[0]
        try:
            built = native.Program([(WIDTH[r.dtype], r.size, offsets[r.name]) for r in self.program.registers])
            built.anew([self._ids[name] for name, (first, _) in spans.items() if first >= 0])
            for register in self.program.registers:
                if register.initial is not None:
                    built.initial(self._ids[register.name], self._vector(register.initial, register.shape))
            for operation in self.program.operations:
                if not hasattr(built, operation.name):
                    raise UnsupportedError(
                        f"no CPU kernel for the operation '{operation.name}': there is no row of it in "
                        "SPIKERUN_OPERATIONS of kernels/cpu/bindings.cpp; spikerun.reference runs it"
                    )
                getattr(built, operation.name)(**self._arguments(operation))
        except ValueError as error:
            raise UnsupportedError(f"the network is too large for the CPU kernels: {error}") from None
        return built

    def _arguments(self, operation: Operation) -> dict[str, Any]:
        """Return the keywords of the native call: numbers of registers, arrays in kernel order."""
        operands = list(operation.operands())
        first = self._registers[operands[0].register]
        arguments: dict[str, Any] = {o.field: self._ids[o.register] for o in operands}
        arguments |= {name: self._vector(values, first.shape) for name, values in operation.values()}
        arguments |= {name: np.atleast_2d(values) for name, values in operation.tables()}
        if isinstance(operation, Accumulate | MaxPool | MaxPoolStep) and _unsigned(first):
            arguments["unsigned_words"] = True
        if isinstance(operation, MaxPoolStep) and np.dtype(first.dtype).itemsize == 2:
            arguments["wide_words"] = True
        for name, value in operation.numbers():
            arguments |= self._number(operation, name, value, first)
        when = operation.time
        return arguments | {key: getattr(when, key) for key in ("period", "begin", "end", "first", "last")}

    def _number(self, operation: Operation, name: str, value: Any, first: Register) -> dict[str, Any]:
        if isinstance(value, Map):
            made = self._device.kernel(value, first.largest, _unsigned(first))
            kernel = _cut_text(made.cut, made.linear.n_in)
            registers = tuple(operand.register for operand in operation.operands())
            self._choices.append(Choice(str(operation), kernel, made.reason, made.layout, made.bytes, registers))
            return {"map": made.linear, "cut": made.cut}
        if isinstance(value, Geometry):
            pairs = {key: getattr(value, key) for key in ("kernel", "stride", "padding", "dilation")}
            return {"in_hwc": hwc(value.source), "out_hwc": hwc(value.target), **pairs}
        return {name: list(value) if isinstance(value, tuple) else value}

    def _vector(self, values: Array, shape: tuple[int, ...]) -> npt.NDArray[np.int32]:
        """Return Values in kernel order: one number, one a channel, or one a neuron."""
        flat = to_kernel(values, values.shape) if values.ndim == 3 else values.reshape(-1)
        return np.ascontiguousarray(flat, dtype=np.int32)

    def run(
        self, inputs: Mapping[str, Array], outputs: Sequence[str]
    ) -> tuple[dict[str, Array], npt.NDArray[np.int64]]:
        """Run a batch from rest (`spikerun.kernels.executor.Executor.run`)."""
        once: list[tuple[int, Array]] = []
        rows: list[tuple[int, Array]] = []
        for name, values in inputs.items():
            shape = self._registers[name].shape
            if values.dtype not in _NATIVE:
                values = values.astype(np.int16)
            (once if values.ndim == len(shape) + 1 else rows).append((self._ids[name], to_kernel(values, shape)))
        arrays, counters = self._program.run_batch(
            inputs=once,
            outputs=[self._ids[name] for name in outputs],
            threads=self._device.threads,
            steps=self.program.steps,
            step_inputs=[(register, values.astype(np.int16, copy=False)) for register, values in rows],
        )
        described = (self._registers[name] for name in outputs)
        found = {r.name: from_kernel(_read(a, r), r.shape) for a, r in zip(arrays, described, strict=True)}
        return found, counters

    def prepared(self, low: int, high: int, scale: npt.NDArray[np.float32] | None) -> Single | None:
        """Return what runs a sample of the only input (`spikerun.kernels.executor.Prepares`)."""
        given = [self._registers[name] for _, name in self.program.inputs]
        found = [(label, self._registers[name]) for label, name in self.program.outputs]
        if len(given) != 1 or not found or any(len(r.shape) > 3 for r in (*given, *(r for _, r in found))):
            return None
        return self._program.prepare(
            input=self._ids[given[0].name],
            shape=given[0].shape,
            channels=_channels(given[0].shape),
            low=low,
            high=high,
            outputs=[(n, (1, *r.shape), self._ids[r.name], _channels(r.shape), _unsigned(r)) for n, r in found],
            scales=[] if scale is None else scale.ravel().tolist(),
            counters=self.program.counters,
            steps=self.program.steps,
            threads=self._device.threads,
            empty=np.empty,
            dtype=np.dtype(np.int32),
        ).run

    def workspace(self, watch: Sequence[str] = (), capture: Sequence[Capture] = ()) -> "CpuWorkspace":
        """Return a new sample at rest."""
        inputs = [register for _, register in self.program.inputs]
        return CpuWorkspace(
            self._program, self._device.threads, self._ids, self._registers, self._with_taps, inputs, watch, capture
        )

    def choices(self) -> list[Choice]:
        """Return which kernels were chosen for the maps, and why."""
        return list(self._choices)


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
        self._watch = [(ids[n], positions(registers[n].shape).ravel().astype(np.int32)) for n in watch]
        self._capture = [(ids[c.register], c.period, c.begin, c.period - 1) for c in capture]
        self._silence = {name: (ids[name], np.zeros((0, registers[name].size), np.int16)) for name in inputs}
        self._watched = [registers[name] for name in watch]
        self._captured_shapes = [registers[c.register].shape for c in capture]

    @property
    def t(self) -> int:
        """Return the passes done."""
        return int(self._work.t)

    @t.setter
    def t(self, value: int) -> None:
        self._work.t = value

    @property
    def counters(self) -> npt.NDArray[np.int64]:
        """Return the counters, (slots, 2)."""
        return np.array(self._work.counters)

    def reset(self) -> None:
        """Return to rest."""
        self._work.reset()

    def read(self, register: str) -> Array:
        """Return a copy of a register, of its shape."""
        described = self._registers[register]
        values, shape = _read(self._program.read(self._work, self._ids[register]), described), described.shape
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
        self._program.write(self._work, self._ids[register], flat.astype(WIDTH[described.dtype]))

    def step(self, passes: int, rows: Mapping[str, Array] | None = None, events: Events | None = None) -> Sent:
        """Execute some passes. Raises UsageError while another thread does."""
        given, spikes = dict(self._silence), []
        for name, values in (rows or {}).items():
            words = values.astype(np.int16, copy=False)
            given[name] = (self._ids[name], to_kernel(words, self._registers[name].shape))
        if events is not None:
            del given[events.register]
            place = positions(self._registers[events.register].shape).ravel()
            spikes.append((self._ids[events.register], events.offsets, place[events.index]))
        try:
            watched, captured, error = self._program.step(
                self._work,
                passes,
                rows=list(given.values()),
                events=spikes,
                watch=self._watch,
                capture=self._capture,
                threads=self._threads,
            )
        except RuntimeError as problem:
            raise UsageError(f"{problem}: give each thread a stream of its own") from None
        contents = tuple(
            (steps, from_kernel(values, shape))
            for (steps, values), shape in zip(captured, self._captured_shapes, strict=True)
        )
        seen = tuple((t, k, _read(a, r)) for (t, k, a), r in zip(watched, self._watched, strict=True))
        return Sent(seen, contents, error if isinstance(error, BaseException) else None)


def _channels(shape: tuple[int, ...]) -> int:
    return shape[0] if len(shape) == 3 else 1


def _unsigned(register: Register) -> bool:
    """Return whether a register of int16 holds words of 2^15 and more, modulo 2^16."""
    return register.dtype == "uint16" and register.largest >= 2**15


def _read(values: Array, register: Register) -> Array:
    """Return what a register holds, as the words that they stand for."""
    return values.view(np.uint16) if _unsigned(register) else values


def _size_in(width: str) -> Callable[[Register], int]:
    """Return how many elements each register has in the arena of this type."""
    return lambda register: register.size if WIDTH[register.dtype] == width else 0


def _identity(parameter: tuple[str, Any]) -> tuple[str, Any]:
    """Return what tells a parameter from others: the array itself (the network holds it), or the number."""
    name, value = parameter
    return (name, id(value)) if isinstance(value, np.ndarray) else (name, value)


def _cut_text(cut: int, n_in: int) -> str:
    if cut >= n_in:
        return "event-driven"
    return "dense" if cut == 0 else f"event-driven up to {cut} of {n_in} active inputs, else dense"


def _threads(value: Any) -> int:
    try:
        threads = operator.index(value)
    except TypeError:
        threads = 0
    if isinstance(value, bool) or not 1 <= threads <= MAX_THREADS:
        raise UsageError(f"threads must be an integer in 1..{MAX_THREADS}, got {value!r:.80}")
    return threads

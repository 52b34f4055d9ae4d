# SPDX-License-Identifier: Apache-2.0
"""Programs on the CPU: compiled to C++ kernels, event-driven or dense by the times measured on this machine.

Weights that are zero are a matter of layout here, not a kind of connection: what a network means, its file, and what
other targets make of it stay as they are, and each machine takes the layout that is the fastest there.
"""

import logging
import operator
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from spikerun.errors import UnsupportedError, UsageError, unknown_name
from spikerun.kernels.cpu import native
from spikerun.kernels.cpu.cost_cache import Measured, known, remember
from spikerun.kernels.cpu.maps import LAYOUTS, Candidate, late, layouts, linear
from spikerun.kernels.cpu.order import from_kernel, hwc, to_kernel
from spikerun.kernels.cpu.rests import restless, tracked
from spikerun.kernels.cpu.threads import MAX_THREADS, default_threads, used
from spikerun.kernels.cpu.workspace import WIDTH, CpuWorkspace, channels_of, is_unsigned, read
from spikerun.kernels.executor import Capture, Choice, Cost, Seen, Single
from spikerun.kernels.liveness import lifetimes, place
from spikerun.kernels.operations import (
    Accumulate,
    Geometry,
    IfStep,
    LifStep,
    Map,
    MaxPool,
    MaxPoolStep,
    Operation,
    Poisson,
    Scatter,
)
from spikerun.kernels.program import Program, Register
from spikerun.kernels.synapses import BYTES, require_memory, to_draw

__all__ = ["Cpu", "CpuExecutor"]

log = logging.getLogger(__name__)

Array = npt.NDArray[Any]
ALIGNMENT = 32  # elements: a cache line of words, two of accumulators
_NATIVE = frozenset(map(np.dtype, (np.uint8, np.int8, np.int16)))


class Kernel(NamedTuple):
    """What executes a map: event-driven where at most `cut` inputs are active; layout: of its weights, if chosen.

    cost: as measured, if it was.
    """

    map: Map
    linear: native.Linear | native.Late
    layout: str
    cut: int
    reason: str
    cost: Cost | None

    @property
    def bytes(self) -> int:
        """Return what the weights take in memory, with the places of those that are kept."""
        return self.linear.n_in * self.linear.n_out if self.layout == "dense" else self.linear.bytes


class Wanted(NamedTuple):
    """A map to be executed. largest: the magnitude of its inputs; unsigned_words: they may be 2^15 and more.

    late: its synapses have delays of their own.
    """

    map: Map
    largest: int
    unsigned_words: bool
    late: bool = False


class Cpu:
    """This computer's processor.

    kernels: `event`, `dense`, or `auto`: for each map, by the activity it meets and by what it costs on this machine,
    which is measured where it is not known yet (`cost.py`; less than a second for all maps of a program) and kept in a
    file (`cost_cache.py`). layout: of the weights of all `dense` maps: `dense`, `blocks` (of 16 outputs, those that are
    not all zero), `csr` (weights that are not zero), or `auto`: the fastest, as measured, for large maps with many
    zeros where `kernels` is `auto` too, else dense. threads: default $SPIKERUN_NUM_THREADS, or the physical cores; the
    attribute is how many of them are used. None of these changes a result.
    """

    def __init__(self, kernels: str = "auto", threads: int | None = None, layout: str = "auto") -> None:
        if kernels not in ("auto", "event", "dense"):
            raise unknown_name("choice of kernels", str(kernels), ("auto", "event", "dense"))
        if layout not in ("auto", *LAYOUTS):
            raise unknown_name("layout", str(layout), ("auto", *LAYOUTS))
        self.kernels, self.layout = kernels, layout
        self.threads = used(default_threads() if threads is None else _threads(threads))
        self._maps: dict[tuple[Any, ...], Kernel] = {}
        self._costs: dict[str, Measured] = {}

    def compile(self, program: Program, keep: Collection[str] = ()) -> "CpuExecutor":
        """Return an executor of the program. Raises UnsupportedError for what has no kernel, or is too large."""
        return CpuExecutor(self, program, keep)

    def kernels_of(self, wanted: Sequence[Wanted]) -> list[Kernel]:
        """Return the kernels of maps, which are timed together; programs of one network share them."""
        keys = [
            (one.late, one.unsigned_words, m.kind, m.source, m.target, m.channels, *map(_identity, m.parameters))
            for one in wanted
            for m in (one.map,)
        ]
        missing = {key: one for key, one in zip(keys, wanted, strict=True) if key not in self._maps}
        self._require_memory([one.map for one in missing.values()])
        for key, one in missing.items():
            if one.late:
                made_late = late(one.map)
                why = "its synapses have delays of their own"
                self._maps[key] = Kernel(one.map, made_late, "", made_late.n_in, why, None)
        new = {key: one for key, one in missing.items() if not one.late}
        names = {key: self._layouts(one.map) for key, one in new.items()}
        made = {key: [self._made(one, layout) for layout in names[key]] for key, one in new.items()}
        candidates = [Candidate(made[key], one.largest) for key, one in new.items()]
        choices = self._choices(candidates, list(new.values()), list(names.values()))
        for (key, one), (which, cost, reason) in zip(new.items(), choices, strict=True):
            n_in = made[key][which].n_in
            cut = cost.cut(n_in) if cost else n_in * (self.kernels == "event")
            self._maps[key] = Kernel(one.map, made[key][which], names[key][which], cut, reason, cost)
        return [self._maps[key] for key in keys]

    def _require_memory(self, maps: Sequence[Map]) -> None:
        """Say how much memory synapses take that are drawn, before it is taken; refuse more than there is."""
        counts = [to_draw(dict(m.parameters)) for m in maps]
        if any(counts):
            log.info("drawing %s synapses, %s MB", f"{sum(counts):,}", f"{sum(counts) * BYTES / 1e6:,.0f}")
            require_memory(sum(counts) + max(counts))  # one map is there twice at a time

    def _layouts(self, map_: Map) -> tuple[str, ...]:
        found = layouts(map_) or ("",)
        if found == ("",) or (self.layout, self.kernels) == ("auto", "auto"):
            return found
        return ("dense" if self.layout == "auto" else self.layout,)

    def _made(self, wanted: Wanted, layout: str) -> native.Linear:
        made = linear(wanted.map, layout)
        return native.Linear.unsigned_words(made) if wanted.unsigned_words else made

    def _choices(
        self, candidates: Sequence[Candidate], wanted: Sequence[Wanted], names: Sequence[tuple[str, ...]]
    ) -> Iterator[tuple[int, Cost | None, str]]:
        """Yield which of the layouts of each map to take, what it costs if that was measured, and why."""
        if self.kernels != "auto":
            yield from [(0, None, "asked for")] * len(candidates)
            return
        forms = list(map(_form, wanted, candidates, names))
        open_ = {form: one for form, one in zip(forms, candidates, strict=True) if form not in self._costs}
        kept = known({form: (len(one.layouts), one.layouts[0].n_in) for form, one in open_.items()})
        self._costs |= kept
        if left := {form: one for form, one in open_.items() if form not in kept}:
            from spikerun.kernels.cpu.cost import calibrate

            measured = dict(zip(left, calibrate(list(left.values())), strict=True))
            self._costs |= measured
            remember(measured)
        for form in forms:
            yield (*self._costs[form], "times measured on this machine")


class CpuExecutor:
    """A program compiled for the CPU."""

    def __init__(self, device: Cpu, program: Program, keep: Collection[str]) -> None:
        self.program = program
        self._device = device
        self._registers = {register.name: register for register in program.registers}
        self._ids = {name: number for number, name in enumerate(self._registers)}
        self._with_taps = {op.alive for op in program.operations if isinstance(op, MaxPoolStep)}
        self._tracked = tracked(program) if device.kernels != "dense" else []
        self._kernels = dict(zip(*self._mapped(), strict=True))
        self._program = self._built(keep)

    def _mapped(self) -> tuple[list[int], list[Kernel]]:
        """Return the numbers of operations that have a map, and its kernels."""
        wanted: dict[int, Wanted] = {}
        for number, operation in enumerate(self.program.operations):
            first = self._registers[next(operation.operands()).register]
            for _, value in operation.numbers():
                if isinstance(value, Map):
                    wanted[number] = Wanted(value, first.largest, is_unsigned(first), isinstance(operation, Scatter))
        return list(wanted), self._device.kernels_of(list(wanted.values()))

    def _built(self, keep: Collection[str]) -> native.Program:
        offsets: dict[str, int] = {}
        spans = lifetimes(self.program, keep) | dict.fromkeys(self._tracked, (-1, len(self.program.operations)))
        for width in ("int16", "int32"):
            offsets |= place(self.program, spans, _size_in(width), ALIGNMENT)[0]
        try:
            built = native.Program([(WIDTH[r.dtype], r.size, offsets[r.name]) for r in self.program.registers])
            built.track([self._ids[name] for name in self._tracked])
            built.anew([self._ids[name] for name, (first, _) in spans.items() if first >= 0])
            for register in self.program.registers:
                if register.initial is not None:
                    built.initial(self._ids[register.name], self._vector(register.initial, register.shape))
            for number, operation in enumerate(self.program.operations):
                if not hasattr(built, operation.name):
                    raise UnsupportedError(
                        f"no CPU kernel for the operation '{operation.name}': there is no row of it in "
                        "SPIKERUN_OPERATIONS of kernels/cpu/bindings.cpp; spikerun.reference runs it"
                    )
                getattr(built, operation.name)(**self._arguments(number, operation))
        except ValueError as error:
            raise UnsupportedError(f"the network is too large for the CPU kernels: {error}") from None
        return built

    def _arguments(self, place: int, operation: Operation) -> dict[str, Any]:
        """Return the keywords of the native call: numbers of registers, arrays in kernel order."""
        operands = list(operation.operands())
        first = self._registers[operands[0].register]
        arguments: dict[str, Any] = {o.field: self._ids[o.register] for o in operands}
        arguments |= {name: self._vector(values, first.shape) for name, values in operation.values()}
        arguments |= {name: np.atleast_2d(values) for name, values in operation.tables()}
        if isinstance(operation, Accumulate | MaxPool | MaxPoolStep | Scatter) and is_unsigned(first):
            arguments["unsigned_words"] = True
        if isinstance(operation, MaxPoolStep) and np.dtype(first.dtype).itemsize == 2:
            arguments["wide_words"] = True
        if isinstance(operation, Poisson):
            arguments["channels"] = channels_of(first.shape)
        if isinstance(operation, IfStep | LifStep):
            arguments["restless"] = restless(operation, self._registers)
        for name, value in operation.numbers():
            arguments |= self._number(place, name, value)
        when = operation.time
        return arguments | {key: getattr(when, key) for key in ("period", "begin", "end", "first", "last")}

    def _number(self, place: int, name: str, value: Any) -> dict[str, Any]:
        if isinstance(value, Map):
            found = self._kernels[place]
            return {"map": found.linear} | ({"cut": found.cut} if isinstance(found.linear, native.Linear) else {})
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
        found = {r.name: from_kernel(read(a, r), r.shape) for a, r in zip(arrays, described, strict=True)}
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
            channels=channels_of(given[0].shape),
            low=low,
            high=high,
            outputs=[(n, (1, *r.shape), self._ids[r.name], channels_of(r.shape), is_unsigned(r)) for n, r in found],
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
        steps = [op for op in self.program.operations if isinstance(op, IfStep | LifStep)]
        alone = bool(steps) and all(op.s in self._tracked for op in steps)  # what is left to do is not worth sharing
        given = (self._program, 1 if alone else self._device.threads, self._ids, self._registers, self._with_taps)
        return CpuWorkspace(*given, inputs, watch, capture)

    def choices(self) -> list[Choice]:
        """Return which kernels were chosen for the maps, why, and what has passed through them."""
        passed = [Seen(runs, event, active / looked if looked else None) for runs, event, looked, active in
                  self._program.passed()]  # fmt: skip
        return [
            Choice(
                place, _cut_text(k.cut, k.linear.n_in), k.reason, k.linear.n_in, k.cut, k.layout, k.bytes, k.cost, seen
            )
            for (place, k), seen in zip(self._kernels.items(), passed, strict=True)
        ]


def _size_in(width: str) -> Callable[[Register], int]:
    """Return how many elements each register has in the arena of this type."""
    return lambda register: register.size if WIDTH[register.dtype] == width else 0


def _identity(parameter: tuple[str, Any]) -> tuple[str, Any]:
    """Return what tells a parameter from others: the array itself (the network holds it), or the number."""
    name, value = parameter
    return (name, id(value)) if isinstance(value, np.ndarray) else (name, value)


def _form(wanted: Wanted, candidate: Candidate, names: Sequence[str]) -> str:
    """Return what decides how long a map takes in these layouts: maps of one form, and as many zeros, take one time."""
    m = wanted.map
    sizes = (f"{name} {getattr(value, 'shape', value)}" for name, value in m.parameters)
    kept = (_share(name, one) for name, one in zip(names, candidate.layouts, strict=True) if name)
    words = ("unsigned",) if wanted.unsigned_words else ()
    return ", ".join((str(m), *sizes, f"inputs to {wanted.largest}", *words, *kept))


def _share(name: str, made: native.Linear) -> str:
    """Return a layout with what share of the weights it keeps; all of them if it is dense."""
    return name if name == "dense" else f"{name} {100 * made.bytes / made.n_in / made.n_out:.0f} %"


def _cut_text(cut: int, n_in: int) -> str:
    if cut >= n_in:
        return "event-driven"
    return "dense" if cut == 0 else f"event-driven up to {cut / n_in:.1%}, else dense"


def _threads(value: Any) -> int:
    try:
        threads = operator.index(value)
    except TypeError:
        threads = 0
    if isinstance(value, bool) or not 1 <= threads <= MAX_THREADS:
        raise UsageError(f"threads must be an integer in 1..{MAX_THREADS}, got {value!r:.80}")
    return threads

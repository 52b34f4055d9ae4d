# SPDX-License-Identifier: Apache-2.0
"""One sample of a recurrent network that goes on, on a GPU."""

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from spikerun.errors import UnsupportedError
from spikerun.kernels.executor import SPIKE, Capture, Feed, Sent
from spikerun.kernels.gpu.circuit import Group
from spikerun.kernels.gpu.drives import DRIVE, entry, on_device, sources
from spikerun.kernels.gpu.feed import alone
from spikerun.kernels.gpu.printed import COPIES, by_channel
from spikerun.kernels.gpu.under_way import UnderWay
from spikerun.kernels.gpu.workspace import deferred
from spikerun.kernels.operations import Poisson

if TYPE_CHECKING:
    from spikerun.kernels.gpu.recurrent import Recurrent

__all__ = ["Ongoing"]

Array = npt.NDArray[Any]
LONGEST = 2**14  # passes of one launch, whole rounds, below 2^16: the log has so many bits for them
LOG = 2**16  # spikes of a block that a launch may name before it ends
STATE = ("u", "v", "wait", "pending", "i", "s")  # of neurons: fields of their operations
ARGUMENTS = ("rows", "table", "ring", *STATE, "spikes", "history", "mail", "list", "log", "logged", "drive", "drives",
             "values", "done")  # fmt: skip


class Ongoing:
    """One sample that goes on (`spikerun.kernels.executor.Workspace`)."""

    def __init__(self, executor: "Recurrent", watch: Sequence[str], capture: Sequence[Capture]) -> None:
        self._executor, self._circuit, self._size = executor, executor.circuit, executor.size
        self._device = executor.machine.device
        self._described = {register.name: register for register in executor.program.registers}
        self._groups = {group.register: group for group in self._circuit.groups}
        self._parts = {
            operand.register: (operand.field, group)
            for group in self._circuit.groups
            for operand in group.operation.operands()
            if operand.field in STATE and not isinstance(group.operation, Poisson)
        }
        self._watch, self._capture = [self._groups[name] for name in watch], list(capture)
        self._under_way = UnderWay(self._circuit, self._size, {n: r.shape for n, r in self._described.items()})
        self._written: dict[str, Array] = {}  # registers that are set when it is known at which pass
        self._busy = threading.Lock()
        self._memory = self._allocated()
        for name in (*watch, *(c.register for c in capture)):
            self._part(name)
        addresses = np.array([self._memory[name].data_ptr() for name in ARGUMENTS], np.uint64)
        self._arguments = on_device(addresses, self._device)
        self._t = self._epoch = self._counted = 0
        self._placed = 0  # the pass before which the ring of the kernel is that of past events
        self._events = {name: self._zeros(self._size_of(name)) for name in self._circuit.poisson}
        self._reset()

    def _allocated(self) -> dict[str, torch.Tensor]:
        size, neurons = self._size, self._circuit.neurons
        self._log_size = max(LOG, 2 * size.round * size.per) if self._watch else 0
        counts = dict.fromkeys((*STATE, "spikes"), neurons) | {
            "ring": size.blocks * size.slots * size.per,
            "history": 2 * neurons,
            "mail": 8 * COPIES * size.blocks,
            "list": 2 * size.blocks * size.most,
            "log": size.blocks * self._log_size,
            "logged": size.blocks,
            "done": 1,
        }
        own = {name: self._zeros(count) for name, count in counts.items()}
        synapses = self._executor.synapses
        return own | self._executor.constants | {"rows": synapses.rows, "table": synapses.table}

    def _zeros(self, count: int) -> torch.Tensor:
        return torch.zeros(max(1, count), dtype=torch.int32, device=self._device)

    def _size_of(self, register: str) -> int:
        return self._described[register].size

    def _part(self, register: str) -> tuple[torch.Tensor, Group]:
        """Return the part of the memory that is a register of neurons."""
        if register not in self._parts:
            raise UnsupportedError(f"the kernel of recurrent networks does not keep '{register}'")
        field, group = self._parts[register]
        return self._memory[field][group.span], group

    @property
    def t(self) -> int:
        """Return the passes done."""
        return self._t

    @t.setter
    def t(self, value: int) -> None:
        with alone(self._busy):
            self._t = self._counted = value

    @property
    def counters(self) -> npt.NDArray[np.int64]:
        """Return (slots, 2): spikes and synaptic operations since the start."""
        with alone(self._busy):
            self._count_events()
            found = np.zeros((len(self._executor.program.counters), 2), np.int64)
            for count in self._circuit.counts:
                shape = self._described[count.word].shape
                sent = self._host(self._counts(count.word)).view(np.uint32).astype(np.int64).reshape(shape)
                found[count.slot] += sent.sum(), (sent * by_channel(count.fan_out, shape).astype(np.int64)).sum()
            return found

    def _counts(self, register: str) -> torch.Tensor:
        if register in self._events:
            return self._events[register]
        return self._memory["spikes"][self._groups[register].span]

    def _count_events(self) -> None:
        """Count what Poisson sources sent since this was last done: that follows from time alone."""
        begin, self._counted = self._counted, self._t
        for name, events in self._events.items():
            op = self._circuit.poisson[name]
            for span, row in sources(op, self._described[name].shape) if begin < self._t else ():
                made = entry(op, self._executor.tables(row), 0, 1, 0)
                drive = on_device(np.array([made], DRIVE), self._device)
                span_ = np.uint32(span.start), np.uint32(span.stop), np.int64(begin), np.int64(self._t)
                grid = 8 * self._executor.machine.processors
                self._executor.kernels.launch("count_events", grid, 128, 0, drive, *span_, events)

    def reset(self) -> None:
        """Return to rest."""
        with alone(self._busy):
            self._reset()

    def _reset(self) -> None:
        self._t = self._placed = self._epoch = self._counted = 0
        self._written.clear()
        for name in ("ring", "spikes", "history", *STATE):
            self._memory[name].zero_()
        for events in self._events.values():
            events.zero_()
        self._memory["mail"].fill_(-1)
        for register in self._executor.program.registers:
            if register.initial is not None:
                self._put(register.name, np.broadcast_to(by_channel(register.initial, register.shape), register.shape))

    def read(self, register: str) -> Array:
        """Return a copy of a register."""
        with alone(self._busy):
            self._commit()
            described = self._described[register]
            return self._read(register).reshape(described.shape).astype(described.dtype)

    def _read(self, register: str) -> Array:
        c = self._circuit
        if register in c.pasts:
            return self._under_way.past(c.pasts[register], self._history(), self._t)
        if register in c.poisson:
            return self._under_way.sent(register, self._history(), self._t - 1, self._t)
        if register in c.rings:
            history, currents = self._history(), self._currents()
            currents -= self._under_way.from_past(history, self._t)
            return self._under_way.ring(c.rings[register].target, c.rings[register].slots, currents, self._t)
        return self._host(self._part(register)[0])

    def write(self, register: str, values: Array) -> None:
        """Set a register. Past events and currents under way are put where the pass to come looks for them."""
        with alone(self._busy):
            c = self._circuit
            if register in c.pasts or register in c.rings or register in c.poisson or register in self._groups:
                self._written[register] = np.array(values, np.int64)
            if register in self._parts:
                self._put(register, values)
            elif register not in self._written:
                self._part(register)

    def _put(self, register: str, values: Array) -> None:
        tensor, group = self._part(register)
        tensor.copy_(torch.from_numpy(np.array(values, np.int32).reshape(group.size)))

    def _commit(self) -> None:
        """Put what was written of past events and of currents under way where the kernel has them."""
        if not self._written and self._t == self._placed:
            return
        c, t, under_way, written = self._circuit, self._t, self._under_way, self._written
        history = self._history()
        currents = self._currents() - under_way.from_past(history, self._placed)
        for register, values in written.items():
            if register in c.pasts:
                under_way.put(c.pasts[register], values, history, t)
            elif register in c.rings:
                under_way.put_ring(c.rings[register].target, values, currents, t)
            else:
                under_way.put_sent(register, values, history, t - 1, t)
        currents += under_way.from_past(history, t)
        self._written, self._placed = {}, t
        size = self._size
        whole = np.zeros((size.slots, size.per * size.blocks), np.int32)
        whole[:, : c.neurons] = currents.astype(np.int32)
        ring = whole.reshape(size.slots, size.per, size.blocks).transpose(2, 0, 1)
        self._memory["ring"].copy_(torch.from_numpy(np.array(ring, order="C").ravel()))
        self._memory["history"].copy_(torch.from_numpy(history.view(np.int32)))

    def _history(self) -> npt.NDArray[np.uint64]:
        return self._host(self._memory["history"]).view(np.uint64)

    def _currents(self) -> npt.NDArray[np.int64]:
        """Return the ring of the kernel, (slots, neurons)."""
        size = self._size
        ring = self._host(self._memory["ring"]).reshape(size.blocks, size.slots, size.per)
        return ring.transpose(1, 2, 0).reshape(size.slots, -1)[:, : self._circuit.neurons].astype(np.int64)

    def _host(self, tensor: torch.Tensor) -> Array:
        return tensor.cpu().numpy().copy()

    def step(self, passes: int, rows: Mapping[str, Array] | None = None) -> Sent:
        """Execute some passes. Raises UsageError while another thread does."""
        if rows:
            raise UnsupportedError("the kernel of recurrent networks takes nothing from outside")
        with alone(self._busy), deferred() as interrupted:
            self._commit()
            told: list[list[Array]] = [[] for _ in self._watch]
            captured: list[tuple[list[int], list[Array]]] = [([], []) for _ in self._capture]
            end, error = self._t + passes, None
            while self._t < end and error is None:
                spikes = self._launch(min(end - self._t, LONGEST, *(_until(c, self._t) for c in self._capture)))
                for kept, new in zip(told, spikes, strict=True):
                    kept.append(new)
                for (times, values), c in zip(captured, self._capture, strict=True):
                    if self._t > c.begin and self._t % c.period == 0:
                        times.append(self._t - 1)
                        values.append(self._read(c.register).astype(np.int32))
                error = interrupted()
        watched = tuple(np.concatenate([np.zeros(0, SPIKE), *parts]) for parts in told)
        contents = tuple(
            (np.array(times, np.int64), self._stacked(c, values))
            for c, (times, values) in zip(self._capture, captured, strict=True)
        )
        return Sent(watched, contents, interrupted() or error)

    def _stacked(self, capture: Capture, values: list[Array]) -> Array:
        shape = (len(values), *self._described[capture.register].shape)
        return np.array(values, np.int32).reshape(shape)

    def _launch(self, passes: int) -> list[Array]:
        """Execute so many passes, or fewer where a log is full; return the spikes that are watched."""
        size, begin = self._size, self._t
        self._memory["logged"].zero_()
        numbers = np.int64(begin), np.uint32(self._epoch), np.uint32(passes), np.uint32(self._log_size)
        self._executor.kernels.launch(
            "recurrent", size.blocks, size.threads, size.shared, self._arguments, *numbers, together=True
        )
        done = int(self._memory["done"].item()) if self._watch else passes
        self._t += done
        self._placed = self._t
        self._epoch = (self._epoch + -(-done // size.round)) % 2**24
        return self._spikes(begin) if self._watch else []

    def _spikes(self, begin: int) -> list[Array]:
        """Return what was logged, for each register that is watched, by pass and place."""
        blocks, counts = self._size.blocks, self._memory["logged"]
        log = self._memory["log"].view(blocks, -1)[:, : max(1, int(counts.max()))].to(torch.int64) & 0xFFFFFFFF
        block, k = torch.nonzero(torch.arange(log.shape[1], device=self._device) < counts[:, None], as_tuple=True)
        entries = log[block, k]
        keys, _ = torch.sort(entries >> 16 << 32 | (entries & 0xFFFF) * blocks + block)
        found_ = self._host(keys)
        step, neuron = found_ >> 32, found_ & 0xFFFFFFFF
        found = []
        for group in self._watch:
            own = (neuron >= group.first) & (neuron < group.span.stop)
            spikes = np.zeros(int(own.sum()), SPIKE)
            spikes["step"], spikes["index"], spikes["value"] = begin + step[own], neuron[own] - group.first, 1
            found.append(spikes)
        return found

    def feed(self, register: str, step_ns: int, late: str, graded: int | None) -> Feed:
        """Refuse: there is no input."""
        raise UnsupportedError("the kernel of recurrent networks takes nothing from outside")


def _until(capture: Capture, t: int) -> int:
    """Return how many passes it is until a register is read again."""
    return capture.period - t % capture.period

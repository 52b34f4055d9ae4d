"""A stream: events in, spikes out, step by step, with a state that can be saved and restored."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from spikerun.activity import Activity
from spikerun.errors import DataError, UsageError
from spikerun.inputs import Given, by_name, checked_step
from spikerun.inputs import events as events_of
from spikerun.network import Population
from spikerun.neurons import Input, Readout
from spikerun.plan import Plan, from_kernel, to_kernel

__all__ = ["Reading", "Spike", "Stream"]

MAX_STEP_US = 10**9
MAX_GAP = 10_000_000  # steps that one push may run: a wrong unit of time shows itself here


class Spike(NamedTuple):
    """A spike of an output population: its step, the neuron's index in (C, H, W) order, and its payload."""

    step: int
    population: str
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    value: int


class Reading(NamedTuple):
    """The result of a readout at the end of a window: `logits`, float32 of the population's shape."""

    step: int
    population: str
    logits: npt.NDArray[np.float32]


class Stream:
    """A network at rest, fed step by step. `t` is the number of steps done; `step_us` their duration.

    `push` holds back the step of the newest event, because more events may belong to it; `flush` runs it at the end.
    """

    def __init__(self, plan: Plan, step_us: float, macs: int) -> None:
        self._step_ns = _nanoseconds(step_us)
        self._macs = macs
        self._plan = plan
        self._net = plan.net
        self._work = plan.program.workspace()
        self._pending: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] = (np.zeros(0, np.int64),) * 2

    def __enter__(self) -> "Stream":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the stream as it is: what `push` held back is run, and returned, by `flush` alone."""

    @property
    def activity(self) -> Activity:
        """Return the spikes and synaptic operations since the stream was opened; a sample is a window begun."""
        totals = dict(zip(self._plan.slots, self._work.counters.tolist(), strict=True))
        return Activity.of(self._net, -(-self.t // self._net.window), totals, self._macs)

    @property
    def t(self) -> int:
        """Return the number of steps done."""
        return int(self._work.t)

    def push(self, events: npt.NDArray[Any]) -> list[Spike | Reading]:
        """Take events, run all steps before the newest one's, and return what the outputs sent.

        events: a structured array with fields (step, index), index in (C, H, W) order, or (t, x, y, p), t in
        microseconds, p the channel; in order of time, none before a step that is done.

        Raises DataError where they are not.
        """
        name, population = self._event_input()
        steps, index = self._located(np.asarray(events), population)
        steps, index = np.concatenate([self._pending[0], steps]), np.concatenate([self._pending[1], index])
        if not len(steps):
            return []
        if (steps[1:] < steps[:-1]).any():
            raise DataError("events must be in order of time")
        if steps[0] < self.t:
            raise DataError(f"an event belongs to step {steps[0]}, but {self.t} steps are done already")
        if steps[-1] - self.t > MAX_GAP:
            raise DataError(
                f"the events reach {steps[-1] - self.t} steps ahead: are steps of {self._step_ns} ns right?"
            )
        held = int(np.searchsorted(steps, steps[-1]))
        sent = self._run_events(name, steps[:held], index[:held], int(steps[-1]))
        self._pending = steps[held:], index[held:]
        return sent

    def advance(self, steps: int = 1) -> list[Spike | Reading]:
        """Run until `steps` more steps are done, with the events held back and silence after; return what was sent."""
        if steps < 0:
            raise UsageError(f"steps must be positive, got {steps}")
        end = self.t + steps
        if not len(self._pending[0]):
            return self._run_silent(end)
        name, _ = self._event_input()
        cut = int(np.searchsorted(self._pending[0], end))
        sent = self._run_events(name, self._pending[0][:cut], self._pending[1][:cut], end)
        self._pending = self._pending[0][cut:], self._pending[1][cut:]
        return sent

    def flush(self) -> list[Spike | Reading]:
        """Run the step that was held back; return what the outputs sent."""
        return self.advance(int(self._pending[0][-1]) + 1 - self.t) if len(self._pending[0]) else []

    def push_frame(self, frame: Given) -> list[Spike | Reading]:
        """Present one frame of integers for the next window, run it, and return what the outputs sent.

        A network of few-spikes populations answers some windows later (`Network.latency`).
        """
        if self.t % self._net.window:
            raise UsageError(f"a frame begins with a window of {self._net.window} steps, {self.t} steps are done")
        frames = by_name(self._net, frame)
        given = {name: events_of(self._net, name, values, batch=False) for name, values in frames.items()}
        return [item for t in range(self._net.window) for item in self.step({n: rows[t] for n, rows in given.items()})]

    def step(self, events: Mapping[str, npt.ArrayLike] | None = None) -> list[Spike | Reading]:
        """Run one step with the events of each input population (its shape; absent: silent); return what was sent.

        Events are 0 or 1, or the payloads of a `graded` or `current` input. Raises DataError where they are not, and
        UsageError while `push` holds events back.
        """
        if len(self._pending[0]):
            raise UsageError("events that were pushed are held back: flush() runs them")
        given = {name: np.asarray(values) for name, values in (events or {}).items()}
        unknown = set(given) - set(self._net.inputs)
        if unknown:
            raise DataError(f"there is no input {unknown.pop()!r}; the inputs are {', '.join(self._net.inputs)}")
        rows = {n: to_kernel(checked_step(self._net, n, v), v.shape) for n, v in given.items()}
        for name in self._net.inputs:
            self._work.word(self._plan.words[name])[:] = rows.get(name, 0)
        return self._step()

    def membrane(self, name: str) -> npt.NDArray[Any]:
        """Return the membrane of a population after the last step, int32 of its shape."""
        return self._read(self._plan.accs, f"{name}:v", self._work.acc)

    def spikes(self, name: str) -> npt.NDArray[Any]:
        """Return the events that a population sent in the last step, int16 of its shape."""
        return self._read(self._plan.words, name, self._work.word)

    def snapshot(self) -> dict[str, npt.NDArray[Any]]:
        """Return the whole state as arrays by name: to be saved (numpy.savez), and restored here or elsewhere."""
        saved: dict[str, npt.NDArray[Any]] = {
            "t": np.array(self.t),
            "step_ns": np.array(self._step_ns),
            "pending": np.stack(self._pending),
        }
        for table, view in ((self._plan.words, self._work.word), (self._plan.accs, self._work.acc)):
            saved |= {self._key(table, name): self._read(table, name, view) for name in table}
        return saved

    def restore(self, saved: Mapping[str, npt.NDArray[Any]]) -> None:
        """Continue from a snapshot of the same network. Raises DataError, and changes nothing, if it does not fit."""
        tables = ((self._plan.words, self._work.word), (self._plan.accs, self._work.acc))
        expected = {self._key(table, name): (table, name, view) for table, view in tables for name in table}
        differ = set(saved) ^ {*expected, "t", "step_ns", "pending"}
        if differ:
            raise DataError(f"the snapshot is of another network: {sorted(differ)[:5]} differ")
        for key, (_, name, _) in expected.items():
            array, limits = np.asarray(saved[key]), np.iinfo(np.int32 if key.startswith("acc:") else np.int16)
            shape = self._plan.shapes[name]
            fits = array.dtype.kind in "iu" and array.shape == shape
            if not fits or (array.size and (array.min() < limits.min or array.max() > limits.max)):
                raise DataError(f"'{key}' of the snapshot must hold {limits.dtype} of shape {shape}")
        if not np.array_equal(saved["step_ns"], self._step_ns):
            raise DataError(f"the snapshot has steps of {saved['step_ns']} ns, this stream of {self._step_ns} ns")
        t, pending = self._time_of(np.asarray(saved["t"]), np.asarray(saved["pending"]))
        for key, (table, name, view) in expected.items():
            view(table[name])[:] = to_kernel(np.asarray(saved[key]), self._plan.shapes[name])
        self._work.t = t
        self._pending = pending[0], pending[1]

    def _time_of(self, t: npt.NDArray[Any], pending: npt.NDArray[Any]) -> tuple[int, npt.NDArray[np.int64]]:
        """Return the time and the events held back of a snapshot, checked: in order, not in the past, of the input."""
        fits = t.shape == () and pending.ndim == 2 and len(pending) == 2 and t.dtype.kind in "iu"
        if fits and pending.dtype.kind in "iu" and 0 <= t < 2**62:
            steps, index = pending.astype(np.int64)
            size = self._event_input()[1].size if len(index) else 0
            in_order = bool((steps >= int(t)).all()) and bool((steps[1:] >= steps[:-1]).all())
            ahead = len(steps) > 0 and int(steps[-1]) - int(t) > MAX_GAP
            if in_order and not ahead and bool(((index >= 0) & (index < size)).all()):
                return int(t), np.stack([steps, index])
        raise DataError("'t' or 'pending' of the snapshot is malformed")

    def _key(self, table: Mapping[str, int], name: str) -> str:
        return f"{'acc' if table is self._plan.accs else 'word'}:{name}"

    def _read(self, table: Mapping[str, int], name: str, view: Any) -> npt.NDArray[Any]:
        if name not in table:
            raise UsageError(f"'{name}' is not in the state; known: {', '.join(table)}")
        return from_kernel(np.array(view(table[name])), self._plan.shapes[name])

    def _event_input(self) -> tuple[str, Population]:
        inputs = [(n, self._net.populations[n]) for n in self._net.inputs]
        if len(inputs) == 1:
            neuron = inputs[0][1].neuron
            if isinstance(neuron, Input) and neuron.code == "spikes":
                return inputs[0]
        raise UsageError("events need a network with one input, of code 'spikes': give frames to push_frame instead")

    def _located(
        self, events: npt.NDArray[Any], population: Population
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the step and the neuron of each event."""
        names = set(events.dtype.names or ())
        if events.ndim != 1 or not (names >= {"step", "index"} or names >= {"t", "x", "y", "p"}):
            raise DataError(f"events must be a structured array with (step, index) or (t, x, y, p), got {events.dtype}")
        used = ("step", "index") if "index" in names else ("t", "x", "y", "p")
        if any(events.dtype[key].kind not in "biu" for key in used):
            raise DataError(f"the fields of events must be integers, got {events.dtype}")
        if "index" in names:
            steps, index = events["step"].astype(np.int64), events["index"].astype(np.int64)
            inside = (index >= 0) & (index < population.size)
        else:
            if len(population.shape) != 3:
                raise DataError(f"events with x and y need an input of shape (C, H, W), it is {population.shape}")
            channels, height, width = population.shape
            p, y, x = (events[key].astype(np.int64) for key in ("p", "y", "x"))
            inside = (p >= 0) & (p < channels) & (y >= 0) & (y < height) & (x >= 0) & (x < width)
            steps, index = _microseconds(events["t"]) * 1000 // self._step_ns, (p * height + y) * width + x
        if not inside.all():
            raise DataError(f"event {int(np.argmin(inside))} lies outside the input of shape {population.shape}")
        return steps, index

    def _silence(self) -> None:
        for name in self._net.inputs:
            self._work.word(self._plan.words[name])[:] = 0

    def _run_silent(self, end: int) -> list[Spike | Reading]:
        self._silence()
        sent: list[Spike | Reading] = []
        while self.t < end:
            sent += self._step()
        return sent

    def _run_events(
        self, name: str, steps: npt.NDArray[np.int64], index: npt.NDArray[np.int64], end: int
    ) -> list[Spike | Reading]:
        """Run up to step `end`, with the events at their steps; several events of a neuron in a step are one spike."""
        shape = self._net.populations[name].shape
        place = to_kernel_index(index, shape)
        row = self._work.word(self._plan.words[name])
        sent: list[Spike | Reading] = []
        while self.t < end:
            row[:] = 0
            first, last = np.searchsorted(steps, [self.t, self.t + 1])
            row[place[first:last]] = 1
            sent += self._step()
        row[:] = 0
        return sent

    def _step(self) -> list[Spike | Reading]:
        t = self.t
        self._plan.program.step(self._work, 1)
        sent: list[Spike | Reading] = []
        for name in self._net.outputs:
            population = self._net.populations[name]
            if isinstance(population.neuron, Readout):
                if t % self._net.window == self._net.window - 1 and t >= self._net.turn(name) * self._net.window:
                    sent.append(Reading(t, name, population.real(self.membrane(name))))
            else:
                events = self.spikes(name).ravel()
                sent += [Spike(t, name, int(k), int(events[k])) for k in np.flatnonzero(events)]
        return sent


def to_kernel_index(index: npt.NDArray[np.int64], shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Return the positions in kernel order of neurons given by their index in (C, H, W) order."""
    if len(shape) != 3:
        return index
    c, rest = np.divmod(index, shape[1] * shape[2])
    return rest * shape[0] + c


def _nanoseconds(step_us: float) -> int:
    """Return the duration of a step in whole nanoseconds, so that the step of an event is exact."""
    if not isinstance(step_us, (int, float)) or not 0 < step_us <= MAX_STEP_US:
        raise UsageError(
            f"step_us must be a number of microseconds, above 0 and at most {MAX_STEP_US}, got {step_us!r}"
        )
    step_ns = round(step_us * 1000)
    if step_ns < 1 or abs(step_us * 1000 - step_ns) > 1e-6 * step_ns:
        raise UsageError(f"step_us must be a whole number of nanoseconds, got {step_us} us")
    return step_ns


def _microseconds(t: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    if t.dtype.kind not in "iu" or (t.size and not 0 <= int(t.min()) <= int(t.max()) < 2**53):
        raise DataError(f"times must be integers of microseconds, 0..2^53, got {t.dtype}")
    return t.astype(np.int64)

# SPDX-License-Identifier: Apache-2.0
"""A stream: events in, spikes out, step by step, with a state that can be saved and restored."""

import operator
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from spikerun.activity import Activity
from spikerun.errors import DataError, UsageError, unknown_name
from spikerun.events import located, nanoseconds
from spikerun.inputs import Given, by_name, checked_step
from spikerun.inputs import events as events_of
from spikerun.kernels.executor import Capture, Events, Executor, Sent
from spikerun.network import Network
from spikerun.plan.common import reported
from spikerun.snapshot import VERSION, check_keys, digest, read_state, write_state
from spikerun.text import plural

__all__ = ["Reading", "Spike", "Stream"]

MAX_GAP = 10_000_000  # steps that one push may run: a wrong unit of time shows itself here
MAX_T = 2**60
CHUNK = 2**16  # steps that the device runs in one call

IntArray = npt.NDArray[np.int64]


class Spike(NamedTuple):
    """A spike of an output population: its step, the neuron's index in (C, H, W) order, and its payload."""

    step: int
    population: str
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    value: int


class Reading(NamedTuple):
    """What an output says at the end of a window: `logits`, float32 of the population's shape."""

    step: int
    population: str
    logits: npt.NDArray[np.float32]


class Stream:
    """A network at rest, fed step by step. `t` is the number of steps done; `step_us` their duration.

    `push` holds back the step of the newest event, because more events may belong to it; `flush` runs it at the end.
    Where Ctrl-C interrupts a call, nothing is lost: events and frames of steps not yet done stay held back, and what
    was sent in those done is returned by the next call.
    """

    def __init__(self, net: Network, executor: Executor, step_us: float) -> None:
        self._step_ns = nanoseconds(step_us)
        self._net = net
        self._program = executor.program
        spiking = [name for name in net.outputs if not net.populations[name].neuron.reported]
        readouts = [name for name in net.outputs if name not in spiking]
        window = net.window
        captures = [Capture(reported(net, name), window, net.turn(name) * window) for name in readouts]
        self._work = executor.workspace(spiking, captures)
        self._spiking = [(net.outputs.index(name), name) for name in spiking]
        self._readouts = [(net.outputs.index(name), name) for name in readouts]
        self._held: tuple[IntArray, IntArray] = (np.zeros(0, np.int64),) * 2
        self._frame: tuple[int, dict[str, npt.NDArray[Any]]] = (0, {})  # where it begins, and its rows by input
        self._sent: list[Sent] = []  # not yet returned; what an interrupted call leaves is here
        self._since = 0  # the step from which on activity is counted

    @property
    def activity(self) -> Activity:
        """Return the spikes and synaptic operations since the stream was opened, or restored.

        A sample is a window begun.
        """
        totals = dict(zip(self._program.counters, self._work.counters.tolist(), strict=True))
        windows = -(-self.t // self._net.window) - self._since // self._net.window
        return Activity.of(self._net, windows if self.t > self._since else 0, totals)

    @property
    def t(self) -> int:
        """Return the number of steps done."""
        return self._work.t

    @property
    def net(self) -> Network:
        """Return the network."""
        return self._net

    @property
    def step_ns(self) -> int:
        """Return the duration of a step in nanoseconds."""
        return self._step_ns

    def push(self, events: npt.NDArray[Any]) -> list[Spike | Reading]:
        """Take events, run all steps before the newest one's, and return what the outputs sent.

        events: a structured array with fields (step, index), index in (C, H, W) order, or (t, x, y, p), t in
        microseconds, p the channel (`spikerun.events` knows other names of them); in order of time, none before a step
        that is done. Raises DataError where they are not.
        """
        name = self._event_input()
        steps, index = located(np.asarray(events), self._net.populations[name], self._step_ns)
        held_steps, held_index = self._pending()
        steps, index = np.concatenate([held_steps, steps]), np.concatenate([held_index, index])
        if not len(steps):
            return []
        late = steps[1:] < steps[:-1]
        if late.any():
            k = int(np.argmax(late)) + 1
            raise DataError(
                f"event {k - len(held_steps)} belongs to step {steps[k]}, the one before it to step {steps[k - 1]}: "
                "events must be in order of time, also from one push to the next"
            )
        if steps[0] < self.t:
            raise DataError(f"event 0 belongs to step {steps[0]}, but done already are {plural(self.t, 'step')}")
        if steps[-1] - self.t > MAX_GAP:
            raise DataError(
                f"the events reach {steps[-1] - self.t} steps ahead: are steps of {self._step_ns} ns right?"
            )
        self._held = steps, index
        return self._run(int(steps[-1]))

    def advance(self, steps: int = 1) -> list[Spike | Reading]:
        """Run until `steps` more steps are done, with the events held back and silence after; return what was sent."""
        try:
            number = operator.index(steps)
        except TypeError:
            number = -1
        if not 0 <= number <= MAX_T - self.t:
            raise UsageError(f"steps must be an integer from 0 on, got {steps!r:.80}")
        return self._run(self.t + number)

    def flush(self) -> list[Spike | Reading]:
        """Run the step that was held back; return what the outputs sent."""
        steps, _ = self._pending()
        begin, rows = self._frame
        end = begin + self._net.window if rows else int(steps[-1]) + 1 if len(steps) else self.t
        return self._run(max(end, self.t))

    def push_frame(self, frame: Given) -> list[Spike | Reading]:
        """Present one frame of integers for the next window, run it, and return what the outputs sent.

        A network of few-spikes populations answers some windows later (`Network.latency`).
        """
        self._refuse_pending()
        if self.t % self._net.window:
            raise UsageError(f"a frame begins with a window of {plural(self._net.window, 'step')}, done are {self.t}")
        frames = by_name(self._net, frame)
        rows = {name: events_of(self._net, name, values, batch=False) for name, values in frames.items()}
        self._frame = self.t, rows
        return self._run(self.t + self._net.window)

    def step(self, events: Given | None = None) -> list[Spike | Reading]:
        """Run one step and return what the outputs sent.

        events: what each input sends in this one step, an array of its shape by its name, or for the only input the
        array itself; inputs left out are silent. Values are 0 or 1, or the payloads of a `graded`, `current` or
        `frames` input; words are not encoded, as `push_frame` does. Raises DataError where they are not, and UsageError
        while `push` holds events back.
        """
        self._refuse_pending()
        given = by_name(self._net, {} if events is None else events, all_of_them=False)
        rows = {name: checked_step(self._net, name, values)[None] for name, values in given.items()}
        self._sent.append(self._work.step(1, rows))
        return self._taken()

    def membrane(self, name: str) -> npt.NDArray[Any]:
        """Return the membrane of a population after the last step, int32 of its shape."""
        return self._traced(name, "v")

    def spikes(self, name: str) -> npt.NDArray[Any]:
        """Return the events that a population sent in the last step, int16 of its shape (uint16 if they take that)."""
        if name in self._net.populations and not self._net.populations[name].neuron.fires:
            return np.zeros(self._net.populations[name].shape, np.int16)
        return self._traced(name, "word")

    def snapshot(self) -> dict[str, npt.NDArray[Any]]:
        """Return the whole state as arrays by name, to be saved (numpy.savez) and restored here or on another device.

        `spikerun.snapshot` says what they are.
        """
        self._refuse_frame()
        return {
            "version": np.array(VERSION),
            "network": digest(self._net),
            "t": np.array(self.t),
            "step_ns": np.array(self._step_ns),
            "pending": np.stack(self._pending()),
            **read_state(self._net, self._program, self._work),
        }

    def restore(self, saved: Mapping[str, npt.NDArray[Any]]) -> None:
        """Continue from a snapshot of the same network. Raises DataError, and changes nothing, if it does not fit."""
        if not isinstance(saved, Mapping):
            raise DataError(f"a snapshot is a dict of arrays, as snapshot() returns it, got {saved!r:.80}")
        try:
            saved = {key: np.asarray(values) for key, values in saved.items()}
        except ValueError as error:
            raise DataError(f"a snapshot is a dict of arrays: {error}") from None
        check_keys(self._net, self._program, saved)
        if not np.array_equal(saved["step_ns"], self._step_ns):
            raise DataError(f"the snapshot has steps of {saved['step_ns']} ns, this stream of {self._step_ns} ns")
        t, pending = self._time_of(saved["t"], saved["pending"])
        write_state(self._net, self._program, self._work, saved, t)
        self._held, self._frame, self._sent, self._since = (pending[0], pending[1]), (0, {}), [], t

    def _time_of(self, t: npt.NDArray[Any], pending: npt.NDArray[Any]) -> tuple[int, IntArray]:
        """Return the time and the events held back of a snapshot, checked: in order, not in the past, of the input."""
        if t.shape != () or t.dtype.kind not in "iu" or not 0 <= t < MAX_T:
            raise DataError(f"'t' of the snapshot must be the number of steps done, from 0 on, got {t!s:.80}")
        if pending.ndim == 2 and len(pending) == 2 and pending.dtype.kind in "iu":
            steps, index = pending.astype(np.int64)
            size = self._net.populations[self._event_input()].size if len(index) else 0
            in_order = bool((steps >= int(t)).all()) and bool((steps[1:] >= steps[:-1]).all())
            ahead = len(steps) > 0 and int(steps[-1]) - int(t) > MAX_GAP
            if in_order and not ahead and bool(((index >= 0) & (index < size)).all()):
                return int(t), np.stack([steps, index])
        raise DataError(
            f"'pending' of the snapshot must hold (2, n) integers, the steps of events, in order, from {t} to at most "
            f"{MAX_GAP} later, and their neurons of the one event input; got {pending.dtype} of shape {pending.shape}"
        )

    def _traced(self, name: str, key: str) -> npt.NDArray[Any]:
        known = {label: register for label, found, register in self._program.traces if found == key}
        if name not in self._net.populations:
            raise unknown_name("population", name, self._net.populations)
        if name not in known:
            kind, having = self._net.populations[name].neuron.kind, ", ".join(known) or "none"
            raise UsageError(f"population '{name}' ({kind}) has no membrane; populations that have one: {having}")
        return self._work.read(known[name])

    def _event_input(self) -> str:
        if len(self._net.inputs) == 1:
            word = self._net.sender_of(self._net.inputs[0])
            if word is not None and word.code == "spikes":
                return self._net.inputs[0]
        raise UsageError("events need a network with one input, of code 'spikes': give frames to push_frame instead")

    def _refuse_pending(self) -> None:
        self._refuse_frame()
        if len(self._pending()[0]):
            raise UsageError("events that were pushed are held back: flush() runs them")

    def _refuse_frame(self) -> None:
        begin, rows = self._frame
        if rows and self.t < begin + self._net.window:
            raise UsageError("a frame was interrupted and its rest is held back: flush() runs it")

    def _pending(self) -> tuple[IntArray, IntArray]:
        """Return the steps and neurons of the events that are held back."""
        steps, index = self._held
        if len(steps) and steps[0] < self.t:
            left = int(np.searchsorted(steps, self.t))
            self._held = steps[left:], index[left:]
        return self._held

    def _run(self, end: int) -> list[Spike | Reading]:
        """Run up to step `end`, with what is held back; several events of a neuron in a step are one spike."""
        while self.t < end:
            n = min(end - self.t, CHUNK)
            self._sent.append(self._work.step(n, self._rows(), self._events(n)))
            if self._sent[-1].error is not None:
                break
        return self._taken()

    def _rows(self) -> dict[str, npt.NDArray[Any]]:
        """Return what is left of a frame."""
        begin, rows = self._frame
        if rows and self.t >= begin + self._net.window:
            self._frame = (0, {})
            return {}
        return {name: values[self.t - begin :] for name, values in rows.items()}

    def _events(self, n: int) -> Events | None:
        """Return the events of the next n steps."""
        steps, index = self._pending()
        if not len(steps) or steps[0] >= self.t + n:
            return None
        offsets = np.searchsorted(steps, np.arange(self.t, self.t + n + 1))
        return Events(self._net.inputs[0], offsets, index[: offsets[-1]])

    def _taken(self) -> list[Spike | Reading]:
        """Return what was sent since the last call; raise what interrupted it, and keep what was sent."""
        error = self._sent[-1].error if self._sent else None
        if error is not None:
            self._sent[-1] = replace(self._sent[-1], error=None)
            raise error
        items = [item for sent in self._sent for item in self._items(sent)]
        self._sent = []
        return items

    def _items(self, sent: Sent) -> list[Spike | Reading]:
        """Return what was sent, by step and in the order of the outputs."""
        found: list[tuple[int, int, Spike | Reading]] = []
        for (place, name), (steps, index, values) in zip(self._spiking, sent.watched, strict=True):
            spikes = zip(steps.tolist(), index.tolist(), values.tolist(), strict=True)
            found += [(t, place, Spike(t, name, k, value)) for t, k, value in spikes]
        for (place, name), (steps, contents) in zip(self._readouts, sent.captured, strict=True):
            if len(steps):
                reals = self._net.populations[name].real(contents)
                found += [(t, place, Reading(t, name, real)) for t, real in zip(steps.tolist(), reals, strict=True)]
        if len(self._spiking) + len(self._readouts) > 1:
            found.sort(key=lambda item: item[:2])
        return [item for _, _, item in found]

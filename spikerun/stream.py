# SPDX-License-Identifier: Apache-2.0
"""A stream: events in, spikes out, step by step, with a state that can be saved and restored."""

import operator
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.activity import Activity
from spikerun.errors import DataError, UsageError, unknown_name
from spikerun.events import EVENT, as_array, as_events, nanoseconds
from spikerun.inputs import Given, by_name, checked_step
from spikerun.inputs import events as events_of
from spikerun.kernels.executor import SPIKE, Capture, Executor, Feed, Refused, Sent
from spikerun.network import Network
from spikerun.outputs import Outputs, joined
from spikerun.plan.common import reported
from spikerun.snapshot import VERSION, check_keys, digest, read_state, write_state
from spikerun.stats import Stats
from spikerun.text import plural

__all__ = ["Stream"]

MAX_GAP = 10_000_000  # steps that one push may run: a wrong unit of time shows itself here
MAX_T = 2**60
CHUNK = 2**16  # steps that the device runs in one call
LATE = ("error", "clamp", "drop")
COUNTS = ("clip", "graded")
LARGEST = 2**15 - 1  # value of an event

IntArray = npt.NDArray[np.int64]


class Stream:
    """A network at rest, fed step by step. `t` is the number of steps done; `step_us` their duration.

    `push` holds back the step of the newest event, because more events may belong to it; `flush` runs it at the end.
    Where Ctrl-C interrupts steps, nothing is lost: events and frames of those not yet done stay held back, and what was
    sent in those done is returned by the next call. (As with any function, it may also come as a call returns.)

    late: what becomes of an event whose step is before that of one seen earlier, or done: an `error`, which refuses all
    that came with it; it is `clamp`ed to the newest step; or it is `drop`ped. counts: what several events of a place
    make in one step: one spike (`clip`), or an event of their number (`graded`), which inputs of code `frames` take;
    None: what the input takes. Both are counted (`stats`).
    """

    def __init__(
        self, net: Network, executor: Executor, step_us: float, late: str = "error", counts: str | None = None
    ) -> None:
        if late not in LATE:
            raise unknown_name("policy for late events", str(late), LATE)
        if counts is not None and counts not in COUNTS:
            raise unknown_name("way to count events", str(counts), COUNTS)
        self._step_ns = nanoseconds(step_us)
        self._net, self._late = net, late
        self._program = executor.program
        spiking = [name for name in net.outputs if not net.populations[name].neuron.reported]
        readouts = [name for name in net.outputs if name not in spiking]
        window = net.window
        captures = [Capture(reported(net, name), window, net.turn(name) * window) for name in readouts]
        self._work = executor.workspace(spiking, captures)
        self._spiking, self._readouts = spiking, readouts
        self._feed = self._fed(counts)
        self._camera = self._feed is not None and len(net.populations[net.inputs[0]].shape) == 3
        self._frame: tuple[int, dict[str, npt.NDArray[Any]]] = (0, {})  # where it begins, and its rows by input
        self._sent: list[Sent] = []  # not yet returned; what an interrupted call leaves is here
        self._since = 0  # the step from which on activity is counted
        nothing = tuple(np.zeros(0, SPIKE) for _ in spiking)
        no_contents = tuple(
            (np.zeros(0, np.int64), np.zeros((0, *net.populations[n].shape), np.int32)) for n in readouts
        )
        self._nothing = self._outputs(Sent(nothing, no_contents, None))

    def _fed(self, counts: str | None) -> Feed | None:
        """Return what takes events, for a network of one input that is given events."""
        word = self._net.sender_of(self._net.inputs[0]) if len(self._net.inputs) == 1 else None
        if word is None or not word.stepwise or word.signed:
            return None
        most = min(word.event_range[1], LARGEST)
        if counts == "graded" and most == 1:
            raise UsageError("counts='graded' needs an input of more than one bit; this takes spikes: counts='clip'")
        graded = most if counts == "graded" or (counts is None and most > 1) else None
        return self._work.feed(self._net.inputs[0], self._step_ns, self._late, graded)

    @property
    def stats(self) -> Stats:
        """Return what has come, and how long steps took, since the stream was opened."""
        if self._feed is None:
            return Stats()
        return Stats.of(self._feed.counts, self._feed.durations)

    @property
    def why_no_camera(self) -> str:
        """Return why events of a camera, with x and y, are not taken; an empty text where they are."""
        inputs = self._net.inputs
        if self._camera:
            return ""
        if not inputs:
            return "it has no input"
        word = self._net.sender_of(inputs[0])
        if len(inputs) > 1:
            return f"it has {len(inputs)} inputs, {', '.join(inputs)}, and events are those of one"
        if self._feed is None:
            return f"its input '{inputs[0]}' takes words{f' of code {word.code!r}' if word else ''}"
        return f"its input '{inputs[0]}' has the shape {self._net.populations[inputs[0]].shape}, and not (C, H, W)"

    @property
    def pushed(self) -> int:
        """Return how many events were pushed since the stream was opened: `stats.events`, at less cost."""
        return 0 if self._feed is None else self._feed.counts[0]

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

    def push(self, events: npt.NDArray[Any]) -> Outputs:
        """Take events, run all steps before the newest one's, and return what the outputs sent.

        events: a structured array with fields (step, index), index in (C, H, W) order, or (t, x, y, p), t in
        microseconds, p the channel (`spikerun.as_events` knows other names of them). Those of dtype `spikerun.EVENT`
        are taken as they are. Raises DataError where they are wrong, and takes none then.
        """
        if self._frame[1]:
            self._refuse_frame()
        feed = self._feed
        if feed is None:
            raise self._no_events()
        if self._camera and type(events) is np.ndarray and events.dtype == EVENT and events.ndim == 1:
            plain = events.flags.c_contiguous and events.flags.aligned
            given = events if plain else events.copy()
            found = feed.push(given)
        else:
            given, found = self._converted(feed, as_array(events))
        if found is None and not self._sent:
            return self._nothing
        if isinstance(found, Refused):
            raise DataError(self._told(found, given))
        if found is not None:
            self._sent.append(found)
        return self._taken()

    def _converted(self, feed: Feed, events: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], Sent | Refused | None]:
        """Push events of other dtypes; return them as they were pushed, and what came of it."""
        shape = self._net.populations[self._net.inputs[0]].shape
        if {"step", "index"} <= set(events.dtype.names or ()) and events.ndim == 1:
            columns = [events["step"], events["index"]]
            if any(column.dtype.kind not in "iu" or column.ndim != 1 for column in columns):
                raise DataError(f"the fields of events must be integers, got {events.dtype}")
            steps, index = (np.ascontiguousarray(column, np.int64) for column in columns)
            return events, feed.push_steps(steps, index)
        if not self._camera:
            raise DataError(f"events with x and y need an input of shape (C, H, W), it is {shape}")
        made = as_events(events, shape, ordered=False)
        return made, feed.push(made)

    def _told(self, refused: Refused, events: npt.NDArray[Any]) -> str:
        """Return why events were refused."""
        kind, k, step, before = refused
        if kind == "ahead":
            return (
                f"the events reach {step - before} steps ahead, and one push runs at most {MAX_GAP}: are steps of "
                f"{self._step_ns} ns right? If so push less at once, and advance() where nothing comes for so long"
            )
        if kind == "done":
            return f"event {k} belongs to step {step}, but done already are {plural(self.t, 'step')}"
        if kind == "order":
            return (
                f"event {k} belongs to step {step}, one before it to step {before}: events must be in order of time, "
                "also from one push to the next; with late='clamp' (--late) they are moved, with 'drop' dropped"
            )
        where = ", ".join(f"{name} = {events[name][k]}" for name in events.dtype.names or ())
        if kind == "time":
            limit = "times are integers of microseconds, below 2^53" if "t" in (events.dtype.names or ()) else "no step"
            return f"event {k} ({where}) lies before 0 or too late: {limit}"
        return f"event {k} ({where}) lies outside the input of shape {self._net.populations[self._net.inputs[0]].shape}"

    def advance(self, steps: int = 1) -> Outputs:
        """Run until `steps` more steps are done, with the events held back and silence after; return what was sent."""
        try:
            number = operator.index(steps)
        except TypeError:
            number = -1
        if not 0 <= number <= MAX_T - self.t:
            raise UsageError(f"steps must be an integer from 0 on, got {steps!r:.80}")
        return self._run(self.t + number)

    def advance_to(self, t_us: float) -> Outputs:
        """Run all steps that end at `t_us` or before, with the events held back and silence after.

        For live sources, which say nothing while nothing happens: time has come to t_us, and no event of an earlier
        time will come. Changes nothing where these steps are done.
        """
        known = isinstance(t_us, int | float | np.integer | np.floating) and not isinstance(t_us, bool)
        if not known or not 0 <= t_us < 2**53:
            raise UsageError(f"t_us must be a number of microseconds from 0 on, below 2^53, got {t_us!r:.80}")
        whole = isinstance(t_us, int | np.integer)
        end = (int(t_us) * 1000 if whole else round(float(t_us) * 1000)) // self._step_ns
        if end - self.t > MAX_GAP:
            raise UsageError(f"{t_us} us lie {end - self.t} steps ahead: are steps of {self._step_ns} ns right?")
        return self._run(max(self.t, end))

    def flush(self) -> Outputs:
        """Run the step that was held back; return what the outputs sent."""
        newest = -1 if self._feed is None else self._feed.newest
        return self._run(max(newest + 1, self.t + self._left()))

    def push_frame(self, frame: Given) -> Outputs:
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

    def step(self, events: Given | None = None) -> Outputs:
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
            "pending": self._pending(),
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
        self._frame, self._sent, self._since = (0, {}), [], t
        if self._feed is not None:
            self._feed.hold(*np.ascontiguousarray(pending))

    def _time_of(self, t: npt.NDArray[Any], pending: npt.NDArray[Any]) -> tuple[int, IntArray]:
        """Return the time and the events held back of a snapshot, checked: in order, not in the past, of the input."""
        if t.shape != () or t.dtype.kind not in "iu" or not 0 <= t < MAX_T:
            raise DataError(f"'t' of the snapshot must be the number of steps done, from 0 on, got {t!s:.80}")
        if pending.ndim == 2 and len(pending) == 2 and pending.dtype.kind in "iu":
            steps, index = pending.astype(np.int64)
            size = self._net.populations[self._net.inputs[0]].size if self._feed is not None else 0
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

    def _no_events(self) -> UsageError:
        return UsageError(
            "events need a network with one input, of code 'spikes' or 'frames': give frames to push_frame instead"
        )

    def _refuse_pending(self) -> None:
        self._refuse_frame()
        if self._feed is not None and self._feed.newest >= 0:
            raise UsageError("events that were pushed are held back: flush() runs them")

    def _refuse_frame(self) -> None:
        if self._left():
            raise UsageError("a frame was interrupted and its rest is held back: flush() runs it")

    def _pending(self) -> IntArray:
        """Return the steps and neurons of the events that are held back, (2, n)."""
        return np.zeros((2, 0), np.int64) if self._feed is None else self._feed.held()

    def _run(self, end: int) -> Outputs:
        """Run up to step `end`, with what is held back."""
        while self.t < end:
            left, n = self._left(), min(end - self.t, CHUNK)
            if left:
                begin, rows = self._frame
                rest = {name: values[self.t - begin :] for name, values in rows.items()}
                self._sent.append(self._work.step(min(n, left), rest))
            elif self._feed is None:
                self._sent.append(self._work.step(n))
            else:
                self._sent.append(self._feed.run(end))
            if self._sent[-1].error is not None:
                break
        return self._taken() if self._sent else self._nothing

    def _left(self) -> int:
        """Return how many steps of a frame are left."""
        begin, rows = self._frame
        return max(0, begin + self._net.window - self.t) if rows else 0

    def _taken(self) -> Outputs:
        """Return what was sent since the last call; raise what interrupted it, and keep what was sent."""
        error = self._sent[-1].error if self._sent else None
        if error is not None:
            self._sent[-1] = replace(self._sent[-1], error=None)
            raise error
        outputs = joined([self._outputs(one) for one in self._sent]) if self._sent else self._nothing
        self._sent = []  # not before: there may be no memory for them
        return outputs

    def _outputs(self, sent: Sent) -> Outputs:
        readings = {}
        for name, (steps, contents) in zip(self._readouts, sent.captured, strict=True):
            readings[name] = steps, self._net.populations[name].real(contents)
        return Outputs(self._net.outputs, dict(zip(self._spiking, sent.watched, strict=True)), readings)

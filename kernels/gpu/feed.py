# SPDX-License-Identifier: Apache-2.0
"""Events on their way into a workspace of a GPU: which pass each belongs to, and those held back until it is run."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from spikerun.errors import UsageError
from spikerun.kernels.executor import Refused, Sent

if TYPE_CHECKING:
    from spikerun.kernels.gpu.workspace import GpuWorkspace

__all__ = ["GpuFeed", "alone"]

Int64Array = npt.NDArray[np.int64]
LATEST = 2**53  # microseconds
LATEST_STEP = 2**60
MOST_AHEAD = 10_000_000  # passes: a wrong unit of time shows itself here
POWERS, PARTS = 40, 32  # of the table of durations


@contextmanager
def alone(busy: threading.Lock) -> Iterator[None]:
    """Hold the lock of a workspace. Raises UsageError where another thread does."""
    if not busy.acquire(blocking=False):
        raise UsageError("another thread uses the workspace: give each thread a stream of its own")
    try:
        yield
    finally:
        busy.release()


class GpuFeed:
    """Events on their way into a workspace (`spikerun.kernels.executor.Feed`)."""

    def __init__(
        self, work: "GpuWorkspace", register: str, shape: tuple[int, ...], step_ns: int, late: str, graded: int | None
    ) -> None:
        self._work, self._register, self._shape = work, register, shape
        self._image = shape if len(shape) == 3 else (1, 1, shape[0])
        self._step_ns, self._late, self._graded = step_ns, late, graded
        self._steps, self._index = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self._counts = [0, 0, 0, 0]
        self._durations = np.zeros((POWERS, PARTS), np.int64)

    def push(self, events: npt.NDArray[Any]) -> Sent | Refused | None:
        """Take records of a camera (t, x, y, p), and execute all passes before the newest one's."""
        with alone(self._work._busy):
            channels, height, width = self._image
            t, (x, y, p) = events["t"], (events[n].astype(np.int64) for n in ("x", "y", "p"))
            steps = np.where((t < 0) | (t > LATEST), -1, 1000 * np.clip(t, 0, LATEST) // self._step_ns)
            inside = (x < width) & (y < height) & (p < channels)
            refused = self._take(steps, np.where(inside, (p * height + y) * width + x, -1))
            return refused or self._up_to_newest()

    def push_steps(self, steps: Int64Array, index: Int64Array) -> Sent | Refused | None:
        """Take events by pass and place in C order, likewise."""
        with alone(self._work._busy):
            return self._hold(steps, index) or self._up_to_newest()

    def hold(self, steps: Int64Array, index: Int64Array) -> Refused | None:
        """Hold these back, and nothing else."""
        with alone(self._work._busy):
            self._steps, self._index = self._steps[:0], self._index[:0]
            before = list(self._counts)
            refused = self._hold(steps, index)
            self._counts = before  # they were counted when they came
            return refused

    def run(self, until: int) -> Sent:
        """Execute passes until this is the next one, with what is held back."""
        with alone(self._work._busy):
            return self._run(until)

    def held(self) -> Int64Array:
        """Return what is held back, (2, n)."""
        return np.stack([self._steps, self._index])

    @property
    def newest(self) -> int:
        """Return the pass of the newest event that is held back, or -1."""
        return int(self._steps[-1]) if len(self._steps) else -1

    @property
    def counts(self) -> tuple[int, int, int, int, int]:
        """Return events, those late, dropped and clipped, and passes skipped: none is."""
        events, late, dropped, clipped = self._counts
        return events, late, dropped, clipped, 0

    @property
    def durations(self) -> Int64Array:
        """Return how often a pass took 2^k (1 + j / parts) nanoseconds, (powers, parts)."""
        return self._durations.copy()

    def _hold(self, steps: Int64Array, index: Int64Array) -> Refused | None:
        inside = (index >= 0) & (index < int(np.prod(self._shape)))
        return self._take(np.where(steps > LATEST_STEP, -1, steps), np.where(inside, index, -1))

    def _take(self, steps: Int64Array, index: Int64Array) -> Refused | None:
        """Hold events back; where one is refused, none is taken."""
        now, newest = self._work.t, max(self.newest, self._work.t - 1)
        if len(steps) == 0:
            return None
        before = np.maximum.accumulate(np.concatenate([[newest], steps]))[:-1]  # of an event, the newest one before it
        late = (steps < before) | (steps < now)
        wrong = (steps < 0) | (index < 0) | (late & (self._late == "error"))
        if wrong.any():
            k = int(wrong.argmax())
            if steps[k] < 0 or index[k] < 0:
                return Refused("time" if steps[k] < 0 else "outside", k, 0, 0)
            return Refused("done" if steps[k] < now else "order", k, int(steps[k]), int(before[k]))
        placed = np.where(late, np.maximum(before, now), steps)
        kept = ~late if self._late == "drop" else np.ones(len(late), np.bool_)
        newest = int(placed[kept].max(initial=newest))
        if newest - now > MOST_AHEAD:
            return Refused("ahead", len(steps), newest, now)
        for place, number in enumerate((len(steps), int(late.sum()), int((~kept).sum()))):
            self._counts[place] += number
        self._steps = np.concatenate([self._steps, placed[kept]])
        self._index = np.concatenate([self._index, index[kept]])
        return None

    def _up_to_newest(self) -> Sent | None:
        return self._run(self.newest) if self.newest > self._work.t else None

    def _run(self, until: int) -> Sent:
        begun = time.perf_counter_ns()

        def done() -> None:
            nonlocal begun
            now = time.perf_counter_ns()
            self._took(now - begun)
            begun = now

        return self._work.passes(max(0, until - self._work.t), lambda _: self._rows(), done)

    def _rows(self) -> dict[str, npt.NDArray[np.int64]]:
        """Return the events of the next pass, and hold them back no longer."""
        count = int(np.searchsorted(self._steps, self._work.t, side="right"))
        if not count:
            return {}
        values = np.bincount(self._index[:count], minlength=int(np.prod(self._shape)))
        most = 1 if self._graded is None else self._graded
        self._counts[3] += 0 if self._graded is None else int(np.maximum(values - most, 0).sum())
        self._steps, self._index = self._steps[count:], self._index[count:]
        return {self._register: np.minimum(values, most).reshape(self._shape)}

    def _took(self, nanoseconds: int) -> None:
        power = max(1, nanoseconds).bit_length() - 1
        part = nanoseconds >> power - 5 if power >= 5 else nanoseconds << 5 - power
        self._durations[min(power, POWERS - 1), part & PARTS - 1] += 1

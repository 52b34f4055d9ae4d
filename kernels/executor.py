# SPDX-License-Identifier: Apache-2.0
"""What every device offers: it compiles programs; an executor runs a batch, or opens workspaces that go on by steps.

Arrays are in the order of the registers' shapes, (C, H, W), whatever a device's own layout is.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from spikerun.kernels.program import Program

__all__ = [
    "SPIKE",
    "Apart",
    "Capture",
    "Choice",
    "Cost",
    "Device",
    "Executor",
    "Feed",
    "Footprint",
    "Prepares",
    "Refused",
    "Seen",
    "Sent",
    "Single",
    "Taken",
    "Workspace",
]

Array = npt.NDArray[Any]
Int64Array = npt.NDArray[np.int64]

# From a sample (1, *shape) to the outputs, int32 (1, *shape), and (spikes, synaptic operations), both by their labels,
# and to the place of the first output's largest value; to None where the sample needs a closer look: its shape, type or
# values may not fit, or not lie as they should.
Single = Callable[[Array], tuple[dict[str, Array], dict[str, tuple[int, int]], int] | None]


@dataclass(frozen=True)
class Cost:
    """How long a map takes, in microseconds: `dense`, and `event` by event at so many `active` inputs each.

    Between these numbers, and below the first, time follows a line.
    """

    active: tuple[int, ...]
    event: tuple[float, ...]
    dense: float

    def event_driven(self, active: float) -> float:
        """Return the time by event."""
        if len(self.active) == 1 or active >= self.active[0]:
            return float(np.interp(active, self.active, self.event))
        slope = (self.event[1] - self.event[0]) / (self.active[1] - self.active[0])
        return max(0.0, self.event[0] - slope * (self.active[0] - active))

    def cut(self, n_in: int) -> int:
        """Return up to how many active inputs, 0..n_in, it is better to go event by event: dense is safe from there on.

        >>> Cost((10, 20, 30), (2.0, 3.0, 4.0), 3.5).cut(100)
        25
        >>> Cost((10, 20, 30), (2.0, 3.0, 4.0), 60.0).cut(100)
        100
        """
        known = [(0, self.event_driven(0)), *zip(self.active, self.event, strict=True)]
        place = next((k for k, (_, us) in enumerate(known) if us > self.dense), len(known))
        if place in (0, len(known)):
            return n_in if place else 0
        (low, quick), (high, slow) = known[place - 1], known[place]
        return int(low + (high - low) * (self.dense - quick) / (slow - quick) + 1e-9)


@dataclass(frozen=True)
class Seen:
    """What has passed through a map: `runs`, how many of them by event, and `active` inputs on average.

    Activity is that of the runs where it was looked at; None where there was none.
    """

    runs: int
    event: int
    active: float | None


@dataclass(frozen=True)
class Choice:
    """What an executor chose for one operation of a pass: `place` among them all, and the kernel in words.

    n_in: the inputs of its map, event-driven up to `cut` of them, 0 where it has none; layout: how its weights lie in
    memory, where there was a choice; bytes: what they take. cost: as measured on this machine, None where nothing was;
    seen: since the program was compiled.
    """

    place: int
    kernel: str
    reason: str
    n_in: int = 0
    cut: int = 0
    layout: str = ""
    bytes: int = 0
    cost: Cost | None = None
    seen: Seen | None = None


@dataclass(frozen=True)
class Capture:
    """An int32 register that is read after each pass t >= begin with t % period = period - 1."""

    register: str
    period: int
    begin: int


SPIKE = np.dtype([("step", "<i8"), ("index", "<i4"), ("value", "<i2")], align=True)
"""What is not zero in a watched register: the pass, the place in C order, and the value; 16 bytes."""


@dataclass(frozen=True, eq=False)
class Sent:
    """What was watched during some passes.

    watched: of each register every element that was not 0, an array of SPIKE by pass and index; captured: the passes,
    and the content, int32 (k, *shape); error: what interrupted the passes, or None.
    """

    watched: tuple[Array, ...]
    captured: tuple[tuple[Int64Array, Array], ...]
    error: BaseException | None


class Refused(NamedTuple):
    """Why no event of an array was taken.

    kind: `time` or `outside`: event number `event` has none that can be, or lies outside of the register; `order`:
    it belongs to pass `step`, one before to pass `before`; `done`: pass `step` is done; `ahead`: the events reach pass
    `step`, too far from the next one, `before`.
    """

    kind: str
    event: int
    step: int
    before: int


class Feed(Protocol):
    """Events on their way into a register of a workspace, one at its place and pass, which are held back until run."""

    def push(self, events: Array) -> "Sent | Refused | None":
        """Take records of a camera (t, x, y, p), and execute all passes before the newest one's; None: there are none.

        events: contiguous, of 16 bytes each, t in microseconds.
        """
        ...

    def push_steps(self, steps: Int64Array, index: Int64Array) -> "Sent | Refused | None":
        """Take events by pass and place in C order, likewise."""
        ...

    def run(self, until: int) -> Sent:
        """Execute passes until this is the next one, with what is held back."""
        ...

    def hold(self, steps: Int64Array, index: Int64Array) -> Refused | None:
        """Hold these back, and nothing else."""
        ...

    def held(self) -> Int64Array:
        """Return what is held back, (2, n): passes, and places in C order."""
        ...

    @property
    def newest(self) -> int:
        """Return the pass of the newest event that is held back, or -1."""
        ...

    @property
    def counts(self) -> tuple[int, int, int, int, int]:
        """Return how many events came, were late, dropped, found a full place; and how many passes were skipped."""
        ...

    @property
    def durations(self) -> Int64Array:
        """Return how often a pass took 2^k (1 + j / parts) nanoseconds, (powers, parts)."""
        ...


class Workspace(Protocol):
    """The registers, counters and time of one sample that goes on; one thread at a time may use it."""

    t: int

    @property
    def counters(self) -> Int64Array:
        """Return (slots, 2): spikes and synaptic operations since the start."""
        ...

    def reset(self) -> None:
        """Return to rest: t = 0, initial registers, counters of 0."""
        ...

    def read(self, register: str) -> Array:
        """Return a copy of a register."""
        ...

    def write(self, register: str, values: Array) -> None:
        """Set a register."""
        ...

    def step(self, passes: int, rows: Mapping[str, Array] | None = None) -> Sent:
        """Execute some passes: before pass k row k of each `rows` is put in, zeros if there are no more."""
        ...

    def feed(self, register: str, step_ns: int, late: str, graded: int | None) -> Feed:
        """Return what feeds events to an input, the only one.

        step_ns: the duration of a pass. late: what becomes of events of a pass before the newest one's, `error`,
        `clamp` or `drop`. graded: events of one place and pass add up to so many at most; None: they are one.
        """
        ...


class Executor(Protocol):
    """A compiled program."""

    @property
    def program(self) -> Program:
        """Return what was compiled."""
        ...

    def run(self, inputs: Mapping[str, Array], outputs: Sequence[str]) -> tuple[dict[str, Array], Int64Array]:
        """Run a batch from rest; return what the registers `outputs` hold then, (B, *shape), and the counters' sums.

        inputs: by register (B, *shape), or (B, k, *shape): a row for each of the first k passes.
        """
        ...

    def workspace(self, watch: Sequence[str] = (), capture: Sequence[Capture] = ()) -> Workspace:
        """Return a new sample at rest, whose steps report these registers."""
        ...

    def choices(self) -> list[Choice]:
        """Return which kernels were chosen, why, and what has passed through them; for the maps of a program."""
        ...


@runtime_checkable
class Prepares(Protocol):
    """An executor that looks everything up once, for samples that come one at a time."""

    def prepared(self, low: int, high: int, scale: npt.NDArray[np.float32] | None) -> Single | None:
        """Return what runs a sample of the only input, with values in low..high; None for other programs.

        scale: of the shape of the first output: it is the largest product with it that counts, in float32; None: the
        largest integer. Of equals the first.
        """
        ...


@dataclass(frozen=True)
class Footprint:
    """The memory of a device that runs take, in bytes.

    fixed: weights and the like; sample: what each of the samples that are run at a time takes; free: what can be had,
    None: that is not known. batch: how many samples are to be run at a time; None: as many as fit.
    """

    fixed: int
    sample: int
    free: int | None = None
    batch: int | None = None

    @property
    def most(self) -> int | None:
        """Return how many samples fit at a time; None: that is not known."""
        return None if self.free is None else self.free // max(1, self.sample)

    def __str__(self) -> str:
        said = f"{self.fixed:,} bytes, and {self.sample:,} for each sample that is run at a time"
        if self.batch is not None:
            said += f", {self.batch * self.sample:,} for the {self.batch:,} that were asked for"
        return said if self.free is None else f"{said}; {self.free:,} are free, in which {self.most:,} samples fit"


class Taken(NamedTuple):
    """What an input takes, of whose name messages speak: integers low..high, each sample of such a shape."""

    name: str
    shape: tuple[int, ...]
    low: int
    high: int


@runtime_checkable
class Apart(Protocol):
    """An executor whose device has a memory of its own."""

    def footprint(self) -> Footprint:
        """Return what runs take of it, before they take it."""
        ...

    def holds(self, values: object) -> bool:
        """Return whether an array of another library lies there, so that `run` takes it as it is, without a copy."""
        ...

    def tensor(self, values: Any) -> Any:
        """Return such an array as one that has a shape, a type and slices, without a copy."""
        ...

    def within(self, values: Any, low: int, high: int) -> bool:
        """Return whether all of such an array are integers in low..high."""
        ...

    def as_torch(self, register: str, output: str, taken: Taken, scale: npt.NDArray[np.float32]) -> Any:
        """Return a torch module from a tensor of samples for the input `register` to (B, n): an output times a scale.

        taken: what samples are; scale: float32 of the shape of the output.
        """
        ...


class Device(Protocol):
    """A device, opened with its options."""

    @property
    def threads(self) -> int:
        """Return how many threads of this computer it uses."""
        ...

    def compile(self, program: Program, keep: Collection[str] = ()) -> Executor:
        """Return an executor of the program; `keep` names registers to be read beside the outputs."""
        ...

# SPDX-License-Identifier: Apache-2.0
"""Events as users have them: structured arrays, to one dtype, and to steps and neurons."""

from collections.abc import Iterator, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.errors import DataError, UsageError

__all__ = [
    "EVENT",
    "FIELDS",
    "EventArray",
    "as_array",
    "as_events",
    "converted",
    "first_fault",
    "microseconds",
    "nanoseconds",
    "packed",
    "speed",
]

EVENT = np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")], align=True)
"""An event, 16 bytes: t in microseconds, column x and row y from the top left, p = 1 for more light, 0 for less."""

MAX_STEP_US = 10**9
LATEST = 2**53  # microseconds
PLACES = 2**16  # columns, or rows, that an event can name
WANTED = "events must be a structured array (events,) with the fields t, x, y, p"
ORDER = "events must be in order of time"
MICROSECONDS = "times are integers of microseconds"
FIELDS: Mapping[str, tuple[str, ...]] = {
    "t": ("t", "timestamp", "ts", "time"),
    "x": ("x",),
    "y": ("y",),
    "p": ("p", "polarity", "on", "pol"),
}
IntArray = npt.NDArray[np.int64]
EventArray = npt.NDArray[np.void]  # of EVENT


def as_events(events: npt.NDArray[Any], shape: tuple[int, ...] | None = None, ordered: bool = True) -> EventArray:
    """Return events as an array of EVENT, checked: the same array where it is one already, else a copy.

    events: a structured array (events,) in order of time, its fields in any order: t (or timestamp, ts, time), integers
            of microseconds, x, y, and p (or polarity, on, pol), the channel, or -1 and 1, which become 0 and 1
    shape:  (C, H, W) that the events must lie in; None: two polarities, and whatever x and y a sensor can have
    ordered: whether they must be in order of time
    Raises DataError, which names the first event that is wrong.
    """
    columns = _columns(events)
    found = first_fault(columns, shape, ordered=ordered)
    if found is not None:
        k, why = found
        where = ", ".join(f"{field} = {column[k]}" for field, column in columns.items())
        raise DataError(f"event {k} ({where}) {why}")
    if isinstance(events, np.ndarray) and events.dtype == EVENT and events.flags.c_contiguous and events.flags.aligned:
        return events
    return packed(columns)


def as_array(events: Any) -> npt.NDArray[Any]:
    """Return what a user gives as an array. Raises DataError for what is none, or has a mask."""
    try:
        array: npt.NDArray[Any] = np.asanyarray(events)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise DataError(f"{WANTED}: {error}") from None
    if isinstance(array, np.ma.MaskedArray):
        raise DataError("events have a mask, which nothing looks at: give an array without those that are masked")
    return array


def converted(events: Any) -> EventArray:
    """Return events as an array of EVENT. One that is that already is not looked at, and nobody's order is."""
    if type(events) is np.ndarray and events.ndim == 1 and events.dtype == EVENT:
        return events
    return as_events(events, ordered=False)


def packed(columns: Mapping[str, npt.NDArray[Any]]) -> EventArray:
    """Return an array of EVENT of columns t, x, y, p, integers (events,) in which `first_fault` finds none."""
    made = np.zeros(len(columns["t"]), EVENT)
    for field in EVENT.names or ():
        column = columns[field]
        made[field] = column > 0 if field == "p" and _signed(column) else column
    return made


def first_fault(
    columns: Mapping[str, npt.NDArray[Any]],
    shape: tuple[int, ...] | None = None,
    since: int = 0,
    ordered: bool = True,
) -> tuple[int, str] | None:
    """Return the index of the first event that is wrong, and what is, if any is.

    columns: t, x, y, p, integers (events,)
    since:   the time of the event before them
    """
    if not len(columns["t"]):
        return None
    found = [*_faults_of_time(columns["t"], since, ordered), *_faults_of_place(columns, shape)]
    return min(found, default=None)


def _faults_of_time(t: npt.NDArray[Any], since: int, ordered: bool) -> Iterator[tuple[int, str]]:
    if ordered and t[0] < since:
        yield 0, f"lies before the last one, of {since} us: {ORDER}"
    if t.dtype.kind == "i" and t.min() < 0:
        yield int(np.argmax(t < 0)), f"lies before 0 us: {MICROSECONDS}"
    if ordered and len(t) > 1 and (back := t[1:] < t[:-1]).any():
        k = int(np.argmax(back))
        yield k + 1, f"lies before the last one, of {t[k]} us: {ORDER}"
    if t.max() >= LATEST:
        yield int(np.argmax(t >= LATEST)), f"lies at 2^53 us or later: {MICROSECONDS}"


def _faults_of_place(
    columns: Mapping[str, npt.NDArray[Any]], shape: tuple[int, ...] | None
) -> Iterator[tuple[int, str]]:
    p = columns["p"]
    ends = (2, PLACES, PLACES) if shape is None else _checked(shape)
    lies = "lies outside of any sensor" if shape is None else f"lies outside of the frame {tuple(shape)}"
    signed = ends[0] == 2 and _signed(p)
    for field, end in zip(("p", "y", "x"), ends, strict=True):
        column, least = columns[field], -1 if signed and field == "p" else 0
        if int(column.max()) >= end or (column.dtype.kind == "i" and int(column.min()) < least):
            hint = ": polarities are channels, 0 or 1" if field == "p" else ""
            yield int(np.argmax((column >= end) | (column < least))), f"{lies}{hint}"
    if signed and (p == 0).any():
        yield int(np.argmax(p == 0)), "has polarity 0 where others have -1: polarities are 0 and 1, or -1 and 1"


def _columns(events: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
    """Return t, x, y and p of a structured array, under these names, as they are stored."""
    array = as_array(events)
    if array.ndim != 1 or array.dtype.names is None:
        raise DataError(f"{WANTED}, got {f'{array.dtype} {array.shape}' if array is events else repr(events)[:80]}")
    names = {field: _first(array, known) for field, known in FIELDS.items()}
    missing = [" or ".join(FIELDS[field]) for field, name in names.items() if name is None]
    if missing:
        raise DataError(f"events lack the field {', and '.join(missing)}; they have {', '.join(array.dtype.names)}")
    columns = {field: array[name] for field, name in names.items()}
    for field, column in columns.items():
        if column.ndim != 1 or column.dtype.kind not in ("iu" if field == "t" else "biu"):
            hint = f": {MICROSECONDS}, such as np.rint(seconds * 1e6).astype(np.int64)" if field == "t" else ""
            raise DataError(f"the field {names[field]} of events must hold integers, got {column.dtype}{hint}")
    return columns


def _signed(p: npt.NDArray[Any]) -> bool:
    """Return whether polarities are -1 and 1."""
    return p.dtype.kind == "i" and bool((p == -1).any())


def _checked(shape: tuple[int, ...]) -> tuple[int, int, int]:
    if (
        not isinstance(shape, Sequence)
        or len(shape) != 3
        or not all(isinstance(one, int | np.integer) and one > 0 for one in shape)
    ):
        raise UsageError(f"events lie in a shape (C, H, W) of positive integers, got {shape!r:.80}")
    channels, height, width = (int(one) for one in shape)
    return min(channels, 256), min(height, PLACES), min(width, PLACES)


def nanoseconds(step_us: float) -> int:
    """Return the duration of a step in whole nanoseconds, so that the step of an event is exact."""
    microseconds("step_us", step_us)
    step_ns = round(step_us * 1000)
    if step_ns < 1 or abs(step_us * 1000 - step_ns) > 1e-9 * step_ns:
        raise UsageError(f"step_us must be a whole number of nanoseconds, got {step_us} us")
    return step_ns


def microseconds(name: str, given: float) -> float:
    """Return a duration that is more than none. Raises UsageError, with its name, for what is no such number."""
    if isinstance(given, bool) or not isinstance(given, Real) or not 0 < given <= MAX_STEP_US:
        raise UsageError(
            f"{name} must be a number of microseconds, above 0 and at most {MAX_STEP_US}, got {given!r:.80}"
        )
    return float(given)


def speed(pace: float, name: str = "pace") -> float:
    """Return how many times as fast as recorded events come. Raises UsageError, with its name, for what is none."""
    if isinstance(pace, bool) or not isinstance(pace, Real) or not 1e-6 <= pace <= 1e6:
        raise UsageError(f"{name} is how many times as fast as it was recorded, from 1e-6 to 1e6, got {pace!r:.80}")
    return float(pace)


def _first(events: npt.NDArray[Any], known: tuple[str, ...]) -> str | None:
    return next((name for name in known if name in (events.dtype.names or ())), None)

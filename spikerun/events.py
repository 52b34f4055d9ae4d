# SPDX-License-Identifier: Apache-2.0
"""Events as users have them: structured arrays, to steps and neurons."""

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.errors import DataError, UsageError
from spikerun.population import Population

__all__ = ["located", "nanoseconds"]

MAX_STEP_US = 10**9
FIELDS: Mapping[str, tuple[str, ...]] = {
    "t": ("t", "timestamp", "ts", "time"),
    "x": ("x",),
    "y": ("y",),
    "p": ("p", "polarity", "on", "pol"),
}
IntArray = npt.NDArray[np.int64]


def located(events: npt.NDArray[Any], population: Population, step_ns: int) -> tuple[IntArray, IntArray]:
    """Return the step and the neuron, in (C, H, W) order, of each event.

    events: a structured array with the fields (step, index), or t (or timestamp, ts, time) in microseconds, x, y, and p
    (or polarity, on, pol), the channel. Raises DataError where they are not, or lie outside the population.
    """
    names = {field: _first(events, known) for field, known in FIELDS.items()}
    used = ("step", "index") if {"step", "index"} <= set(events.dtype.names or ()) else tuple(names.values())
    if events.ndim != 1 or None in used:
        raise DataError(f"events must be a structured array with (step, index) or (t, x, y, p), got {events.dtype}")
    columns = [events[name] for name in used]
    if any(column.dtype.kind not in "biu" or column.ndim != 1 for column in columns):
        raise DataError(f"the fields of events must be integers, got {events.dtype}")
    if len(columns) == 2:
        steps, index = (column.astype(np.int64) for column in columns)
        inside = (index >= 0) & (index < population.size)
    else:
        if len(population.shape) != 3:
            raise DataError(f"events with x and y need an input of shape (C, H, W), it is {population.shape}")
        channels, height, width = population.shape
        x, y, p = (column.astype(np.int64) for column in columns[1:])
        inside = (p >= 0) & (p < channels) & (y >= 0) & (y < height) & (x >= 0) & (x < width)
        steps, index = _microseconds(columns[0]) * 1000 // step_ns, (p * height + y) * width + x
    if not inside.all():
        k = int(np.argmin(inside))
        where = ", ".join(f"{name} = {column[k]}" for name, column in zip(used, columns, strict=True))
        hint = "; polarities are channels, 0 or 1" if len(columns) == 4 and columns[3][k] == -1 else ""
        raise DataError(f"event {k} ({where}) lies outside the input of shape {population.shape}{hint}")
    return steps, index


def nanoseconds(step_us: float) -> int:
    """Return the duration of a step in whole nanoseconds, so that the step of an event is exact."""
    if isinstance(step_us, bool) or not isinstance(step_us, Real) or not 0 < step_us <= MAX_STEP_US:
        raise UsageError(
            f"step_us must be a number of microseconds, above 0 and at most {MAX_STEP_US}, got {step_us!r:.80}"
        )
    step_ns = round(step_us * 1000)
    if step_ns < 1 or abs(step_us * 1000 - step_ns) > 1e-6 * step_ns:
        raise UsageError(f"step_us must be a whole number of nanoseconds, got {step_us} us")
    return step_ns


def _first(events: npt.NDArray[Any], known: tuple[str, ...]) -> str | None:
    return next((name for name in known if name in (events.dtype.names or ())), None)


def _microseconds(t: npt.NDArray[Any]) -> IntArray:
    if t.dtype.kind not in "iu":
        raise DataError(f"times must be integers of microseconds, got {t.dtype}")
    if t.size and not 0 <= int(t.min()) <= int(t.max()) < 2**53:
        raise DataError(f"times must be in 0..2^53 microseconds, got {t.min()}..{t.max()}")
    return t.astype(np.int64)

# SPDX-License-Identifier: Apache-2.0
"""How often a stream is right while time passes: each ground truth beside the latest output that is there by then.

That is the latency-aware accuracy of STARE (Nature Communications 2026, s41467-026-70240-6), after the streaming
accuracy of Li et al. (arXiv:2005.10420): what is right, but ready too late, is wrong. Beside it is the accuracy as
though computing took no time, in which nothing but what the outputs have seen counts.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.errors import DataError

__all__ = ["NO_CLASS", "StreamingAccuracy", "streaming_accuracy"]

NO_CLASS = -1  # of an output that says none

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class StreamingAccuracy:
    """Shares of ground truths, 0 to 1; standard errors, of which there are none for a single group.

    online, offline: those whose label the latest output has, that is ready by their time; that had seen no later events
    latency_mean_us, latency_p50_us, latency_p99_us: microseconds from what outputs have seen until they are ready
    unanswered: ground truths before the first output is ready, which are wrong
    """

    truths: int
    online: float
    online_error: float | None
    offline: float
    offline_error: float | None
    latency_mean_us: float
    latency_p50_us: float
    latency_p99_us: float
    unanswered: int


def streaming_accuracy(
    times: npt.ArrayLike,
    labels: npt.ArrayLike,
    seen: npt.ArrayLike,
    ready: npt.ArrayLike,
    classes: npt.ArrayLike,
    groups: npt.ArrayLike | None = None,
) -> StreamingAccuracy:
    """Return how often the latest output is right.

    times:   (truths,) of the ground truths, microseconds, in any order
    labels:  (truths,) their classes, integers from 0 on
    seen:    (outputs,) the time up to which each output has seen the events, microseconds, in order
    ready:   (outputs,) when each is there, not before `seen`, in order
    classes: (outputs,) what each says; NO_CLASS is never right
    groups:  (truths,) integers, such as the number of a recording: ground truths of one group may depend on each other,
             and the standard errors are those of independent groups; None: each is its own

    A ground truth at the very time at which an output is ready is compared with it; one before all outputs is wrong.
    Raises DataError for arrays that do not fit one another, or are out of order.
    """
    t, truth = _numbers(times, "times", "iuf"), _numbers(labels, "labels", "iu")
    until, there, said = (
        _numbers(seen, "seen", "iuf"),
        _numbers(ready, "ready", "iuf"),
        _numbers(classes, "classes", "iu"),
    )
    group = np.arange(len(t)) if groups is None else _numbers(groups, "groups", "iu")
    if not (len(t) == len(truth) == len(group) > 0 and len(until) == len(there) == len(said) > 0):
        raise DataError(
            f"there are {len(t)} times, {len(truth)} labels and {len(group)} groups of ground truths, and of outputs "
            f"{len(until)} times seen, {len(there)} times ready and {len(said)} classes: as many of each, at least one"
        )
    for name, values in (("seen", until), ("ready", there)):
        if (back := values[1:] < values[:-1]).any():
            k = int(np.argmax(back)) + 1
            raise DataError(f"'{name}' goes back from {values[k - 1]} to {values[k]} at output {k}: it must ascend")
    if (early := there < until).any():
        k = int(np.argmax(early))
        raise DataError(f"output {k} is ready at {there[k]} us, before the events that it has seen, of {until[k]} us")
    online, offline = (_right(t, truth, by, said) for by in (there, until))
    latency = (there - until).astype(np.float64)
    return StreamingAccuracy(
        truths=len(t),
        online=float(online.mean()),
        online_error=_standard_error(online, group),
        offline=float(offline.mean()),
        offline_error=_standard_error(offline, group),
        latency_mean_us=float(latency.mean()),
        latency_p50_us=float(np.percentile(latency, 50)),
        latency_p99_us=float(np.percentile(latency, 99)),
        unanswered=int((t < there[0]).sum()),
    )


def _numbers(values: npt.ArrayLike, name: str, kinds: str) -> npt.NDArray[Any]:
    found = np.asarray(values)
    if found.ndim != 1 or found.dtype.kind not in kinds or (found.dtype.kind == "f" and not np.isfinite(found).all()):
        wanted = "integers" if kinds == "iu" else "finite numbers"
        raise DataError(f"'{name}' must be {wanted} (n,), got {found.dtype} {found.shape}")
    return found.astype(np.int64) if found.dtype.kind == "u" else found


def _right(
    t: npt.NDArray[Any], truth: npt.NDArray[Any], by: npt.NDArray[Any], said: npt.NDArray[Any]
) -> npt.NDArray[np.bool_]:
    """Return which labels the latest output has of those whose time `by` has come."""
    latest = np.searchsorted(by, t, side="right") - 1
    right: npt.NDArray[np.bool_] = (latest >= 0) & (said[latest] == truth) & (truth != NO_CLASS)
    return right


def _standard_error(right: npt.NDArray[np.bool_], group: npt.NDArray[Any]) -> float | None:
    """Return the standard error of the mean, where groups are independent and what is in them is not."""
    _, member = np.unique(group, return_inverse=True)
    off = np.bincount(member, right - right.mean())
    if len(off) < 2:
        return None
    return float(np.sqrt(np.square(off).sum() * len(off) / (len(off) - 1)) / len(right))

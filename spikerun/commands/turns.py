# SPDX-License-Identifier: Apache-2.0
"""Contestants timed in turns, in one process: a machine that others use, too, slows all of them alike."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["SETTLE", "Runner", "latencies", "ratio", "summary", "throughputs"]

Runner = Callable[[int, int], object]  # runs the samples first..end
Times = npt.NDArray[np.float64]

TURN = 10  # samples of a turn: one at a time would time how each cools the other's caches
THROUGHPUT_ROUNDS = 3
SETTLE = 0.003  # seconds in which threads that spin, for more work of the last contestant, fall asleep


def latencies(
    runners: Mapping[str, Runner],
    count: int,
    repeat: int,
    threads: int,
    advance: Callable[[int], None],
    warm_up: int = TURN,
) -> dict[str, list[Times]]:
    """Return the seconds that each runner takes for single samples, an array for each of its turns.

    warm_up: samples that each runs before, which do not count.
    """
    turns = [range(first, min(first + TURN, repeat)) for first in range(0, repeat, TURN)]
    times: dict[str, list[Times]] = {name: [] for name in runners}
    for turn in (range(-warm_up, 0), *turns):
        for name, run in runners.items():
            _settle(threads)
            times[name].append(np.array([_timed(run, k % count) for k in turn]))
        advance(len(turn) if turn.start >= 0 else 0)
    return {name: taken[1:] for name, taken in times.items()}


def ratio(turns: list[Times], baseline: list[Times]) -> float:
    """Return how many times as long as the baseline's a runner's samples take: the median of the turns' ratios."""
    return float(np.median([np.median(a) / np.median(b) for a, b in zip(turns, baseline, strict=True)]))


def throughputs(
    runners: Mapping[str, Runner], batch: int, threads: int, advance: Callable[[int], None]
) -> dict[str, float]:
    """Return samples a second in batches: the median of some rounds."""
    seconds: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(THROUGHPUT_ROUNDS):
        for name, run in runners.items():
            _settle(threads)
            begin = time.perf_counter()
            run(0, batch)
            seconds[name].append(time.perf_counter() - begin)
        advance(1)
    return {name: batch / float(np.median(values)) for name, values in seconds.items()}


def _timed(run: Runner, k: int) -> float:
    begin = time.perf_counter()
    run(k, k + 1)
    return time.perf_counter() - begin


def _settle(threads: int) -> None:
    if threads > 1:
        time.sleep(SETTLE)


def summary(turns: list[Times]) -> dict[str, Any]:
    """Return the percentiles of all samples in milliseconds."""
    p20, p50, p80 = (1000 * float(p) for p in np.percentile(np.concatenate(turns), (20, 50, 80)))
    return {"p20_ms": p20, "p50_ms": p50, "p80_ms": p80}

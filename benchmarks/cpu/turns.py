# SPDX-License-Identifier: Apache-2.0
"""Contestants that take turns in one process: what else a machine does, and how it clocks, hits all of them alike."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from spikerun.commands.turns import SETTLE

__all__ = ["INPUTS", "Array", "Call", "in_turns", "over"]

INPUTS = 8  # of a turn, each its own: no weights are warmer than a layer makes them
LEAST = 3  # rounds
LONG = 250_000_000  # nanoseconds of a turn by the clock, after which it ends

Array = np.ndarray[Any, Any]
Call = Callable[[int], Any]  # runs one input


def in_turns(
    calls: Sequence[Call],
    rounds: int,
    inputs: int = INPUTS,
    wall: bool = False,
    seconds: float = float("inf"),
    warm: bool = False,
) -> Array:
    """Return the time of each call in microseconds, (rounds, calls): the median of a turn's inputs.

    It is the CPU time of this thread; wall: that of the clock, for calls of several threads, the lower quartile of a
    turn. A turn begins with a call that is not timed: it finds what the others left in the caches; warm: with all
    inputs once, which bring back large weights too. After so many seconds there are no more rounds, but three at least.
    """
    for call in calls:
        call(0)
    began, found = time.monotonic(), []
    while len(found) < min(rounds, LEAST) or (len(found) < rounds and time.monotonic() < began + seconds):
        found.append([_turn(call, inputs, wall, warm) for call in calls])
    return np.array(found)


def over(times: Array, which: int, baseline: int) -> float:
    """Return how many times as long as the baseline's a call takes: the median of the ratios of a round."""
    return float(np.median(times[:, which] / times[:, baseline]))


def _turn(call: Call, inputs: int, wall: bool, warm: bool) -> float:
    for k in range(inputs if warm else 0):
        call(k)
    return _clocked(call, inputs) if wall else _worked(call, inputs)


def _worked(call: Call, inputs: int) -> float:
    taken = []
    call(inputs - 1)
    for k in range(inputs):
        begin = time.thread_time_ns()
        call(k)
        taken.append(time.thread_time_ns() - begin)
    return float(np.median(taken)) / 1000


def _clocked(call: Call, inputs: int) -> float:
    time.sleep(SETTLE)
    taken = []
    if inputs > 1:
        call(inputs - 1)
    for k in range(inputs):
        begin = time.perf_counter_ns()
        call(k)
        taken.append(time.perf_counter_ns() - begin)
        if sum(taken) > LONG:
            break
    return float(np.quantile(taken, 0.25)) / 1000

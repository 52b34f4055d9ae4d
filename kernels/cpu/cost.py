# SPDX-License-Identifier: Apache-2.0
"""How long maps take here, event-driven and dense, and in which layout of weights: a cost model of each, measured.

All maps of a program take turns, with inputs of one activity after the other, as layers do in a run: so weights are as
warm as they are there, ratios hold when the machine as a whole is slower or faster, and a burst of noise spoils some
rounds of all instead of all of some. Time is that of this thread, which stands still while others have the processor.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.kernels.cpu.maps import Candidate
from spikerun.kernels.cpu.native import Linear
from spikerun.kernels.executor import Cost

__all__ = ["BUDGET", "calibrate", "costs", "fastest"]

BUDGET = 0.5  # seconds of timing for all maps of a program
LONG = 1.0  # seconds, more of which are worth a word
FEWEST, MOST = 3, 15  # rounds
INPUTS = 2**19  # elements of all inputs of one activity, at most eight, that take turns, so that none is known by heart
HEAVY = 0.05  # seconds that all maps take once, dense
WEIGHT = 10  # a round takes so many times as long as the dense kernels, about
LINE = 64  # bytes of a cache line
LEAST = 20e-6  # seconds of calls that are timed together, at most so many
CALLS = 16
QUICKEST = 1e-8  # seconds that a map takes at least
GAIN = 0.9  # of the time of the first layout: what another must save to be chosen
FEW, MANY = (0.0, 0.03, 0.2, 0.4), (0.7, 1.0)  # the activities that are timed; many only where events may still pay
WORSE = 1.3  # times dense, from where on it does not
NEAR = 0.02  # of all inputs: the cut is measured that closely

log = logging.getLogger("spikerun")
Words = npt.NDArray[np.int16]
Apply = Callable[[Words, npt.NDArray[np.int32]], None]


@dataclass(eq=False)
class _Timed:
    """A map in one layout while it is timed: `ratios`, of the time by event to the dense one, by active inputs."""

    linear: Linear
    inputs: "_Inputs"
    dense: float = np.inf  # seconds, as soon as it was timed
    ratios: dict[int, float] = field(default_factory=dict)

    @property
    def cost(self) -> Cost:
        active = sorted(self.ratios)
        times = (1e6 * self.ratios[count] * self.dense for count in active)
        return Cost(tuple(active), tuple(times), 1e6 * self.dense)


def aligned(n: int, dtype: type[np.integer[Any]]) -> npt.NDArray[Any]:
    """Return n zeros that begin a cache line, as registers do; kernels take longer where they do not."""
    size = np.dtype(dtype).itemsize
    memory = np.zeros(n + LINE // size, dtype)
    begin = -memory.ctypes.data % LINE // size
    return memory[begin : begin + n]


class _Inputs:
    """Random inputs of a map: the same neurons are active, and more of them, at each higher activity."""

    def __init__(self, n: int, largest: int) -> None:
        rng = np.random.default_rng(0)
        size = (min(max(INPUTS // n, 1), 8), n)
        # few words of a trained network are large, but some are
        drawn = np.minimum(1 + rng.exponential(largest / 10, size), min(largest, np.iinfo(np.int16).max))
        self.words = drawn.astype(np.int16)
        self.rank = rng.permuted(np.broadcast_to(np.arange(n, dtype=np.int32), size), axis=1)

    def of(self, active: int) -> list[Words]:
        """Return inputs of which so many are not zero."""
        return list(np.where(self.rank < active, self.words, np.int16(0)))


def calibrate(candidates: Sequence[Candidate], budget: float = BUDGET) -> list[tuple[int, Cost]]:
    """Return which layout of each map is the fastest, and its cost.

    The first layout stays unless another saves a tenth over all activities.
    """
    begin = time.perf_counter()
    found = []
    for of_map in costs(candidates, budget):
        which = fastest(of_map)
        found.append((which, of_map[which]))
    taken = time.perf_counter() - begin
    layers = f"{len(candidates)} layer{'s' * (len(candidates) != 1)}"
    said = "timing %s took %.2f s; what they cost is kept for other sessions, unless SPIKERUN_COST_CACHE says 'off'"
    log.log(logging.INFO if taken < LONG else logging.WARNING, said, layers, taken)
    return found


def costs(candidates: Sequence[Candidate], budget: float = BUDGET) -> list[list[Cost]]:
    """Return what each map costs, in each of its layouts."""
    maps = []
    for one in candidates:
        inputs = _Inputs(one.layouts[0].n_in, one.largest)
        maps.append([_Timed(linear, inputs) for linear in one.layouts])
    every = [timed for of_map in maps for timed in of_map]
    _measure(dict.fromkeys(every, ()), 1)  # to see how long it takes, and to have been there
    total = sum(timed.dense for timed in every)
    rounds = int(np.clip(budget / (WEIGHT * total + 1e-9), FEWEST, MOST))
    if total > HEAVY:  # one round is all that there is time for
        _measure({timed: _counts(timed.linear.n_in, FEW) for timed in every}, 1)
        return [[timed.cost for timed in of_map] for of_map in maps]
    _measure({timed: _counts(timed.linear.n_in, FEW) for timed in every}, rounds)
    _measure({t: _counts(t.linear.n_in, MANY) for t in every if max(t.ratios.values()) < WORSE}, rounds)
    cuts = {timed: timed.cost.cut(timed.linear.n_in) for timed in every}
    _measure({timed: (cut,) for timed, cut in cuts.items() if not _is_near(timed, cut)}, rounds)
    return [[timed.cost for timed in of_map] for of_map in maps]


def fastest(found: Sequence[Cost]) -> int:
    """Return which layout takes the least time, over the activities at which the first was timed.

    >>> first = Cost((10, 50), (1.0, 3.0), 3.0)
    >>> fastest([first, Cost((10, 50), (0.9, 2.7), 2.9), Cost((10, 50), (0.5, 1.5), 9.0)])
    2
    >>> fastest([first, Cost((10, 50), (0.95, 2.9), 2.9)])
    0
    """
    totals = [sum(min(one.event_driven(active), one.dense) for active in found[0].active) for one in found]
    best = int(np.argmin(totals))
    return best if totals[best] < GAIN * totals[0] else 0


def _counts(n_in: int, activities: Sequence[float]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(max(1, round(n_in * activity)) for activity in activities))


def _is_near(timed: _Timed, cut: int) -> bool:
    """Return whether a cut is as good as measured, or none."""
    n = timed.linear.n_in
    return cut in (0, n) or min(abs(active - cut) for active in timed.ratios) <= NEAR * n


def _measure(counts: Mapping[_Timed, tuple[int, ...]], rounds: int) -> None:
    """Time maps, dense and with so many active inputs each: one activity after the other, and all maps with each."""
    runs: list[tuple[_Timed, int, list[Words]]] = []
    for place in range(-1, max(map(len, counts.values()), default=-1)):
        for timed, of_map in counts.items():
            if place < len(of_map):
                count = 0 if place < 0 else of_map[place]  # 0: dense
                runs.append((timed, count, timed.inputs.of(count or timed.linear.n_in)))
    taken = _in_turn(runs, rounds)
    dense = {timed: seconds for (timed, count, _), seconds in zip(runs, taken, strict=True) if not count}
    for (timed, count, _), seconds in zip(runs, taken, strict=True):
        if count:
            timed.ratios[count] = seconds / dense[timed]
        timed.dense = min(timed.dense, dense[timed])


def _in_turn(runs: Sequence[tuple[_Timed, int, list[Words]]], rounds: int) -> list[float]:
    """Return the seconds that each run takes in a quiet round: inputs have just been written, as in a run."""
    words = aligned(max((timed.linear.n_in for timed, _, _ in runs), default=0), np.int16)
    sums = aligned(max((timed.linear.n_out for timed, _, _ in runs), default=0), np.int32)
    times: list[list[float]] = [[] for _ in runs]
    for round_ in range(rounds):
        for (timed, count, inputs), taken in zip(runs, times, strict=True):
            apply: Apply = timed.linear.apply_event if count else timed.linear.apply_dense
            repeats = int(np.clip(LEAST / timed.dense, 1, CALLS))
            calls = [inputs[(round_ + k) % len(inputs)] for k in range(repeats)]
            x, acc = words[: timed.linear.n_in], sums[: timed.linear.n_out]
            acc.fill(0)
            if repeats == 1:
                np.copyto(x, calls[0])
                calls = [x]
            begin = time.thread_time_ns()
            for x in calls:
                apply(x, acc)
            taken.append((time.thread_time_ns() - begin) / repeats / 1e9)
    call = _call()
    return [max(sorted(taken)[len(taken) // 4] - call, QUICKEST) for taken in times]


@cache
def _call() -> float:
    """Return the seconds of a call that has nothing to do."""
    nothing = Linear.diagonal(np.ones(1, np.int32), 1, np.zeros(1, np.int32))
    x, acc, taken = np.zeros(1, np.int16), np.zeros(1, np.int32), []
    for _ in range(MOST):
        begin = time.thread_time_ns()
        for _ in range(CALLS):
            nothing.apply_event(x, acc)
        taken.append((time.thread_time_ns() - begin) / CALLS)
    return min(taken) / 1e9

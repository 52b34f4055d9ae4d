# SPDX-License-Identifier: Apache-2.0
"""When event-driven pays, and which layout of weights: a cost model for each projection, measured on this machine.

`t_event = a + b * active inputs`, `t_dense` constant. The kernels are timed in turn, so that their ratio holds when the
machine as a whole is slower or faster; and by the clock of this thread, which stands still while others have the
processor.
"""

import time
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from spikerun.kernels.cpu.native import Linear

__all__ = ["calibrate"]

BUDGET = 0.003  # seconds of timing for each projection
ROUNDS = 7
FEWEST = 3  # rounds that choose between layouts
GAIN = 0.9  # of the time of the first layout: what another must save to be chosen
COLD = 0.03  # seconds
DENSITIES = (0.05, 0.25, 0.6)

Apply = Callable[[npt.NDArray[np.int16], npt.NDArray[np.int32]], None]


def calibrate(layouts: Sequence[Linear], largest: int) -> tuple[int, int]:
    """Return which layout of a map is the fastest, and its `cut`, 0..n_in: event-driven up to so many active inputs.

    The first layout stays unless another saves a tenth over all densities. largest: the magnitude of the values that
    the inputs can have; large ones take a slower way through the kernels.
    """
    rng = np.random.default_rng(0)
    n_in = layouts[0].n_in
    inputs = [_active(rng, n_in, density, min(largest, 255)) for density in DENSITIES]
    active = [int(np.count_nonzero(x)) for x in inputs]
    runs: list[tuple[Apply, npt.NDArray[np.int16]]] = []
    for linear in layouts:
        runs += [*((linear.apply_event, x) for x in inputs), (linear.apply_dense, inputs[-1])]
    times = np.reshape(_fastest(runs, layouts[0].n_out, len(layouts)), (len(layouts), -1))
    which = fastest(times.tolist())
    *event, dense = times[which].tolist()
    return which, cut(active, event, dense, n_in)


def fastest(times: Sequence[Sequence[float]]) -> int:
    """Return which layout takes the least time; each has those of events at every density, and of dense.

    >>> fastest([[1.0, 2.0, 3.0, 3.0], [0.9, 1.8, 2.7, 2.9], [0.5, 1.0, 1.5, 9.0]])
    2
    >>> fastest([[1.0, 2.0, 3.0, 3.0], [0.95, 1.9, 2.9, 2.9]])
    0
    """
    totals = [sum(min(event, dense) for event in of_events) for *of_events, dense in times]
    best = int(np.argmin(totals))
    return best if totals[best] < GAIN * totals[0] else 0


def cut(active: list[int], event: list[float], dense: float, n_in: int) -> int:
    """Return where the line through the times `event`, at so many `active` inputs, meets the time `dense`.

    >>> cut([10, 20, 30], [2.0, 3.0, 4.0], 6.0, 100)
    50
    >>> cut([10, 20, 30], [2.0, 3.0, 4.0], 60.0, 100)
    100
    """
    if min(active) == max(active):  # one input, or a few: no line to draw
        return n_in if event[0] <= dense else 0
    slope, offset = np.polyfit(active, event, 1)
    if slope <= 0:
        return n_in if max(event) <= dense else 0
    return int(np.clip((dense - offset) / slope + 1e-9, 0, n_in))


def _active(rng: np.random.Generator, n: int, density: float, largest: int) -> npt.NDArray[np.int16]:
    x = np.zeros(n, np.int16)
    count = max(1, round(n * density))
    x[rng.permutation(n)[:count]] = rng.integers(1, largest + 1, count)
    return x


def _fastest(runs: list[tuple[Apply, npt.NDArray[np.int16]]], n_out: int, layouts: int) -> list[float]:
    """Return the shortest time of each run, in seconds; they take turns."""
    acc = np.zeros(n_out, np.int32)
    times: list[list[float]] = [[] for _ in runs]
    end = time.thread_time() + layouts * BUDGET
    least = FEWEST if layouts > 1 else 1
    for round_ in range(ROUNDS):
        # the first round meets cold caches: it counts alone only where it takes far longer than they could matter
        if round_ >= least and time.thread_time() > end + (COLD if round_ == 1 else 0):
            break
        for (apply, x), taken in zip(runs, times, strict=True):
            begin = time.thread_time_ns()
            apply(x, acc)
            taken.append((time.thread_time_ns() - begin) / 1e9)
    return [min(taken) for taken in times]

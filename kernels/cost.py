"""When event-driven pays: a cost model for each projection, measured on this machine.

`t_event = a + b * active inputs`, `t_dense` constant. Both kernels are timed in turn, so that their ratio holds when the
machine as a whole is slower or faster.
"""

import time

import numpy as np
import numpy.typing as npt

from .cpu.native import Linear

__all__ = ["calibrate"]

BUDGET = 0.003  # seconds of timing for each kernel object
ROUNDS = 5
DENSITIES = (0.05, 0.5)


def calibrate(linear: Linear) -> int:
    """Return `cut`, 0..n_in: the number of active inputs up to which the event-driven kernel is the faster one."""
    rng = np.random.default_rng(0)
    acc = np.zeros(linear.n_out, np.int32)
    inputs = [_active(rng, linear.n_in, density) for density in DENSITIES]
    times: list[list[float]] = [[], [], []]
    end = time.perf_counter() + BUDGET
    for round_ in range(ROUNDS):
        if round_ and time.perf_counter() > end:
            break
        times[0].append(_timed(linear.apply_event, inputs[0], acc))
        times[1].append(_timed(linear.apply_event, inputs[1], acc))
        times[2].append(_timed(linear.apply_dense, inputs[1], acc))
    few, many, dense = (min(t) for t in times)
    active = [np.count_nonzero(x) for x in inputs]
    if active[1] == active[0]:
        return linear.n_in
    slope = max((many - few) / (active[1] - active[0]), 1e-12)
    return int(np.clip(active[0] + (dense - few) / slope, 0, linear.n_in))


def _active(rng: np.random.Generator, n: int, density: float) -> npt.NDArray[np.int16]:
    x = np.zeros(n, np.int16)
    x[rng.permutation(n)[: max(1, round(n * density))]] = 1
    return x


def _timed(apply: object, x: npt.NDArray[np.int16], acc: npt.NDArray[np.int32]) -> float:
    begin = time.perf_counter()
    apply(x, acc)  # type: ignore[operator]
    return time.perf_counter() - begin

# SPDX-License-Identifier: Apache-2.0
"""Times on a machine that others use too: what is compared takes turns, and the median counts."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def medians(calls: Sequence[Callable[[Any], Any]], samples: Sequence[Any], rounds: int) -> list[float]:
    """Return the median time of each call in microseconds; in a round each takes its turn with all samples."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, taken in zip(calls, times, strict=True):
            for sample in samples:
                begin = time.perf_counter()
                call(sample)
                taken.append(time.perf_counter() - begin)
    return [1e6 * float(np.median(taken)) for taken in times]

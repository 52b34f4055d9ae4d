# SPDX-License-Identifier: Apache-2.0
"""What a stream has taken so far, and how long its steps took."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Stats"]


@dataclass(frozen=True)
class Stats:
    """Counts since a stream was opened.

    events: pushed, late and dropped ones included; late: of a step before that of an earlier one, or done; dropped: of
    these, those that were; clipped: beyond the largest number that the input can take of one place and step; steps:
    those computed, as opposed to those skipped, in which nothing could happen.
    """

    events: int = 0
    late: int = 0
    dropped: int = 0
    clipped: int = 0
    steps: int = 0
    skipped: int = 0
    durations: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((1, 1), np.int64), repr=False)

    @classmethod
    def of(cls, counts: tuple[int, int, int, int, int], durations: npt.NDArray[np.int64]) -> "Stats":
        """Return what a feed has counted (`spikerun.kernels.executor.Feed`)."""
        events, late, dropped, clipped, skipped = counts
        return cls(events, late, dropped, clipped, int(durations.sum()), skipped, durations)

    def step_us(self, percent: float) -> float:
        """Return the microseconds that so many percent of the computed steps took at most, to 3 %; 0 if none was."""
        parts = self.durations.shape[1]
        passed = np.cumsum(self.durations.ravel())
        if not passed[-1]:
            return 0.0
        place = int(np.searchsorted(passed, max(1, np.ceil(passed[-1] * percent / 100))))
        power, part = divmod(place, parts)
        return float(2.0**power * (1 + (part + 1) / parts) / 1000)

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        counts = {name: getattr(self, name) for name in ("events", "late", "dropped", "clipped", "steps", "skipped")}
        times = {f"step_us_p{percent}": self.step_us(percent) for percent in (50, 99)}
        return {**counts, **times, "step_us_max": self.step_us(100)}

# SPDX-License-Identifier: Apache-2.0
"""How durations are spread, in memory that does not grow with their number."""

import math

__all__ = ["Spread"]

FINE = 32  # parts of each power of two: a percentile is at most 1/32 above the truth
POWERS = 60  # of nanoseconds: 18 years


class Spread:
    """Counts durations in nanoseconds; `count` of them, the `largest` and the `last`."""

    def __init__(self) -> None:
        self._counts = [0] * (POWERS * FINE)
        self.count, self.largest, self.last = 0, 0.0, 0.0

    def add(self, ns: float) -> None:
        """Count a duration; one below 1 is 1."""
        fraction, power = math.frexp(max(ns, 1))  # ns = fraction * 2^power, 1/2 <= fraction < 1
        place = (power - 1) * FINE + int((2 * fraction - 1) * FINE)
        self._counts[min(place, len(self._counts) - 1)] += 1
        self.count += 1
        self.last = ns
        self.largest = max(self.largest, ns)

    def percentile(self, percent: float) -> float | None:
        """Return what so many percent of the durations do not exceed, at most 1/32 too much; None if there are none."""
        left = self.count * percent / 100
        for place, count in enumerate(self._counts):
            left -= count
            if count and left <= 0:
                return min(self.largest, 2.0 ** (place // FINE) * (1 + (place % FINE + 1) / FINE))
        return None

# SPDX-License-Identifier: Apache-2.0
"""Spikes and readings that can be compared."""

import numpy as np

from spikerun import Reading, Spike


def reading(*logits: float, step: int = 4) -> Reading:
    return Reading(step, "out", np.array(logits, np.float32))


def test_readings_are_equal_where_all_logits_are() -> None:
    assert [reading(1, 2), Spike(1, "a", 2, 1)] == [reading(1, 2), Spike(1, "a", 2, 1)]
    for other in (reading(1, 3), reading(1, 2, 3), reading(1, 2, step=5), Spike(4, "out", 1, 1), "read"):
        assert (reading(1, 2) == other, reading(1, 2) != other) == (False, True)


def test_a_reading_is_found_among_others() -> None:
    assert [reading(0, 0), reading(1, 2)].index(reading(1, 2)) == 1

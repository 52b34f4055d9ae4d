# SPDX-License-Identifier: Apache-2.0
"""Outputs as lines: their times are exact, however long a stream runs."""

import io

import pytest

from spikerun import Spike
from spikerun.sinks import CsvSink


@pytest.mark.parametrize(
    ("step", "step_ns", "t_us"),
    [
        (0, 1000, "0"),
        (10**12 + 1, 1000, "1000000000001"),
        (2**53 + 1, 1000, "9007199254740993"),
        (3, 1500, "4.5"),
        (10**12 + 1, 333, "333000000000.333"),
        (10, 1, "0.01"),
        (100, 10, "1"),
    ],
)
def test_times_are_exact_to_the_nanosecond(step: int, step_ns: int, t_us: str) -> None:
    file = io.StringIO()
    CsvSink(file, step_ns).write([Spike(step, "out", 5, 1)])
    assert file.getvalue().splitlines()[1] == f"{step},{t_us},out,spike,5,1"

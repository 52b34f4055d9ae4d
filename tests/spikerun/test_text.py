# SPDX-License-Identifier: Apache-2.0
"""Durations as a user types them."""

import pytest

from spikerun.errors import UsageError
from spikerun.text import seconds


@pytest.mark.parametrize(("text", "expected"), [("1ms", 1e-3), ("250 us", 250e-6), ("5ns", 5e-9), ("2s", 2), ("3", 3)])
def test_a_duration_has_a_unit_or_is_of_seconds(text: str, expected: float) -> None:
    assert seconds(text, "--bin") == pytest.approx(expected)


@pytest.mark.parametrize("text", ["0", "0ms"])
def test_no_time_is_a_duration_where_that_is_said(text: str) -> None:
    assert seconds(text, "--grace", none=True) == 0
    with pytest.raises(UsageError, match="--bin must be more than no time"):
        seconds(text, "--bin")


@pytest.mark.parametrize("text", ["-1ms", "nan", "inf", "soon", ""])
def test_what_is_no_duration_is_refused_by_the_name_of_its_option(text: str) -> None:
    with pytest.raises(UsageError, match=r"--grace (must be|is a time)"):
        seconds(text, "--grace", none=True)

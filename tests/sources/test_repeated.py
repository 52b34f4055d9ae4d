# SPDX-License-Identifier: Apache-2.0
"""A recording that begins again when it has ended."""

from itertools import islice
from typing import Any

import numpy as np
import pytest

from spikerun import EVENT, sources
from spikerun.errors import UsageError


def events(*times: int) -> Any:
    found = np.zeros(len(times), EVENT)
    found["t"], found["x"] = times, np.arange(len(times))
    return found


def test_time_goes_on_from_one_pass_to_the_next() -> None:
    chunks = [events(5_000, 5_001), events(), events(7_000)]
    found = [chunk["t"].tolist() for chunk in islice(sources.repeated(chunks, pause_us=10), 6)]
    assert found == [[5000, 5001], [7000], [7010, 7011], [9010], [9020, 9021], [11020]]
    assert chunks[0]["t"].tolist() == [5000, 5001]  # as they were


def test_what_is_no_time_stays_as_it_is() -> None:
    one, again = islice(sources.repeated([events(1, 2, 3)]), 2)
    assert again["x"].tolist() == one["x"].tolist() == [0, 1, 2]


def test_a_source_without_events_ends() -> None:
    assert list(sources.repeated([events()])) == []


def test_a_repeated_file_has_its_shape() -> None:
    class File:
        shape = (2, 3, 4)

        def __iter__(self) -> Any:
            return iter([events(1)])

    assert sources.repeated(File()).shape == (2, 3, 4)


@pytest.mark.parametrize("pause", [-1, 0.5, True, None])
def test_a_pause_is_a_number_of_microseconds(pause: Any) -> None:
    with pytest.raises(UsageError, match="a pause lasts"):
        sources.repeated([], pause)

# SPDX-License-Identifier: Apache-2.0
"""Prophesee RAW files of EVT 3.0, read by faery.

Sensors send times that step back by some microseconds now and then; faery gives the events that follow the time before
the step, until it is reached again.
"""

import functools
from pathlib import Path

from spikerun.sources.evt_header import header
from spikerun.sources.format import Opened
from spikerun.sources.records import whole_records
from spikerun.sources.through_faery import chunks, decoder

__all__ = ["opened"]

WORD = 2  # bytes
LARGEST = (2048, 2048)  # columns and rows that 11 bits have


def opened(path: Path) -> Opened:
    """Return what the header says. Raises DataError where it is no header of EVT 3.0."""
    shape, at = header(path, "3.0")
    whole_records(path, at, WORD)
    made = functools.partial(
        decoder, path, "EVT 3.0", file_type="evt", version_fallback="evt3", dimensions_fallback=LARGEST
    )
    made()
    return Opened(shape, functools.partial(chunks, path, made))

# SPDX-License-Identifier: Apache-2.0
"""What Prophesee's RAW files of all versions share: the header, and a clock that goes round.

The header is lines of a key and a value behind %, the last of them `% end` in newer files.
"""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikerun.errors import DataError
from spikerun.sources.format import Shape
from spikerun.sources.records import header_lines

__all__ = ["header", "unrolled"]

SIZES = (r"geometry\s+(?P<width>\d+)x(?P<height>\d+)", r"format\s.*\bheight=(?P<height>\d+).*\bwidth=(?P<width>\d+)",
         r"format\s.*\bwidth=(?P<width>\d+).*\bheight=(?P<height>\d+)")  # fmt: skip
VERSION = re.compile(r"(?:evt\s+|format\s+EVT)(\d+(?:\.\d+)?|21)", re.IGNORECASE)


def header(path: Path, version: str) -> tuple[Shape | None, int]:
    """Return what a header says of the sensor, and where the events begin.

    Raises DataError where it says another version of EVT than this, or a size that no sensor has.
    """
    lines, at = header_lines(path)
    for line in lines:
        said = VERSION.match(line)
        if said and (said[1] + ".0")[:3] != version:
            raise DataError(f"'{path}': the header says EVT {said[1]}, and is read as EVT {version}")
    found = {(int(m["height"]), int(m["width"])) for line in lines for size in SIZES if (m := re.match(size, line))}
    if len(found) > 1 or any(not 0 < one <= 2048 for size in found for one in size):
        sizes = " and ".join(f"{width}x{height}" for height, width in sorted(found))
        raise DataError(f"'{path}': the header says a sensor of {sizes}, and events have 11 bits of x and of y")
    return next(((2, *size) for size in found), None), at


def unrolled(said: NDArray[np.integer], last: int, turn: int) -> NDArray[np.int64]:
    """Return the high bits of t without the turns of the clock: the last before, and those that words say after it.

    A turn adds `turn`, and is seen as a step back by half of it or more. last: -1 where none were said yet.
    """
    highs = np.append(last, said.astype(np.int64))
    highs[1:] += max(last, 0) // turn * turn
    for k in (np.flatnonzero(highs[1:] < highs[:-1]) + 1).tolist():
        if highs[k - 1] - highs[k] >= turn // 2:
            highs[k:] += turn
    return highs

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

LARGEST = 2048
VERSION = re.compile(r"(?:evt\s+|format\s+EVT)(\d+(?:\.\d+)?|21)", re.IGNORECASE)


def header(path: Path, version: str) -> tuple[Shape | None, int]:
    """Return what a header says of the sensor, and where the events begin.

    Raises DataError where it says another version of EVT than this, or a size that no sensor has.
    """
    lines, at = header_lines(path)
    for line in lines:
        said = VERSION.match(line)
        if said and (said[1] + ".0")[:3] != version:
            raise DataError(f"'{path}': the header says EVT {said[1]:.20}, and is read as EVT {version}")
    found = {size for line in lines if (size := _size(line))}
    if len(found) > 1 or not all(_is_size(one) for size in found for one in size):
        sizes = " and ".join(f"{width:.20}x{height:.20}" for height, width in sorted(found)[:2])
        raise DataError(f"'{path}': the header says a sensor of {sizes}, and events have 11 bits of x and of y")
    return next(((2, int(height), int(width)) for height, width in found), None), at


def _is_size(text: str) -> bool:
    return re.fullmatch(r"[1-9]\d{0,3}", text) is not None and int(text) <= LARGEST


def _size(line: str) -> tuple[str, str] | None:
    """Return the height and the width that a line says, as they are written."""
    key, _, said = line.replace("\t", " ").partition(" ")
    if key == "geometry":
        width, _, height = (said.split() or [""])[0].partition("x")
        return height, width
    if key == "format":
        fields = dict(word.strip().partition("=")[::2] for word in said.split(";"))
        return (fields["height"], fields["width"]) if fields.keys() >= {"height", "width"} else None
    return None


def unrolled(said: NDArray[np.integer], last: int, turn: int) -> NDArray[np.int64]:
    """Return the high bits of t without the turns of the clock: the last before, and those that words say after it.

    A turn adds `turn`, and is seen as a step back by half of it or more. last: -1 where none were said yet.
    """
    highs = np.append(last, said.astype(np.int64))
    highs[1:] += max(last, 0) // turn * turn
    highs[1:] += np.cumsum(highs[:-1] - highs[1:] >= turn // 2) * turn
    return highs

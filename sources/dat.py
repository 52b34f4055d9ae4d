# SPDX-License-Identifier: Apache-2.0
"""ATIS and Prophesee DAT: lines that begin with %, a byte of the type and one of the size, records of 8 bytes.

A record is t, 32 bits of microseconds, and 32 bits of x, y and p: from the lowest on 14, 14 and 1 bits; in files of
version 0 or 1 these are 9, 8 and 1. Origin top left. Where t steps back by more than half of its range, the clock went
round. After the files of N-CARS, and Prophesee's description of its DAT format.
"""

import functools
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikerun.errors import DataError, UnsupportedError
from spikerun.events import EVENT
from spikerun.sources.format import Chunks, Opened, Shape
from spikerun.sources.records import head, header_lines, records, whole_records

__all__ = ["opened"]

RECORD = np.dtype([("t", "<u4"), ("place", "<u4")])
CHANGES = (0x00, 0x0C)  # types of events that have x, y and p
LAYOUTS = {"old": (9, 8), "2": (14, 14)}  # bits of x and of y
ROUND = 2**32


def opened(path: Path) -> Opened:
    """Return what the header says. Raises DataError, or UnsupportedError for other events than changes."""
    lines, at = header_lines(path)
    words = dict(re.split(r"[\s:]+", f"{line} ", maxsplit=1) for line in lines if line)
    version = words.get("Version", "0").strip()
    if version.split(".")[0] not in ("0", "1", "2"):
        raise DataError(f"'{path}': the header says version '{version:.20}' of DAT, and 0, 1 and 2 are known")
    if lines:
        kind = head(path, at + 2)[at:]
        if len(kind) < 2:
            raise DataError(f"'{path}': byte {at}: the file ends behind its header, before the type of its events")
        if kind[0] not in CHANGES or kind[1] != RECORD.itemsize:
            raise UnsupportedError(
                f"'{path}': byte {at}: events of type {kind[0]} with {kind[1]} bytes; those of types 0 and 12 with 8 "
                "bytes are read (changes, CD)"
            )
        at += 2
    whole_records(path, at, RECORD.itemsize)
    layout = LAYOUTS["2" if version.startswith("2") else "old"]
    return Opened(_shape(path, words), functools.partial(_chunks, path, at, layout))


def _shape(path: Path, words: dict[str, str]) -> Shape | None:
    if "Height" not in words or "Width" not in words:
        return None
    found = [words[name].strip() for name in ("Height", "Width")]
    if not all(re.fullmatch(r"[1-9]\d{0,4}", one) for one in found):
        raise DataError(f"'{path}': the header says height {found[0]!r:.20} and width {found[1]!r:.20}")
    return 2, int(found[0]), int(found[1])


def _chunks(path: Path, begin: int, layout: tuple[int, int], chunk: int) -> Chunks:
    wide, high = layout
    rounds, last = 0, 0
    for raw, at in records(path, begin, RECORD, chunk):
        found = np.zeros(len(raw), EVENT)
        place = raw["place"]
        t, rounds = _unrolled(raw["t"], rounds, last)
        found["t"] = t
        found["x"] = place & (1 << wide) - 1
        found["y"] = place >> wide & (1 << high) - 1
        found["p"] = place >> (wide + high) & 1
        last = int(raw["t"][-1])
        yield found, functools.partial(_where, at)


def _where(at: int, k: int) -> str:
    return f"byte {at + k * RECORD.itemsize}"


def _unrolled(t: NDArray[np.uint32], rounds: int, last: int) -> tuple[NDArray[np.int64], int]:
    """Return times without the steps back by which the clock goes round, and how often it did."""
    found = t.astype(np.int64)
    turns = rounds + np.cumsum(np.append(last, found[:-1]) - found > ROUND // 2)
    return found + turns * ROUND, int(turns[-1])

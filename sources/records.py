# SPDX-License-Identifier: Apache-2.0
"""Files of records that all have the same size, and the lines of text before them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikerun.errors import DataError

__all__ = ["LONGEST_HEADER", "head", "header_lines", "records", "whole_records"]

LONGEST_HEADER = 1 << 16  # bytes


def head(path: Path, size: int) -> bytes:
    """Return the first bytes of a file. Raises DataError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {os.strerror(error.errno or 0)}") from error


def header_lines(path: Path) -> tuple[list[str], int]:
    """Return the lines of a header that begin with %, without it, and where what comes behind them begins.

    Raises DataError for a header of more than LONGEST_HEADER bytes.
    """
    begin = head(path, LONGEST_HEADER + 1)
    lines: list[str] = []
    at = 0
    while begin[at : at + 1] == b"%" and lines[-1:] != ["end"]:
        end = begin.find(b"\n", at)
        if end < 0 or end >= LONGEST_HEADER:
            within = f"within {LONGEST_HEADER} bytes" if len(begin) > LONGEST_HEADER else "before the end of the file"
            raise DataError(f"'{path}': the header does not end {within}, its line of byte {at} goes on: no event file")
        lines.append(begin[at + 1 : end].decode("utf-8", "replace").strip())
        at = end + 1
    return lines, at


def whole_records(path: Path, begin: int, size: int) -> int:
    """Return how many records of `size` bytes lie from `begin` on. Raises DataError where the last is cut off."""
    count, rest = divmod(os.path.getsize(path) - begin, size)
    if rest:
        raise DataError(
            f"'{path}': byte {begin + count * size}: {rest} of the {size} bytes of an event: the file is cut off; "
            f"without these bytes it can be read"
        )
    return count


def records(path: Path, begin: int, dtype: np.dtype[Any], chunk: int) -> Iterator[tuple[NDArray[Any], int]]:
    """Yield arrays of at most `chunk` records, and at which byte each begins."""
    left = whole_records(path, begin, dtype.itemsize)
    with path.open("rb") as file:
        file.seek(begin)
        while left:
            found = np.fromfile(file, dtype, min(chunk, left))
            if not len(found):
                raise DataError(f"'{path}': byte {begin}: the file became shorter while it was read")
            yield found, begin
            left, begin = left - len(found), begin + len(found) * dtype.itemsize

# SPDX-License-Identifier: Apache-2.0
"""The IDX format of the MNIST family, read with every size checked first.

Layout: 0x00 0x00 type rank | size[0] ... size[rank-1] as big-endian uint32 | values in C order.
The type of unsigned bytes, the only one read here, is 0x08.
"""

import gzip
import math
import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from spikerun.errors import DataError

__all__ = ["open_plain_or_gzip", "read_idx"]

UINT8 = 0x08
LARGEST_RATIO = 1032  # deflate cannot do better: a gzip file holds at most this many times its own size


def open_plain_or_gzip(path: Path) -> BinaryIO:
    """Open a file for reading, through gzip when its name ends in .gz."""
    if path.suffix == ".gz":
        return cast(BinaryIO, gzip.open(path, "rb"))
    return path.open("rb")


def read_idx(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the array of an IDX file of bytes, plain or gzip; any other shape than `shape` is refused."""
    try:
        with open_plain_or_gzip(path) as file:
            return _read(file, path, shape)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"'{path}' is a damaged gzip file: {error}") from error


def _read(file: BinaryIO, path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    header = 4 + 4 * len(shape)
    start = file.read(header)
    expected = struct.pack(f">BBBB{len(shape)}I", 0, 0, UINT8, len(shape), *shape)
    if start != expected:
        raise DataError(
            f"'{path}' is not the expected IDX file: it begins with {start.hex() or 'nothing'}, "
            f"expected {expected.hex()} (unsigned bytes of the shape {shape})"
        )
    count = math.prod(shape)
    _check_length(path, header + count)
    values, filled = bytearray(count), 0
    while filled < count:
        chunk = file.read(min(1 << 20, count - filled))
        if not chunk:
            raise DataError(f"'{path}' ends after {header + filled} of {header + count} bytes")
        values[filled : filled + len(chunk)] = chunk
        filled += len(chunk)
    if file.read(1):
        raise DataError(f"'{path}' goes on after the {header + count} bytes that its header announces")
    return np.frombuffer(values, dtype=np.uint8).reshape(shape)


def _check_length(path: Path, expected: int) -> None:
    """Compare the length of the file with what its header announces, before anything is allocated."""
    length = os.stat(path).st_size
    if path.suffix != ".gz":
        if length != expected:
            raise DataError(f"'{path}' has {length} bytes, its header announces {expected}")
    elif length * LARGEST_RATIO < expected:
        raise DataError(f"'{path}' has {length} bytes, too few for the {expected} that it announces")

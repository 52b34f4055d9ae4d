# SPDX-License-Identifier: Apache-2.0
"""How much memory frames of LZ4 and ZSTD take at most when they are unpacked, which their blocks say.

After the descriptions of both formats (LZ4 Frame Format 1.6; RFC 8878): a block of LZ4 becomes as large as the header
of the frame says at most, and 255 times as large as it is; one of ZSTD as large as the window, and 128 KB. The size
that a frame may say of its content is a promise, and is not asked.
"""

import struct

__all__ = ["unpacked"]

LZ4, ZSTD = 0x184D2204, 0xFD2FB528  # what frames begin with
SKIPPABLE = 0x184D2A50  # and those that hold nothing, the last 4 bits aside
LZ4_FACTOR = 255
ZSTD_BLOCK = 1 << 17
RUN, PACKED = 1, 2  # blocks of ZSTD: one byte many times; compressed


def unpacked(raw: bytes) -> int:
    """Return how many bytes the frames may become. Raises ValueError, or struct.error, where there are others."""
    at = found = 0
    while at < len(raw):
        (magic,) = struct.unpack_from("<I", raw, at)
        if magic & ~15 == SKIPPABLE:
            at += 8 + struct.unpack_from("<I", raw, at + 4)[0]
        elif magic == LZ4:
            at, size = _lz4(raw, at + 4)
            found += size
        elif magic == ZSTD:
            at, size = _zstd(raw, at + 4)
            found += size
        else:
            raise ValueError(f"no frame begins with {raw[at : at + 4].hex()}")
    if at > len(raw):
        raise ValueError("its last frame is cut off")
    return found


def _lz4(raw: bytes, at: int) -> tuple[int, int]:
    """Return where a frame ends, and how many bytes it may become. at: behind what it begins with."""
    flags, sizes = struct.unpack_from("BB", raw, at)
    largest = 1 << 8 + 2 * (sizes >> 4 & 7)
    at += 3 + 8 * (flags >> 3 & 1) + 4 * (flags & 1)  # the size of the content, a dictionary
    found = 0
    while True:
        (said,) = struct.unpack_from("<I", raw, at)
        at += 4
        if not said:
            return at + 4 * (flags >> 2 & 1), found  # a checksum
        size = said & 0x7FFFFFFF
        found += size if said >> 31 else min(largest, LZ4_FACTOR * size)
        at += size + 4 * (flags >> 4 & 1)


def _zstd(raw: bytes, at: int) -> tuple[int, int]:
    """Return the same of a frame of ZSTD."""
    (flags,) = struct.unpack_from("B", raw, at)
    single = flags >> 5 & 1
    width = (single, 2, 4, 8)[flags >> 6]
    (window,) = struct.unpack_from("B", raw, at + 1)
    window = (1 << 10 + (window >> 3)) // 8 * (8 + (window & 7))
    at += 2 - single + (0, 1, 2, 4)[flags & 3]  # a dictionary
    if single:
        window = int.from_bytes(raw[at : at + width], "little") + 256 * (width == 2)
    at += width
    found = 0
    while True:
        low, high = struct.unpack_from("<BH", raw, at)
        last, kind, size = low & 1, low >> 1 & 3, (high << 8 | low) >> 3
        found += min(window, ZSTD_BLOCK) if kind == PACKED else size
        at += 3 + (1 if kind == RUN else size)
        if last:
            return at + 4 * (flags >> 2 & 1), found  # a checksum

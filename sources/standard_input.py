# SPDX-License-Identifier: Apache-2.0
"""Events that another program writes to our standard input, as records or as lines."""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from spikerun.errors import DataError, UsageError, unknown_name
from spikerun.events import EVENT, as_events
from spikerun.sources.text import MARK

__all__ = ["Piped", "stdin"]

CHUNK = 1 << 20  # bytes that are read at once, at most: what a pipe holds comes at once
LONGEST = 1 << 12  # bytes of a line
FIELDS = 4  # of a line: t, x, y, p
FIELD = re.compile(rb"\s*[-+]?\d{1,18}\s*")

Chunk = npt.NDArray[Any]


class Piped:
    """What `stdin` returns: a source that ends with the input."""

    def __init__(self, format: str, shape: tuple[int, int, int] | None, file: IO[bytes], ordered: bool = True) -> None:
        if not isinstance(format, str) or format not in READ:
            raise unknown_name("format of standard input", str(format), READ)
        self.shape = shape
        self._take, self._file, self._ordered = READ[format], file, ordered
        self._end = b"\n" if format == "csv" else b""  # that the last line may lack

    def __iter__(self) -> Iterator[Chunk]:
        rest, done = b"", 0
        read = getattr(self._file, "read1", self._file.read)  # what is there, without waiting for more
        while content := read(CHUNK):
            if not isinstance(content, bytes):
                raise UsageError("events come as bytes: open the file in mode 'rb', or give sys.stdin.buffer")
            content = rest + content
            events, used = self._take(content, done, self.shape, self._ordered)
            rest, done = content[used:], done + used
            if len(events):
                yield events
        last, used = self._take(rest + self._end, done, self.shape, self._ordered)
        if len(last):
            yield last
        if rest[used:].strip():
            raise DataError(f"standard input ends in the middle of an event, {len(rest)} bytes after byte {done}")


def stdin(
    format: str = "records",
    *,
    shape: tuple[int, int, int] | None = None,
    file: IO[bytes] | None = None,
    ordered: bool = True,
) -> Piped:
    """Return the events that come in through standard input, or another file of bytes.

    format: `records`: 16 bytes each, those of an array of `EVENT` (little-endian; t 8 bytes, x 2, y 2, p 1, and 3 that
            mean nothing), as `events.tofile(...)` writes them; `csv`: lines `t,x,y,p`, of which the first may name them
    shape:  (C, H, W) that events must lie in; None: any
    ordered: whether they must be in order of time; streams with late="clamp" or "drop" take others
    Iterating raises DataError where an event is wrong, which names the byte it begins at.
    """
    return Piped(format, shape, sys.stdin.buffer if file is None else file, ordered)


def _records(content: bytes, done: int, shape: tuple[int, int, int] | None, ordered: bool) -> tuple[Chunk, int]:
    """Return the events of whole records, and how many bytes they are."""
    used = len(content) - len(content) % EVENT.itemsize
    return _checked(np.frombuffer(content[:used], EVENT), shape, ordered, f"the records from byte {done} on"), used


def _lines(content: bytes, done: int, shape: tuple[int, int, int] | None, ordered: bool) -> tuple[Chunk, int]:
    """Return the events of whole lines, and how many bytes they are."""
    used = content.rfind(b"\n") + 1
    if len(content) - used > LONGEST:
        raise DataError(
            f"standard input has more than {LONGEST} bytes without a line's end, from byte {done + used} on"
        )
    lines = (content[:used] if done else content[:used].removeprefix(MARK)).splitlines()
    if not done and lines and lines[0].replace(b" ", b"").lower() == b"t,x,y,p":
        lines = lines[1:]
    rows = [line.split(b",") for line in lines if line.strip()]
    try:
        if b"_" in content[:used]:  # Python reads 1_0 as 10
            raise ValueError
        values = np.array(rows or np.zeros((0, FIELDS)), np.int64)
        if values.shape[1:] != (FIELDS,):
            raise ValueError
    except (ValueError, OverflowError):
        wrong = next((line for line in lines if line.strip() and not _is_event(line)), lines[0])
        raise DataError(f"standard input, from byte {done} on: {wrong[:80]!r} is no line t,x,y,p of integers") from None
    events = np.zeros(len(values), [(name, np.int64) for name in ("t", "x", "y", "p")])
    for k, name in enumerate(("t", "x", "y", "p")):
        events[name] = values[:, k]
    return _checked(events, shape, ordered, f"the lines from byte {done} on"), used


def _is_event(line: bytes) -> bool:
    fields = line.split(b",")
    return len(fields) == FIELDS and all(map(FIELD.fullmatch, fields))


def _checked(events: Chunk, shape: tuple[int, int, int] | None, ordered: bool, where: str) -> Chunk:
    try:
        return as_events(events, shape, ordered)
    except DataError as error:
        raise DataError(f"standard input, {where}: {error}") from None


READ: Mapping[str, Callable[[bytes, int, tuple[int, int, int] | None, bool], tuple[Chunk, int]]] = MappingProxyType(
    {"records": _records, "csv": _lines}
)

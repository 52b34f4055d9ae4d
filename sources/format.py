# SPDX-License-Identifier: Apache-2.0
"""What a format of event files is: its row of the table, and what its module gives of a file."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from spikerun.events import EventArray

__all__ = ["Chunks", "Format", "Opened", "Reader", "Shape"]

Shape = tuple[int, int, int]
"""(C, H, W): polarities, rows, columns."""

Chunks = Iterator[tuple[EventArray, Callable[[int], str]]]
"""Arrays of EVENT, with what says where in the file the k-th event of an array lies."""


@dataclass(frozen=True)
class Format:
    """A row of the table.

    module:   holds the function `opened`, of the type `Reader`
    suffixes: of the names of such files, in lower case, with the dot
    begins:   what they begin with, a regular expression; where it is empty, the suffix alone says it
    """

    name: str
    summary: str
    module: str
    suffixes: tuple[str, ...]
    begins: bytes = b""


@dataclass(frozen=True)
class Opened:
    """A file whose header was read.

    shape:    (C, H, W) that the file claims; None: it says nothing
    chunks:   reads the events from the beginning, at most so many at a time
    t_offset: microseconds from the clock of the recording to t = 0 of the events
    """

    shape: Shape | None
    chunks: Callable[[int], Chunks]
    t_offset: int = 0


class Reader(Protocol):
    """The module of a format."""

    def opened(self, path: Path) -> Opened:
        """Return what the header says. Raises DataError where it is none, or claims more than the file holds."""

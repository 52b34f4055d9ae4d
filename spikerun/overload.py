# SPDX-License-Identifier: Apache-2.0
"""What is kept of the events of a bin where there is not enough time for all: a class for each policy.

Arrays of events come in pieces that lie within one bin each. Before a piece is run, its policy says how many of its
events are kept, from its beginning on. A bin is late by the time since its end.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

__all__ = ["OVERLOAD", "Piece", "Policy"]

FORGET = 0.9  # of what events cost, a bin later


@dataclass(frozen=True)
class Piece:
    """Some events of a bin. first: they are its first; late_ns: the time since its end; newest: the last one over."""

    bin: int
    first: bool
    events: int
    late_ns: float
    newest: int


class Policy(Protocol):
    """Decides. `max_lag_ns`: nanoseconds of the clock."""

    def __init__(self, max_lag_ns: float) -> None: ...

    def kept(self, piece: Piece) -> int:
        """Return how many events of a piece are kept."""
        ...

    def ran(self, events: int, ns: float) -> None:
        """Note that a bin of so many events took so long."""


class Block:
    """Keeps everything: a source that can wait does, and a camera loses what its buffers do not hold."""

    def __init__(self, max_lag_ns: float) -> None:
        pass

    def kept(self, piece: Piece) -> int:
        return piece.events

    def ran(self, events: int, ns: float) -> None:
        """Note nothing."""


class DropBin(Block):
    """Drops all events of a bin that begins too late, so none is late by more than that and the time of one bin."""

    def __init__(self, max_lag_ns: float) -> None:
        self._max_lag_ns, self._drops = max_lag_ns, False

    def kept(self, piece: Piece) -> int:
        if piece.first:
            self._drops = piece.late_ns > self._max_lag_ns
        return 0 if self._drops else piece.events


class DropTail(Block):
    """Keeps as many events, from the beginning of each bin, as can be run in time, by what events cost lately."""

    def __init__(self, max_lag_ns: float) -> None:
        self._max_lag_ns = max_lag_ns
        self._kept = 0  # of the bin so far
        self._ns = self._events = 0.0

    def kept(self, piece: Piece) -> int:
        if piece.first:
            self._kept = 0
        keep = piece.events
        left_ns = self._max_lag_ns - max(piece.late_ns, 0)  # no bin is run before its end
        if left_ns < 0:
            keep = 0
        elif self._events:  # the first one of a bin always is, for else a bin that took long would be the last
            room = int(left_ns * self._events / self._ns) if self._ns else keep
            keep = min(keep, max(0, max(room, 1) - self._kept))
        self._kept += keep
        return keep

    def ran(self, events: int, ns: float) -> None:
        if events:
            self._events = FORGET * self._events + events
            self._ns = FORGET * self._ns + ns


class Latest(Block):
    """Goes on with the newest bin that is over where one begins too late (the continuous sampling of STARE)."""

    def __init__(self, max_lag_ns: float) -> None:
        self._max_lag_ns, self._resume = max_lag_ns, 0

    def kept(self, piece: Piece) -> int:
        if piece.first and piece.bin > self._resume and piece.late_ns > self._max_lag_ns:
            self._resume = max(piece.bin, piece.newest)
        return piece.events if piece.bin >= self._resume else 0


OVERLOAD: Mapping[str, type[Policy]] = MappingProxyType(
    {"block": Block, "drop_tail": DropTail, "drop_bin": DropBin, "latest": Latest}
)

# SPDX-License-Identifier: Apache-2.0
"""Recordings of event cameras: when which place saw more (p = 1) or less (p = 0) light."""

from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from spikerun.datasets.lazy import Lazy, Small
from spikerun.errors import DataError
from spikerun.events import EventArray
from spikerun.sources.n_mnist import decoded

__all__ = ["LATEST", "Events", "Files", "Packed", "Recordings", "check_size", "joined", "read_bin", "strangers"]

BYTES = 5  # of an event in a .bin file
LARGEST_FILE = 1 << 24  # bytes of one, 3.4 million events; reading takes 20 times as many
LATEST = 2**53  # microseconds

IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Events:
    """The events of one recording, int64 each (events,): t in microseconds, columns x, rows y, channels p."""

    t: IntArray
    x: IntArray
    y: IntArray
    p: IntArray


class Recordings(Lazy):
    """Recordings whose events lie in a frame (C, H, W); they become samples when they are binned.

    name: of the data set, for messages.
    """

    def __init__(self, name: str, places: IntArray, frame: tuple[int, ...]) -> None:
        super().__init__(places, frame)
        self.name, self.frame = name, frame

    @abstractmethod
    def events(self, place: int) -> Events:
        """Return the events of the recording at a place of the split, all in the frame."""

    def made(self, places: IntArray) -> Small:
        """Refuse: events are no array."""
        raise DataError(
            f"data set '{self.name}' holds event recordings, which are no samples until they are binned: convert with "
            "--input events --dt 1ms --duration STEPS, for a network with a time loop of its own; in Python load it "
            "with encoder=Bins(steps, dt_us)"
        )


class Packed(Recordings):
    """Recordings one behind the other: arrays t, x, y, p of all events; the k-th has those of offset[k]..offset[k+1].

    Raises DataError where events lie outside of the frame, or offsets outside of the arrays.
    """

    def __init__(
        self, name: str, arrays: dict[str, NDArray[Any]], offset: IntArray, places: IntArray, frame: tuple[int, ...]
    ) -> None:
        super().__init__(name, places, frame)
        self.arrays, self.offset = arrays, offset

    def _like(self, places: IntArray, shape: tuple[int, ...]) -> Self:
        return type(self)(self.name, self.arrays, self.offset, places, self.frame)

    def events(self, place: int) -> Events:
        """Return the events of a recording."""
        part = slice(self.offset[place], self.offset[place + 1])
        return Events(**{key: self.arrays[key][part].astype(np.int64) for key in ("t", "x", "y", "p")})


class Files(Recordings):
    """Recordings of which each is a file, which is read when its samples are made.

    read: returns the events of a file, wherever they lie
    """

    def __init__(
        self,
        name: str,
        paths: tuple[Path, ...],
        places: IntArray,
        frame: tuple[int, ...],
        read: Callable[[Path], Events],
    ) -> None:
        super().__init__(name, places, frame)
        self.paths, self.read = paths, read

    def _like(self, places: IntArray, shape: tuple[int, ...]) -> Self:
        return type(self)(self.name, self.paths, places, self.frame, self.read)

    def events(self, place: int) -> Events:
        """Return the events of a file."""
        path = self.paths[place]
        found = self.read(path)
        outside = strangers(found.x, found.y, found.p, self.frame)
        if outside is not None:
            raise DataError(f"'{path}': {outside}")
        return found


def read_bin(path: Path) -> Events:
    """Return the events of a file of N-MNIST, whose format is that of `spikerun.sources.n_mnist`.

    Raises DataError where the file has no whole number of events, or more than LARGEST_FILE bytes.
    """
    check_size(path, path.stat().st_size)
    content = path.read_bytes()
    found, _ = decoded(np.frombuffer(content, np.uint8).reshape(-1, BYTES))
    return joined([found])


def joined(parts: Iterable[EventArray]) -> Events:
    """Return the events of arrays of EVENT."""
    found = list(parts)
    return Events(
        **{
            key: np.concatenate([part[key].astype(np.int64) for part in found] or [np.zeros(0, np.int64)])
            for key in ("t", "x", "y", "p")
        }
    )


def check_size(path: str | Path, size: int) -> None:
    """Refuse a file of events that has no, too many or half events in its `size` bytes."""
    if size > LARGEST_FILE:
        raise DataError(f"'{path}' has {size} bytes, the limit is {LARGEST_FILE}: split it into shorter recordings")
    if not size or size % BYTES:
        raise DataError(f"'{path}' has {size} bytes, and events of {BYTES} each: it is cut off or no event file")


def strangers(x: NDArray[Any], y: NDArray[Any], p: NDArray[Any], frame: tuple[int, ...]) -> str | None:
    """Return a sentence on the first event that lies outside of a frame (C, H, W), if any does."""
    outside = np.zeros(len(x), np.bool_)
    for values, most in zip((p, y, x), frame, strict=True):
        outside |= (values < 0) | (values >= most)
    if not outside.any():
        return None
    k = int(np.argmax(outside))
    hint = ": polarities are channels, 0 or 1" if p[k] < 0 else ""
    return f"event {k} (x = {x[k]}, y = {y[k]}, p = {p[k]}) lies outside of the frame {frame}{hint}"

# SPDX-License-Identifier: Apache-2.0
"""A source that is read by a thread of its own, so that nothing is lost while its events are run."""

import queue
import threading
from collections.abc import Iterable, Iterator
from itertools import starmap
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from spikerun.chunks import Chunks, Like

__all__ = ["Queued"]

Chunk = npt.NDArray[Any]
LIMIT = 1 << 22  # events: 64 MB
ARRAY = 64  # events that take as much memory as an array without any, at least
POLL = 0.1  # seconds after which a thread looks whether it is still wanted
PATIENCE = 1.0  # seconds that it gets to end: its source may wait for something that never comes


class Queued(Like):
    """A source like another one, that gives an empty array after each `tick` in which the other gave nothing.

    Where `limit` events wait, of which each array counts as 64 more, the other source does: a system or a camera then
    loses what comes, and counts it. tick: seconds. Errors of the other are raised here. It is iterated once.
    """

    def __init__(self, source: Iterable[Chunk], limit: int = LIMIT, tick: float = 1e-3) -> None:
        self._source = source
        self._line = _Line(tick)
        self._thread = threading.Thread(
            target=_read, args=(source, self._line, limit), name="spikerun-source", daemon=True
        )

    def __iter__(self) -> Iterator[Chunk]:
        self._thread.start()
        return _Arrays(self._line)

    def close(self) -> None:
        """End the thread, and close the source if it can be closed."""
        self._line.over.set()
        if self._thread.is_alive():
            self._thread.join(PATIENCE)
        close = getattr(self._source, "close", None)
        if close is not None:
            close()


class _Line:
    """What waits between two threads: arrays or what ended them, each with how much had come with it.

    taken: how much of that the reader has; room: it has taken some; over: nobody wants more.
    """

    def __init__(self, tick: float) -> None:
        self.tick, self.taken = tick, 0
        self.queue: queue.SimpleQueue[tuple[Chunk | BaseException, int]] = queue.SimpleQueue()
        self.room, self.over = threading.Event(), threading.Event()


def _read(source: Iterable[Chunk], line: _Line, limit: int) -> None:
    """Put what a source gives into the queue, and what ends it."""
    end: BaseException = StopIteration()
    came = 0
    try:
        for chunk in Chunks(source):
            if line.over.is_set():
                return
            if len(chunk):
                came += len(chunk) + ARRAY
                line.queue.put((chunk, came))
            while came - line.taken > limit and not line.over.is_set():
                line.room.clear()
                if came - line.taken > limit:
                    line.room.wait(POLL)
    except BaseException as error:  # whatever it is, the reader is told
        end = error
    line.queue.put((end, came))


class _Arrays:
    """Takes from the queue, and goes on after an interrupt; the thread ends when nobody holds this any more."""

    def __init__(self, line: _Line) -> None:
        self._line = line
        self._nothing = np.zeros(0, [("t", "<i8")])
        self._found: Chunk | BaseException | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Chunk:
        if self._found is None:
            line, get, wait = self._line, self._line.queue.get, (True, self._line.tick)
            try:
                for self._found, line.taken in starmap(get, [wait]):  # see spikerun.chunks
                    line.room.set()
            except queue.Empty:
                return self._nothing
        assert self._found is not None
        if isinstance(self._found, BaseException):
            end, self._found = self._found, StopIteration()
            self._line.over.set()
            raise end
        chunk, self._found = self._found, None
        return chunk

    def __del__(self) -> None:
        self._line.over.set()

# SPDX-License-Identifier: Apache-2.0
"""A source that is read by a thread of its own, so that nothing is lost while its events are run."""

import queue
import threading
from collections.abc import Iterable, Iterator
from itertools import starmap
from typing import Any, Self

import numpy as np
import numpy.typing as npt

__all__ = ["Queued"]

Chunk = npt.NDArray[Any]
POLL = 0.1  # seconds after which a thread looks whether it is still wanted
PATIENCE = 1.0  # seconds that it gets to end: its source may wait for something that never comes


class Queued:
    """A source like another one, that gives an empty array after each `tick` in which the other gave nothing.

    At most `limit` arrays wait; then the other one does. tick: seconds. Errors of the other are raised here. It is
    iterated once.
    """

    def __init__(self, source: Iterable[Chunk], limit: int = 1024, tick: float = 1e-3) -> None:
        self.shape = getattr(source, "shape", None)
        self.pace = getattr(source, "pace", None)
        self.drift = getattr(source, "drift", 0.0)
        self._source, self._tick = source, tick
        self._queue: queue.SimpleQueue[Chunk | BaseException] = queue.SimpleQueue()
        self._room = threading.Semaphore(limit)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read, name="spikerun-source", daemon=True)

    def __getattr__(self, name: str) -> Any:
        if name in ("lost", "refused"):  # by what only the source knows of
            return getattr(self._source, name)
        raise AttributeError(name)

    @property
    def origin_ns(self) -> float | None:
        """Return when time 0 of the events was, if the source knows."""
        return getattr(self._source, "origin_ns", None)

    def __iter__(self) -> Iterator[Chunk]:
        self._thread.start()
        return _Arrays(self._queue, self._room, self._over, self._tick)

    def close(self) -> None:
        """End the thread, and close the source if it can be closed."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(PATIENCE)
        close = getattr(self._source, "close", None)
        if close is not None:
            close()

    def _read(self) -> None:
        """Put what the source gives into the queue, and what ends it."""
        end: BaseException = StopIteration()
        try:
            for chunk in self._source:
                if self._over.is_set():
                    return
                if len(chunk):
                    self._put(chunk)
        except BaseException as error:  # whatever it is, the reader is told
            end = error
        self._put(end)

    def _put(self, item: Chunk | BaseException) -> None:
        while not self._over.is_set():
            if self._room.acquire(timeout=POLL):
                self._queue.put(item)
                return


class _Arrays:
    """Takes from the queue, and goes on after an interrupt; the thread ends when nobody holds this any more."""

    def __init__(
        self,
        arrays: "queue.SimpleQueue[Chunk | BaseException]",
        room: threading.Semaphore,
        over: threading.Event,
        tick: float,
    ) -> None:
        self._queue, self._room, self._over, self._tick = arrays, room, over, tick
        self._nothing = np.zeros(0, [("t", "<i8")])
        self._found: Chunk | BaseException | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Chunk:
        if self._found is None:
            try:
                for found in starmap(self._queue.get, [(True, self._tick)]):  # see spikerun.chunks
                    self._found = found
                    self._room.release()
            except queue.Empty:
                return self._nothing
        assert self._found is not None
        if isinstance(self._found, BaseException):
            end, self._found = self._found, StopIteration()
            self._over.set()
            raise end
        chunk, self._found = self._found, None
        return chunk

    def __del__(self) -> None:
        self._over.set()

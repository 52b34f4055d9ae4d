# SPDX-License-Identifier: Apache-2.0
"""A source that is read by a thread of its own, so that nothing is lost while its events are run."""

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Any

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
        self._queue: queue.Queue[Chunk | BaseException | None] = queue.Queue(limit)
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
        nothing = np.zeros(0, [("t", "<i8")])
        try:
            while True:
                try:
                    found = self._queue.get(timeout=self._tick)
                except queue.Empty:
                    yield nothing
                    continue
                if found is None:
                    return
                if isinstance(found, BaseException):
                    raise found
                yield found
        finally:
            self._over.set()

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
        end: BaseException | None = None
        try:
            for chunk in self._source:
                if self._over.is_set():
                    return
                if len(chunk):
                    self._put(chunk)
        except BaseException as error:  # whatever it is, the reader is told
            end = error
        self._put(end)

    def _put(self, item: Chunk | BaseException | None) -> None:
        while not self._over.is_set():
            try:
                self._queue.put(item, timeout=POLL)
                return
            except queue.Full:
                continue

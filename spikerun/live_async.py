# SPDX-License-Identifier: Apache-2.0
"""A stream that is driven by a thread, and read by a coroutine."""

import asyncio
import concurrent.futures
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.chunks import Like
from spikerun.errors import UsageError
from spikerun.live import Live
from spikerun.outputs import Outputs

__all__ = ["drive"]

Chunk = npt.NDArray[Any]
TICK = 1e-3  # seconds
PATIENCE = 1.0  # seconds that a thread gets to end: its source may wait for something that never comes


class _Failed:
    """What ended the thread, to be raised where it is awaited."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class _Bridge(Like):
    """An asynchronous source as a plain one, for a thread; an empty array after each tick in which nothing came."""

    def __init__(self, source: AsyncIterable[Chunk], loop: asyncio.AbstractEventLoop, over: threading.Event) -> None:
        self._source, self._loop, self._over = source, loop, over

    def __iter__(self) -> Iterator[Chunk]:
        chunks = aiter(self._source)
        nothing = np.zeros(0, [("t", "<i8")])

        async def take() -> Chunk | None:
            return await anext(chunks, None)

        while True:
            coming = asyncio.run_coroutine_threadsafe(take(), self._loop)
            while not coming.done():
                if self._over.is_set():
                    coming.cancel()
                    return
                concurrent.futures.wait([coming], TICK)
                if not coming.done():
                    yield nothing
            chunk = coming.result()
            if chunk is None:
                return
            yield chunk


async def drive(
    opened: Callable[[Iterable[Chunk]], Live], source: Iterable[Chunk] | AsyncIterable[Chunk], limit: int
) -> AsyncIterator[Outputs]:
    """Yield what a stream sends, driven by a thread; empty lists are left out.

    opened: opens the stream of a plain source; limit: how many lists wait, at most, before the thread does
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise UsageError(f"queue is how many lists of outputs wait, 1 or more, got {limit!r:.80}")
    loop = asyncio.get_running_loop()
    over = threading.Event()
    sent: asyncio.Queue[Outputs | _Failed | None] = asyncio.Queue(limit)
    live = opened(_Bridge(source, loop, over) if isinstance(source, AsyncIterable) else source)

    def put(item: Outputs | _Failed | None) -> None:
        if not over.is_set():
            asyncio.run_coroutine_threadsafe(sent.put(item), loop).result()

    def work() -> None:
        try:
            for outputs in live:
                if len(outputs):
                    put(outputs)
            put(None)
        except BaseException as error:  # whatever it is, it is raised where it is awaited
            put(_Failed(error))

    thread = threading.Thread(target=work, name="spikerun-stream", daemon=True)
    thread.start()
    try:
        while (item := await sent.get()) is not None:
            if isinstance(item, _Failed):
                raise item.error
            yield item
    finally:
        over.set()
        live.stop()
        end = loop.time() + PATIENCE
        while thread.is_alive() and loop.time() < end:
            while not sent.empty():  # so that it can put what it has, and see that it is over
                sent.get_nowait()
            await asyncio.sleep(TICK)

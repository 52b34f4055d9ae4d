# SPDX-License-Identifier: Apache-2.0
"""Streams read by coroutines, and sources read by threads."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest

from spikerun import EVENT, Reading, Spike
from spikerun.chunks import KNOWN
from spikerun.connections import Diagonal
from spikerun.errors import DataError, UsageError
from spikerun.live_async import _Bridge
from spikerun.network import Network, Population, Projection
from spikerun.neurons import IF, Input
from spikerun.queued import Queued
from spikerun.session import Session
from spikerun.warm import warmed

SHAPE = (2, 4, 5)
Chunk = np.ndarray[Any, Any]


def relay() -> Session:
    populations = {"in": Population(SHAPE, Input(1, "spikes")), "out": Population(SHAPE, IF(np.int32(1)))}
    return Session(Network(populations, [Projection("in", "out", Diagonal(np.int32(1)))], ["out"], 4), threads=1)


SESSION = relay()


def recording(n: int = 400) -> Chunk:
    rng = np.random.default_rng(1)
    events = np.zeros(n, EVENT)
    events["t"] = np.sort(rng.integers(0, 50_000, n))
    for name, size in zip("pyx", SHAPE, strict=True):
        events[name] = rng.integers(0, size, n)
    return events


def expected(events: Chunk) -> list[Spike | Reading]:
    stream = SESSION.stream()
    return [*stream.push(events), *stream.flush()]


async def gathered(source: Any, **how: Any) -> list[Spike | Reading]:
    return [item async for sent in SESSION.astream(source, **how) for item in sent]


async def coming(chunks: list[Chunk]) -> AsyncIterator[Chunk]:
    for chunk in chunks:
        await asyncio.sleep(0)
        yield chunk


@pytest.mark.parametrize("queue", [1, 64])
def test_a_plain_source_gives_what_push_gives(queue: int) -> None:
    events = recording()
    assert asyncio.run(gathered(np.array_split(events, 30), queue=queue)) == expected(events)


@pytest.mark.parametrize("queue", [0, "a"])
def test_a_queue_has_room_for_some(queue: Any) -> None:
    with pytest.raises(UsageError, match="queue is how many lists of outputs wait"):
        asyncio.run(gathered([recording()], queue=queue))


def test_an_asynchronous_source_gives_what_push_gives() -> None:
    events = recording()
    assert asyncio.run(gathered(coming(np.array_split(events, 30)))) == expected(events)


def test_an_error_of_the_source_is_raised_where_outputs_are_awaited() -> None:
    async def broken() -> AsyncIterator[Chunk]:
        yield recording()
        raise DataError("the cable is out")

    with pytest.raises(DataError, match="the cable is out"):
        asyncio.run(gathered(broken()))


def test_an_error_of_the_stream_is_raised_where_outputs_are_awaited() -> None:
    events = recording()
    events["x"][7] = 5
    with pytest.raises(DataError, match="event 7 "):
        asyncio.run(gathered([events]))


def left() -> list[str]:
    """Return which threads do not end, though the loop has."""
    found = [thread for thread in threading.enumerate() if thread.name.startswith("spikerun-stream")]
    for thread in found:
        thread.join(10)
    return [thread.name for thread in found if thread.is_alive()]


def test_a_reader_that_leaves_ends_the_thread() -> None:
    async def leave() -> None:
        sent = SESSION.astream(coming([recording(100 * k)[-100:] for k in range(1, 50)]), queue=1)
        async for _ in sent:
            break
        await sent.aclose()  # type: ignore[attr-defined]

    asyncio.run(leave())
    assert left() == []


def test_a_source_that_waits_for_ever_is_left_when_the_reader_leaves() -> None:
    async def silent() -> AsyncIterator[Chunk]:
        yield recording()
        await asyncio.Event().wait()

    async def leave() -> None:
        async for _ in SESSION.astream(silent()):
            break

    asyncio.run(leave())
    assert left() == []


def test_the_thread_waits_for_a_slow_reader() -> None:
    taken = 0

    def counted() -> Iterator[Chunk]:
        nonlocal taken
        for chunk in np.array_split(recording(), 100):
            taken += 1
            yield chunk

    async def slow() -> int:
        async for _ in SESSION.astream(counted(), queue=2):
            await asyncio.sleep(0.05)  # long enough for the thread to take all, if it did not wait
            return taken
        return 0

    assert asyncio.run(slow()) < 20


def test_a_queue_gives_what_its_source_gives_and_its_error() -> None:
    chunks = np.array_split(recording(), 7)

    def broken() -> Iterator[Chunk]:
        yield from chunks
        raise DataError("over")

    found = list[Chunk]()
    with pytest.raises(DataError, match="over"):
        for chunk in Queued(broken(), 2):
            found.append(chunk)
    assert np.concatenate([chunk for chunk in found if len(chunk)]).tolist() == recording().tolist()


@pytest.mark.parametrize("size", [36, 3000])
def test_a_queue_holds_no_more_events_than_its_limit(size: int) -> None:
    taken = threading.Semaphore(0)

    def endless() -> Iterator[Chunk]:
        while True:
            taken.release()
            yield recording(size)

    chunks = iter(Queued(endless(), limit=10_000))
    assert len(next(chunk for chunk in chunks if len(chunk))) == size
    got = 1
    while got < 1000 and taken.acquire(timeout=0.05):
        got += 1
    assert got * (size + 64) <= 10_000 + 3 * (size + 64)
    for _ in range(1000):  # it goes on
        assert len(next(chunk for chunk in chunks if len(chunk))) == size
    del chunks


def test_a_queue_ticks_while_nothing_comes() -> None:
    wait = threading.Event()

    def late() -> Iterator[Chunk]:
        wait.wait()
        yield recording(3)

    chunks = iter(Queued(late()))
    assert len(next(chunks)) == 0
    wait.set()
    assert next(len(chunk) for chunk in chunks if len(chunk)) == 3


def test_what_a_source_knows_of_itself_is_known_of_those_that_are_made_of_it() -> None:
    class Camera:
        shape, pace, drift, origin_ns, lost, refused = SHAPE, 1.0, 1e-4, 7, 0, 0

        def __iter__(self) -> Iterator[Chunk]:
            return iter([recording()])

    camera, loop = Camera(), asyncio.new_event_loop()
    loop.close()
    made: list[Any] = [
        Queued(camera),
        warmed(SESSION.stream(), camera, 1),
        _Bridge(camera, loop, threading.Event()),  # type: ignore[arg-type]
    ]
    camera.lost = 5
    for source in made:
        assert [getattr(source, name) for name in KNOWN] == [getattr(camera, name) for name in KNOWN]
        with pytest.raises(AttributeError):
            source.waits  # noqa: B018

# SPDX-License-Identifier: Apache-2.0
"""A warm start: a network that does not begin at rest, but as if the first bin of the events had been there before."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.chunks import Chunks, Like
from spikerun.errors import UsageError
from spikerun.stream import Stream

__all__ = ["warmed"]

Chunk = npt.NDArray[Any]


class Begun(Like):
    """A source of which some arrays were looked at, and come once more."""

    def __init__(self, source: object, chunks: Iterator[Chunk]) -> None:
        self._source, self._chunks = source, chunks

    def __iter__(self) -> Iterator[Chunk]:
        return self._chunks


def warmed(stream: Stream, source: Iterable[Chunk], times: int) -> Begun:
    """Run the first bin of a source so many times, as if just before it; return all of the source, the first bin too.

    The stream, new, then stands at the first bin; what it sent meanwhile is dropped. Raises UsageError for steps of
    less than a microsecond.
    """
    if stream.step_ns < 1000:
        raise UsageError(f"a warm start repeats bins of at least one microsecond, these have {stream.step_ns} ns")
    rest = Chunks(source)
    begin = _until_second_bin(rest, stream.step_ns)
    if not begin:
        return Begun(source, rest)
    events = np.concatenate(begin)
    bins = events["t"] * 1000 // stream.step_ns
    first, events = int(bins[0]), events[bins == bins[0]]
    phase = (first - times - stream.t) % stream.net.window  # so that the last time falls into the window's step before
    stream.advance(phase)
    for _ in range(times):
        events = events.copy()
        events["t"] = -(-stream.t * stream.step_ns // 1000)  # when in its bin it comes makes no difference
        stream.push(events)
        stream.flush()
    stream.restore({**stream.snapshot(), "t": np.array(first)})
    return Begun(source, chain(begin, rest))


def _until_second_bin(chunks: Iterator[Chunk], step_ns: int) -> list[Chunk]:
    """Return the first arrays, up to one that reaches into a second bin."""
    found: list[Chunk] = []
    for chunk in chunks:
        if len(chunk):
            found.append(chunk)
            if int(chunk["t"][-1]) * 1000 // step_ns > int(found[0]["t"][0]) * 1000 // step_ns:
                break
    return found

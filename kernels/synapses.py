# SPDX-License-Identifier: Apache-2.0
"""The synapses of a map, one by one: those of a matrix or a list, and those that a seed and a rule say.

A map of kind `random` has `synapses` of them, from `sources` to `size` neurons; number k is four words of
`philox(seed, k & (2^32 - 1), k >> 32, 0, SYNAPSE)`: source = word 0 times `sources` >> 32, target = word 1 times `size`
>> 32, weight = `weight[n]` with n = how many of `weight_thresholds` are smaller than word 2, and the delay one of
`delays` by word 3 likewise. Several may join the same two neurons.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from spikerun.errors import UnsupportedError
from spikerun.kernels.philox import SYNAPSE, looked_up, philox

__all__ = ["BYTES", "Synapses", "degrees", "drawn", "expanded", "require_memory", "to_draw"]

T = TypeVar("T")
IntArray = npt.NDArray[np.int64]
Drawn = tuple[IntArray, IntArray, npt.NDArray[np.int8], npt.NDArray[np.uint8]]
BYTES = 6  # of one synapse: target, weight and delay
CHUNK = 2**17  # synapses that are drawn at once
THREADS = 16  # that draw, with some megabytes each
MEMINFO = Path("/proc/meminfo")


class Synapses(NamedTuple):
    """Those of source n are numbers indptr[n] <= k < indptr[n + 1]; both ends count in C order.

    indptr: int64 (sources + 1,); target: int32, weight: int8, delay: uint8, each (synapses,).
    """

    indptr: IntArray
    target: npt.NDArray[np.int32]
    weight: npt.NDArray[np.int8]
    delay: npt.NDArray[np.uint8]


def expanded(kind: str, parameters: Mapping[str, Any]) -> Synapses:
    """Return the synapses of a map of kind `sparse`, `dense` or `random`. Raises UnsupportedError without memory."""
    return _EXPANDED[kind](parameters)


def _listed(p: Mapping[str, Any]) -> Synapses:
    none = np.zeros(len(p["data"]), np.uint8)
    return Synapses(p["indptr"], p["indices"], p["data"], none if p["delays"] is None else p["delays"])


def _matrix(p: Mapping[str, Any]) -> Synapses:
    weight = p["weight"]
    row, column = np.nonzero(weight)
    delay = np.zeros(len(row), np.uint8) if p["delays"] is None else p["delays"][row, column]
    indptr = _begins(np.bincount(row, minlength=len(weight)))
    return Synapses(indptr, column.astype(np.int32), weight[row, column], delay)


def _random(p: Mapping[str, Any]) -> Synapses:
    total, sources = int(p["synapses"]), int(p["sources"])
    require_memory(total)
    indptr = _begins(degrees(p["seed"], total, sources))
    target, weight, delay = np.empty(total, np.int32), np.empty(total, np.int8), np.empty(total, np.uint8)
    free = indptr[:-1].copy()  # where the next synapse of each source goes
    for source, goal, strength, late in drawn(p):
        order = np.argsort(source.astype(np.uint16) if sources <= 2**16 else source, kind="stable")
        source, counts = source[order], np.bincount(source, minlength=sources)
        place = free[source] + np.arange(len(source)) - (np.cumsum(counts) - counts)[source]
        target[place], weight[place], delay[place] = goal[order], strength[order], late[order]
        free += counts
    return Synapses(indptr, target, weight, delay)


# all others have no delays, and are not expanded
_EXPANDED: Mapping[str, Callable[[Mapping[str, Any]], Synapses]] = {
    "sparse": _listed,
    "dense": _matrix,
    "random": _random,
}


def drawn(p: Mapping[str, Any]) -> Iterator[Drawn]:
    """Yield source, target, weight and delay of the synapses of a `random` map, in their order, some at a time."""

    def some(words: npt.NDArray[np.uint32]) -> Drawn:
        weight = p["weight"][looked_up(p["weight_thresholds"], words[2])]
        delay = p["delays"][looked_up(p["delay_thresholds"], words[3])]
        return _scaled(words[0], p["sources"]), _scaled(words[1], p["size"]), weight, delay

    yield from _words(p["seed"], p["synapses"], some)


@lru_cache(maxsize=256)
def degrees(seed: int, synapses: int, sources: int) -> IntArray:
    """Return how many synapses of a `random` map each source has, int64 (sources,); it cannot be written to."""

    def some(words: npt.NDArray[np.uint32]) -> IntArray:
        return np.bincount(_scaled(words[0], sources), minlength=sources)

    total = np.zeros(sources, np.int64)
    for counts in _words(seed, synapses, some):
        total += counts
    total.setflags(write=False)
    return total


def to_draw(parameters: Mapping[str, Any]) -> int:
    """Return how many synapses must be drawn to expand a map with these parameters, 0 where they are listed."""
    return int(parameters.get("synapses", 0))


def require_memory(synapses: int) -> None:
    """Refuse synapses that do not fit into the memory that is free, where the system says how much that is."""
    needed, free = synapses * BYTES, _free_memory()
    if free is not None and needed > free:
        raise UnsupportedError(
            f"{synapses:,} synapses of random connections take {needed / 1e6:,.2f} MB of memory, and "
            f"{free / 1e6:,.2f} MB are free: use a smaller network, or a device that draws them itself"
        )


def _free_memory() -> int | None:
    """Return the bytes that Linux says are available; None: elsewhere."""
    try:
        lines = MEMINFO.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)


def _words(seed: int, synapses: int, made: Callable[[npt.NDArray[np.uint32]], T]) -> Iterator[T]:
    """Yield what is made of the words of all synapses, in their order, some of them at a time, by several threads."""

    def some(first: int) -> T:
        k = np.arange(first, min(first + CHUNK, synapses))
        return made(philox(seed, k & 0xFFFFFFFF, k >> 32, 0, SYNAPSE))

    firsts, threads = range(0, synapses, CHUNK), min(THREADS, os.cpu_count() or 1)
    if len(firsts) <= 1:
        yield from map(some, firsts)
        return
    with ThreadPoolExecutor(threads) as pool:
        for begin in range(0, len(firsts), threads):  # no more of them at once: they take memory
            yield from pool.map(some, firsts[begin : begin + threads])


def _scaled(word: npt.NDArray[np.uint32], number: int) -> IntArray:
    """Return words as integers below `number`."""
    return ((word.astype(np.uint64) * np.uint64(number)) >> np.uint64(32)).astype(np.int64)


def _begins(counts: IntArray) -> IntArray:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

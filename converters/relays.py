# SPDX-License-Identifier: Apache-2.0
"""Which words may be copied into one channel: those of one step size, which some layers must have in all channels."""

import math
from collections.abc import Sequence

import numpy as np

from spikerun.codes import MAX_BITS
from spikerun.converters.graph import Array, Shape
from spikerun.converters.maps import Term
from spikerun.converters.sparse_map import SparseMap

__all__ = ["Relays", "copies"]

CHANNELS = 2**32  # step sizes have numbers: that of the layer times CHANNELS, and the channel


def copies(terms: Sequence[Term], shape: Shape, lowest: Array | None) -> tuple[object, ...]:
    """Return what a relay does, the same for relays of which one will do."""
    found: list[object] = [shape, None if lowest is None else lowest.tobytes()]
    for term in terms:
        assert isinstance(term.map, SparseMap)
        used = term.map.weight != 0
        index = np.where(used, term.map.index, -1)
        found += [term.source, term.first, term.end, index.shape, index.astype(np.int64).tobytes()]
    return tuple(found)


class Relays:
    """The step sizes of populations, as they are known before they are chosen: by numbers, equal ones being equal.

    alike: layers whose channels must all have one step size, for the sake of a relay.
    """

    def __init__(self) -> None:
        self.alike: set[str] = set()
        self._steps: dict[str, Array] = {}
        self._owners: list[str] = [""]  # 0: of the inputs, whose step is 1
        self._wide: set[str] = set()  # whose words are longer than those of neurons

    def input(self, name: str, channels: int, bits: int) -> None:
        """Take note of an input: all its words count the same."""
        self._steps[name] = np.zeros(channels, dtype=np.int64)
        if bits > MAX_BITS:
            self._wide.add(name)

    def own(self, name: str, channels: int) -> None:
        """Take note of a layer whose step sizes are to be chosen."""
        self._steps[name] = len(self._owners) * CHANNELS + np.arange(channels)
        self._owners.append(name)

    def same(self, name: str, source: str) -> None:
        """Take note of a pool, which passes on the words of `source`."""
        self._steps[name] = self._steps[source]
        if source in self._wide:
            self._wide.add(name)

    def can(self, terms: Sequence[Term], shape: Shape) -> bool:
        """Return whether the words that come into each channel have one step size, or may be given one."""
        if any(term.source in self._wide for term in terms):
            return False
        low, high = self._range(terms, shape)
        return bool((low // CHANNELS == high // CHANNELS).all())

    def copy(self, name: str, terms: Sequence[Term], shape: Shape) -> None:
        """Take note of a relay, and of the layers that must have one step size for it."""
        low, high = self._range(terms, shape)
        for number in np.unique(low[low != high] // CHANNELS):
            self.alike.add(self._owners[number])
        self._steps[name] = low

    def _range(self, terms: Sequence[Term], shape: Shape) -> tuple[Array, Array]:
        """Return the least and the largest number of what comes into each channel, (C,); 0 where nothing does."""
        low, high = np.full(shape[0], np.iinfo(np.int64).max), np.zeros(shape[0], dtype=np.int64)
        for term in terms:
            assert isinstance(term.map, SparseMap)
            step = self._numbers(term.source)[
                term.map.index // (math.prod(term.shape) // len(self._steps[term.source]))
            ]
            rows = step.reshape(len(step), -1)
            used = (term.map.weight != 0).reshape(len(step), -1)
            part = slice(term.first, term.end)
            low[part] = np.minimum(low[part], np.where(used, rows, np.iinfo(np.int64).max).min(axis=1))
            high[part] = np.maximum(high[part], np.where(used, rows, 0).max(axis=1))
        low = np.where(low == np.iinfo(np.int64).max, high, low)
        return low, high

    def _numbers(self, source: str) -> Array:
        steps = self._steps[source]
        alike = [number for number, name in enumerate(self._owners) if name in self.alike]
        return np.where(np.isin(steps // CHANNELS, alike), steps // CHANNELS * CHANNELS, steps)

# SPDX-License-Identifier: Apache-2.0
"""The partition of a graph into cores, each with a block of one population, greedily and always in the same way.

Blocks have as many pixels in a row as fit the limits of a core, and all channels, or an equal part of them where the
weights that lead to all do not fit. A limit that one neuron alone breaks cannot be kept: it is named in
`Partition.broken`, and ignored for the neurons that break it.

Assumed: sources stand outside of the cores; a neuron takes an output axon for each group of its synapses and each core
that it reaches. What a compiler does may be better or worse.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from spikerun.edge.loihi.demand import Demand, Range, grid
from spikerun.edge.loihi.graph import Graph, IntArray
from spikerun.edge.loihi.limits import RESOURCES, Chip

__all__ = ["Core", "Partition", "partition"]


@dataclass(frozen=True)
class Core:
    """A core: the block of a population on it, see `spikerun.edge.loihi.demand`, and its use, by RESOURCES."""

    population: str
    pixels: Range
    channels: Range
    use: Mapping[str, int]

    def share(self, chip: Chip) -> dict[str, float]:
        """Return its use as percentages of what a core has."""
        return {name: 100 * used / chip.most(name) for name, used in self.use.items()}


@dataclass(frozen=True)
class Partition:
    """Cores, population after population.

    broken: by (population, one of RESOURCES), what one neuron alone takes where that is more than a core has.
    """

    chip: Chip
    cores: tuple[Core, ...]
    broken: Mapping[tuple[str, str], int]

    @property
    def chips(self) -> int:
        """Return how many chips so many cores are."""
        return -(-len(self.cores) // self.chip.most("cores"))

    @property
    def counts(self) -> Mapping[str, int]:
        """Return the cores of each population."""
        return Counter(core.population for core in self.cores)


def partition(graph: Graph, chip: Chip) -> Partition:
    """Return the cores that a graph takes."""
    reaching = [Demand(s, graph.shapes[s.source], graph.shapes[s.target], chip) for s in graph.synapses]
    into = {n.name: [d for d in reaching if d.synapses.target == n.name] for n in graph.neurons}
    out = {n.name: [d for d in reaching if d.synapses.source == n.name] for n in graph.neurons}
    populations = {
        n.name: _Population(n.name, into[n.name], np.zeros(grid(n.shape), np.int64), chip) for n in graph.neurons
    }
    cores = {name: population.cut() for name, population in populations.items()}
    changed = True
    while changed:  # what is divided takes more output axons of what feeds it; they only grow here, so that it ends
        changed = False
        for name, population in reversed(populations.items()):
            reached = np.maximum(population.reached, _reached(population.reached.shape, out[name], cores))
            if (reached > population.reached).any():
                population.reached, changed = reached, True
                cores[name] = population.cut()
    for name, population in populations.items():
        population.reached = _reached(population.reached.shape, out[name], cores)
        cores[name] = [replace(core, use=population.use(core.pixels, core.channels)) for core in cores[name]]
    broken = {key: need for population in populations.values() for key, need in population.broken.items()}
    return Partition(chip, tuple(core for several in cores.values() for core in several), broken)


def _reached(shape: tuple[int, ...], out: Sequence[Demand], cores: Mapping[str, list[Core]]) -> IntArray:
    """Return how many cores each neuron of a population reaches, (pixels, channels)."""
    reached = np.zeros(shape, np.int64)
    for demand in out:
        for core in cores[demand.synapses.target]:
            rows, columns = demand.reached_by(core.pixels, core.channels)
            reached += np.outer(rows, columns).reshape(shape)
    return reached


class _Population:
    """A population to be divided. reached: how many cores each neuron reaches; broken: as in `Partition`."""

    def __init__(self, name: str, into: Sequence[Demand], reached: IntArray, chip: Chip) -> None:
        self.name, self.into, self.reached, self.chip = name, into, reached, chip
        self.most = {resource: chip.most(resource) for resource in RESOURCES}
        self.broken: dict[tuple[str, str], int] = {}

    def use(self, pixels: Range, channels: Range) -> dict[str, int]:
        """Return what a block takes."""
        return {
            "neurons": (pixels[1] - pixels[0]) * (channels[1] - channels[0]),
            "input_axons": sum(demand.axons(pixels, channels) for demand in self.into),
            "output_axons": int(self.reached[slice(*pixels), slice(*channels)].sum()),
            "synapse_bits": sum(demand.bits(pixels, channels) for demand in self.into),
        }

    def cut(self) -> list[Core]:
        """Divide it: into as few ranges of channels as there can be, and these greedily into ranges of pixels."""
        parts, found = 0, list[Core]()
        while not found:  # ranges of one channel are never refused
            parts += 1
            found = self._ranges(parts)
        return found

    def _ranges(self, parts: int) -> list[Core]:
        """Divide it into so many ranges of channels; none: they are too large."""
        edges = [self.reached.shape[1] * k // parts for k in range(parts + 1)]
        found: list[Core] = []
        for channels in pairwise(edges):
            several = self._rows(channels)
            if not several:
                return []
            found += several
        return found

    def _rows(self, channels: Range) -> list[Core]:
        """Divide some channels into ranges of pixels; none: one pixel of so many channels is too much."""
        found, first = [], 0
        while first < len(self.reached):
            alone = self._alone(first, channels[0])
            end = self._end(first, self._like(first, channels[0], alone), channels, alone)
            if end == first:
                return []
            found.append(Core(self.name, (first, end), channels, self.use((first, end), channels)))
            first = end
        return found

    def _alone(self, pixel: int, channel: int) -> set[str]:
        """Return the limits that a neuron alone breaks, and note them."""
        use = self.use((pixel, pixel + 1), (channel, channel + 1))
        over = {resource for resource, most in self.most.items() if use[resource] > most}
        for resource in over:
            key = (self.name, resource)
            self.broken[key] = max(use[resource], self.broken.get(key, 0))
        return over

    def _like(self, first: int, channel: int, alone: set[str]) -> int:
        """Return the end of the pixels from one on that break the limits that it breaks: only they may ignore them."""
        end = first + 1
        while alone and end < len(self.reached) and self._alone(end, channel) == alone:
            end += 1
        return end if alone else len(self.reached)

    def _end(self, first: int, last: int, channels: Range, ignored: set[str]) -> int:
        """Return the end, at most `last`, of the longest block from a pixel that fits; `first`: none does."""
        fits, over = first, min(last, first + self.most["neurons"] // (channels[1] - channels[0])) + 1
        while over - fits > 1:  # what a block takes only grows with it
            middle = (fits + over) // 2
            use = self.use((first, middle), channels)
            if all(use[resource] <= most for resource, most in self.most.items() if resource not in ignored):
                fits = middle
            else:
                over = middle
        return fits

# SPDX-License-Identifier: Apache-2.0
"""What follows from populations, projections and the window: who sends how, in which order, when, and how much.

Pure functions; nothing here judges, except that what has no answer (a circle) is refused.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from spikerun.codes import Word
from spikerun.connections import Connection
from spikerun.errors import NetworkError
from spikerun.population import Population, Projection
from spikerun.values import locked

__all__ = ["Derived", "Link", "derive", "largest_currents", "largest_event", "significance", "turn"]

MAX_CHANNELS = 2**20  # beyond it, bounds are computed for all channels at once

Populations = Mapping[str, Population]
Senders = Mapping[str, Word | None]


@dataclass(frozen=True, eq=False)
class Link:
    """A projection in its network: its number, and the least delay in steps with which its events arrive (`lag`).

    channels: those of the target that it reaches; significance: g, int64 (window,), of an event that arrives at each
    step of the window.
    """

    number: int
    projection: Projection
    lag: int
    channels: tuple[int, int]
    significance: npt.NDArray[np.int64]

    @property
    def source(self) -> str:
        """Return the population that it reads."""
        return self.projection.source

    @property
    def target(self) -> str:
        """Return the population that it reaches."""
        return self.projection.target

    @property
    def connection(self) -> Connection:
        """Return its connection."""
        return self.projection.connection

    @property
    def scattered(self) -> bool:
        """Return whether its synapses have different delays, so that currents are under way, and not events."""
        least, largest = self.connection.delay_range
        return least != largest

    @property
    def held(self) -> int:
        """Return for how many steps the events of its source are held back."""
        return 0 if self.scattered else self.lag

    @property
    def latest(self) -> int:
        """Return the largest delay with which its events arrive."""
        least, largest = self.connection.delay_range
        return self.lag + largest - least

    def __str__(self) -> str:
        return str(self.projection)


@dataclass(frozen=True, eq=False)
class Derived:
    """What `derive` returns; `spikerun.network.Network` explains the parts."""

    senders: Senders
    order: tuple[str, ...]
    latency: Mapping[str, int]
    links: tuple[Link, ...]
    into: Mapping[str, tuple[Link, ...]]
    out_of: Mapping[str, tuple[Link, ...]]
    bounds: Mapping[str, int]


def derive(populations: Populations, projections: tuple[Projection, ...], window: int) -> Derived:
    """Return all that follows. Raises NetworkError for circles without delay, and for pools that feed each other."""
    incoming = _by_target(populations, projections)
    senders = _senders(populations, incoming)
    order = _order(populations, projections)
    latency = _latency(populations, incoming, order)
    links = tuple(_link(k, p, populations, senders, latency, window) for k, p in enumerate(projections))
    into = {name: tuple(links[k] for k, _ in incoming[name]) for name in populations}
    out_of: dict[str, list[Link]] = {name: [] for name in populations}
    for link in links:
        for source in link.projection.sources:
            out_of[source].append(link)
    bounds = {
        name: int(_bound(p, into[name], populations, senders, window))
        for name, p in populations.items()
        if p.neuron.integrates
    }
    ends = {name: tuple(found) for name, found in out_of.items()}
    senders_, into_, ends_ = MappingProxyType(senders), MappingProxyType(into), MappingProxyType(ends)
    return Derived(senders_, order, MappingProxyType(latency), links, into_, ends_, MappingProxyType(bounds))


def significance(word: Word | None, window: int) -> npt.NDArray[np.int64]:
    """Return g, int64 (window,): what a spike sent at each step of a window is worth."""
    return np.ones(window, np.int64) if word is None else word.significance(window)


def largest_event(word: Word | None) -> int:
    """Return the largest magnitude of what one neuron sends: a word in a window, or one spike."""
    return 1 if word is None else max(-word.range[0], word.range[1])


def turn(population: Population, latency: int) -> int:
    """Return the window in which a population of this latency integrates a frame that enters in window 0."""
    return latency - population.neuron.answers_after


def _by_target(populations: Populations, projections: Iterable[Projection]) -> dict[str, list[tuple[int, Projection]]]:
    found: dict[str, list[tuple[int, Projection]]] = {name: [] for name in populations}
    for k, p in enumerate(projections):
        found[p.target].append((k, p))
    return found


def _senders(populations: Populations, incoming: Mapping[str, list[tuple[int, Projection]]]) -> dict[str, Word | None]:
    """Return how each population sends; one that passes on, as what it pools does."""
    found: dict[str, Word | None] = {}
    for name in populations:
        chain = [name]  # of pools, back to what they pool
        while chain[-1] not in found and populations[chain[-1]].neuron.passes_on:
            chain.append(incoming[chain[-1]][0][1].source)
            if len(chain) > len(populations):
                raise NetworkError(f"population '{name}': max_pool populations feed each other in a circle")
        word = found[chain[-1]] if chain[-1] in found else populations[chain[-1]].neuron.word
        found |= dict.fromkeys(chain, word)
    return found


def _order(populations: Populations, projections: Iterable[Projection]) -> tuple[str, ...]:
    """Return the populations such that each comes after all that reach it without delay."""
    graph: dict[str, set[str]] = {name: set() for name in populations}
    for p in projections:
        if p.least_delay == 0:
            graph[p.target] |= set(p.sources)
    try:
        return tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        path = " -> ".join(reversed(error.args[1]))
        raise NetworkError(f"cycle without delay: {path}. Give one of its projections a delay >= 1.") from None


def _latency(
    populations: Populations, incoming: Mapping[str, list[tuple[int, Projection]]], order: Iterable[str]
) -> dict[str, int]:
    """Return in which window each population sends its word of a frame that enters in window 0."""
    latency: dict[str, int] = {}
    for name in order:
        sources = [latency[source] for _, p in incoming[name] if p.least_delay == 0 for source in p.sources]
        latency[name] = max(sources, default=0) + populations[name].neuron.answers_after
    return latency


def _link(
    k: int, p: Projection, populations: Populations, senders: Senders, latency: Mapping[str, int], window: int
) -> Link:
    target = populations[p.target]
    lag = p.least_delay + (turn(target, latency[p.target]) - latency[p.source]) * window
    g = locked(np.roll(significance(senders[p.source], window), lag))
    return Link(k, p, lag, p.target_channels or (0, target.shape[0]), g)


def _bound(
    population: Population, into: Iterable[Link], populations: Populations, senders: Senders, window: int
) -> float:
    """Return the largest magnitude that an accumulator can reach: from weights, biases, and the largest words."""
    total = largest_currents(population, into, populations, senders, window)
    return float((total + _worst(population.neuron.offset, population.shape[0] <= MAX_CHANNELS)).max())


def largest_currents(
    population: Population, into: Iterable[Link], populations: Populations, senders: Senders, window: int
) -> npt.NDArray[np.float64]:
    """Return the largest magnitude that is added to the biases in an accumulator, of each channel, or (1,) of all."""
    channels = population.shape[0]
    fine = channels <= MAX_CHANNELS
    total = np.zeros(channels if fine else 1)  # float64 cannot wrap
    for link in into:
        first, end = link.channels
        reach = link.connection.largest_sum(populations[link.source].shape, end - first)
        word = senders[link.source]
        several = word is None or not word.coded  # events of significance 1 in every step
        times = window if several and population.neuron.integrates == "window" else 1
        worst = reach * largest_event(word) * times * 2**link.projection.exponent
        total[first if fine else 0 : end if fine else 1] += worst if fine else worst.max()
    return total


def _worst(bias: npt.NDArray[np.int32], fine: bool) -> npt.NDArray[np.float64]:
    """Return the largest magnitude of the biases, of each channel or, unless `fine`, of all."""
    rows = bias.reshape(bias.shape[0], -1) if bias.ndim and fine else bias.reshape(1, -1)
    worst: npt.NDArray[np.float64] = np.abs(np.stack([rows.max(axis=1), rows.min(axis=1)]).astype(np.float64)).max(
        axis=0
    )
    return worst

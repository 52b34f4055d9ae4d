# SPDX-License-Identifier: Apache-2.0
"""The description of a spiking network: a graph of integer populations and projections, validated when built."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.checks import check_derived, check_parts, check_types
from spikerun.codes import Word
from spikerun.errors import UsageError, unknown_name
from spikerun.neurons.base import INT32_MAX
from spikerun.population import Population, Projection
from spikerun.timing import Derived, Link, derive, largest_currents, largest_event, significance, turn

__all__ = ["Link", "Network", "Population", "Projection"]


@dataclass(frozen=True, eq=False)
class Network:
    """A spiking network, and the window in which its populations take turns.

    populations: by name, in any order; projections: several into one population add up; outputs: names of the
    populations that a run reports (Readout or spiking); window: W, its length in time steps; meta: strings and numbers
    that travel with the network and mean nothing to it. Nothing of it can be changed.

    A frame enters in window 0. A few-spikes population computes in the window in which its sources send, and sends in
    the next; all other kinds answer in the same step. `latency` is the window in which a population sends its word of
    that frame; projections from populations of smaller latency are held back by whole windows (`Link.lag`), so that
    everything that belongs to a frame meets. `links` are the projections with what follows for each; `order` has each
    population after all that reach it without delay; `bounds` the largest magnitude that each accumulator can reach.

    Raises NetworkError that names the population or projection and says what to do.
    """

    populations: Mapping[str, Population]
    projections: Sequence[Projection]
    outputs: Sequence[str]
    window: int
    meta: Mapping[str, str | int | float] = field(default_factory=dict)

    _derived: Derived = field(init=False, repr=False)

    def __post_init__(self) -> None:
        outputs = (self.outputs,) if isinstance(self.outputs, str) else _tuple(self.outputs)
        projections = _tuple(self.projections)
        check_types(self.populations, projections, outputs, self.meta)
        populations = MappingProxyType(dict(self.populations))
        check_parts(populations, projections, outputs, self.window)
        derived = derive(populations, projections, int(self.window))
        check_derived(populations, outputs, int(self.window), derived)
        parts: dict[str, Any] = {"populations": populations, "projections": projections, "outputs": outputs}
        parts |= {"window": int(self.window), "meta": MappingProxyType(dict(self.meta)), "_derived": derived}
        for name, value in parts.items():
            object.__setattr__(self, name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        return Network, (dict(self.populations), self.projections, self.outputs, self.window, dict(self.meta))

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Return the names of the input populations."""
        return tuple(n for n, p in self.populations.items() if p.neuron.is_input)

    @cached_property
    def roots(self) -> tuple[str, ...]:
        """Return the names of the populations that no projection reaches: inputs, and those that send by themselves."""
        return tuple(n for n, p in self.populations.items() if p.neuron.is_input or p.neuron.spontaneous)

    @property
    def links(self) -> tuple[Link, ...]:
        """Return the projections in their network, in order."""
        return self._derived.links

    @property
    def order(self) -> tuple[str, ...]:
        """Return the populations such that each comes after all that reach it without delay."""
        return self._derived.order

    @property
    def latency(self) -> Mapping[str, int]:
        """Return the window in which each population sends its word of a frame that enters in window 0."""
        return self._derived.latency

    @property
    def bounds(self) -> Mapping[str, int]:
        """Return the largest magnitude that each accumulator can reach."""
        return self._derived.bounds

    def into(self, name: str) -> tuple[Link, ...]:
        """Return the projections into a population."""
        return self._derived.into[name]

    def out_of(self, name: str) -> tuple[Link, ...]:
        """Return the projections out of a population."""
        return self._derived.out_of[name]

    def sender_of(self, name: str) -> Word | None:
        """Return how a population sends; None: plain spikes of significance 1."""
        return self._derived.senders[name]

    def significance(self, name: str) -> npt.NDArray[np.int64]:
        """Return g, int64 (window,): what a spike of the population is worth at each step of its window."""
        return significance(self.sender_of(name), self.window)

    def largest_event(self, name: str) -> int:
        """Return the largest magnitude of what one neuron of the population sends: a word in a window, or one spike."""
        return largest_event(self.sender_of(name))

    def turn(self, name: str) -> int:
        """Return the window in which a population integrates a frame that enters in window 0."""
        return turn(self.populations[name], self._derived.latency[name])

    def taps(self, name: str) -> int:
        """Return how many inputs of each window a population compares through their words; 0: it compares no words."""
        word = self.sender_of(name)
        if word is None or not word.coded:
            return 0
        return sum(link.connection.taps(self.populations[link.source].shape) for link in self.into(name))

    def kept(self, name: str) -> Mapping[str, str]:
        """Return what a population keeps from step to step, and in which type of integer."""
        return self.populations[name].neuron.kept(self.taps(name))

    def state_range(self, name: str, key: str, room: bool = False) -> tuple[int, int]:
        """Return the smallest and the largest value of what a population keeps from step to step.

        room: leave room in int32 for what a window still adds to an accumulator, whatever was in it. Where the bound is
        beyond half of int32 that leaves out values that the network can reach.
        """
        population, bound = self.populations[name], self.bounds.get(name, INT32_MAX)
        if room and population.neuron.integrates == "window" and bound > INT32_MAX // 2:
            all_of = largest_currents(population, self.into(name), self.populations, self._derived.senders, self.window)
            bound = min(bound, INT32_MAX - int(all_of.max()))
        return population.neuron.state_range(key, bound, self.window)

    def under_way(self, name: str) -> int:
        """Return how many steps ahead currents are known that are under way to a population, synapse by synapse."""
        return max((link.latest for link in self.into(name) if link.scattered), default=0)

    def largest_under_way(self, name: str) -> int:
        """Return the largest magnitude that such a current can have."""
        population = self.populations[name]
        links = [link for link in self.into(name) if link.scattered]
        all_of = largest_currents(population, links, self.populations, self._derived.senders, self.window)
        return int(all_of.max())

    def encode(self, samples: npt.ArrayLike, name: str | None = None) -> npt.NDArray[Any]:
        """Return real samples as the integers that input `name`, or the only one, takes; its meta says how.

        samples: (B, *shape of the input), real numbers; (B, W, *shape) where it is given what is sent at each step.
        They are rounded to the nearest integer, and cut at the ends of its range. Raises DataError where the meta does
        not say what integers stand for, or values are NaN or infinite.
        """
        from spikerun.inputs import encoded  # which knows networks

        if name is None and len(self.inputs) != 1:
            raise UsageError(f"the network has the inputs {', '.join(self.inputs)}: name one, encode(samples, name)")
        if name is not None and name not in self.inputs:
            raise unknown_name("input", str(name), self.inputs)
        return encoded(self, name or self.inputs[0], samples)

    @cached_property
    def feedforward(self) -> bool:
        """Return whether no projection has a delay: each frame can then be computed layer by layer (blocked)."""
        return all(p.delay == 0 and p.connection.delay_range == (0, 0) for p in self.projections)

    @cached_property
    def macs(self) -> int | None:
        """Return the MACs for one sample of the ANN that it was converted from, as its meta says; None: it does not.

        They are the multiplications by weights of its convolutions and matrices, padding counted, as profilers do.
        """
        said = self.meta.get("macs")
        return said if isinstance(said, int) and not isinstance(said, bool) and said > 0 else None

    def dense_of(self, name: str) -> int:
        """Return the dense operations out of a population: its synaptic operations if each neuron sent one spike."""
        shape = self.populations[name].shape
        return sum(link.connection.synapse_count(shape) for link in self.out_of(name))

    @cached_property
    def dense(self) -> int:
        """Return the dense operations of all populations."""
        return sum(self.dense_of(name) for name in self.populations)


def _tuple(given: Any) -> Any:
    """Return what can be gone through as a tuple, and the rest, which is refused by name, as it is."""
    return tuple(given) if isinstance(given, Iterable) else given

"""The description of a spiking network: a graph of integer populations and projections, validated when built."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun import checks
from spikerun.codes import significance, word_range
from spikerun.connections import Connection, Shape
from spikerun.errors import NetworkError
from spikerun.neurons import FewSpikes, Input, Neuron, Readout
from spikerun.values import integer

__all__ = ["Network", "Population", "Projection"]


@dataclass(frozen=True, eq=False)
class Population:
    """Neurons of one kind: `shape` is (C, H, W) or (N,)."""

    shape: Shape
    neuron: Neuron

    def __post_init__(self) -> None:
        shape = self.shape if isinstance(self.shape, (tuple, list)) else (self.shape,)
        object.__setattr__(
            self, "shape", tuple(integer("a dimension of shape", n, 1, checks.MAX_NEURONS) for n in shape)
        )

    @property
    def size(self) -> int:
        """Return the number of neurons."""
        return math.prod(self.shape)

    def spread(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return a parameter of shape (), (C,) or the population's, as one value for each neuron (`shape`)."""
        if values.ndim == 1 and len(self.shape) == 3:
            values = values.reshape(-1, 1, 1)
        return np.broadcast_to(values, self.shape)

    def real(self, values: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float32]:
        """Return integers (..., *shape) that the population sends or holds as real numbers: times a readout's scale."""
        scale = self.spread(self.neuron.scale) if isinstance(self.neuron, Readout) else np.float32(1)
        scaled: npt.NDArray[np.float32] = values.astype(np.float32) * scale
        return scaled


@dataclass(frozen=True, eq=False)
class Projection:
    """Spikes of population `source` become currents of population `target` through `connection`.

    delay: steps; a whole number of windows where the source sends words. target_channels: (first, end) of the target's
    first axis that the currents go to (channel concatenation); None is all.
    """

    source: str
    target: str
    connection: Connection
    delay: int = 0
    target_channels: tuple[int, int] | None = None

    def __str__(self) -> str:
        return f"projection {self.source} -> {self.target}"


@dataclass(frozen=True, eq=False)
class Network:
    """A spiking network, and the window in which its populations take turns.

    populations: by name, in any order; projections: several into one population add up; outputs: names of the
    populations that a run reports (Readout or spiking); window: W, its length in time steps; meta: strings
    and numbers that travel with the network and mean nothing to it.

    A frame enters in window 0. A few-spikes population computes in the window in which its sources send, and sends in
    the next; all other kinds answer in the same step. `latency` is the window in which a population sends its word of
    that frame; projections from populations of smaller latency are held back by whole windows (`lag`), so that
    everything that belongs to a frame meets. `lag` holds the delay of each projection in steps, that included.

    Raises NetworkError that names the population or projection and says what to do.
    """

    populations: Mapping[str, Population]
    projections: Sequence[Projection]
    outputs: Sequence[str]
    window: int
    meta: Mapping[str, str | int | float] = field(default_factory=dict)

    order: tuple[str, ...] = field(init=False, repr=False)
    latency: Mapping[str, int] = field(init=False, repr=False)
    lag: tuple[int, ...] = field(init=False, repr=False)
    bounds: Mapping[str, int] = field(init=False, repr=False)
    _into: Mapping[str, list[Projection]] = field(init=False, repr=False)
    _out_of: Mapping[str, list[Projection]] = field(init=False, repr=False)
    _words: Mapping[str, FewSpikes | Input | None] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("populations", "meta"):
            object.__setattr__(self, name, dict(getattr(self, name)))
        outputs = (self.outputs,) if isinstance(self.outputs, str) else tuple(self.outputs)
        object.__setattr__(self, "outputs", outputs)
        object.__setattr__(self, "projections", tuple(self.projections))
        checks.names(self)
        for name, end in (("_into", "target"), ("_out_of", "source")):
            ends: dict[str, list[Projection]] = {population: [] for population in self.populations}
            for p in self.projections:
                ends[getattr(p, end)].append(p)
            object.__setattr__(self, name, ends)
        checks.populations(self)
        checks.projections(self)
        object.__setattr__(self, "_words", checks.words(self))
        checks.codes(self)
        object.__setattr__(self, "order", checks.order(self))
        object.__setattr__(self, "latency", self._latency())
        object.__setattr__(self, "lag", tuple(self._lag(p) for p in self.projections))
        checks.reachable(self)
        checks.timing(self)
        object.__setattr__(self, "bounds", checks.accumulator_bounds(self))

    @property
    def inputs(self) -> tuple[str, ...]:
        """Return the names of the Input populations."""
        return tuple(n for n, p in self.populations.items() if isinstance(p.neuron, Input))

    def into(self, name: str) -> list[Projection]:
        """Return the projections into a population."""
        return self._into[name]

    def out_of(self, name: str) -> list[Projection]:
        """Return the projections out of a population."""
        return self._out_of[name]

    def sender_of(self, name: str) -> FewSpikes | Input | None:
        """Return the neuron that defines the code in which a population sends; None: plain spikes of significance 1."""
        return self._words[name]

    def significance(self, name: str) -> npt.NDArray[np.int64]:
        """Return g, int64 (window,): what a spike of the population is worth at each step of its window."""
        word = self.sender_of(name)
        if word is None:
            return np.ones(self.window, dtype=np.int64)
        return significance(word.code, word.bits, word.signed, self.window)

    def largest_event(self, name: str) -> int:
        """Return the largest magnitude of what one neuron of the population sends: a word in a window, or one spike."""
        word = self.sender_of(name)
        if word is None:
            return 1
        low, high = word_range(word.bits, word.signed)
        return max(-low, high)

    def turn(self, name: str) -> int:
        """Return the window in which a population integrates a frame that enters in window 0."""
        return self.latency[name] - isinstance(self.populations[name].neuron, FewSpikes)

    @property
    def feedforward(self) -> bool:
        """Return whether no projection has a delay: each frame can then be computed layer by layer (blocked)."""
        return all(p.delay == 0 for p in self.projections)

    def _latency(self) -> dict[str, int]:
        latency: dict[str, int] = {}
        for name in self.order:
            sources = [latency[p.source] for p in self.into(name) if p.delay == 0]
            own = isinstance(self.populations[name].neuron, FewSpikes)
            latency[name] = max(sources, default=0) + own
        return latency

    def _lag(self, projection: Projection) -> int:
        return projection.delay + (self.turn(projection.target) - self.latency[projection.source]) * self.window

    def error(self, name: str, message: str) -> NetworkError:
        """Return the error for something wrong with the population `name`."""
        kind = self.populations[name].neuron.kind
        return NetworkError(f"population '{name}' ({kind}, shape {self.populations[name].shape}): {message}")

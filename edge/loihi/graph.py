# SPDX-License-Identifier: Apache-2.0
"""What runs on the chip: sources, populations of neurons, and synapses between them, in Lava's terms and layout.

Images are laid out as Lava has them, (W, H, C); flat, they are read in C order of that. Time is Lava's: steps are
counted from 1, all synapses of a step send what they made of the spikes of the step before, so that each adds a step.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

__all__ = ["MAX_BEGIN", "Graph", "IntArray", "Neurons", "Parameter", "Ranges", "Shape", "Source", "Synapses"]

IntArray = npt.NDArray[np.int64]
Shape = tuple[int, ...]
Parameter = int | npt.NDArray[np.int32]
Ranges = Mapping[str, tuple[int, int]]  # of parameters, by name: smallest and largest

MAX_BEGIN = 2**24  # what a file holds: 512 layers of the longest window


@dataclass(frozen=True, eq=False)
class Source:
    """Events from outside. message_bits: of their payloads; 0: they are spikes."""

    name: str
    shape: Shape
    message_bits: int = 0
    begin: int = 1


@dataclass(frozen=True, eq=False)
class Neurons:
    """A population.

    model: a row of `spikerun.edge.loihi.models.MODELS`, which says what the parameters are: integers, or int32 arrays
    of `shape`. begin: the step in which it does the first step of the first sample.
    """

    name: str
    shape: Shape
    model: str
    parameters: Mapping[str, Parameter]
    begin: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))


@dataclass(frozen=True, eq=False)
class Synapses:
    """Connections of one source or population to another.

    form `dense`: weight (targets, sources); `sparse`: the same as compressed sparse rows, one a target: weight (n,),
    indices (n,) the sources, indptr (targets + 1,); `conv`: weight (Cout, kW, kH, Cin / groups) of a true convolution,
    that is, mirrored in both axes beside a correlation, with stride, padding, dilation as (x, y).
    exponent: what they add is multiplied by 2^exponent; weight_bits, sign_mode (1 mixed, 2 excitatory, 3 inhibitory):
    how a weight is held, see `spikerun.edge.loihi.synapses`; message_bits: of the payloads; 0: spikes.
    delay: further steps, one for all or an array like `weight`; of dense and sparse synapses only.
    """

    source: str
    target: str
    form: Literal["dense", "sparse", "conv"]
    weight: npt.NDArray[np.int32] | npt.NDArray[np.int16]
    exponent: int = 0
    weight_bits: int = 8
    sign_mode: int = 1
    message_bits: int = 0
    delay: Parameter = 0
    indices: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    indptr: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, np.int64))
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def __str__(self) -> str:
        return f"synapses {self.source} -> {self.target}"

    @property
    def largest_delay(self) -> int:
        """Return the longest of its delays."""
        return int(np.max(self.delay, initial=0))


@dataclass(frozen=True, eq=False)
class Graph:
    """A network on the chip.

    window: steps of a sample. phased: samples follow one another without a pause, and each population is reset in the
    step in which the next one reaches it; otherwise every sample is a run of its own.
    """

    window: int
    sources: tuple[Source, ...]
    neurons: tuple[Neurons, ...]
    synapses: tuple[Synapses, ...]
    phased: bool
    meta: Mapping[str, str | int | float] = field(default_factory=dict)

    @property
    def parts(self) -> tuple[Source | Neurons, ...]:
        """Return all that sends events."""
        return (*self.sources, *self.neurons)

    @cached_property
    def shapes(self) -> Mapping[str, Shape]:
        """Return the shapes of sources and populations, by name."""
        return {part.name: part.shape for part in self.parts}

    @cached_property
    def begins(self) -> Mapping[str, int]:
        """Return the step in which each source and population begins the first sample."""
        return {part.name: part.begin for part in self.parts}

    def steps(self, samples: int) -> int:
        """Return how many steps a run of so many samples takes."""
        return samples * self.window + max(self.begins.values()) - 1

    def streams(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[np.int32]]:
        """Return what sources send in a run, (steps, *shape), of samples (N, W, *shape)."""
        found = {}
        for source in self.sources:
            given = inputs[source.name]
            sent = np.zeros((self.steps(len(given)), *source.shape), np.int32)
            first = source.begin - 1
            sent[first : first + len(given) * self.window] = given.reshape(-1, *source.shape)
            found[source.name] = sent
        return found

    def samples(self, name: str, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return what a population did in each sample, (N, W, *shape), of all steps of a run (steps, *shape)."""
        first = self.begins[name] - 1
        count = (len(values) - max(self.begins.values()) + 1) // self.window
        return values[first : first + count * self.window].reshape(count, self.window, *values.shape[1:])

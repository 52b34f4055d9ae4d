# SPDX-License-Identifier: Apache-2.0
"""The nodes and the edges of a network: populations of neurons, and projections between them."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from spikerun.connections import Connection, Shape
from spikerun.errors import NetworkError
from spikerun.neurons import Neuron, spread
from spikerun.values import integer

__all__ = ["MAX_EXPONENT", "MAX_NEURONS", "Population", "Projection"]

MAX_NEURONS = 2**26
MAX_DELAY = 2**15 - 1
MAX_EXPONENT = 24


@dataclass(frozen=True, eq=False)
class Population:
    """Neurons of one kind: `shape` is (C, H, W) or (N,)."""

    shape: Shape
    neuron: Neuron

    def __post_init__(self) -> None:
        shape = self.shape if isinstance(self.shape, (tuple, list)) else (self.shape,)
        shape = tuple(integer("a dimension of shape", n, 1, MAX_NEURONS) for n in shape)
        object.__setattr__(self, "shape", shape)
        if not isinstance(self.neuron, Neuron):
            raise NetworkError(f"a population of shape {shape} needs a neuron such as IF(...), got {self.neuron!r}")

    @property
    def size(self) -> int:
        """Return the number of neurons."""
        return math.prod(self.shape)

    @cached_property
    def one_scale(self) -> bool:
        """Return whether all neurons have the same scale, so that their integers compare as the real numbers do."""
        scale = self.neuron.real_scale
        return bool((scale == scale.flat[0]).all())

    def spread(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return a parameter of shape (), (C,) or the population's, as one value for each neuron (`shape`)."""
        return spread(values, self.shape)

    def real(self, values: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float32]:
        """Return integers (..., *shape) that the population sends or holds as real numbers: times a readout's scale."""
        scale = self.neuron.real_scale
        if scale.ndim == 1 and len(self.shape) == 3:
            scale = scale.reshape(-1, 1, 1)
        scaled: npt.NDArray[np.float32] = values.astype(np.float32) * scale
        return scaled


@dataclass(frozen=True, eq=False)
class Projection:
    """Spikes of population `source` become currents of population `target` through `connection`.

    delay: steps, beside those that synapses of the connection may have of their own; a whole number of windows where
    the source sends words. target_channels: (first, end) of the target's
    first axis that the currents go to (channel concatenation); None is all. exponent: the currents are multiplied by
    2^exponent, so that weights of very different sizes meet in one population.
    """

    source: str
    target: str
    connection: Connection
    delay: int = 0
    target_channels: tuple[int, int] | None = None
    exponent: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.connection, Connection):
            raise NetworkError(f"{self}: needs a connection such as Dense(...), got {self.connection!r}")
        try:
            object.__setattr__(self, "delay", integer("delay", self.delay, 0, MAX_DELAY))
            object.__setattr__(self, "target_channels", _channels(self.target_channels))
            object.__setattr__(self, "exponent", integer("exponent", self.exponent, 0, MAX_EXPONENT))
        except NetworkError as error:
            raise NetworkError(f"{self}: {error}") from None

    @property
    def sources(self) -> tuple[str, ...]:
        """Return the populations that it reads."""
        return (self.source,)

    @property
    def least_delay(self) -> int:
        """Return the delay of the synapses that are the first to carry an event."""
        return self.delay + self.connection.delay_range[0]

    def __str__(self) -> str:
        return f"projection {self.source} -> {self.target}"


def _channels(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    if not isinstance(value, (tuple, list, np.ndarray)) or len(value) != 2:
        raise NetworkError(f"target_channels must be two integers (first, end), got {value!r:.80}")
    first, end = (integer("target_channels", n, -(2**31), 2**31 - 1) for n in value)
    return first, end

# SPDX-License-Identifier: Apache-2.0
"""Neurons that send by themselves, at random."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from spikerun.codes import Word
from spikerun.draws import poisson
from spikerun.errors import NetworkError
from spikerun.kernels.philox import POISSON, looked_up, philox
from spikerun.neurons.base import IntArray, Neuron, Now, Shape, State
from spikerun.values import as_array, integer, locked, require

__all__ = ["Poisson"]

MOST = 255  # events of one neuron in one step: a payload of 8 bits


@dataclass(frozen=True, eq=False)
class Poisson(Neuron):
    """Each neuron sends the number of events of a Poisson process in each step, as one event of that payload.

    thresholds: uint32 (E,), or (C, E) for each channel, not decreasing, E <= 255: neuron n sends at step t how many of
    them are smaller than word t & 3 of `philox(seed, n, (t >> 2) & (2^32 - 1), t >> 34, POISSON)`
    (`spikerun.kernels.philox`); n counts in C order. A threshold of 2^32 - 1 is never passed. `Poisson.of` makes them
    of rates. seed: 0..2^63 - 1, another one for each population that is to be independent of the others.

    What is sent follows from the seed and the step alone: there is no state, and all samples of a batch, each of which
    begins at step 0, get the same events.
    """

    kind: ClassVar[str] = "poisson"
    spontaneous = True
    tables = frozenset({"thresholds"})
    thresholds: npt.NDArray[np.uint32]
    seed: int

    def __post_init__(self) -> None:
        table = as_array("thresholds", self.thresholds)
        require(table.dtype == np.uint32, f"thresholds must have dtype uint32, got {table.dtype}: see Poisson.of")
        if table.ndim not in (1, 2) or table.shape[-1] > MOST:
            raise NetworkError(f"thresholds must have shape (E,) or (C, E), E up to {MOST}, got {table.shape}")
        require(bool((table[..., 1:] >= table[..., :-1]).all()), "thresholds must not decrease")
        object.__setattr__(self, "thresholds", locked(table))
        object.__setattr__(self, "seed", integer("seed", self.seed, 0, 2**63 - 1))

    @classmethod
    def of(cls, rate: npt.ArrayLike, seed: int) -> "Poisson":
        """Return neurons of this rate: events expected in a step, up to 100, one number or one for each channel (C,).

        Raises NetworkError for other values.
        """
        return cls(poisson(rate), seed)

    @property
    def word(self) -> Word:
        return Word("frames", max(1, self.thresholds.shape[-1].bit_length()))

    def step(self, shape: Shape, state: State, i: IntArray, now: Now) -> IntArray:
        n = int(np.prod(shape))
        words = philox(self.seed, np.arange(n), now.t >> 2 & 0xFFFFFFFF, now.t >> 34, POISSON)[now.t & 3]
        if self.thresholds.ndim == 1:
            return looked_up(self.thresholds, words).reshape(shape)
        rows = zip(self.thresholds, words.reshape(shape[0], -1), strict=True)
        return np.concatenate([looked_up(row, own) for row, own in rows]).reshape(shape)

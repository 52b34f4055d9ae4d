# SPDX-License-Identifier: Apache-2.0
"""Synapses that a seed and a rule say, instead of a list."""

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from spikerun.connections.base import Connection, IntArray, Pair, Shape, ends_of, frozen
from spikerun.errors import NetworkError
from spikerun.kernels.synapses import degrees, drawn
from spikerun.values import integer

__all__ = ["Random"]

MAX_SYNAPSES = 2**31
COUNTED = 2**16  # synapses that are drawn for a bound
SURE = 64 * math.log(2)  # a bound that is not counted fails for one seed of 2^64


def _none() -> npt.NDArray[np.uint32]:
    return np.zeros(0, np.uint32)


@dataclass(frozen=True, eq=False)
class Random(Connection):
    """So many `synapses`, each between a source and a target drawn anew: several may join the same two neurons.

    sources, size: the numbers of source and of target neurons; seed: 0..2^63 - 1, another one for each connection. What
    is drawn, and how, stands in `spikerun.kernels.synapses`: it is kept nowhere, but made from the seed by whoever runs
    it. weight: int8 (E + 1,), the weights that there are; weight_thresholds: uint32 (E,), rising: a synapse has weight
    number n if n of them are smaller than its word, so the first has the share (weight_thresholds[0] + 1) / 2^32.
    delays, delay_thresholds: likewise of its delay in steps, uint8 (F + 1,) and uint32 (F,), beside the projection's.
    `spikerun.draws.normal` makes such tables. Sums of more than 2^16 synapses are bounded by how many of them one
    target has in all but one of 2^64 seeds.
    """

    kind: ClassVar[str] = "random"
    sources: int
    size: int
    synapses: int
    seed: int
    weight: npt.NDArray[np.int8]
    weight_thresholds: npt.NDArray[np.uint32] = field(default_factory=_none)
    delays: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros(1, np.uint8))
    delay_thresholds: npt.NDArray[np.uint32] = field(default_factory=_none)

    def __post_init__(self) -> None:
        limits = {"sources": (1, 2**31 - 1), "size": (1, 2**31 - 1), "synapses": (1, MAX_SYNAPSES)}
        for name, (low, high) in {**limits, "seed": (0, 2**63 - 1)}.items():
            if isinstance(getattr(self, name), bool | np.bool_):
                raise NetworkError(f"{name} must be an integer in {low}..{high}, got {getattr(self, name)}")
            object.__setattr__(self, name, integer(name, getattr(self, name), low, high))
        for name, thresholds, dtype in (
            ("weight", "weight_thresholds", np.int8),
            ("delays", "delay_thresholds", np.uint8),
        ):
            object.__setattr__(self, name, frozen(name, getattr(self, name), dtype, 1))
            object.__setattr__(self, thresholds, frozen(thresholds, getattr(self, thresholds), np.uint32, 1))
            table = getattr(self, thresholds)
            if len(getattr(self, name)) != len(table) + 1:
                raise NetworkError(f"{name} must have one entry more than {thresholds}, which has {len(table)}")
            if (table[1:] < table[:-1]).any():
                raise NetworkError(f"{thresholds} must not decrease")

    @cached_property
    def delay_range(self) -> Pair:
        return ends_of(self.delays)

    def target_shape(self, source: Shape) -> Shape | None:
        if math.prod(source) != self.sources:
            raise NetworkError(f"sources is {self.sources}, its source has {math.prod(source)} neurons")
        return None

    def target_size(self, source: Shape) -> int:
        self.target_shape(source)
        return self.size

    def apply(self, x: IntArray) -> IntArray:
        total: IntArray = self.late(x).sum(axis=0)
        return total

    def synapse_count(self, source: Shape) -> int:
        return self.synapses

    def fan_out(self, source: Shape) -> IntArray:
        return degrees(self.seed, self.synapses, self.sources).reshape(source)

    def largest_sum(self, source: Shape, channels: int) -> npt.NDArray[np.float64]:
        if self.synapses > COUNTED:
            return np.array(self._most * np.abs(self.weight.astype(np.float64)).max())
        sums = np.zeros(self.size)
        for _, target, weight, _ in drawn(dict(self.parameters())):
            sums += np.bincount(target, np.abs(weight.astype(np.float64)), self.size)
        largest: npt.NDArray[np.float64] = sums.reshape(channels, -1).max(axis=1)
        return largest

    @property
    def _most(self) -> int:
        """Return how many synapses no target has more of: by Chernoff's bound of a binomial, for all targets at once.

        P(X >= m) <= exp(-(mean - m + m log(m / mean))) (Mitzenmacher and Upfal, Probability and Computing, 4.2).
        """
        mean = self.synapses * -(-(2**32) // self.size) / 2**32
        low, high = math.ceil(mean), self.synapses
        while low < high:
            m = (low + high) // 2
            enough = mean - m + m * math.log(m / mean) >= math.log(self.size) + SURE
            low, high = (low, m) if enough else (m + 1, high)
        return low

# SPDX-License-Identifier: Apache-2.0
"""Max pooling of words, or of events."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import numpy as np

from spikerun.connections.window import OUTSIDE
from spikerun.neurons.base import INT32_MAX, IntArray, Neuron, Now, Shape, State

__all__ = ["MaxPool"]


@dataclass(frozen=True, eq=False)
class MaxPool(Neuron):
    """Passes on the largest word of the windows that its one projection (a `Window`) gathers.

    Its code is its source's. Step by step it is a comparator: words travel most significant first, so a candidate
    that is silent where another one fires has lost. Where the source sends no words, it passes on the largest event of
    each step: of spikes, whether there is one.

    state (of words): alive, (taps, *shape), the candidates that have not lost yet.
    """

    kind: ClassVar[str] = "max_pool"
    passes_on = True
    state = MappingProxyType({"alive": "uint8"})

    def kept(self, taps: int = 0) -> Mapping[str, str]:
        return self.state if taps else {}

    def initial(self, shape: Shape, taps: int = 0) -> State:
        return {key: np.zeros((taps, *shape), np.int64) for key in self.kept(taps)}

    def state_range(self, key: str, bound: int = INT32_MAX, window: int = 1) -> tuple[int, int]:
        return 0, 1

    def window(self, shape: Shape, i: IntArray) -> tuple[None, IntArray]:
        largest: IntArray = i.max(axis=0)
        return None, largest

    def step(self, shape: Shape, state: State, i: IntArray, now: Now) -> IntArray:
        if not state:
            return self.window(shape, i)[1]
        inside = i != OUTSIDE
        alive = inside if now.r == 0 else inside & (state["alive"] == 1)
        # in the sign step of signed words the candidates without a spike are the larger ones
        s: IntArray = np.where(alive, i, 1).min(axis=0) if now.g < 0 else np.where(alive, i, OUTSIDE).max(axis=0)
        state["alive"] = (alive & (i == s)).astype(np.int64)
        return s

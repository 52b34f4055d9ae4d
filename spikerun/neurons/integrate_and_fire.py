# SPDX-License-Identifier: Apache-2.0
"""The integrate-and-fire neuron."""

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from spikerun.neurons.answer import Answering
from spikerun.neurons.base import INT32_MAX, V_LIMIT, Int32Array, IntArray, Now, Shape, State, unscaled, wide
from spikerun.values import all_alike, choice, int32_array, require

__all__ = ["IF"]


@dataclass(frozen=True, eq=False)
class IF(Answering):
    """Integrate-and-fire: `v <- clip(v + i + b, max(v_min, -(2^23-1)), 2^23-1)`; `s = v >= th`; then the reset.

    reset `subtract`: `v <- v - th s`; `zero`: `v <- 0 where s`. v_min <= 0 is a floor (a silent neuron would otherwise
    drift without bound); v_init is the membrane before the first step. answer, scale: see `Answering`.
    """

    kind: ClassVar[str] = "if"
    integrates = "step"
    instruction = "if_step"
    state = MappingProxyType({"v": "int32"})
    threshold: Int32Array
    bias: Int32Array = field(default_factory=all_alike(0))
    v_min: Int32Array = field(default_factory=all_alike(-V_LIMIT))
    v_init: Int32Array = field(default_factory=all_alike(0))
    reset: str = "subtract"
    answer: str = "count"
    scale: npt.NDArray[np.float32] = field(default_factory=unscaled)

    def __post_init__(self) -> None:
        for name in ("threshold", "bias", "v_min", "v_init"):
            object.__setattr__(self, name, int32_array(name, getattr(self, name)))
        choice("reset", self.reset, ("subtract", "zero"))
        self.check_answer()
        require(
            bool(((self.threshold >= 1) & (self.threshold <= V_LIMIT)).all()),
            f"threshold must be in 1..{V_LIMIT}, got {self.threshold.min()}..{self.threshold.max()}",
        )
        require(bool((self.v_min <= 0).all()), f"v_min must be <= 0, got {self.v_min.max()}")
        require(
            bool((np.abs(self.v_init.astype(np.int64)) <= V_LIMIT).all()),
            f"v_init must be within +-{V_LIMIT}",
        )

    @property
    def offset(self) -> Int32Array:
        return self.bias

    @property
    def largest_current(self) -> int:
        return INT32_MAX - V_LIMIT  # so that v + i + b fits

    def initial(self, shape: Shape, taps: int = 0) -> State:
        return {**super().initial(shape), "v": wide(self.v_init, shape)}

    def state_range(self, key: str, bound: int = INT32_MAX, window: int = 1) -> tuple[int, int]:
        return (-V_LIMIT, V_LIMIT) if key == "v" else self.answer_range(V_LIMIT, window)

    def step(self, shape: Shape, state: State, i: IntArray, now: Now) -> IntArray:
        threshold, bias, v_min = (wide(a, shape) for a in (self.threshold, self.bias, self.v_min))
        v = np.clip(state["v"] + i + bias, np.maximum(v_min, -V_LIMIT), V_LIMIT)
        s: IntArray = (v >= threshold).astype(np.int64)
        state["v"] = v - threshold * s if self.reset == "subtract" else np.where(s, 0, v)
        self.collect(state, s, now)
        return s

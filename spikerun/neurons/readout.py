# SPDX-License-Identifier: Apache-2.0
"""The readout."""

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from spikerun.neurons.answer import scale_array
from spikerun.neurons.base import INT32_MAX, Int32Array, IntArray, Neuron, Now, Shape, State, unscaled, wide
from spikerun.values import all_alike, int32_array

__all__ = ["Readout"]


@dataclass(frozen=True, eq=False)
class Readout(Neuron):
    """Integrates one window and never fires: `v = b + sum_t g(t) i[t]`; the result is `scale v`, float32.

    scale: float32, shape () or (C,): the only floating-point number of a run.
    """

    kind: ClassVar[str] = "readout"
    fires = False
    integrates = "window"
    state = MappingProxyType({"v": "int32"})
    scale: npt.NDArray[np.float32] = field(default_factory=unscaled)
    bias: Int32Array = field(default_factory=all_alike(0))

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", scale_array(self.scale))
        object.__setattr__(self, "bias", int32_array("bias", self.bias))

    @property
    def offset(self) -> Int32Array:
        return self.bias

    @property
    def reported(self) -> str:
        return "v"

    @property
    def real_scale(self) -> npt.NDArray[np.float32]:
        return self.scale

    def state_range(self, key: str, bound: int = INT32_MAX, window: int = 1) -> tuple[int, int]:
        return -bound, bound

    def window(self, shape: Shape, i: IntArray) -> tuple[IntArray, IntArray]:
        v = wide(self.bias, shape) + i
        return v, np.zeros_like(v)

    def step(self, shape: Shape, state: State, i: IntArray, now: Now) -> IntArray:
        before = wide(self.bias, shape) if now.r == 0 else state["v"]
        state["v"] = before + i
        return np.zeros_like(i)

# SPDX-License-Identifier: Apache-2.0
"""The leaky integrate-and-fire neuron."""

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar

import numpy as np

from spikerun.neurons.base import V_LIMIT, Int32Array, IntArray, Neuron, Now, Shape, State, wide
from spikerun.values import all_alike, choice, int32_array, integer, require

__all__ = ["LIF"]


@dataclass(frozen=True, eq=False)
class LIF(Neuron):
    """Leaky integrate-and-fire in Loihi's fixed point (bit-exact with the fixed-point models of Lava 0.10.0).

    `dec(x, d) = sign(x) ((|x| (4096 - d)) >> 12)`; `u <- wrap24(dec(u, du) + 64 i)`, in (-2^23, 2^23];
    `v <- clip(dec(v, dv) + u + b, +-(2^23-1))`; `s = v > 64 th`; then the reset.
    du, dv: 12-bit decays of current and membrane, 0 (no leak) .. 4096 (no memory). Lava's `du` counts one less.
    bias is in units of v, that is already aligned (`bias_mant << bias_exp`); threshold in units of the weights.
    reset: `zero`, the chip's; `subtract` 64 th at once; `subtract_after_leak`, at the next update, as snnTorch does.
    refractory: steps after a spike in which v neither changes nor fires (u goes on). reset_interval > 0: before step t
    with t = reset_offset (mod reset_interval), counted from 0 (Lava: from 1), the whole state is cleared.

    state: u the current; v the membrane; wait refractory steps left; pending a spike not yet subtracted.
    """

    kind: ClassVar[str] = "lif"
    integrates = "step"
    instruction = "lif_step"
    state = MappingProxyType({"v": "int32", "u": "int32", "wait": "int32", "pending": "uint8"})
    threshold: Int32Array
    bias: Int32Array = field(default_factory=all_alike(0))
    du: Int32Array = field(default_factory=all_alike(4096))
    dv: Int32Array = field(default_factory=all_alike(0))
    reset: str = "zero"
    refractory: int = 0
    reset_interval: int = 0
    reset_offset: int = 0

    def __post_init__(self) -> None:
        for name in ("threshold", "bias", "du", "dv"):
            object.__setattr__(self, name, int32_array(name, getattr(self, name)))
        choice("reset", self.reset, ("zero", "subtract", "subtract_after_leak"))
        require(
            bool(((self.threshold >= 0) & (self.threshold < 2**17)).all()),
            f"threshold must be in 0..{2**17 - 1} (17 bits), got {self.threshold.min()}..{self.threshold.max()}",
        )
        require(bool((np.abs(self.bias.astype(np.int64)) <= V_LIMIT).all()), f"bias must be within +-{V_LIMIT}")
        for name in ("du", "dv"):
            decay = getattr(self, name)
            require(
                bool(((decay >= 0) & (decay <= 4096)).all()),
                f"{name} must be in 0..4096, got {decay.min()}..{decay.max()}",
            )
        for name in ("refractory", "reset_interval", "reset_offset"):
            object.__setattr__(self, name, integer(name, getattr(self, name), 0, 2**15 - 1))

    def state_range(self, key: str) -> tuple[int, int]:
        ranges = {"v": (-V_LIMIT, V_LIMIT), "u": (-V_LIMIT, V_LIMIT + 1), "wait": (0, self.refractory)}
        return ranges.get(key, (0, int(self.reset == "subtract_after_leak")))

    def step(self, shape: Shape, state: State, i: IntArray, now: Now) -> IntArray:
        threshold, bias, du, dv = (wide(a, shape) for a in (self.threshold * 64, self.bias, self.du, self.dv))
        if self.reset_interval and now.t % self.reset_interval == self.reset_offset % self.reset_interval:
            state |= self.initial(shape)
        state["u"] = wrap24(decayed(state["u"], du) + 64 * i)
        awake = state["wait"] == 0
        v = decayed(state["v"], dv) + state["u"] + bias - threshold * state["pending"]
        v = np.where(awake, np.clip(v, -V_LIMIT, V_LIMIT), state["v"])
        s: IntArray = ((v > threshold) & awake).astype(np.int64)
        if self.reset == "zero":
            v = np.where(s, 0, v)
        elif self.reset == "subtract":
            v = v - threshold * s
        else:
            state["pending"] = np.where(awake, s, state["pending"])
        state["v"] = v
        state["wait"] = np.where(s, self.refractory, np.maximum(state["wait"] - 1, 0))
        return s


def decayed(x: IntArray, decay: IntArray) -> IntArray:
    """Return x (1 - decay / 4096), truncated toward zero."""
    shrunk: IntArray = np.sign(x) * ((np.abs(x) * (4096 - decay)) >> 12)
    return shrunk


def wrap24(x: IntArray) -> IntArray:
    """Return x modulo 2^24, in (-2^23, 2^23]."""
    wrapped: IntArray = 2**23 - (2**23 - x) % 2**24
    return wrapped

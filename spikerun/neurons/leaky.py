# SPDX-License-Identifier: Apache-2.0
"""The leaky integrate-and-fire neuron."""

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from spikerun.neurons.answer import Answering
from spikerun.neurons.base import INT32_MAX, V_LIMIT, Int32Array, IntArray, Now, Shape, State, unscaled, wide
from spikerun.values import all_alike, choice, int32_array, integer, require, truth

__all__ = ["KEEP_ALL", "LIF", "MAX_FRACTION_BITS", "WIDE_LIMIT"]

KEEP_ALL = 2**16  # the keep factor of a state that does not leak
WIDE_LIMIT = 2**29 - 1  # four such numbers add up in int32
MAX_FRACTION_BITS = 12
CHIP_FRACTION_BITS = 6
LIMITS = {"wide": WIDE_LIMIT, "chip": V_LIMIT}


@dataclass(frozen=True, eq=False)
class LIF(Answering):
    """Leaky integrate-and-fire with a synaptic current, both in fixed point with F = `fraction_bits`.

    `dec(x, k) = sign(x) ((|x| k) >> 16)`; `u <- lim(dec(u, keep_u) + (i << F) + bias_u)`;
    `v <- max(lim(dec(v, keep_v) + u + bias), v_min)`; `s = v > threshold`, `v >= threshold` if `inclusive`; then the
    reset.
    keep_u, keep_v: the share of current and membrane that a step keeps, times 2^16 (0: no memory, 65536: no leak).
    threshold, bias, bias_u, v_reset, v_init, v_min are in units of v: integers of the weights, times 2^F.
    reset: to the `value` v_reset; `subtract` the threshold at once, or `subtract_after_leak`, at the next update, as
    snnTorch does; or `none`. refractory: steps after a spike in which v neither changes nor fires (u goes on).
    limits: `wide` clamps u and v to +-(2^29-1); `chip` is Loihi, which wraps u to (-2^23, 2^23] and clamps v to
    +-(2^23-1): see `LIF.loihi`. reset_interval > 0: before step t with t = reset_offset (mod reset_interval), counted
    from 0 (Lava: from 1), the whole state is cleared. answer, scale: see `Answering`; with reset `none` and a threshold
    that is never reached it is a leaky integrator.

    state: u the current; v the membrane; wait refractory steps left; pending a spike not yet subtracted.
    """

    kind: ClassVar[str] = "lif"
    integrates = "step"
    instruction = "lif_step"
    state = MappingProxyType({"v": "int32", "u": "int32", "wait": "int32", "pending": "uint8"})
    threshold: Int32Array
    keep_v: Int32Array = field(default_factory=all_alike(KEEP_ALL))
    keep_u: Int32Array = field(default_factory=all_alike(0))
    bias: Int32Array = field(default_factory=all_alike(0))
    bias_u: Int32Array = field(default_factory=all_alike(0))
    v_reset: Int32Array = field(default_factory=all_alike(0))
    v_init: Int32Array = field(default_factory=all_alike(0))
    v_min: Int32Array = field(default_factory=all_alike(-WIDE_LIMIT))
    fraction_bits: int = 0
    reset: str = "value"
    refractory: int = 0
    limits: str = "wide"
    reset_interval: int = 0
    reset_offset: int = 0
    inclusive: bool = False
    answer: str = "count"
    scale: npt.NDArray[np.float32] = field(default_factory=unscaled)

    def __post_init__(self) -> None:
        for name in ("threshold", "keep_v", "keep_u", "bias", "bias_u", "v_reset", "v_init", "v_min"):
            object.__setattr__(self, name, int32_array(name, getattr(self, name)))
        choice("reset", self.reset, ("value", "subtract", "subtract_after_leak", "none"))
        choice("limits", self.limits, tuple(LIMITS))
        self.check_answer()
        most = LIMITS[self.limits]
        for name in ("keep_v", "keep_u"):
            _within(name, getattr(self, name), 0, KEEP_ALL)
        _within("threshold", self.threshold, 0, most)
        for name in ("bias", "bias_u", "v_reset", "v_init"):
            _within(name, getattr(self, name), -most, most)
        _within("v_min", self.v_min, -WIDE_LIMIT, 0)
        object.__setattr__(self, "fraction_bits", integer("fraction_bits", self.fraction_bits, 0, MAX_FRACTION_BITS))
        for name in ("refractory", "reset_interval", "reset_offset"):
            object.__setattr__(self, name, integer(name, getattr(self, name), 0, 2**15 - 1))
        object.__setattr__(self, "inclusive", truth("inclusive", self.inclusive))
        require(
            not self.reset_interval or not self.v_init.any(),
            "reset_interval clears the membrane to 0: it needs v_init = 0",
        )

    @classmethod
    def loihi(
        cls,
        threshold: Int32Array | int,
        bias: Int32Array | int = 0,
        du: Int32Array | int = 4096,
        dv: Int32Array | int = 0,
        reset: str = "zero",
        refractory: int = 0,
        reset_interval: int = 0,
        reset_offset: int = 0,
    ) -> "LIF":
        """Return the neuron of Loihi's fixed point, bit-exact with the fixed-point models of Lava 0.10.0.

        threshold: 0..131071, in units of the weights; bias in units of v, aligned (`bias_mant << bias_exp`); du, dv:
        12-bit decays, 0 (no leak) .. 4096 (no memory), of current and membrane (Lava's `du` counts one less). reset:
        `zero`, the chip's, or `subtract`, `subtract_after_leak`. Raises NetworkError for other values.
        """
        given = {"threshold": threshold, "bias": bias, "du": du, "dv": dv}
        threshold, bias, du, dv = (int32_array(name, values) for name, values in given.items())
        _within("threshold", threshold, 0, 2**17 - 1)
        for name, decay in (("du", du), ("dv", dv)):
            _within(name, decay, 0, 4096)
        choice("reset", reset, ("zero", "subtract", "subtract_after_leak"))
        return cls(
            threshold=threshold << CHIP_FRACTION_BITS,
            keep_v=(4096 - dv) << 4,
            keep_u=(4096 - du) << 4,
            bias=bias,
            fraction_bits=CHIP_FRACTION_BITS,
            reset="value" if reset == "zero" else reset,
            refractory=refractory,
            limits="chip",
            reset_interval=reset_interval,
            reset_offset=reset_offset,
        )

    @property
    def largest_current(self) -> int:
        # the chip wraps whatever comes; else i << F is at most the limit
        return INT32_MAX if self.limits == "chip" else WIDE_LIMIT >> self.fraction_bits

    def initial(self, shape: Shape, taps: int = 0) -> State:
        return {**super().initial(shape), "v": wide(self.v_init, shape)}

    def state_range(self, key: str, bound: int = INT32_MAX, window: int = 1) -> tuple[int, int]:
        most = LIMITS[self.limits]
        wrapped = int(self.limits == "chip")  # u reaches 2^23 there
        pending = int(self.reset == "subtract_after_leak")
        ranges = {
            "v": (-most, most),
            "u": (-most, most + wrapped),
            "wait": (0, self.refractory),
            "pending": (0, pending),
        }
        return ranges[key] if key in ranges else self.answer_range(most, window)

    def step(self, shape: Shape, state: State, i: IntArray, now: Now) -> IntArray:
        parameters = {name: wide(array, shape) for name, array in self.arrays().items() if array.dtype == np.int32}
        threshold, most = parameters["threshold"], LIMITS[self.limits]
        if self.reset_interval and now.t % self.reset_interval == self.reset_offset % self.reset_interval:
            state |= {key: np.zeros(shape, np.int64) for key in self.state}
        u = decayed(state["u"], parameters["keep_u"]) + i * 2**self.fraction_bits + parameters["bias_u"]
        state["u"] = wrap24(u) if self.limits == "chip" else np.clip(u, -most, most)
        awake = state["wait"] == 0
        v = decayed(state["v"], parameters["keep_v"]) + state["u"] + parameters["bias"] - threshold * state["pending"]
        v = np.maximum(np.clip(v, -most, most), parameters["v_min"])
        s: IntArray = ((v > threshold - self.inclusive) & awake).astype(np.int64)
        if self.reset == "value":
            v = np.where(s, parameters["v_reset"], v)
        elif self.reset == "subtract":
            v = v - threshold * s
        elif self.reset == "subtract_after_leak":
            state["pending"] = np.where(awake, s, state["pending"])
        state["v"] = np.where(awake, v, state["v"])
        state["wait"] = np.where(s, self.refractory, np.maximum(state["wait"] - 1, 0))
        self.collect(state, s, now)
        return s


def decayed(x: IntArray, keep: IntArray) -> IntArray:
    """Return x keep / 2^16, truncated toward zero."""
    shrunk: IntArray = np.sign(x) * ((np.abs(x) * keep) >> 16)
    return shrunk


def wrap24(x: IntArray) -> IntArray:
    """Return x modulo 2^24, in (-2^23, 2^23]."""
    wrapped: IntArray = 2**23 - (2**23 - x) % 2**24
    return wrapped


def _within(name: str, values: Int32Array, low: int, high: int) -> None:
    inside = bool(((values >= low) & (values <= high)).all())
    require(inside, f"{name} must be in {low}..{high}, got {values.min()}..{values.max()}")

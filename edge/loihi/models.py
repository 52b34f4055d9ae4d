# SPDX-License-Identifier: Apache-2.0
"""Models of neurons on the chip, as Lava 0.10.0 has them in fixed point, and those of our own.

A model is a class: made for a population, it is called with the step, counted from 1, and the currents of the step, and
returns what the population sends. `state` holds what may be looked at, by name.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

import numpy as np

from spikerun.edge.loihi.deltas import Sigma, SigmaDelta, SigmaDeltaExact
from spikerun.edge.loihi.graph import IntArray, Neurons, Ranges
from spikerun.edge.loihi.words import Summing, Words, few_spikes

__all__ = ["FRACTION_BITS", "MODELS", "Model", "check"]

V_LIMIT = 2**23
FRACTION_BITS = 6


class Model(Protocol):
    """A population that runs. stock: whether Lava ships its process, as a chip needs; ranges, parameters: by name."""

    stock: ClassVar[bool]
    ranges: ClassVar[Ranges]
    parameters: ClassVar[tuple[str, ...]]
    state: dict[str, IntArray]

    def __init__(self, neurons: Neurons) -> None: ...

    def __call__(self, t: int, currents: IntArray) -> IntArray:
        """Do step `t`."""
        ...


def decayed(x: IntArray, decay: int) -> IntArray:
    """Return x (4096 - decay) / 4096, rounded towards zero."""
    product = x * (4096 - decay)
    shrunk: IntArray = np.sign(product) * (np.abs(product) >> 12)
    return shrunk


def int32(x: IntArray) -> IntArray:
    """Return numbers as 32 bits hold them, modulo 2^32."""
    return x.astype(np.int32).astype(np.int64)


class Lif:
    """lava.proc.lif: LIF, or with reset_interval > 0 LIFReset.

    du: -1 (no leak) .. 4095 (no memory); dv: 0 .. 4095; vth; bias_mant, bias_exp; v_first: v before the first step;
    reset_interval, reset_offset: before
    step t with t = reset_offset (mod reset_interval) u and v are cleared. u wraps once, v is clipped.
    """

    stock = True
    ranges: Ranges = MappingProxyType(
        {
            "du": (-1, 4095),
            "dv": (0, 4095),
            "vth": (0, 2**17 - 1),
            "bias_mant": (-V_LIMIT, V_LIMIT),
            "bias_exp": (-31, 7),
            "v_first": (1 - V_LIMIT, V_LIMIT - 1),
            "reset_interval": (0, 2**31 - 1),
            "reset_offset": (0, 2**31 - 1),
        }
    )
    parameters = tuple(ranges)

    def __init__(self, neurons: Neurons) -> None:
        given = neurons.parameters
        v = np.full(neurons.shape, int(given["v_first"]), np.int64)
        self.state = {"u": np.zeros(neurons.shape, np.int64), "v": v}
        self.du, self.dv, self.threshold = (int(given[key]) for key in ("du", "dv", "vth"))
        mant, exp = (np.asarray(given[key]).astype(np.int64) for key in ("bias_mant", "bias_exp"))
        self.bias = np.where(exp >= 0, mant << np.maximum(exp, 0), mant >> np.maximum(-exp, 0))
        self.interval, self.offset = (int(given[key]) for key in ("reset_interval", "reset_offset"))

    def __call__(self, t: int, currents: IntArray) -> IntArray:
        return self.update(t, currents, self.bias)

    def restarts(self, t: int) -> bool:
        """Return whether the state is cleared before step `t`."""
        return bool(self.interval) and t % self.interval == self.offset % self.interval

    def update(self, t: int, currents: IntArray, bias: IntArray) -> IntArray:
        """Do step `t` with what is added to the membranes; return the spikes."""
        u, v = self.state["u"], self.state["v"]
        if self.restarts(t):
            u, v = np.zeros_like(u), np.zeros_like(v)
        u = int32(decayed(u, self.du + 1) + int32(int32(currents) << FRACTION_BITS))  # Lava computes in 32 bits
        u = np.where(u > V_LIMIT, u - 2 * V_LIMIT, np.where(u <= -V_LIMIT, u + 2 * V_LIMIT, u))
        v = np.clip(decayed(v, self.dv) + u + bias, 1 - V_LIMIT, V_LIMIT - 1)
        s: IntArray = (v > self.threshold << FRACTION_BITS).astype(np.int64)
        self.state |= {"u": u, "v": self.reset(v, s)}
        return s

    def reset(self, v: IntArray, s: IntArray) -> IntArray:
        """Return the membranes after the spikes `s`."""
        return np.where(s, 0, v)


class LifSubtract(Lif):
    """The same, but that a spike takes `taken` (in units of v) off the membrane: a model of our own, on no chip."""

    stock = False
    ranges = MappingProxyType({**Lif.ranges, "taken": (0, 2**31 - 1)})
    parameters = tuple(ranges)

    def __init__(self, neurons: Neurons) -> None:
        super().__init__(neurons)
        self.taken = int(neurons.parameters["taken"])

    def reset(self, v: IntArray, s: IntArray) -> IntArray:
        return v - self.taken * s


class LifSubtractAfterLeak(LifSubtract):
    """The same, but that it is taken off in the next step, after the leak, as snnTorch does: our own, too.

    state: pending, whether a spike is still to be taken off.
    """

    def __init__(self, neurons: Neurons) -> None:
        super().__init__(neurons)
        self.state["pending"] = np.zeros(neurons.shape, np.int64)

    def __call__(self, t: int, currents: IntArray) -> IntArray:
        pending = self.state["pending"]
        if self.restarts(t):
            pending = np.zeros_like(pending)
        s = self.update(t, currents, self.bias - self.taken * pending)
        self.state["pending"] = s
        return s

    def reset(self, v: IntArray, s: IntArray) -> IntArray:
        return v


MODELS: Mapping[str, Any] = MappingProxyType(
    {
        "lif": Lif,
        "lif_subtract": LifSubtract,
        "lif_subtract_after_leak": LifSubtractAfterLeak,
        "sigma": Sigma,
        "sigma_delta": SigmaDelta,
        "sigma_delta_exact": SigmaDeltaExact,
        "summing": Summing,
        "words": Words,
    }
)


def check(neurons: Neurons) -> None:
    """Raise ValueError for parameters that the model lacks, that it has not, or that are out of range."""
    ranges, given = MODELS[neurons.model].ranges, neurons.parameters
    if wrong := sorted(ranges.keys() ^ given.keys()):
        raise ValueError(f"model {neurons.model!r} has the parameters {', '.join(ranges)}: see {', '.join(wrong)}")
    for key, (least, most) in ranges.items():
        value = np.asarray(given[key])
        if value.ndim and value.shape != neurons.shape:
            raise ValueError(f"{key} has shape {value.shape}, the population {neurons.shape}")
        if not least <= value.min() <= value.max() <= most:
            raise ValueError(f"{key} must be in {least}..{most}, got {value.min()}..{value.max()}")
    if neurons.model in OF_SEVERAL:
        OF_SEVERAL[neurons.model](given)


OF_SEVERAL = MappingProxyType({"words": few_spikes})  # raise ValueError for parameters that do not go together

# SPDX-License-Identifier: Apache-2.0
"""Models of neurons on the chip, as Lava 0.10.0 has them in fixed point, and those of our own.

A model is a class: made for a population, it is called with the step, counted from 1, and the currents of the step, and
returns what the population sends. `state` holds what may be looked at, by name.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

import numpy as np

from spikerun.edge.loihi.graph import IntArray, Neurons

__all__ = ["MODELS", "Lif", "LifSubtract", "Model"]

V_LIMIT = 2**23
FRACTION_BITS = 6


class Model(Protocol):
    """A population that runs. stock: whether Lava ships its process, as a chip needs; parameters: their names."""

    stock: ClassVar[bool]
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


class Lif:
    """lava.proc.lif: LIF, or with reset_interval > 0 LIFReset.

    du: -1 (no leak) .. 4095 (no memory); dv: 0 .. 4095; vth; bias_mant, bias_exp; reset_interval, reset_offset: before
    step t with t = reset_offset (mod reset_interval) u and v are cleared. u wraps once, v is clipped.
    """

    stock = True
    parameters = ("du", "dv", "vth", "bias_mant", "bias_exp", "reset_interval", "reset_offset")

    def __init__(self, neurons: Neurons) -> None:
        given = neurons.parameters
        self.state = {"u": np.zeros(neurons.shape, np.int64), "v": np.zeros(neurons.shape, np.int64)}
        self.du, self.dv, self.threshold = (int(given[key]) for key in ("du", "dv", "vth"))
        mant, exp = (np.asarray(given[key]).astype(np.int64) for key in ("bias_mant", "bias_exp"))
        self.bias = np.where(exp >= 0, mant << np.maximum(exp, 0), mant >> np.maximum(-exp, 0))
        self.interval, self.offset = (int(given[key]) for key in ("reset_interval", "reset_offset"))

    def __call__(self, t: int, currents: IntArray) -> IntArray:
        u, v = self.state["u"], self.state["v"]
        if self.interval and t % self.interval == self.offset % self.interval:
            u, v = np.zeros_like(u), np.zeros_like(v)
        u = decayed(u, self.du + 1) + (currents << FRACTION_BITS)
        u = np.where(u > V_LIMIT, u - 2 * V_LIMIT, np.where(u <= -V_LIMIT, u + 2 * V_LIMIT, u))
        v = np.clip(decayed(v, self.dv) + u + self.bias, 1 - V_LIMIT, V_LIMIT - 1)
        s: IntArray = (v > self.threshold << FRACTION_BITS).astype(np.int64)
        self.state = {"u": u, "v": self.reset(v, s)}
        return s

    def reset(self, v: IntArray, s: IntArray) -> IntArray:
        """Return the membranes after the spikes `s`."""
        return np.where(s, 0, v)


class LifSubtract(Lif):
    """The same, but that a spike takes the threshold off the membrane: a model of our own, which no chip has."""

    stock = False

    def reset(self, v: IntArray, s: IntArray) -> IntArray:
        return v - (self.threshold << FRACTION_BITS) * s


MODELS: Mapping[str, Any] = MappingProxyType({"lif": Lif, "lif_subtract": LifSubtract})

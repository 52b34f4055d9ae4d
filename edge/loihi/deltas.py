# SPDX-License-Identifier: Apache-2.0
"""Models of sigma-delta populations: they send how much their activation has changed, and receivers add that up.

Lava 0.10.0's (lava.proc.sdn, fixed point, without cum_error), and one of our own that forgets nothing of what it has
not sent.
"""

from types import MappingProxyType
from typing import ClassVar

import numpy as np

from spikerun.edge.loihi.graph import IntArray, Neurons, Ranges

__all__ = ["Sigma", "SigmaDelta", "SigmaDeltaExact"]


class SigmaDelta:
    """lava.proc.sdn.SigmaDelta: sigma <- sigma + a; sends (activation - what it was + residue) >> state_exp.

    vth, bias: in units of 2^(spike_exp + state_exp); smaller changes than vth become the residue, and are sent later.
    act_mode: 0 the sum itself, 1 ReLU. The bits that the shift takes off are lost: a single change from 0 is sent as
    its floor, and several drift.
    """

    stock = True
    ranges: Ranges = MappingProxyType(
        {
            "vth": (0, 2**23),
            "bias": (-(2**23), 2**23),
            "act_mode": (0, 1),
            "spike_exp": (0, 7),
            "state_exp": (0, 31),
        }
    )
    parameters = tuple(ranges)

    def __init__(self, neurons: Neurons) -> None:
        given = neurons.parameters
        self.state: dict[str, IntArray] = {
            key: np.zeros(neurons.shape, np.int64) for key in ("sigma", "act", "residue")
        }
        self.exponent = int(given["state_exp"])
        unit = 1 << (int(given["spike_exp"]) + self.exponent)
        self.threshold, self.bias = int(given["vth"]) * unit, np.asarray(given["bias"]).astype(np.int64) * unit
        self.rectified = bool(given["act_mode"])

    def __call__(self, t: int, currents: IntArray) -> IntArray:
        sigma = self.state["sigma"] + currents
        act = sigma + self.bias
        return self.sent(sigma, np.maximum(act, 0) if self.rectified else act)

    def sent(self, sigma: IntArray, act: IntArray) -> IntArray:
        """Return what is sent of a new activation, and remember it."""
        delta = act - self.state["act"] + self.state["residue"]
        kept = np.where(np.abs(delta) >= self.threshold, delta, 0)
        self.state |= {"sigma": sigma, "act": act, "residue": delta - kept}
        found: IntArray = kept >> self.exponent
        return found


class SigmaDeltaExact(SigmaDelta):
    """The same, but that `act` is what has been sent, so that nothing is lost: a model of our own, on no chip.

    With vth 0, all that was ever sent adds up to activation >> state_exp in every step.
    """

    stock = False

    def sent(self, sigma: IntArray, act: IntArray) -> IntArray:
        delta = act - self.state["act"]
        found: IntArray = np.where(np.abs(delta) >= self.threshold, delta, 0) >> self.exponent
        self.state |= {"sigma": sigma, "act": self.state["act"] + (found << self.exponent)}
        return found


class Sigma:
    """lava.proc.sdn.Sigma: sends in every step the sum of all that it has received."""

    stock = True
    ranges: ClassVar[Ranges] = MappingProxyType({})
    parameters: ClassVar[tuple[str, ...]] = ()

    def __init__(self, neurons: Neurons) -> None:
        self.state: dict[str, IntArray] = {"sigma": np.zeros(neurons.shape, np.int64)}

    def __call__(self, t: int, currents: IntArray) -> IntArray:
        self.state["sigma"] = self.state["sigma"] + currents
        return self.state["sigma"]

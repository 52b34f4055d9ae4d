# SPDX-License-Identifier: Apache-2.0
"""Populations that send words, as `spikerun.FewSpikes` and `Readout` define them: models of our own, on no chip."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from spikerun.checks import MAX_WINDOW
from spikerun.codes import CODES, MAX_BITS, MAX_INPUT_BITS, significance
from spikerun.edge.loihi.graph import MAX_BEGIN, IntArray, Neurons, Ranges
from spikerun.neurons import FewSpikes, Now
from spikerun.neurons.base import INT32_MAX

__all__ = ["Summing", "Words", "few_spikes"]


class Summing:
    """Adds up a window: `v = bias + sum g(r) i(r)`, from step `first` on, `window` steps each; sends nothing.

    in_code (a number of CODES; -1: g is 1), in_bits, in_signed: of the sources, whose events come `in_lag` steps later.
    """

    stock = False
    ranges: Ranges = MappingProxyType(
        {
            "bias": (-(2**31), INT32_MAX),
            "window": (1, MAX_WINDOW),
            "first": (1, MAX_BEGIN),
            "in_code": (-1, len(CODES) - 1),
            "in_bits": (1, MAX_INPUT_BITS),
            "in_signed": (0, 1),
            "in_lag": (0, MAX_WINDOW - 1),
        }
    )
    parameters = tuple(ranges)

    def __init__(self, neurons: Neurons) -> None:
        given: dict[str, Any] = dict(neurons.parameters)
        self.shape, self.window, self.first = neurons.shape, int(given["window"]), int(given["first"])
        self.bias = np.broadcast_to(np.asarray(given["bias"], np.int64), self.shape)
        code = int(given["in_code"])
        g = np.ones(self.window, np.int64)
        if code >= 0:
            g = significance(CODES[code], int(given["in_bits"]), bool(given["in_signed"]), self.window)
        self.weighs = np.roll(g, int(given["in_lag"]))
        self.state = {"v": np.zeros(self.shape, np.int64)}

    def __call__(self, t: int, currents: IntArray) -> IntArray:
        if t >= self.first:
            r = (t - self.first) % self.window
            self.state["v"] = (self.bias if r == 0 else self.state["v"]) + currents * self.weighs[r]
        return np.zeros_like(currents)


class Words(Summing):
    """Sends in each window the word that the last one made: bits, threshold, signed, kept (spikes at most), code."""

    ranges = MappingProxyType(
        {
            **Summing.ranges,
            "bits": (1, MAX_BITS),
            "threshold": (1, INT32_MAX),
            "signed": (0, 1),
            "kept": (1, MAX_BITS),
            "code": (0, len(CODES) - 1),
        }
    )
    parameters = tuple(ranges)

    def __init__(self, neurons: Neurons) -> None:
        super().__init__(neurons)
        given: dict[str, Any] = dict(neurons.parameters)
        self.neuron = few_spikes({**given, "bias": self.bias})
        self.sends = self.neuron.word.significance(self.window)
        self.state = self.neuron.initial(self.shape)

    def __call__(self, t: int, currents: IntArray) -> IntArray:
        if t < self.first:
            return np.zeros_like(currents)
        step = t - self.first
        r = step % self.window
        now = Now(step, r, int(self.sends[r]), self.window)
        return self.neuron.step(self.shape, self.state, currents * self.weighs[r], now)


def few_spikes(given: Mapping[str, Any]) -> FewSpikes:
    """Return the neuron that has the parameters of Words. Raises NetworkError where they do not go together."""
    code = CODES[int(given["code"])]
    kept = None if code == "ttfs" else int(given["kept"])
    threshold, bias = (np.asarray(given[key], np.int32) for key in ("threshold", "bias"))
    return FewSpikes(int(given["bits"]), threshold, bias, bool(given["signed"]), kept, code)

# SPDX-License-Identifier: Apache-2.0
"""Populations that send words, as `spikerun.FewSpikes` and `Readout` define them: models of our own, on no chip."""

from typing import Any

import numpy as np

from spikerun.codes import CODES, significance
from spikerun.edge.loihi.graph import IntArray, Neurons
from spikerun.neurons import FewSpikes, Now

__all__ = ["Summing", "Words"]


class Summing:
    """Adds up a window: `v = bias + sum g(r) i(r)`, from step `first` on, `window` steps each; sends nothing.

    in_code (a number of CODES; -1: g is 1), in_bits, in_signed: of the sources, whose events come `in_lag` steps later.
    """

    stock = False
    parameters: tuple[str, ...] = ("bias", "window", "first", "in_code", "in_bits", "in_signed", "in_lag")

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

    parameters = (*Summing.parameters, "bits", "threshold", "signed", "kept", "code")

    def __init__(self, neurons: Neurons) -> None:
        super().__init__(neurons)
        given: dict[str, Any] = dict(neurons.parameters)
        bits, signed, code = int(given["bits"]), bool(given["signed"]), CODES[int(given["code"])]
        self.sends = significance(code, bits, signed, self.window)
        kept = None if code == "ttfs" else int(given["kept"])
        threshold, bias = (np.asarray(x, np.int32) for x in (given["threshold"], self.bias))
        self.neuron = FewSpikes(bits, threshold, bias, signed, kept, code)
        self.state = self.neuron.initial(self.shape)

    def __call__(self, t: int, currents: IntArray) -> IntArray:
        if t < self.first:
            return np.zeros_like(currents)
        step = t - self.first
        r = step % self.window
        now = Now(step, r, int(self.sends[r]), self.window)
        return self.neuron.step(self.shape, self.state, currents * self.weighs[r], now)

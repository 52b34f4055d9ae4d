# SPDX-License-Identifier: Apache-2.0
"""The few-spikes neuron."""

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar

import numpy as np

from spikerun.codes import CODES, MAX_BITS, Word, keep_most_significant
from spikerun.neurons.base import INT32_MAX, Int32Array, IntArray, Neuron, Now, Shape, State, wide
from spikerun.neurons.input import check_word
from spikerun.values import all_alike, choice, int32_array, integer, require, truth

__all__ = ["FewSpikes"]


@dataclass(frozen=True, eq=False)
class FewSpikes(Neuron):
    """Few-spikes neuron: integrates one window, computes an integer, sends it in the next window.

    `v = b + sum_t g(t) i[t]`, `q = clip(floor(v / th), 0, 2^T - 1)`; signed: `-2^(T-1) .. 2^(T-1) - 1`. Of the bits of
    q only the `max_spikes` most significant are kept. Rounding to nearest is th/2 inside b.
    code: how q travels. `bits`: T steps, most significant first, g = 2^(T-1-t); `ttfs`: one spike in 2^T - 1 steps,
    g = 2^T - 1 - t; `graded`: one event of payload q.
    Step by step, senders use restoring division: `s = (u >= th g)`, `u <- u - th g s`, with compare and subtract only.
    After Stoeckl & Maass, "Optimized spiking neurons can classify images with high accuracy through temporal coding
    with two spikes", 2021, restricted to an exact binary code.

    state: v what is integrated in this window; u what is left to send of the last one; left how many spikes still may.
    """

    kind: ClassVar[str] = "few_spikes"
    integrates = "window"
    answers_after = 1
    state = MappingProxyType({"v": "int32", "u": "int32", "left": "uint8"})
    bits: int
    threshold: Int32Array
    bias: Int32Array = field(default_factory=all_alike(0))
    signed: bool = False
    max_spikes: int | None = None
    code: str = "bits"

    def __post_init__(self) -> None:
        object.__setattr__(self, "threshold", int32_array("threshold", self.threshold))
        object.__setattr__(self, "bias", int32_array("bias", self.bias))
        object.__setattr__(self, "bits", integer("bits", self.bits, 1, MAX_BITS))
        object.__setattr__(self, "signed", truth("signed", self.signed))
        choice("code", self.code, CODES)
        check_word(self.word)
        require(bool((self.threshold >= 1).all()), f"threshold must be >= 1, got {self.threshold.min()}")
        limit = INT32_MAX >> self.bits
        require(
            bool((self.threshold <= limit).all()),
            f"threshold must be <= {limit} so that th * 2^{self.bits} fits int32, got {self.threshold.max()}",
        )
        if self.max_spikes is not None:
            object.__setattr__(self, "max_spikes", integer("max_spikes", self.max_spikes, 1, self.bits))
            require(self.code != "ttfs", "code 'ttfs' sends one spike already: leave max_spikes out")

    @property
    def word(self) -> Word:
        return Word(self.code, self.bits, self.signed)

    @property
    def offset(self) -> Int32Array:
        return self.bias

    @property
    def kept_bits(self) -> int:
        """Return how many set bits of q are kept."""
        return self.max_spikes or self.bits

    @property
    def spike_limit(self) -> int:
        """Return how many spikes a neuron may send in a window."""
        return 1 if self.code == "ttfs" else self.kept_bits

    def state_range(self, key: str, bound: int = INT32_MAX, window: int = 1) -> tuple[int, int]:
        # the sign's spike leaves what is negative less than the other spikes may send together, and one
        rest = (int(self.threshold.max()) << (self.bits - 1)) - 1 if self.signed else 0
        return {"v": (-bound, bound), "u": (-bound, max(bound, rest)), "left": (0, self.spike_limit)}[key]

    def fire(self, shape: Shape, v: IntArray) -> IntArray:
        """Return the integers q that neurons of membranes `v` compute."""
        q = np.clip(v // wide(self.threshold, shape), *self.word.range)
        return keep_most_significant(q, self.bits, self.signed, self.kept_bits)

    def window(self, shape: Shape, i: IntArray) -> tuple[IntArray, IntArray]:
        v = wide(self.bias, shape) + i
        return v, self.fire(shape, v)

    def between(self, shape: Shape, low: IntArray, high: IntArray) -> tuple[IntArray, IntArray]:
        return self.fire(shape, low), self.fire(
            shape, high
        )  # the largest word of so few spikes below q: it never falls

    def step(self, shape: Shape, state: State, i: IntArray, now: Now) -> IntArray:
        if now.r == 0:  # a window ends and the next begins: what was integrated is now sent
            if now.t > 0:
                state["u"], state["left"] = state["v"], np.full(shape, self.spike_limit)
            state["v"] = wide(self.bias, shape)
        state["v"] = state["v"] + i
        return self._send(shape, state, now.g)

    def _send(self, shape: Shape, state: State, g: int) -> IntArray:
        u, left, threshold = state["u"], state["left"], wide(self.threshold, shape)
        if g == 0:
            return np.zeros_like(u)
        if self.code == "graded":
            return self.fire(shape, u)
        s = ((u < 0) if g < 0 else (u >= threshold * g)) & (left > 0)
        state["u"] = u - threshold * g * s
        state["left"] = left - s
        return s.astype(np.int64)

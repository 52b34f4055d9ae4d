# SPDX-License-Identifier: Apache-2.0
"""Rounding that passes gradients on, and counts of spikes with a price in their place."""

import math
from typing import Any

import torch
from torch import Tensor

__all__ = ["counted", "rounded", "taken"]

UNFELT = -0.5  # of a word: membranes below it have no spike to lose


class _Taken(torch.autograd.Function):
    """`exact`, whose gradient goes to `smooth`, which it is taken for."""

    @staticmethod
    def forward(ctx: Any, exact: Tensor, smooth: Tensor) -> Tensor:
        return exact.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return None, gradients[0]


def taken(exact: Tensor, smooth: Tensor) -> Tensor:
    """Return `exact`, with the gradient of `smooth` (the straight-through estimator of Bengio et al. 2013)."""
    found: Tensor = _Taken.apply(exact.detach(), smooth)  # type: ignore[no-untyped-call]
    return found


def rounded(x: Tensor) -> Tensor:
    """Return whole numbers, with the gradient of `x`."""
    return taken(x.detach().round(), x)


class _Counted(torch.autograd.Function):
    """The spikes of words; the gradient is that of a smooth concave price, which costs the first spike most.

    A word of membrane u (in steps) costs log2(1 + u) spikes or, as an event, u / (u + 1/2): their derivatives are
    what is paid. Below 0 words of two's complement cost too, and are drawn up.
    """

    @staticmethod
    def forward(ctx: Any, u: Tensor, words: Tensor, bits: int, events: bool) -> Tensor:
        ctx.save_for_backward(u)
        ctx.events = events
        ctx.signed = bool((words < 0).any())
        if events:
            return (words != 0).to(u.dtype)
        return _set_bits(words, bits).to(u.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (u,) = ctx.saved_tensors
        size = u.abs() if ctx.signed else u.clamp_min(0)
        price = 0.5 / (size + 0.5) ** 2 if ctx.events else 1 / (math.log(2) * (1 + size))
        price = price * u.sign() if ctx.signed else price * (u > UNFELT)
        return gradients[0] * price, None, None, None


def _set_bits(words: Tensor, bits: int) -> Tensor:
    """Return how many bits of words are set, of which two's complement has `bits`."""
    left = words.to(torch.int32) & (2**bits - 1)
    left = left - ((left >> 1) & 0x55555555)
    left = (left & 0x33333333) + ((left >> 2) & 0x33333333)
    left = (left + (left >> 4)) & 0x0F0F0F0F
    return (left * 0x01010101) >> 24 & 0xFF


def counted(u: Tensor, words: Tensor, bits: int, events: bool) -> Tensor:
    """Return the spikes of words (or whether there are any: events), priced at their membranes `u` in steps."""
    found: Tensor = _Counted.apply(u, words, bits, events)  # type: ignore[no-untyped-call]
    return found

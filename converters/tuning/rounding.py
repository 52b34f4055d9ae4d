# SPDX-License-Identifier: Apache-2.0
"""Rounding that passes gradients on, and counts of spikes with a price in their place."""

import math
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

__all__ = ["counted", "fired", "rounded", "spread", "taken"]

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


def spread(values: Tensor, axes: int) -> Tensor:
    """Return values of shape (), (C,) or all `axes` such that they broadcast over a batch."""
    return values.reshape(-1, *(1,) * (axes - 1)) if values.ndim == 1 else values


def rounded(x: Tensor) -> Tensor:
    """Return whole numbers, with the gradient of `x`."""
    return taken(x.detach().round(), x)


class _Fired(torch.autograd.Function):
    """Words of accumulators, and their membranes in steps; beyond the limits, words pass no gradient on."""

    @staticmethod
    def forward(ctx: Any, v: Tensor, threshold: Tensor, low: float, high: float) -> tuple[Tensor, Tensor]:
        u = v / threshold
        words = (v + (threshold / 2).floor()).div_(threshold).floor_().clamp_(low, high)  # exact where u + 1/2 is not
        ctx.save_for_backward(u, threshold)
        ctx.limits = low, high
        return words, u

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (u, threshold), (low, high) = ctx.saved_tensors, ctx.limits
        words, own = gradients
        found = words * ((u >= low) & (u <= high))
        if own is not None:
            found = found.add_(own)
        found = found.div_(threshold)
        axes = [axis for axis, size in enumerate(threshold.shape) if size == 1]
        return found, -(found * u).sum(axes, keepdim=True), None, None


def fired(v: Tensor, threshold: Tensor, low: float, high: float) -> tuple[Tensor, Tensor]:
    """Return the words of accumulators (B, C, ...) for thresholds that broadcast, and their membranes in steps."""
    found: tuple[Tensor, Tensor] = _Fired.apply(v, threshold, low, high)  # type: ignore[no-untyped-call]
    return found


class _Counted(torch.autograd.Function):
    """The spikes of words; the gradient is that of a smooth concave price, which costs the first spike most.

    A word of membrane u (in steps) costs log2(1 + u) spikes or, as an event, u / (u + 1/2): their derivatives are
    what is paid. Below 0 words of two's complement cost too, and are drawn up.
    """

    @staticmethod
    def forward(ctx: Any, u: Tensor, words: Tensor, bits: int, signed: bool, events: bool) -> Tensor:
        ctx.save_for_backward(u)
        ctx.events, ctx.signed = events, signed
        if events:
            return (words != 0).to(u.dtype)
        return _set_bits(words, bits)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (u,) = ctx.saved_tensors
        size = u.abs() if ctx.signed else u.clamp_min(0)
        price = 0.5 / (size + 0.5) ** 2 if ctx.events else 1 / (math.log(2) * (1 + size))
        price = price * u.sign() if ctx.signed else price * (u > UNFELT)
        return gradients[0] * price, None, None, None, None


def _set_bits(words: Tensor, bits: int) -> Tensor:
    """Return how many bits of words are set, of which two's complement has `bits`, float32."""
    return _table(bits, words.device)[words.to(torch.int32) & (2**bits - 1)]


@lru_cache
def _table(bits: int, device: torch.device) -> Tensor:
    return torch.tensor([value.bit_count() for value in range(2**bits)], dtype=torch.float32, device=device)


def counted(u: Tensor, words: Tensor, bits: int, signed: bool, events: bool) -> Tensor:
    """Return the spikes of words (or whether there are any: events), priced at their membranes `u` in steps."""
    found: Tensor = _Counted.apply(u, words, bits, signed, events)  # type: ignore[no-untyped-call]
    return found

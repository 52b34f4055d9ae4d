# SPDX-License-Identifier: Apache-2.0
"""How many spikes there are in words, and in temporal bytes; and words times a gain, added to sums."""

import torch
import triton

from spikerun.kernels.gpu.jit.words import count_kernel, scale_kernel, total_kernel

__all__ = ["MOST_PASSES", "add_scaled", "count", "totals"]

MOST_PASSES = 255  # whose spikes a word holds the number of
BLOCK = 2048


def count(words: torch.Tensor, fan_out: torch.Tensor, out: torch.Tensor, bits: int, times: int = 1) -> None:
    """Add (spikes, spikes times fan_out) to out, int64 [2], so many times.

    words: one piece of memory, samples of any number; bits: the set bits of so many lowest are spikes; 0: a word that
    is not 0 is one. fan_out: int32 of 1, C or all values of a sample, channels last.
    """
    n = words.numel()
    if n:
        count_kernel[(triton.cdiv(n, BLOCK),)](
            words, fan_out, out, n, fan_out.numel(), times, MASK=(1 << bits) - 1, NONZERO=not bits, BLOCK=BLOCK
        )


def totals(byte: torch.Tensor, out: torch.Tensor) -> None:
    """Write how many spikes each neuron has in its temporal bytes, uint8 (chunks, ...), to out, uint8 (...)."""
    n = out.numel()
    if n:
        total_kernel[(triton.cdiv(n, 1024),)](byte, out, n, CHUNKS=len(byte), BLOCK=1024)


def add_scaled(x: torch.Tensor, gain: torch.Tensor, acc: torch.Tensor) -> None:
    """Add x times gain to acc, int32 of the same shape, modulo 2^32; gain: int32 of 1 or C values, channels last."""
    n = acc.numel()
    if n:
        scale_kernel[(triton.cdiv(n, 1024),)](x, gain, acc, n, gain.numel(), BLOCK=1024)

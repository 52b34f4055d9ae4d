# SPDX-License-Identifier: Apache-2.0
"""Kernels of words: how many spikes there are, and words times a gain."""

import triton
import triton.language as tl

__all__ = ["count_kernel", "scale_kernel", "total_kernel"]


@triton.jit
def _bits(w):
    w = w - ((w >> 1) & 0x55555555)
    w = (w & 0x33333333) + ((w >> 2) & 0x33333333)
    w = (w + (w >> 4)) & 0x0F0F0F0F
    return (w + (w >> 8) + (w >> 16)) & 0x3F


@triton.jit
def count_kernel(
    word_ptr, fan_ptr, out_ptr, n, n_fan, times, MASK: tl.constexpr, NONZERO: tl.constexpr, BLOCK: tl.constexpr
):
    """out += (spikes, spikes times fan_out), `times` times."""
    j = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = j < n
    w = tl.load(word_ptr + j, mask=inside, other=0).to(tl.int32)
    spikes = (w != 0).to(tl.int64) if NONZERO else _bits(w & MASK).to(tl.int64)
    fan = tl.load(fan_ptr + j % n_fan, mask=inside, other=0).to(tl.int64)
    tl.atomic_add(out_ptr, tl.sum(spikes) * times)
    tl.atomic_add(out_ptr + 1, tl.sum(spikes * fan) * times)


@triton.jit
def total_kernel(byte_ptr, out_ptr, n, CHUNKS: tl.constexpr, BLOCK: tl.constexpr):
    """out = the spikes of each neuron in all its temporal bytes, (CHUNKS, n) of them."""
    j = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = j < n
    total = tl.zeros([BLOCK], tl.int32)
    for k in tl.static_range(CHUNKS):
        total += _bits(tl.load(byte_ptr + k * n + j, mask=inside, other=0).to(tl.int32) & 255)
    tl.store(out_ptr + j, total.to(tl.uint8), mask=inside)


@triton.jit
def scale_kernel(x_ptr, gain_ptr, acc_ptr, n, n_gain, BLOCK: tl.constexpr):
    """acc += gain x, element by element."""
    j = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = j < n
    x = tl.load(x_ptr + j, mask=inside, other=0).to(tl.int32)
    gain = tl.load(gain_ptr + j % n_gain, mask=inside, other=0)
    tl.store(acc_ptr + j, tl.load(acc_ptr + j, mask=inside, other=0) + x * gain, mask=inside)

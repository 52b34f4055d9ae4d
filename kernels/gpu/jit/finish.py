# SPDX-License-Identifier: Apache-2.0
"""What kernels share: spikes of bytes; behind their sums, neurons over the steps of a tile, max-pool, counts."""

import os

import triton
import triton.language as tl

from spikerun.kernels.gpu.jit.neurons import if_update

__all__ = ["FIRE", "IF", "SUMS", "masked", "neuron_step", "pooled", "sums_of", "tally", "word_of"]

INTERPRETED = tl.constexpr(os.environ.get("TRITON_INTERPRET") == "1")
SUMS, FIRE, IF = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)


@triton.constexpr_function
def _asm(operation, mask):
    byte = mask & 0xFF
    return f"{operation}.b32 $0, $1, 0x{byte * 0x01010101:08x};"


@triton.jit
def masked(x, MASK: tl.constexpr):
    """Return x & MASK of bytes x, four in one instruction: MASK 1 << t leaves 2^t where there is a spike at step t."""
    if INTERPRETED:
        return x & (MASK if MASK < 128 else MASK - 256)
    return tl.inline_asm_elementwise(_asm("and", MASK), "=r,r", [x], dtype=tl.int8, is_pure=True, pack=4)


@triton.jit
def word_of(x, UNSIGNED: tl.constexpr):
    """Return words as signed bytes; of unsigned ones, x - 128."""
    if not UNSIGNED:
        return x
    if INTERPRETED:
        return x ^ -128
    return tl.inline_asm_elementwise(_asm("xor", 128), "=r,r", [x], dtype=tl.int8, is_pure=True, pack=4)


@triton.jit
def sums_of(acc, t: tl.constexpr):
    """Return the sums of spikes from those of x & (1 << t); as a signed byte, 1 << 7 is -128."""
    if t == 7:
        return -(acc >> 7)
    return acc >> t


@triton.jit
def neuron_step(v, byte, i, t: tl.constexpr, bias, threshold, v_min, ZERO: tl.constexpr, WIDTH: tl.constexpr):
    """Return the membranes after step t, and temporal bytes with bit t."""
    v, s = if_update(v, i, bias, threshold, v_min, ZERO, WIDTH)
    return v, byte | (s.to(tl.int32) << t)


@triton.jit
def _either(a, b):
    return a | b


@triton.jit
def _larger(a, b):
    return tl.maximum(a, b)


@triton.jit
def pooled(word, OR: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr):
    """Return the largest word (OR: the bits of any) of each four rows that follow each other, int32 [BM / 4, BN]."""
    windows = tl.reshape(word, [BM // 4, 4, BN])
    if OR:
        return tl.reduce(windows, 1, _either)
    return tl.reduce(windows, 1, _larger)


@triton.jit
def tally(
    counter_ptr, fan_ptr, word, inside, position, n, n_fan, NC: tl.constexpr, SHARED: tl.constexpr,
    NARROW: tl.constexpr, BITS: tl.constexpr, NONZERO: tl.constexpr,
):  # fmt: skip
    """Add the spikes of words, and what they reach, to counter[0] and counter[1].

    position, n: of a sample, of each row and column. SHARED: the channels of a position have one fan-out. NARROW: sums
    of a tile stay within 32 bits.
    """
    if NONZERO:
        spikes = (word != 0).to(tl.int32)
    else:
        b = word & ((1 << BITS) - 1)
        b = (b & 0x55) + ((b >> 1) & 0x55)
        b = (b & 0x33) + ((b >> 2) & 0x33)
        spikes = (b & 0x0F) + (b >> 4)
    spikes = tl.where(inside, spikes, 0)
    rows = tl.sum(spikes, 1)
    if SHARED:
        fan = tl.load(fan_ptr + position % n_fan)
        sent = rows
    else:
        fan = tl.load(fan_ptr + (position[:, None] * NC + n[None, :]) % n_fan, mask=inside, other=0)
        sent = spikes
    if NARROW:
        reached = tl.sum(sent * fan).to(tl.int64)
    else:
        reached = tl.sum(sent.to(tl.int64) * fan.to(tl.int64))
    tl.atomic_add(counter_ptr, tl.sum(rows).to(tl.int64), sem="relaxed")
    tl.atomic_add(counter_ptr + 1, reached, sem="relaxed")

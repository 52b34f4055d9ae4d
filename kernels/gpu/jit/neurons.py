# SPDX-License-Identifier: Apache-2.0
"""Kernels of neurons: each program takes BLOCK neurons through all steps, with their state in registers."""

import triton
import triton.language as tl

__all__ = [
    "fire_kernel",
    "fired_word",
    "if_kernel",
    "if_update",
    "lif_kernel",
    "pack_kernel",
    "unpack_kernel",
    "value",
]


@triton.jit
def value(values, n, j, ONE: tl.constexpr):
    """Return what neurons j have of a parameter of n values."""
    if ONE:
        found = tl.load(values)
    else:
        found = tl.load(values + j % n)
    return found


@triton.jit
def if_update(v, i, bias, threshold, v_min, ZERO: tl.constexpr, WIDTH: tl.constexpr):
    """Return membranes and spikes after a step.

    WIDTH: 2: none comes to a limit; 1: biases are within +-2^24, so that cutting a current changes nothing; 0: any.
    """
    LIMIT: tl.constexpr = 8388607
    if WIDTH == 2:
        x = v + (i + bias)
    elif WIDTH == 1:
        x = v + tl.minimum(tl.maximum(i.to(tl.int32), -268435456), 268435456) + bias
        x = tl.minimum(tl.maximum(x, v_min), LIMIT)
    else:
        y = v.to(tl.int64) + i.to(tl.int64) + bias.to(tl.int64)
        x = tl.minimum(tl.maximum(y, v_min.to(tl.int64)), LIMIT).to(tl.int32)
    s = x >= threshold
    v = tl.where(s, 0 if ZERO else x - threshold, x)
    return v, s


@triton.jit
def fired_word(v, threshold, BITS: tl.constexpr, SIGNED: tl.constexpr, MOST: tl.constexpr):
    """Return int32 words clip(floor(v / threshold), lo, hi) with their MOST most significant set bits."""
    if SIGNED:
        # Division of integers goes toward zero here: of a negative v, floor is that of what lies on the other side.
        low = v < 0
        q = tl.where(low, ~v, v) // threshold
        q = tl.minimum(q, (1 << (BITS - 1)) - 1)
        q = tl.where(low, ~q, q)
    else:
        q = tl.minimum(tl.maximum(v, 0) // threshold, (1 << BITS) - 1)
    if MOST < BITS:
        kept = tl.zeros_like(q)
        n = tl.zeros_like(q)
        for k in tl.static_range(BITS):
            bit = (q >> (BITS - 1 - k)) & 1
            bit = tl.where(n < MOST, bit, 0)
            kept |= bit << (BITS - 1 - k)
            n += bit
        q = kept
        if SIGNED:
            q = (q << (32 - BITS)) >> (32 - BITS)
    return q


@triton.jit
def kept(x, keep):
    """Return x * keep / 2^16, toward zero; keep is 0..2^16, the magnitude of x below 2^31."""
    magnitude = tl.where(x < 0, -x, x).to(tl.uint32)
    product = tl.umulhi(magnitude << 1, keep.to(tl.uint32) << 15).to(tl.int32)
    return tl.where(x < 0, -product, product)


@triton.jit
def if_kernel(
    i_ptr, v_ptr, out_ptr, threshold_ptr, bias_ptr, min_ptr, M, n_threshold, n_bias, n_min,
    T: tl.constexpr, PACKED: tl.constexpr, STATE: tl.constexpr, ZERO: tl.constexpr, WIDTH: tl.constexpr,
    ONE_T: tl.constexpr, ONE_B: tl.constexpr, ONE_M: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    j = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = j < M
    threshold = value(threshold_ptr, n_threshold, j, ONE_T)
    bias = value(bias_ptr, n_bias, j, ONE_B)
    v_min = value(min_ptr, n_min, j, ONE_M)
    if STATE:
        v = tl.load(v_ptr + j, mask=inside, other=0)
    else:
        v = tl.zeros([BLOCK], tl.int32)
    if PACKED:
        byte = tl.zeros([BLOCK], tl.int32)
        for t in tl.static_range(T):
            i = tl.load(i_ptr + j, mask=inside, other=0)
            v, s = if_update(v, i, bias, threshold, v_min, ZERO, WIDTH)
            byte |= s.to(tl.int32) << t
            i_ptr += M
        tl.store(out_ptr + j, byte.to(tl.uint8), mask=inside)
    else:
        for _ in range(T):
            i = tl.load(i_ptr + j, mask=inside, other=0)
            v, s = if_update(v, i, bias, threshold, v_min, ZERO, WIDTH)
            tl.store(out_ptr + j, s.to(tl.uint8), mask=inside)
            i_ptr += M
            out_ptr += M
    if STATE:
        tl.store(v_ptr + j, v, mask=inside)


@triton.jit
def lif_update(
    u, v, wait, pending, i, threshold, keep_v, keep_u, bias, bias_u, v_reset, v_min,
    DECAYS: tl.constexpr, WAITS: tl.constexpr, FRACTION: tl.constexpr, RESET: tl.constexpr,
    REFRACTORY: tl.constexpr, CHIP: tl.constexpr, INCLUSIVE: tl.constexpr,
):  # fmt: skip
    """Return u, v, wait, pending and spikes after one step; `kernels/cpu/lif_step.cpp` has the equation."""
    LIMIT: tl.constexpr = 8388607 if CHIP else 536870911
    current = (i.to(tl.int32) << FRACTION) + bias_u
    if DECAYS:
        current += kept(u, keep_u)
    if CHIP:
        current = 0x800000 - ((0x800000 - current) & 0xFFFFFF)
    else:
        current = tl.minimum(tl.maximum(current, -LIMIT), LIMIT)
    x = kept(v, keep_v) + current + bias
    if RESET == 2:
        x -= tl.where(pending != 0, threshold, 0)
    x = tl.maximum(tl.minimum(tl.maximum(x, -LIMIT), LIMIT), v_min)
    if INCLUSIVE:
        s = x >= threshold
    else:
        s = x > threshold
    awake = wait <= 0
    if WAITS:
        s = s & awake
    after = x
    if RESET == 0:
        after = tl.where(s, v_reset, x)
    if RESET == 1:
        after = tl.where(s, x - threshold, x)
    if RESET == 2:
        pending = tl.where(awake, s.to(tl.int32), pending)
    if WAITS:
        v = tl.where(awake, after, v)
        wait = tl.where(s, REFRACTORY, tl.where(awake, wait, wait - 1))
    else:
        v = after
    return current, v, wait, pending, s


@triton.jit
def lif_kernel(
    i_ptr, u_ptr, v_ptr, wait_ptr, pending_ptr, out_ptr, threshold_ptr, keep_v_ptr, keep_u_ptr, bias_ptr, bias_u_ptr,
    reset_ptr, min_ptr, M, n_threshold, n_keep_v, n_keep_u, n_bias, n_bias_u, n_reset, n_min, first, interval,
    offset, T: tl.constexpr, PACKED: tl.constexpr, STATE: tl.constexpr, CLEARED: tl.constexpr, ONE: tl.constexpr,
    DECAYS: tl.constexpr, FRACTION: tl.constexpr, RESET: tl.constexpr, REFRACTORY: tl.constexpr, CHIP: tl.constexpr,
    INCLUSIVE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    j = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = j < M
    threshold = value(threshold_ptr, n_threshold, j, (ONE & 1) != 0)
    keep_v = value(keep_v_ptr, n_keep_v, j, (ONE & 2) != 0)
    keep_u = value(keep_u_ptr, n_keep_u, j, (ONE & 4) != 0)
    bias = value(bias_ptr, n_bias, j, (ONE & 8) != 0)
    bias_u = value(bias_u_ptr, n_bias_u, j, (ONE & 16) != 0)
    v_reset = value(reset_ptr, n_reset, j, (ONE & 32) != 0)
    v_min = value(min_ptr, n_min, j, (ONE & 64) != 0)
    u = tl.zeros([BLOCK], tl.int32)
    v = tl.zeros([BLOCK], tl.int32)
    wait = tl.zeros([BLOCK], tl.int32)
    pending = tl.zeros([BLOCK], tl.int32)
    byte = tl.zeros([BLOCK], tl.int32)
    if STATE:
        u = tl.load(u_ptr + j, mask=inside, other=0)
        v = tl.load(v_ptr + j, mask=inside, other=0)
        wait = tl.load(wait_ptr + j, mask=inside, other=0)
        pending = tl.load(pending_ptr + j, mask=inside, other=0).to(tl.int32)
    if PACKED:
        for t in tl.static_range(T):
            if CLEARED:
                stays = ((first + t) % interval != offset).to(tl.int32)
                u, v, wait, pending = u * stays, v * stays, wait * stays, pending * stays
            i = tl.load(i_ptr + j, mask=inside, other=0)
            u, v, wait, pending, s = lif_update(
                u, v, wait, pending, i, threshold, keep_v, keep_u, bias, bias_u, v_reset, v_min,
                DECAYS, STATE or REFRACTORY > 0, FRACTION, RESET, REFRACTORY, CHIP, INCLUSIVE,
            )  # fmt: skip
            byte |= s.to(tl.int32) << t
            i_ptr += M
        tl.store(out_ptr + j, byte.to(tl.uint8), mask=inside)
    else:
        for t in range(T):
            if CLEARED:
                stays = ((first + t) % interval != offset).to(tl.int32)
                u, v, wait, pending = u * stays, v * stays, wait * stays, pending * stays
            i = tl.load(i_ptr + j, mask=inside, other=0)
            u, v, wait, pending, s = lif_update(
                u, v, wait, pending, i, threshold, keep_v, keep_u, bias, bias_u, v_reset, v_min,
                DECAYS, STATE or REFRACTORY > 0, FRACTION, RESET, REFRACTORY, CHIP, INCLUSIVE,
            )  # fmt: skip
            tl.store(out_ptr + j, s.to(tl.uint8), mask=inside)
            i_ptr += M
            out_ptr += M
    if STATE:
        tl.store(u_ptr + j, u, mask=inside)
        tl.store(v_ptr + j, v, mask=inside)
        tl.store(wait_ptr + j, wait, mask=inside)
        tl.store(pending_ptr + j, pending.to(pending_ptr.dtype.element_ty), mask=inside)


@triton.jit
def fire_kernel(
    v_ptr, out_ptr, threshold_ptr, M, n_threshold,
    BITS: tl.constexpr, SIGNED: tl.constexpr, MOST: tl.constexpr, ONE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    j = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = j < M
    v = tl.load(v_ptr + j, mask=inside, other=0)
    word = fired_word(v, value(threshold_ptr, n_threshold, j, ONE), BITS, SIGNED, MOST)
    tl.store(out_ptr + j, word.to(out_ptr.dtype.element_ty), mask=inside)


@triton.jit
def pack_kernel(s_ptr, out_ptr, M, T: tl.constexpr, BLOCK: tl.constexpr):
    j = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = j < M
    byte = tl.zeros([BLOCK], tl.int32)
    for t in tl.static_range(T):
        byte |= (tl.load(s_ptr + j, mask=inside, other=0) != 0).to(tl.int32) << t
        s_ptr += M
    tl.store(out_ptr + j, byte.to(tl.uint8), mask=inside)


@triton.jit
def unpack_kernel(byte_ptr, out_ptr, M, T: tl.constexpr, BLOCK: tl.constexpr):
    j = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = j < M
    byte = tl.load(byte_ptr + j, mask=inside, other=0).to(tl.int32)
    for t in tl.static_range(T):
        tl.store(out_ptr + j, ((byte >> t) & 1).to(out_ptr.dtype.element_ty), mask=inside)
        out_ptr += M

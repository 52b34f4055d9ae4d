# SPDX-License-Identifier: Apache-2.0
"""Kernels of convolutions: a program computes the sums of BM output positions and BN channels, then their neurons.

M: output positions of the batch; C, CG: channels of the source and of a group; NC, NG: of the target; KP: K as it lies.
T: steps of temporal bytes, 0 where inputs are words. WIDE: places in tensors need 64 bits.
"""

import triton
import triton.language as tl

from spikerun.kernels.gpu.jit.finish import (
    FIRE,
    IF,
    SUMS,
    masked,
    neuron_step,
    pooled,
    sums_of,
    tally,
    word_of,
)
from spikerun.kernels.gpu.jit.neurons import fired_word

__all__ = ["conv_kernel", "conv_rows_kernel"]


@triton.jit
def _position(m, OH, OW, POOL: tl.constexpr):
    """Return image, row and column of output position m."""
    if POOL:
        q = m // 4
        w2 = OW // 2
        h2 = OH // 2
        return q // (w2 * h2), (q // w2) % h2 * 2 + m % 4 // 2, q % w2 * 2 + m % 2
    return m // (OH * OW), m // OW % OH, m % OW


@triton.jit
def _inputs(
    x_ptr, base, y, x, inside, block, H, W, C: tl.constexpr, CG: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr,
    DH: tl.constexpr, DW: tl.constexpr, BK: tl.constexpr,
):  # fmt: skip
    """Return the bytes [rows, BK] of a block of the windows; y, x, and base of the bytes: their upper left corners."""
    kk = tl.arange(0, BK)
    if CG % BK == 0:
        BLOCKS: tl.constexpr = CG // BK
        tap = block // BLOCKS
        dy = tap // KW * DH
        dx = tap % KW * DW
        ok = inside & (y + dy >= 0) & (y + dy < H) & (x + dx >= 0) & (x + dx < W)
        at = (base + (dy * W + dx) * C)[:, None] + (block % BLOCKS * BK + kk)[None, :]
        return tl.load(x_ptr + at, mask=ok[:, None], other=0)
    taps = (block * BK + kk) // CG
    dy = (taps // KW * DH)[None, :]
    dx = (taps % KW * DW)[None, :]
    row = y[:, None] + dy
    column = x[:, None] + dx
    ok = inside[:, None] & (row >= 0) & (row < H) & (column >= 0) & (column < W) & (taps < KH * KW)[None, :]
    at = base[:, None] + (dy * W + dx) * C + ((block * BK + kk) % CG)[None, :]
    return tl.load(x_ptr + at, mask=ok, other=0)


@triton.jit
def _weights(w_ptr, n, inside, k, KP: tl.constexpr, ALL: tl.constexpr):
    """Return the weights [k, n]; ALL: no column is outside."""
    at = w_ptr + n[None, :] * KP + k[:, None]
    if ALL:
        return tl.load(at)
    return tl.load(at, mask=inside[None, :], other=0)


@triton.jit
def _products(
    x_ptr, w_ptr, base, y, x, inside, n, n_inside, H, W, FIRST: tl.constexpr, T: tl.constexpr, UNSIGNED: tl.constexpr,
    C: tl.constexpr, CG: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr, DH: tl.constexpr, DW: tl.constexpr,
    KP: tl.constexpr, ALL: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
):  # fmt: skip
    """Return the sums of steps FIRST .. FIRST + T, four tensors; T = 0: of words, in the first."""
    a0 = tl.zeros([BM, BN], tl.int32)
    a1 = tl.zeros([BM, BN], tl.int32)
    a2 = tl.zeros([BM, BN], tl.int32)
    a3 = tl.zeros([BM, BN], tl.int32)
    k = tl.arange(0, BK)
    for block in range((KH * KW * CG + BK - 1) // BK):
        a = _inputs(x_ptr, base, y, x, inside, block, H, W, C, CG, KH, KW, DH, DW, BK)
        w = _weights(w_ptr, n, n_inside, block * BK + k, KP, ALL)
        if T == 0:
            a0 = tl.dot(word_of(a, UNSIGNED), w, a0, out_dtype=tl.int32)
        else:
            a0 = tl.dot(masked(a, 1 << FIRST), w, a0, out_dtype=tl.int32)
        if T > 1:
            a1 = tl.dot(masked(a, 2 << FIRST), w, a1, out_dtype=tl.int32)
        if T > 2:
            a2 = tl.dot(masked(a, 4 << FIRST), w, a2, out_dtype=tl.int32)
        if T > 3:
            a3 = tl.dot(masked(a, 8 << FIRST), w, a3, out_dtype=tl.int32)
    if T > 0:
        a0 = sums_of(a0, FIRST)
        a1 = sums_of(a1, FIRST + 1)
        a2 = sums_of(a2, FIRST + 2)
        a3 = sums_of(a3, FIRST + 3)
    return a0, a1, a2, a3


@triton.jit
def _sum(a, acc_ptr, at, ok, fill_ptr, n, n_inside, ACC: tl.constexpr):
    """Return complete sums: with what they begin at, and what was there before."""
    a += tl.load(fill_ptr + n, mask=n_inside, other=0)[None, :]
    if ACC:
        a += tl.load(acc_ptr + at, mask=ok, other=0)
    return a


@triton.jit
def _parameters(threshold_ptr, bias_ptr, min_ptr, n, inside):
    """Return thresholds, biases and the least membranes of channels n."""
    threshold = tl.load(threshold_ptr + n, mask=inside, other=1)[None, :]
    bias = tl.load(bias_ptr + n, mask=inside, other=0)[None, :]
    return threshold, bias, tl.load(min_ptr + n, mask=inside, other=0)[None, :]


@triton.jit
def _outputs(pm, n, n_inside, M, OH, OW, NC: tl.constexpr, POOL: tl.constexpr, WIDE: tl.constexpr, BM: tl.constexpr):
    """Return where the sums of a tile lie, before max-pool, and which of them are there."""
    m = pm * BM + tl.arange(0, BM)
    if POOL:
        image, y, x = _position(m, OH, OW, POOL)
        place = (image * OH + y) * OW + x
    else:
        place = m
    if WIDE:
        place = place.to(tl.int64)
    return place[:, None] * NC + n[None, :], (m < M)[:, None] & n_inside[None, :]


@triton.jit
def _emit(
    word, out_ptr, count_ptr, fan_ptr, n_fan, pool_count_ptr, pool_fan_ptr, n_pool_fan, pm, n, n_inside, M, OH, OW,
    NC: tl.constexpr, POOL: tl.constexpr, OR: tl.constexpr, COUNT: tl.constexpr, SHARED: tl.constexpr,
    POOL_SHARED: tl.constexpr, NARROW: tl.constexpr, BITS: tl.constexpr, NONZERO: tl.constexpr, WIDE: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """Store the words of a tile, max-pooled where POOL, and count spikes before and after it."""
    if COUNT:
        _, y, x = _position(pm * BM + tl.arange(0, BM), OH, OW, POOL)
        ok = (pm * BM + tl.arange(0, BM) < M)[:, None] & n_inside[None, :]
        tally(count_ptr, fan_ptr, word, ok, y * OW + x, n, n_fan, NC, SHARED, NARROW, BITS, NONZERO)
    if POOL:
        word = pooled(word, OR, BM, BN)
        q = pm * (BM // 4) + tl.arange(0, BM // 4)
        ok = (q < M // 4)[:, None] & n_inside[None, :]
        if COUNT:
            tally(
                pool_count_ptr, pool_fan_ptr, word, ok, q % (OH * OW // 4), n, n_pool_fan, NC, POOL_SHARED, NARROW,
                BITS, NONZERO,
            )  # fmt: skip
    else:
        q = pm * BM + tl.arange(0, BM)
        ok = (q < M)[:, None] & n_inside[None, :]
    if WIDE:
        q = q.to(tl.int64)
    tl.store(out_ptr + q[:, None] * NC + n[None, :], word.to(out_ptr.dtype.element_ty), mask=ok)


@triton.jit(do_not_specialize=["M", "H", "W", "OH", "OW"])
def conv_kernel(
    x_ptr, w_ptr, out_ptr, acc_ptr, v_ptr, fill_ptr, threshold_ptr, bias_ptr, min_ptr,
    count_ptr, fan_ptr, n_fan, pool_count_ptr, pool_fan_ptr, n_pool_fan, active_ptr, cut, M, H, W, OH, OW,
    C: tl.constexpr, CG: tl.constexpr, NG: tl.constexpr, NC: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr,
    SH: tl.constexpr, SW: tl.constexpr, PH: tl.constexpr, PW: tl.constexpr, DH: tl.constexpr, DW: tl.constexpr,
    KP: tl.constexpr, T: tl.constexpr, UNSIGNED: tl.constexpr, CONSTANT: tl.constexpr,
    LIMITED: tl.constexpr, ACC: tl.constexpr, STATE: tl.constexpr, RULE: tl.constexpr, ZERO: tl.constexpr,
    WIDTH: tl.constexpr, FIRE_BITS: tl.constexpr,
    SIGNED: tl.constexpr, MOST: tl.constexpr, POOL: tl.constexpr, COUNT: tl.constexpr, SHARED: tl.constexpr,
    POOL_SHARED: tl.constexpr, NARROW: tl.constexpr, BITS: tl.constexpr, NONZERO: tl.constexpr,
    WIDE: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
):  # fmt: skip
    if LIMITED:
        if tl.load(active_ptr) <= cut:
            return
    TILES: tl.constexpr = (NG + BN - 1) // BN
    ALL: tl.constexpr = NG % BN == 0
    pm = tl.program_id(1)
    group = tl.program_id(0) // TILES
    column = tl.program_id(0) % TILES * BN + tl.arange(0, BN)
    m = pm * BM + tl.arange(0, BM)
    inside = m < M
    n_inside = column < NG
    image, oy, ox = _position(m, OH, OW, POOL)
    if WIDE:
        image = image.to(tl.int64)
    y = oy * SH - PH
    x = ox * SW - PW
    base = ((image * H + y) * W + x) * C + group * CG
    w_ptr += group * NG * KP
    n = group * NG + column
    word = tl.zeros([BM, BN], tl.int32)
    v = tl.zeros([BM, BN], tl.int32)
    if T == 0 or CONSTANT:
        a0, a1, a2, a3 = _products(
            x_ptr, w_ptr, base, y, x, inside, column, n_inside, H, W, 0, 0, UNSIGNED, C, CG, KH, KW, DH, DW, KP, ALL,
            BM, BN, BK,
        )  # fmt: skip
        at, ok = _outputs(pm, n, n_inside, M, OH, OW, NC, POOL, WIDE, BM)
        i = _sum(a0, acc_ptr, at, ok, fill_ptr, n, n_inside, ACC)
        if RULE == SUMS:
            tl.store(out_ptr + at, i, mask=ok)
        if RULE == FIRE:
            word = fired_word(i, tl.load(threshold_ptr + n, mask=n_inside, other=1)[None, :], FIRE_BITS, SIGNED, MOST)
        if RULE == IF:
            if STATE:
                v = tl.load(v_ptr + at, mask=ok, other=0)
            threshold, bias, v_min = _parameters(threshold_ptr, bias_ptr, min_ptr, n, n_inside)
            for t in tl.static_range(T):
                v, word = neuron_step(v, word, i, t, bias, threshold, v_min, ZERO, WIDTH)
            if STATE:
                tl.store(v_ptr + at, v, mask=ok)
    else:
        for first in tl.static_range(0, T, 4):
            a0, a1, a2, a3 = _products(
                x_ptr, w_ptr, base, y, x, inside, column, n_inside, H, W, first, min(4, T - first), UNSIGNED, C, CG,
                KH, KW, DH, DW, KP, ALL, BM, BN, BK,
            )  # fmt: skip
            at, ok = _outputs(pm, n, n_inside, M, OH, OW, NC, POOL, WIDE, BM)
            if RULE == IF:
                threshold, bias, v_min = _parameters(threshold_ptr, bias_ptr, min_ptr, n, n_inside)
                if STATE and first == 0:
                    v = tl.load(v_ptr + at, mask=ok, other=0)
            for j in tl.static_range(min(4, T - first)):
                t = first + j
                if WIDE:
                    after = t * M.to(tl.int64) * NC
                else:
                    after = t * M * NC
                if j == 0:
                    i = _sum(a0, acc_ptr + after, at, ok, fill_ptr, n, n_inside, ACC)
                if j == 1:
                    i = _sum(a1, acc_ptr + after, at, ok, fill_ptr, n, n_inside, ACC)
                if j == 2:
                    i = _sum(a2, acc_ptr + after, at, ok, fill_ptr, n, n_inside, ACC)
                if j == 3:
                    i = _sum(a3, acc_ptr + after, at, ok, fill_ptr, n, n_inside, ACC)
                if RULE == IF:
                    v, word = neuron_step(v, word, i, first + j, bias, threshold, v_min, ZERO, WIDTH)
                else:
                    tl.store(out_ptr + after + at, i, mask=ok)
            if RULE == IF and STATE and first + 4 >= T:
                tl.store(v_ptr + at, v, mask=ok)
    if RULE != SUMS:
        _emit(
            word, out_ptr, count_ptr, fan_ptr, n_fan, pool_count_ptr, pool_fan_ptr, n_pool_fan, pm, n, n_inside, M,
            OH, OW, NC, POOL, RULE == IF, COUNT, SHARED, POOL_SHARED, NARROW, BITS, NONZERO,
            WIDE, BM, BN,
        )  # fmt: skip


@triton.jit
def _row_of(acc, step: tl.constexpr, TP: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr):
    """Return the sums of one step, [BM / TP, BN], of rows that are positions times TP steps."""
    steps = tl.reshape(acc, [BM // TP, TP, BN])
    return tl.sum(tl.where(tl.arange(0, TP)[None, :, None] == step, steps, 0), 1)


@triton.jit(do_not_specialize=["M", "H", "W", "OH", "OW"])
def conv_rows_kernel(
    x_ptr, w_ptr, out_ptr, acc_ptr, v_ptr, fill_ptr, threshold_ptr, bias_ptr, min_ptr,
    count_ptr, fan_ptr, n_fan, pool_count_ptr, pool_fan_ptr, n_pool_fan, active_ptr, cut, M, H, W, OH, OW, scratch_ptr,
    arrived_ptr,
    C: tl.constexpr, CG: tl.constexpr, NG: tl.constexpr, NC: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr,
    SH: tl.constexpr, SW: tl.constexpr, PH: tl.constexpr, PW: tl.constexpr, DH: tl.constexpr, DW: tl.constexpr,
    KP: tl.constexpr, T: tl.constexpr, UNSIGNED: tl.constexpr, CONSTANT: tl.constexpr,
    LIMITED: tl.constexpr, ACC: tl.constexpr, STATE: tl.constexpr, RULE: tl.constexpr, ZERO: tl.constexpr,
    WIDTH: tl.constexpr, FIRE_BITS: tl.constexpr,
    SIGNED: tl.constexpr, MOST: tl.constexpr, POOL: tl.constexpr, COUNT: tl.constexpr, SHARED: tl.constexpr,
    POOL_SHARED: tl.constexpr, NARROW: tl.constexpr, BITS: tl.constexpr, NONZERO: tl.constexpr,
    TP: tl.constexpr, SPLIT: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
):  # fmt: skip
    # Rows of the product are positions times TP steps; those of a position follow each other.
    if LIMITED:
        if tl.load(active_ptr) <= cut:
            return
    TILES: tl.constexpr = (NG + BN - 1) // BN
    BP: tl.constexpr = BM // TP
    SHARE: tl.constexpr = (KH * KW * CG + BK - 1) // BK // SPLIT
    pm = tl.program_id(1)
    group = tl.program_id(0) // TILES
    column = tl.program_id(0) % TILES * BN + tl.arange(0, BN)
    n_inside = column < NG
    n = group * NG + column
    w_ptr += group * NG * KP
    row = tl.arange(0, BM)
    m = pm * BP + row // TP
    t = row % TP
    inside = m < M
    image, oy, ox = _position(m, OH, OW, POOL)
    y = oy * SH - PH
    x = ox * SW - PW
    base = ((image * H + y) * W + x) * C + group * CG
    k = tl.arange(0, BK)
    bit = ((1 << t).to(tl.int8))[:, None]
    acc = tl.zeros([BM, BN], tl.int32)
    begin = tl.program_id(2) * SHARE
    for j in range(SHARE):
        a = _inputs(x_ptr, base, y, x, inside, begin + j, H, W, C, CG, KH, KW, DH, DW, BK)
        w = _weights(w_ptr, column, n_inside, (begin + j) * BK + k, KP, NG % BN == 0)
        if T == 0 or CONSTANT:
            acc = tl.dot(word_of(a, UNSIGNED), w, acc, out_dtype=tl.int32)
        else:
            acc = tl.dot(((a & bit) != 0).to(tl.int8), w, acc, out_dtype=tl.int32)
    STEPS: tl.constexpr = 1 if (T == 0 or CONSTANT) else T
    tile = arrived_ptr + pm * tl.num_programs(0) + tl.program_id(0)
    if SPLIT > 1:
        there = scratch_ptr + t[:, None] * (M * NC) + m[:, None] * NC + n[None, :]
        tl.atomic_add(there, acc, mask=(inside & (t < STEPS))[:, None] & n_inside[None, :], sem="relaxed")
        tl.debug_barrier()  # all of this share is there before it is counted
        last = tl.atomic_add(tile, 1, sem="acq_rel") == SPLIT - 1
    else:
        last = True
    if last:
        at, ok = _outputs(pm, n, n_inside, M, OH, OW, NC, POOL, False, BP)
        source = scratch_ptr + (pm * BP + tl.arange(0, BP))[:, None] * NC + n[None, :]
        word = tl.zeros([BP, BN], tl.int32)
        i = tl.zeros([BP, BN], tl.int32)
        v = tl.zeros([BP, BN], tl.int32)
        if RULE != SUMS:
            threshold = tl.load(threshold_ptr + n, mask=n_inside, other=1)[None, :]
        if RULE == IF:
            threshold, bias, v_min = _parameters(threshold_ptr, bias_ptr, min_ptr, n, n_inside)
            if STATE:
                v = tl.load(v_ptr + at, mask=ok, other=0)
        for s in tl.static_range(T if T > 0 else 1):
            if s < STEPS:
                if SPLIT > 1:
                    i = tl.load(source + s * M * NC, mask=ok, other=0, cache_modifier=".cg")
                elif TP > 1:
                    i = _row_of(acc, s, TP, BM, BN)
                else:
                    i = acc
                i = _sum(i, acc_ptr + s * M * NC, at, ok, fill_ptr, n, n_inside, ACC)
            if RULE == SUMS:
                tl.store(out_ptr + s * M * NC + at, i, mask=ok)
            if RULE == FIRE:
                word = fired_word(i, threshold, FIRE_BITS, SIGNED, MOST)
            if RULE == IF:
                v, word = neuron_step(v, word, i, s, bias, threshold, v_min, ZERO, WIDTH)
        if RULE == IF and STATE:
            tl.store(v_ptr + at, v, mask=ok)
        if RULE != SUMS:
            _emit(
                word, out_ptr, count_ptr, fan_ptr, n_fan, pool_count_ptr, pool_fan_ptr, n_pool_fan, pm, n, n_inside,
                M, OH, OW, NC, POOL, RULE == IF, COUNT, SHARED, POOL_SHARED, NARROW, BITS, NONZERO,
                False, BP, BN,
            )  # fmt: skip
        if SPLIT > 1:
            tl.debug_barrier()  # sums have been read by the threads that need them, which may not be those that clear
            for s in tl.static_range(STEPS):
                tl.store(source + s * M * NC, tl.zeros([BP, BN], tl.int32), mask=ok)
            tl.store(tile, 0)

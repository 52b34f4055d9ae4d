// SPDX-License-Identifier: Apache-2.0
// A pass of one neuron: if_step and lif_step of kernels/operations.py. Parameters are constants where it is
// compiled.
#pragma once

enum Reset { RESET_VALUE, RESET_SUBTRACT, RESET_SUBTRACT_AFTER_LEAK, RESET_NONE, RESET_ZERO };

struct Neuron {
    int u, v, wait, pending;
};

// x k / 2^16, toward zero.
__device__ __forceinline__ unsigned kept(int x, int k) {
    const unsigned sign = (unsigned)(x >> 31), magnitude = ((unsigned)x ^ sign) - sign;
    return ((unsigned)((word64)magnitude * (unsigned)k >> 16) ^ sign) - sign;
}

__device__ __forceinline__ int clamped(unsigned x, int limit) {
    const int value = (int)x;
    return value < -limit ? -limit : value > limit ? limit : value;
}

struct Lif {
    int threshold, keep_v, keep_u, bias, bias_u, v_reset, v_min;
    int fraction_bits, reset, refractory, chip, interval, phase, inclusive;
};

__device__ __forceinline__ int lif_step(const Lif& p, long long t, int i, Neuron& q) {
    const int limit = p.chip ? (1 << 23) - 1 : (1 << 29) - 1;
    if (p.interval != 0 && t % p.interval == p.phase) q = {0, 0, 0, 0};
    const unsigned sum = kept(q.u, p.keep_u) + ((unsigned)i << p.fraction_bits) + (unsigned)p.bias_u;
    q.u = p.chip ? 0x800000 - (int)((0x800000u - sum) & 0xFFFFFFu) : clamped(sum, limit);
    if (q.wait > 0) {
        --q.wait;
        return 0;
    }
    const int late = p.reset == RESET_SUBTRACT_AFTER_LEAK && q.pending != 0 ? p.threshold : 0;
    const int next = clamped(kept(q.v, p.keep_v) + (unsigned)q.u + (unsigned)p.bias - (unsigned)late, limit);
    q.v = next < p.v_min ? p.v_min : next;
    const int spike = p.inclusive ? q.v >= p.threshold : q.v > p.threshold;
    if (p.reset == RESET_SUBTRACT_AFTER_LEAK) q.pending = spike;
    if (spike) {
        q.v = p.reset == RESET_VALUE ? p.v_reset : p.reset == RESET_SUBTRACT ? q.v - p.threshold : q.v;
        q.wait = p.refractory;
    }
    return spike;
}

struct If {
    int threshold, bias, v_min, reset;
};

__device__ __forceinline__ int if_step(const If& p, int i, Neuron& q) {
    const long long high = (1 << 23) - 1, low = p.v_min < -high ? -high : p.v_min,
                    sum = (long long)q.v + i + p.bias;
    q.v = (int)(sum < low ? low : sum > high ? high : sum);
    const int spike = q.v >= p.threshold;
    if (spike) q.v = p.reset == RESET_ZERO ? 0 : q.v - p.threshold;
    return spike;
}

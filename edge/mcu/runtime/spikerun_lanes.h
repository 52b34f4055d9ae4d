/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of four targets in two registers: `even` is sum0 + 2^16 sum2, `odd` is sum1 + 2^8 sum2 + 2^16 sum3,
 * all modulo 2^32, where a sum is that of value * (weight + 128). So nothing need be masked but the even
 * bytes, and carries between lanes do no harm: what is left without the 128 fits 16 bits, which says what was
 * carried. */
#ifndef SPIKERUN_LANES_H
#define SPIKERUN_LANES_H

#include "spikerun_rows.h"

#define SPIKERUN_EVEN 0x00ff00ffu

/* Loops that need all registers stand in functions of their own. */
#if defined(__GNUC__)
#define SPIKERUN_APART static __attribute__((noinline))
#define SPIKERUN_WITHIN static inline __attribute__((always_inline))
#else
#define SPIKERUN_APART static
#define SPIKERUN_WITHIN static inline
#endif

/* What both begin with, so that no 128 is left at the end; both lanes are biased by 2^15. */
static inline uint32_t spikerun_lanes_begin(int32_t total) {
    return 0x80008000u - (uint32_t)total * 0x00800080u;
}

static inline int32_t spikerun_low_lane(uint32_t lanes) {
    return (int32_t)(lanes & 0xffffu) - 0x8000;
}

static inline int32_t spikerun_high_lane(uint32_t lanes) {
    return (int32_t)(lanes >> 16) - 0x8000;
}

/* Adds what two registers hold to as many sums as are left, four at most. */
static inline void spikerun_add_lanes(int32_t* sum, int32_t left, uint32_t even, uint32_t odd) {
    sum[0] += spikerun_low_lane(even);
    if (left > 1) {
        sum[1] += spikerun_low_lane(odd);
    }
    if (left > 2) {
        sum[2] += spikerun_high_lane(even);
    }
    if (left > 3) {
        sum[3] += spikerun_high_lane(odd);
    }
}

/* Without what lies between the lanes of `odd`. */
static inline uint32_t spikerun_odd_lanes(uint32_t even, uint32_t odd, int32_t total) {
    return odd - (((uint32_t)spikerun_high_lane(even) + 128u * (uint32_t)total) << 8);
}

/* Sums of up to four targets; `graded`: whether there are values other than 1. */
SPIKERUN_WITHIN void spikerun_lanes_four(int32_t* sum, int32_t left, const spikerun_active* active,
                                         int32_t offset, int32_t graded) {
    const uintptr_t base = active->weights + (uintptr_t)offset;
    const spikerun_event* const end = active->end;
    uint32_t a = spikerun_lanes_begin(active->total), b = a;
    for (const spikerun_event* event = active->begin; event < end; event++) {
        const uint32_t x = *(const uint32_t*)(base + event->at);
        const uint32_t value = graded ? (uint32_t)event->value : 1u;
        a += (x & SPIKERUN_EVEN) * value;
        b += (x >> 8) * value;
    }
    spikerun_add_lanes(sum, left, a, spikerun_odd_lanes(a, b, active->total));
}

/* The same of eight targets. */
SPIKERUN_WITHIN void spikerun_lanes_eight(int32_t* sum, const spikerun_active* active, int32_t offset,
                                          int32_t graded) {
    const uintptr_t base = active->weights + (uintptr_t)offset;
    const spikerun_event* const end = active->end;
    uint32_t a = spikerun_lanes_begin(active->total), b = a, c = a, d = a;
    for (const spikerun_event* event = active->begin; event < end; event++) {
        const uint32_t* const row = (const uint32_t*)(base + event->at);
        const uint32_t value = graded ? (uint32_t)event->value : 1u;
        uint32_t x = row[0];
        a += (x & SPIKERUN_EVEN) * value;
        b += (x >> 8) * value;
        x = row[1];
        c += (x & SPIKERUN_EVEN) * value;
        d += (x >> 8) * value;
    }
    spikerun_add_lanes(sum, 4, a, spikerun_odd_lanes(a, b, active->total));
    spikerun_add_lanes(sum + 4, 4, c, spikerun_odd_lanes(c, d, active->total));
}

/* Any values, sums modulo 2^32: a byte at a time. */
SPIKERUN_APART void spikerun_wide_four(int32_t* sum, int32_t left, const spikerun_active* active,
                                       int32_t offset) {
    const uintptr_t base = active->weights + (uintptr_t)offset;
    const spikerun_event* const end = active->end;
    uint32_t a = 0u - 128u * (uint32_t)active->total, b = a, c = a, d = a;
    for (const spikerun_event* event = active->begin; event < end; event++) {
        const uint8_t* const row = (const uint8_t*)(base + event->at);
        const uint32_t value = (uint32_t)event->value;
        a += value * row[0];
        b += value * row[1];
        c += value * row[2];
        d += value * row[3];
    }
    sum[0] += (int32_t)a;
    if (left > 1) {
        sum[1] += (int32_t)b;
    }
    if (left > 2) {
        sum[2] += (int32_t)c;
    }
    if (left > 3) {
        sum[3] += (int32_t)d;
    }
}

SPIKERUN_APART void spikerun_graded_eight(int32_t* sum, const spikerun_active* active, int32_t offset) {
    spikerun_lanes_eight(sum, active, offset, 1);
}

SPIKERUN_APART void spikerun_graded_four(int32_t* sum, int32_t left, const spikerun_active* active,
                                         int32_t offset) {
    spikerun_lanes_four(sum, left, active, offset, 1);
}

SPIKERUN_APART void spikerun_spikes_eight(int32_t* sum, const spikerun_active* active, int32_t offset) {
    spikerun_lanes_eight(sum, active, offset, 0);
}

SPIKERUN_APART void spikerun_spikes_four(int32_t* sum, int32_t left, const spikerun_active* active,
                                         int32_t offset) {
    spikerun_lanes_four(sum, left, active, offset, 0);
}

/* Sums of `length` targets, whatever the values. */
static inline void spikerun_any_events(int32_t* sum, int32_t length, const spikerun_active* active) {
    int32_t at = 0;
    if (active->size > SPIKERUN_LANES) {
        for (; at < length; at += 4) {
            spikerun_wide_four(sum + at, length - at, active, at);
        }
    }
    for (; at + 8 <= length; at += 8) {
        spikerun_graded_eight(sum + at, active, at);
    }
    for (; at < length; at += 4) {
        spikerun_graded_four(sum + at, length - at, active, at);
    }
}

/* Sums of the targets from `at` to `length`, all values 1. */
static inline void spikerun_any_spikes(int32_t* sum, int32_t length, const spikerun_active* active,
                                       int32_t at) {
    for (; at + 8 <= length; at += 8) {
        spikerun_spikes_eight(sum + at, active, at);
    }
    for (; at < length; at += 4) {
        spikerun_spikes_four(sum + at, length - at, active, at);
    }
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernels of packed weights share: bitmaps with SPIKERUN_BITMAP, deltas without. */
#ifndef SPIKERUN_PACKED_H
#define SPIKERUN_PACKED_H

#include <stddef.h>
#include <stdint.h>

/* How many entries a row has. */
static inline int32_t spikerun_count(const uint8_t* counts, const uint16_t* wide_counts, int32_t row) {
    return counts != NULL ? counts[row] : wide_counts[row];
}

#ifdef SPIKERUN_BITMAP

/* How many marks a row of `count` entries has. */
static inline int32_t spikerun_marks(int32_t count, int32_t mask_bytes) {
    (void)count;
    return mask_bytes;
}

/* sum += value * row: bit b of marks[k] is set where sum[8 k + b] has an entry. */
static inline void spikerun_add_packed(int32_t* restrict sum, const uint8_t* marks, const int8_t* weights,
                                       int32_t count, int32_t value) {
    const int8_t* const end = weights + count;
    for (int32_t at = 0; weights < end; at += 8) {
        const uint32_t bits = *marks++;
        if ((bits & 0x01u) != 0) sum[at] += value * *weights++;
        if ((bits & 0x02u) != 0) sum[at + 1] += value * *weights++;
        if ((bits & 0x04u) != 0) sum[at + 2] += value * *weights++;
        if ((bits & 0x08u) != 0) sum[at + 3] += value * *weights++;
        if ((bits & 0x10u) != 0) sum[at + 4] += value * *weights++;
        if ((bits & 0x20u) != 0) sum[at + 5] += value * *weights++;
        if ((bits & 0x40u) != 0) sum[at + 6] += value * *weights++;
        if ((bits & 0x80u) != 0) sum[at + 7] += value * *weights++;
    }
}

/* The same of the `length` elements from `begin` on alone: sum[0] is that at `begin`. */
static inline void spikerun_add_clipped(int32_t* restrict sum, const uint8_t* marks, const int8_t* weights,
                                        int32_t count, int32_t value, int32_t begin, int32_t length) {
    const int8_t* const end = weights + count;
    for (int32_t byte = -begin; weights < end; byte += 8) {
        uint32_t bits = *marks++;
        for (int32_t place = byte; bits != 0; bits >>= 1, place++) {
            if ((bits & 1u) != 0) {
                if (place >= 0 && place < length) {
                    sum[place] += value * *weights;
                }
                weights++;
            }
        }
    }
}

#else

static inline int32_t spikerun_marks(int32_t count, int32_t mask_bytes) {
    (void)mask_bytes;
    return count;
}

/* sum += value * row: the entry k lies marks[k] elements behind the entry before it, the first behind sum[0].
 */
static inline void spikerun_add_packed(int32_t* restrict sum, const uint8_t* marks, const int8_t* weights,
                                       int32_t count, int32_t value) {
    for (const int8_t* const end = weights + count; weights < end;) {
        sum += *marks++;
        *sum += value * *weights++;
    }
}

/* The same of the `length` elements from `begin` on alone: sum[0] is that at `begin`. */
static inline void spikerun_add_clipped(int32_t* restrict sum, const uint8_t* marks, const int8_t* weights,
                                        int32_t count, int32_t value, int32_t begin, int32_t length) {
    int32_t place = -begin;
    for (const int8_t* const end = weights + count; weights < end; weights++) {
        place += *marks++;
        if (place >= 0 && place < length) {
            sum[place] += value * *weights;
        }
    }
}

#endif

#endif

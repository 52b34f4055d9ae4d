/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of weights: what every kernel adds that has weights as they are. There is one source for each kind of
 * core; all give the same sums.
 *
 * A row has a byte for each target, weight + 128, and ends at a multiple of four bytes, which lie in words of
 * 32 bits, the first target in the lowest bits (cores are little endian). An active neuron adds value *
 * weight to each target: the sum of value * (weight + 128), and at the end -128 times the sum of all values.
 */
#ifndef SPIKERUN_ROWS_H
#define SPIKERUN_ROWS_H

#include "spikerun.h"

/* An active neuron: how many bytes behind the weights of all its row begins, and its value. */
typedef struct {
    uint32_t at;
    int32_t value;
} spikerun_event;

/* Active neurons that are added at once: events, the address of the weights, which is one where none need be,
 * the sum of all values, and that of their magnitudes. */
typedef struct {
    const spikerun_event *begin, *end;
    uintptr_t weights;
    int32_t total, size;
} spikerun_active;

/* sum[k] += value * weight[k] of all events, for k < length. No sum of any part of them may exceed int32_t.
 */
void spikerun_add_events(int32_t* sum, int32_t length, const spikerun_active* active);

/* The same where all values are 1, at most SPIKERUN_SPIKES of them. */
#define SPIKERUN_SPIKES 255
void spikerun_add_spikes(int32_t* sum, int32_t length, const spikerun_active* active);

/* Two lanes of 16 bits hold a sum each where the magnitudes of the values sum to no more than this: 255 * 128
 * is below 2^15. */
#define SPIKERUN_LANES 255

/* Up to what sum of magnitudes events are best added at once; a core with products of 64 bits takes all. */
#if defined(__ARM_ARCH_ISA_THUMB) && __ARM_ARCH_ISA_THUMB == 2 && !defined(__ARM_FEATURE_MVE)
#define SPIKERUN_BATCH(values) 65535
#else
#define SPIKERUN_BATCH(values) ((values) == SPIKERUN_VALUES_ANY ? 65535 : SPIKERUN_LANES)
#endif

#endif

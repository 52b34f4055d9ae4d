/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel of packed weights, all to all, or a list of synapses: each file that includes it has it for one
 * packing. */
#ifndef SPIKERUN_PACKED_ROWS_H
#define SPIKERUN_PACKED_ROWS_H

#include "spikerun.h"
#include "spikerun_packed.h"
#include "spikerun_word.h"

#ifdef SPIKERUN_BITMAP
void SPIKERUN_RUN(bitmap)(const spikerun_bitmap* self, const uint8_t* x, int32_t* acc) {
#else
void SPIKERUN_RUN(delta)(const spikerun_delta* self, const uint8_t* x, int32_t* acc) {
#endif
    const uint8_t *marks = self->marks, *counts = self->counts;
    const uint16_t* const wide_counts = self->wide_counts;
    const int8_t* weights = self->weights;
    const int32_t inputs = self->inputs, mask_bytes = self->mask_bytes, sign = self->sign;
    for (int32_t n = 0; n < inputs; n++) {
        const int32_t count = spikerun_count(counts, wide_counts, n);
        const uint32_t word = spikerun_load(x, n);
        if (word != 0) {
            spikerun_add_packed(acc, marks, weights, count, spikerun_value(word, sign));
        }
        marks += spikerun_marks(count, mask_bytes);
        weights += count;
    }
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"
#include "spikerun_word.h"

void SPIKERUN_RUN(sparse)(const spikerun_sparse* self, const uint8_t* x, int32_t* acc) {
    for (int32_t n = 0; n < self->inputs; n++) {
        const uint32_t word = spikerun_load(x, n);
        if (word == 0) {
            continue;
        }
        const int32_t value = spikerun_value(word, self->sign);
        const uint32_t end = self->starts[n + 1];
        if (self->targets != NULL) {
            for (uint32_t k = self->starts[n]; k < end; k++) {
                acc[self->targets[k]] += value * self->weights[k];
            }
        } else {
            for (uint32_t k = self->starts[n]; k < end; k++) {
                acc[self->wide_targets[k]] += value * self->weights[k];
            }
        }
    }
}

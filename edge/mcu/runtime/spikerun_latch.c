/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"

void spikerun_latch_run(const spikerun_latch* self, const int32_t* v, int32_t* u, uint8_t* left) {
    const int32_t count = self->shape.channels * self->shape.pixels;
    const uint8_t limit = (uint8_t)self->limit;
    for (int32_t n = 0; n < count; n++) {
        u[n] = v[n];
        left[n] = limit;
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"

void spikerun_add_shifted_run(const spikerun_add_shifted* self, const int32_t* x, int32_t* total) {
    const int32_t count = self->shape.channels * self->shape.pixels;
    for (int32_t n = 0; n < count; n++) {
        if (x[n] != 0) { /* unsigned: C says nothing of -1 << bits */
            total[n] = (int32_t)((uint32_t)total[n] + ((uint32_t)x[n] << self->bits));
        }
    }
}

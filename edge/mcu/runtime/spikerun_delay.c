/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"

void spikerun_delay_run(const spikerun_delay* self, int32_t phase, const uint8_t* x, uint8_t* ring,
                        uint8_t* y) {
    const int32_t bytes = self->bytes;
    ring += phase * bytes;
    for (int32_t n = 0; n < bytes; n++) {
        const uint8_t late = ring[n];
        ring[n] = x[n];
        y[n] = late;
    }
}

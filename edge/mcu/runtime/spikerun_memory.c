/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"

void spikerun_clear_run(const spikerun_clear* self, void* x) {
    uint8_t* byte = (uint8_t*)x;
    for (int32_t n = 0; n < self->bytes; n++) {
        byte[n] = 0;
    }
}

void spikerun_copy_run(const spikerun_copy* self, const void* x, void* y) {
    const uint8_t* from = (const uint8_t*)x;
    uint8_t* to = (uint8_t*)y;
    for (int32_t n = 0; n < self->bytes; n++) {
        to[n] = from[n];
    }
}

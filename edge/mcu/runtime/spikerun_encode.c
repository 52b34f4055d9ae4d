/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"
#include "spikerun_word.h"

static int32_t event(int32_t q, int32_t code, int32_t g) {
    switch (code) {
        case SPIKERUN_CODE_BITS:
            return (q & (g < 0 ? -g : g)) != 0;
        case SPIKERUN_CODE_TTFS:
            return g > 0 && q == g;
        default:
            return g * q;
    }
}

void SPIKERUN_RUN(encode)(const spikerun_encode* self, int32_t phase, const uint8_t* q, uint8_t* s) {
    const int32_t g = self->significance[phase], sign = self->sign, code = self->code;
    const int32_t count = self->shape.channels * self->shape.pixels;
    for (int32_t n = 0; n < count; n++) {
        spikerun_store(s, n, (uint32_t)event(spikerun_value(spikerun_load(q, n), sign), code, g));
    }
}

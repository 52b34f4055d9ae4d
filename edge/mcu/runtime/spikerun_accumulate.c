/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"
#include "spikerun_word.h"

void SPIKERUN_RUN(accumulate)(const spikerun_accumulate* self, int32_t phase, const uint8_t* x,
                              int32_t* total) {
    const int32_t g = self->significance[phase], sign = self->sign;
    const int32_t count = self->shape.channels * self->shape.pixels;
    for (int32_t n = 0; n < count; n++) {
        const uint32_t word = spikerun_load(x, n);
        if (word != 0) {
            total[n] += g * spikerun_value(word, sign);
        }
    }
}

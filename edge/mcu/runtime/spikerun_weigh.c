/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"
#include "spikerun_word.h"

void SPIKERUN_RUN(weigh)(const spikerun_weigh* self, int32_t phase, const uint8_t* x, uint8_t* y) {
    const int32_t g = self->significance[phase], sign = self->sign;
    const int32_t count = self->shape.channels * self->shape.pixels;
    for (int32_t n = 0; n < count; n++) {
        const uint32_t word = spikerun_load(x, n);
        spikerun_store(y, n, word == 0 ? 0 : (uint32_t)(g * spikerun_value(word, sign)));
    }
}

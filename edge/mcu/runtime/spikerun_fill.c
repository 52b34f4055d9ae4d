/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"

/* The same number everywhere. */
static void fill_with(int32_t* acc, const int32_t* end, int32_t value) {
    for (; acc + 4 <= end; acc += 4) {
        acc[0] = value;
        acc[1] = value;
        acc[2] = value;
        acc[3] = value;
    }
    while (acc < end) {
        *acc++ = value;
    }
}

void spikerun_fill_run(const spikerun_fill* self, int32_t row, int32_t* acc) {
    const int32_t channels = self->shape.channels, pixel_step = self->value.pixel_step;
    const int32_t* values = self->value.values + row * self->shape.pixels * pixel_step;
    const int32_t* const end = acc + channels * self->shape.pixels;
    if (self->value.channel_step == 0 && pixel_step == 0) {
        fill_with(acc, end, *values);
        return;
    }
    for (; acc < end; acc += channels) {
        int32_t channel = 0;
        for (; channel + 4 <= channels; channel += 4) { /* channel_step is 1 */
            const int32_t a = values[channel], b = values[channel + 1], c = values[channel + 2];
            acc[channel + 3] = values[channel + 3];
            acc[channel] = a;
            acc[channel + 1] = b;
            acc[channel + 2] = c;
        }
        for (; channel < channels; channel++) {
            acc[channel] = values[channel];
        }
        values += pixel_step;
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"

void spikerun_fill_run(const spikerun_fill* self, int32_t* acc) {
    const int32_t channels = self->shape.channels, step = self->value.channel_step;
    const int32_t *values = self->value.values, *end = acc + channels * self->shape.pixels;
    const int32_t pixel_step = self->value.pixel_step;
    while (acc < end) {
        const int32_t* value = values;
        for (int32_t channel = 0; channel < channels; channel++) {
            *acc++ = *value;
            value += step;
        }
        values += pixel_step;
    }
}

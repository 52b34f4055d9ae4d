/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"

static int32_t clip(int32_t v, int32_t low, int32_t high) {
    return v < low ? low : v > high ? high : v;
}

void spikerun_if_step_run(const spikerun_if_step* self, const int32_t* i, int32_t* v, uint8_t* s) {
    const spikerun_if_step f =
        *self; /* a copy: as far as the compiler knows, writing spikes could change *self */
    for (int32_t pixel = 0; pixel < f.shape.pixels; pixel++) {
        const int32_t* threshold = f.threshold.values + pixel * f.threshold.pixel_step;
        const int32_t* bias = f.bias.values + pixel * f.bias.pixel_step;
        const int32_t* v_min = f.v_min.values + pixel * f.v_min.pixel_step;
        for (int32_t channel = 0; channel < f.shape.channels; channel++) {
            const int32_t low = *v_min < -SPIKERUN_V_LIMIT ? -SPIKERUN_V_LIMIT : *v_min;
            const int32_t x = clip(*v + *i++ + *bias, low, SPIKERUN_V_LIMIT);
            const int32_t spike = x >= *threshold;
            const int32_t reset = f.reset == SPIKERUN_RESET_ZERO ? 0 : x - *threshold;
            *v++ = spike ? reset : x;
            *s++ = (uint8_t)spike;
            threshold += f.threshold.channel_step;
            bias += f.bias.channel_step;
            v_min += f.v_min.channel_step;
        }
    }
}

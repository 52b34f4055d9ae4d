/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"

void spikerun_send_run(const spikerun_send* self, int32_t phase, int32_t* u, uint8_t* left, uint8_t* s) {
    const spikerun_send f =
        *self; /* a copy: as far as the compiler knows, writing spikes could change *self */
    const int32_t g = f.significance[phase];
    for (int32_t pixel = 0; pixel < f.shape.pixels; pixel++) {
        const int32_t* threshold = f.threshold.values + pixel * f.threshold.pixel_step;
        for (int32_t channel = 0; channel < f.shape.channels; channel++) {
            const int32_t part = *threshold * g;
            const int32_t fires = g < 0 ? *u < 0 : g > 0 && *u >= part;
            const int32_t spike = fires && *left > 0;
            if (spike) {
                *u -= part;
                *left = (uint8_t)(*left - 1);
            }
            u++;
            left++;
            *s++ = (uint8_t)spike;
            threshold += f.threshold.channel_step;
        }
    }
}

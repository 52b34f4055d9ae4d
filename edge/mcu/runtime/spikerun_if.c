#include "spikerun.h"

static int32_t clip(int32_t v, int32_t low, int32_t high) {
    return v < low ? low : v > high ? high : v;
}

void spikerun_if_step(const spikerun_if* self, int32_t* membrane, uint8_t* spikes) {
    const spikerun_if f = *self; /* a copy: as far as the compiler knows, writing spikes could change *self */
    for (int32_t pixel = 0; pixel < f.shape.pixels; pixel++) {
        const int32_t* threshold = f.threshold.values + pixel * f.threshold.pixel_step;
        const int32_t* bias = f.bias.values + pixel * f.bias.pixel_step;
        const int32_t* v_min = f.v_min.values + pixel * f.v_min.pixel_step;
        for (int32_t channel = 0; channel < f.shape.channels; channel++) {
            const int32_t v = clip(*membrane + *bias, *v_min, SPIKERUN_V_LIMIT);
            const int32_t spike = v >= *threshold;
            const int32_t reset = f.reset_to_zero ? 0 : v - *threshold;
            *membrane++ = spike ? reset : v;
            spikes[channel * f.shape.pixels + pixel] = (uint8_t)spike;
            threshold += f.threshold.channel_step;
            bias += f.bias.channel_step;
            v_min += f.v_min.channel_step;
        }
    }
}

#include "spikerun.h"

void spikerun_fill(const spikerun_shape* shape, const spikerun_parameter* bias, int32_t* membrane) {
    const int32_t channels = shape->channels;
    for (int32_t pixel = 0; pixel < shape->pixels; pixel++) {
        const int32_t* value = bias->values + pixel * bias->pixel_step;
        for (int32_t channel = 0; channel < channels; channel++) {
            *membrane++ = *value;
            value += bias->channel_step;
        }
    }
}

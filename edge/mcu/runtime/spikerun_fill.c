#include "spikerun.h"

void spikerun_fill(const spikerun_shape* shape, const spikerun_parameter* bias, int32_t* membrane) {
    const int32_t channels = shape->channels, step = bias->channel_step;
    const int32_t *values = bias->values, *end = membrane + channels * shape->pixels;
    const int32_t pixel_step = bias->pixel_step;
    while (membrane < end) {
        const int32_t* value = values;
        for (int32_t channel = 0; channel < channels; channel++) {
            *membrane++ = *value;
            value += step;
        }
        values += pixel_step;
    }
}

#include "spikerun.h"
#include "spikerun_word.h"

void spikerun_diagonal_add(const spikerun_diagonal* self, const uint8_t* words, int32_t* membrane) {
    for (int32_t channel = 0; channel < self->channels; channel++) {
        const int32_t gain = self->gains[channel * self->gain_step];
        int32_t* target = membrane + self->offset + channel * self->channel_stride;
        for (int32_t pixel = 0; pixel < self->pixels; pixel++) {
            const uint8_t word = *words++;
            if (word != 0) {
                target[pixel * self->pixel_stride] += gain * spikerun_value(word, self->sign);
            }
        }
    }
}

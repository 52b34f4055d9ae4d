#include "spikerun.h"
#include "spikerun_word.h"

/* Adds `current` to every window that the pixel (y, x) lies in. */
static void scatter(const spikerun_sum_pool* self, int32_t y, int32_t x, int32_t current, int32_t* membrane) {
    for (int32_t i = 0; i < self->kernel_height; i++) {
        const int32_t below = y + self->padding_y - i;
        const int32_t row = below / self->stride_y;
        if (below < 0 || row >= self->target_height || row * self->stride_y != below) {
            continue;
        }
        for (int32_t j = 0; j < self->kernel_width; j++) {
            const int32_t right = x + self->padding_x - j;
            const int32_t column = right / self->stride_x;
            if (right >= 0 && column < self->target_width && column * self->stride_x == right) {
                membrane[(row * self->target_width + column) * self->pixel_stride] += current;
            }
        }
    }
}

void spikerun_sum_pool_add(const spikerun_sum_pool* self, const uint8_t* words, int32_t* membrane) {
    for (int32_t channel = 0; channel < self->channels; channel++) {
        const int32_t gain = self->gains[channel * self->gain_step];
        int32_t* target = membrane + self->offset + channel * self->channel_stride;
        for (int32_t y = 0; y < self->source_height; y++) {
            for (int32_t x = 0; x < self->source_width; x++) {
                const uint8_t word = *words++;
                if (word != 0) {
                    scatter(self, y, x, gain * spikerun_value(word, self->sign), target);
                }
            }
        }
    }
}

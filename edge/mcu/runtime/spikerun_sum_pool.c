/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"
#include "spikerun_word.h"

/* Adds the words of one source pixel to those of one window. */
static void add_pixel(const spikerun_sum_pool* self, const uint8_t* words, int32_t* acc) {
    for (int32_t channel = 0; channel < self->channels; channel++) {
        const uint32_t word = spikerun_load(words, channel);
        if (word != 0) {
            acc[channel] += self->gains[channel * self->gain_step] * spikerun_value(word, self->sign);
        }
    }
}

/* Adds the words of the pixel (y, x) to every window that it lies in. */
static void scatter(const spikerun_sum_pool* self, int32_t y, int32_t x, const uint8_t* words, int32_t* acc) {
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
                add_pixel(self, words, acc + (row * self->target_width + column) * self->pitch);
            }
        }
    }
}

void SPIKERUN_RUN(sum_pool)(const spikerun_sum_pool* self, const uint8_t* x, int32_t* acc) {
    for (int32_t row = 0; row < self->source_height; row++) {
        for (int32_t column = 0; column < self->source_width; column++) {
            scatter(self, row, column, x, acc + self->offset);
            x += self->channels * SPIKERUN_WORD_BYTES;
        }
    }
}

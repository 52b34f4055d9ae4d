/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"
#include "spikerun_word.h"

/* Adds the words of one source pixel to those of one window. */
static void add_words(const spikerun_sum_pool* self, const uint8_t* words, int32_t* acc) {
    for (int32_t channel = 0; channel < self->channels; channel++) {
        const uint32_t word = spikerun_load(words, channel);
        if (word != 0) {
            acc[channel] += self->gains[channel * self->gain_step] * spikerun_value(word, self->sign);
        }
    }
}

/* Adds what a window sees from the source row `top` and the column `left` on. */
static void add_pixel(const spikerun_sum_pool* self, const uint8_t* x, int32_t top, int32_t left,
                      int32_t* acc) {
    const int32_t pixel = self->channels * SPIKERUN_WORD_BYTES;
    for (int32_t y = top; y < top + self->kernel_height; y++) {
        for (int32_t column = left; column < left + self->kernel_width; column++) {
            if (y >= 0 && y < self->source_height && column >= 0 && column < self->source_width) {
                add_words(self, x + (y * self->source_width + column) * pixel, acc);
            }
        }
    }
}

void SPIKERUN_RUN(sum_pool)(const spikerun_sum_pool* self, int32_t row, const uint8_t* x, int32_t* acc) {
    acc += self->offset;
    for (int32_t column = 0; column < self->target_width; column++) {
        add_pixel(self, x, row * self->stride_y - self->padding_y, column * self->stride_x - self->padding_x,
                  acc);
        acc += self->pitch;
    }
}

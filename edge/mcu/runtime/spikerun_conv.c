/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"
#include "spikerun_word.h"

/* Up to SPIKERUN_ROWS active neurons of one pixel: they reach the same membranes. */
typedef struct {
    const int8_t* weights[SPIKERUN_ROWS];
    int32_t values[SPIKERUN_ROWS];
    int32_t count;
} spikes;

static void add_taps(const spikes* active, int32_t first, int32_t length, int32_t* acc) {
    const int8_t* rows[SPIKERUN_ROWS];
    for (int32_t k = 0; k < active->count; k++) {
        rows[k] = active->weights[k] + first;
    }
    spikerun_add_rows(acc, length, rows, active->values, active->count);
}

/* The kernel columns lie reversed, so tap `j` of a row adds to the pixel at x + padding - (kernel - 1 - j) *
 * dilation. */
static void add_row(const spikerun_conv* self, const spikes* active, int32_t x, int32_t first, int32_t* acc) {
    const int32_t channels = self->channels;
    const int32_t left = x + self->padding_x - (self->kernel_width - 1) * self->dilation_x;
    if (self->stride_x == 1 && self->dilation_x == 1 && channels == self->pitch) {
        const int32_t begin = left < 0 ? -left : 0;
        const int32_t room = self->target_width - left;
        const int32_t end = self->kernel_width < room ? self->kernel_width : room;
        if (begin < end) {
            add_taps(active, first + begin * channels, (end - begin) * channels,
                     acc + (left + begin) * channels);
        }
        return;
    }
    for (int32_t j = 0; j < self->kernel_width; j++) {
        const int32_t place = left + j * self->dilation_x;
        const int32_t column = place / self->stride_x;
        if (place >= 0 && column < self->target_width && column * self->stride_x == place) {
            add_taps(active, first + j * channels, channels, acc + column * self->pitch);
        }
    }
}

static void scatter(const spikerun_conv* self, const spikes* active, int32_t y, int32_t x, int32_t* acc) {
    const int32_t row_weights = self->kernel_width * self->channels;
    for (int32_t i = 0; i < self->kernel_height; i++) {
        const int32_t place = y + self->padding_y - i * self->dilation_y;
        if (place < 0) {
            return;
        }
        const int32_t row = place / self->stride_y;
        if (row < self->target_height && row * self->stride_y == place) {
            add_row(self, active, x, i * row_weights, acc + row * self->target_width * self->pitch);
        }
    }
}

static void pixel(const spikerun_conv* self, const uint8_t* words, const int8_t* weights, int32_t y,
                  int32_t x, int32_t* acc) {
    const int32_t step = self->kernel_height * self->kernel_width * self->channels;
    spikes active;
    active.count = 0;
    for (int32_t n = 0; n < self->source_channels; n++) {
        const uint32_t word = spikerun_load(words, n);
        if (word != 0) {
            active.weights[active.count] = weights;
            active.values[active.count] = spikerun_value(word, self->sign);
            if (++active.count == SPIKERUN_ROWS) {
                scatter(self, &active, y, x, acc);
                active.count = 0;
            }
        }
        weights += step;
    }
    if (active.count > 0) {
        scatter(self, &active, y, x, acc);
    }
}

void SPIKERUN_RUN(conv)(const spikerun_conv* self, const uint8_t* x, int32_t* acc) {
    const int32_t group_weights =
        self->source_channels * self->kernel_height * self->kernel_width * self->channels;
    acc += self->offset;
    for (int32_t row = 0; row < self->source_height; row++) {
        for (int32_t column = 0; column < self->source_width; column++) {
            for (int32_t group = 0; group < self->groups; group++) {
                pixel(self, x, self->weights + group * group_weights, row, column,
                      acc + group * self->channels);
                x += self->source_channels * SPIKERUN_WORD_BYTES;
            }
        }
    }
}

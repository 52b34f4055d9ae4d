/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel of packed weights, cross-correlation: each file that includes it has it for one packing. */
#ifndef SPIKERUN_PACKED_CONV_H
#define SPIKERUN_PACKED_CONV_H

#include "spikerun.h"
#include "spikerun_packed.h"
#include "spikerun_word.h"

typedef spikerun_conv_packed conv;

/* Where the rows of an active neuron are read. */
typedef struct {
    const uint8_t* marks;
    const int8_t* weights;
    int32_t row;
} cursor;

static inline void advance(const conv* restrict self, cursor* restrict at, int32_t count) {
    at->marks += spikerun_marks(count, self->mask_bytes);
    at->weights += count;
    at->row++;
}

/* A kernel row that is one row of weights, for it reaches a run of membranes. */
static void add_run(const conv* restrict self, cursor* restrict at, int32_t value, int32_t left,
                    int32_t* restrict acc) {
    const int32_t count = spikerun_count(self->counts, self->wide_counts, at->row);
    const int32_t begin = left < 0 ? -left : 0, room = self->target_width - left;
    const int32_t end = self->kernel_width < room ? self->kernel_width : room;
    if (acc != NULL && begin < end) {
        int32_t* const sum = acc + (left + begin) * self->pitch;
        if (end - begin == self->kernel_width) {
            spikerun_add_packed(sum, at->marks, at->weights, count, value);
        } else {
            spikerun_add_clipped(sum, at->marks, at->weights, count, value, begin * self->pitch,
                                 (end - begin) * self->pitch);
        }
    }
    advance(self, at, count);
}

/* A kernel row of which each tap is a row of weights. */
static void add_taps(const conv* restrict self, cursor* restrict at, int32_t value, int32_t left,
                     int32_t* restrict acc) {
    for (int32_t j = 0; j < self->kernel_width; j++) {
        const int32_t count = spikerun_count(self->counts, self->wide_counts, at->row);
        const int32_t place = left + j * self->dilation_x, column = place / self->stride_x;
        if (acc != NULL && place >= 0 && column < self->target_width && column * self->stride_x == place) {
            spikerun_add_packed(acc + column * self->pitch, at->marks, at->weights, count, value);
        }
        advance(self, at, count);
    }
}

/* One active neuron of a source channel; `channel` counts those of all groups. The kernel columns lie
 * reversed: the tap `j` of a row adds to the pixel at x + padding - (kernel - 1 - j) * dilation. */
static void scatter(const conv* restrict self, int32_t channel, int32_t value, int32_t y, int32_t x,
                    int32_t* restrict acc) {
    const int32_t run = self->stride_x == 1 && self->dilation_x == 1 && self->channels == self->pitch;
    const int32_t left = x + self->padding_x - (self->kernel_width - 1) * self->dilation_x;
    const int32_t first = channel * self->kernel_height * (run ? 1 : self->kernel_width);
    const uint32_t start = self->starts != NULL ? self->starts[channel] : self->wide_starts[channel];
    cursor at = {self->marks + spikerun_marks((int32_t)start, first * self->mask_bytes),
                 self->weights + start, first};
    for (int32_t i = 0; i < self->kernel_height; i++) {
        const int32_t place = y + self->padding_y - i * self->dilation_y;
        if (place < 0) {
            return;
        }
        const int32_t row = place / self->stride_y;
        const int32_t reached = row < self->target_height && row * self->stride_y == place;
        int32_t* const to = reached ? acc + row * self->target_width * self->pitch : NULL;
        if (run) {
            add_run(self, &at, value, left, to);
        } else {
            add_taps(self, &at, value, left, to);
        }
    }
}

#ifdef SPIKERUN_BITMAP
void SPIKERUN_RUN(conv_bitmap)(const spikerun_conv_bitmap* self, const uint8_t* x, int32_t* acc) {
#else
void SPIKERUN_RUN(conv_delta)(const spikerun_conv_delta* self, const uint8_t* x, int32_t* acc) {
#endif
    acc += self->offset;
    for (int32_t row = 0; row < self->source_height; row++) {
        for (int32_t column = 0; column < self->source_width; column++) {
            for (int32_t channel = 0; channel < self->groups * self->source_channels; channel++) {
                const uint32_t word = spikerun_load(x, channel);
                if (word != 0) {
                    scatter(self, channel, spikerun_value(word, self->sign), row, column,
                            acc + channel / self->source_channels * self->channels);
                }
            }
            x += self->groups * self->source_channels * SPIKERUN_WORD_BYTES;
        }
    }
}

#endif

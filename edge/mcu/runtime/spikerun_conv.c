#include "spikerun.h"
#include "spikerun_word.h"

/* Up to SPIKERUN_ROWS active neurons of one pixel: they reach the same membranes. */
typedef struct {
    const int8_t* weights[SPIKERUN_ROWS];
    int32_t values[SPIKERUN_ROWS];
    int32_t count;
} spikes;

static void add_taps(const spikes* group, int32_t first, int32_t length, int32_t* membrane) {
    const int8_t* rows[SPIKERUN_ROWS];
    for (int32_t k = 0; k < group->count; k++) {
        rows[k] = group->weights[k] + first;
    }
    spikerun_add_rows(membrane, length, rows, group->values, group->count);
}

/* The kernel columns lie reversed, so tap `j` of a row adds to the pixel at x + padding - (kernel - 1 - j) *
 * dilation. */
static void add_row(const spikerun_conv* self, const spikes* group, int32_t x, int32_t first,
                    int32_t* membrane) {
    const int32_t channels = self->target_channels;
    const int32_t left = x + self->padding_x - (self->kernel_width - 1) * self->dilation_x;
    if (self->stride_x == 1 && self->dilation_x == 1 && channels == self->pitch) {
        const int32_t begin = left < 0 ? -left : 0;
        const int32_t room = self->target_width - left;
        const int32_t end = self->kernel_width < room ? self->kernel_width : room;
        if (begin < end) {
            add_taps(group, first + begin * channels, (end - begin) * channels,
                     membrane + (left + begin) * channels);
        }
        return;
    }
    for (int32_t j = 0; j < self->kernel_width; j++) {
        const int32_t place = left + j * self->dilation_x;
        const int32_t column = place / self->stride_x;
        if (place >= 0 && column < self->target_width && column * self->stride_x == place) {
            add_taps(group, first + j * channels, channels, membrane + column * self->pitch);
        }
    }
}

static void scatter(const spikerun_conv* self, const spikes* group, int32_t y, int32_t x, int32_t* membrane) {
    const int32_t row_weights = self->kernel_width * self->target_channels;
    for (int32_t i = 0; i < self->kernel_height; i++) {
        const int32_t place = y + self->padding_y - i * self->dilation_y;
        if (place < 0) {
            return;
        }
        const int32_t row = place / self->stride_y;
        if (row < self->target_height && row * self->stride_y == place) {
            add_row(self, group, x, i * row_weights, membrane + row * self->target_width * self->pitch);
        }
    }
}

static void pixel(const spikerun_conv* self, const uint8_t* word, const int8_t* weights, int32_t y, int32_t x,
                  int32_t* membrane) {
    const int32_t pixels = self->source_height * self->source_width;
    const int32_t step = self->kernel_height * self->kernel_width * self->target_channels;
    spikes group;
    group.count = 0;
    for (int32_t channel = 0; channel < self->source_channels; channel++) {
        if (*word != 0) {
            group.weights[group.count] = weights;
            group.values[group.count] = spikerun_value(*word, self->sign);
            if (++group.count == SPIKERUN_ROWS) {
                scatter(self, &group, y, x, membrane);
                group.count = 0;
            }
        }
        word += pixels;
        weights += step;
    }
    if (group.count > 0) {
        scatter(self, &group, y, x, membrane);
    }
}

void spikerun_conv_add(const spikerun_conv* self, const uint8_t* words, int32_t* membrane) {
    const int32_t group_words = self->source_channels * self->source_height * self->source_width;
    const int32_t group_weights =
        self->source_channels * self->kernel_height * self->kernel_width * self->target_channels;
    membrane += self->offset;
    for (int32_t group = 0; group < self->groups; group++) {
        const uint8_t* word = words + group * group_words;
        for (int32_t y = 0; y < self->source_height; y++) {
            for (int32_t x = 0; x < self->source_width; x++) {
                pixel(self, word++, self->weights + group * group_weights, y, x,
                      membrane + group * self->target_channels);
            }
        }
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"
#include "spikerun_word.h"

/* Where the tap `k` of the window at (row, column) is in x, or -1 outside the image. */
static int32_t place(const spikerun_max_pool* w, int32_t row, int32_t column, int32_t k) {
    const int32_t i = k / w->kernel_width, j = k % w->kernel_width;
    const int32_t y = row * w->stride_y - w->padding_y + i * w->dilation_y;
    const int32_t x = column * w->stride_x - w->padding_x + j * w->dilation_x;
    const int32_t outside = y < 0 || y >= w->source_height || x < 0 || x >= w->source_width;
    return outside ? -1 : (y * w->source_width + x) * w->channels;
}

/* y = the best x of the candidates; `flip` makes the bits of the best of them the largest. */
static void compare(int32_t channels, const uint8_t* x, const uint8_t* alive, uint32_t flip, uint8_t* y) {
    for (int32_t channel = 0; channel < channels; channel++) {
        const uint32_t word = spikerun_load(x, channel);
        if (alive[channel] != 0 && (word ^ flip) > (spikerun_load(y, channel) ^ flip)) {
            spikerun_store(y, channel, word);
        }
    }
}

static void fill(uint8_t* bytes, int32_t count, uint8_t value) {
    for (int32_t n = 0; n < count; n++) {
        bytes[n] = value;
    }
}

void SPIKERUN_RUN(max_pool_step)(const spikerun_max_pool_step* self, int32_t phase, const uint8_t* x,
                                 uint8_t* alive, uint8_t* y) {
    const spikerun_max_pool* const w = &self->window;
    const int32_t channels = w->channels, taps = w->kernel_height * w->kernel_width;
    const uint32_t all = SPIKERUN_WORD_BYTES == 2 ? 0xffffu : 0xffu;
    const uint32_t flip = (uint32_t)w->sign ^ (phase == self->sign_at ? all : 0u);
    for (int32_t pixel = 0; pixel < w->target_height * w->target_width; pixel++) {
        const int32_t row = pixel / w->target_width, column = pixel % w->target_width;
        for (int32_t channel = 0; channel < channels; channel++) {
            spikerun_store(y, channel, flip); /* the worst of all */
        }
        for (int32_t k = 0; k < taps; k++) {
            const int32_t from = place(w, row, column, k);
            if (phase == self->restart_at) {
                fill(alive + k * channels, channels, from >= 0);
            }
            if (from >= 0) {
                compare(channels, x + from * SPIKERUN_WORD_BYTES, alive + k * channels, flip, y);
            }
        }
        for (int32_t k = 0; k < taps; k++) {
            const int32_t from = place(w, row, column, k);
            for (int32_t channel = 0; from >= 0 && channel < channels; channel++) {
                const int32_t differs = spikerun_load(x, from + channel) != spikerun_load(y, channel);
                alive[k * channels + channel] = (uint8_t)(alive[k * channels + channel] && !differs);
            }
        }
        y += channels * SPIKERUN_WORD_BYTES;
        alive += taps * channels;
    }
}

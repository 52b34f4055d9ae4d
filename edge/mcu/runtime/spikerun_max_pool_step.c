/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"

/* Where the tap `k` of the window at (row, column) is in x, or -1 outside the image. */
static int32_t place(const spikerun_max_pool* w, int32_t row, int32_t column, int32_t k) {
    const int32_t i = k / w->kernel_width, j = k % w->kernel_width;
    const int32_t y = row * w->stride_y - w->padding_y + i * w->dilation_y;
    const int32_t x = column * w->stride_x - w->padding_x + j * w->dilation_x;
    const int32_t outside = y < 0 || y >= w->source_height || x < 0 || x >= w->source_width;
    return outside ? -1 : (y * w->source_width + x) * w->channels;
}

/* y = the best x of the candidates; `flip` makes the best of them the largest unsigned byte. */
static void compare(int32_t channels, const uint8_t* x, const uint8_t* alive, uint8_t flip, uint8_t* y) {
    for (int32_t channel = 0; channel < channels; channel++) {
        const uint8_t value = x[channel] ^ flip;
        if (alive[channel] != 0 && value > (y[channel] ^ flip)) {
            y[channel] = x[channel];
        }
    }
}

static void fill(uint8_t* bytes, int32_t count, uint8_t value) {
    for (int32_t n = 0; n < count; n++) {
        bytes[n] = value;
    }
}

void spikerun_max_pool_step_run(const spikerun_max_pool_step* self, int32_t phase, const uint8_t* x,
                                uint8_t* alive, uint8_t* y) {
    const spikerun_max_pool* const w = &self->window;
    const int32_t channels = w->channels, taps = w->kernel_height * w->kernel_width;
    const uint8_t flip = (uint8_t)(phase == self->sign_at ? w->sign ^ 0xff : w->sign);
    for (int32_t pixel = 0; pixel < w->target_height * w->target_width; pixel++) {
        const int32_t row = pixel / w->target_width, column = pixel % w->target_width;
        fill(y, channels, flip); /* the worst of all */
        for (int32_t k = 0; k < taps; k++) {
            const int32_t from = place(w, row, column, k);
            if (phase == self->restart_at) {
                fill(alive + k * channels, channels, from >= 0);
            }
            if (from >= 0) {
                compare(channels, x + from, alive + k * channels, flip, y);
            }
        }
        for (int32_t k = 0; k < taps; k++) {
            const int32_t from = place(w, row, column, k);
            for (int32_t channel = 0; from >= 0 && channel < channels; channel++) {
                const int32_t differs = x[from + channel] != y[channel];
                alive[k * channels + channel] = (uint8_t)(alive[k * channels + channel] && !differs);
            }
        }
        y += channels;
        alive += taps * channels;
    }
}

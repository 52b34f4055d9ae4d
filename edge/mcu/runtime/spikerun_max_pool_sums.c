/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"

/* The largest sum of one channel in the window whose corner is (y, x), which may lie outside the image. */
static int32_t largest(const spikerun_max_pool_sums* w, const int32_t* sums, int32_t y, int32_t x) {
    int32_t best = INT32_MIN;
    for (int32_t i = 0; i < w->kernel_height; i++) {
        const int32_t row = y + i * w->dilation_y;
        for (int32_t j = 0; row >= 0 && row < w->source_height && j < w->kernel_width; j++) {
            const int32_t column = x + j * w->dilation_x;
            if (column >= 0 && column < w->source_width) {
                const int32_t value = sums[(row * w->source_width + column) * w->channels];
                best = value > best ? value : best;
            }
        }
    }
    return best;
}

void spikerun_max_pool_sums_run(const spikerun_max_pool_sums* self, const int32_t* sums, int32_t* acc) {
    for (int32_t row = 0; row < self->target_height; row++) {
        for (int32_t column = 0; column < self->target_width; column++) {
            const int32_t y = row * self->stride_y - self->padding_y;
            const int32_t x = column * self->stride_x - self->padding_x;
            for (int32_t channel = 0; channel < self->channels; channel++) {
                *acc++ = largest(self, sums + channel, y, x);
            }
        }
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"
#include "spikerun_word.h"

/* `count` taps of a window lie within the image, the first of them at `first`. */
typedef struct {
    int32_t first, count;
} range;

static range inside(int32_t start, int32_t kernel, int32_t dilation, int32_t size) {
    range taps = {start, 0};
    for (int32_t place = start; place < start + kernel * dilation && place < size; place += dilation) {
        if (place < 0) {
            taps.first = place + dilation;
        } else {
            taps.count++;
        }
    }
    return taps;
}

/* Words are compared with their sign bit flipped, so that their bits are in the order of signed words. */
static uint32_t largest(const uint8_t* row, int32_t rows, int32_t columns, int32_t row_step,
                        int32_t column_step, uint32_t sign) {
    uint32_t best = 0;
    for (; rows > 0; rows--) {
        const uint8_t* word = row;
        for (int32_t left = columns; left > 0; left--) {
            const uint32_t value = spikerun_load(word, 0) ^ sign;
            best = value > best ? value : best;
            word += column_step;
        }
        row += row_step;
    }
    return best;
}

void SPIKERUN_RUN(max_pool)(const spikerun_max_pool* self, int32_t row, const uint8_t* x, uint8_t* y) {
    const spikerun_max_pool p =
        *self; /* a copy: as far as the compiler knows, writing words could change *self */
    const int32_t pixel = p.channels * SPIKERUN_WORD_BYTES;
    const int32_t row_step = p.dilation_y * p.source_width * pixel, column_step = p.dilation_x * pixel;
    const uint32_t sign = (uint32_t)p.sign;
    const range down = inside(row * p.stride_y - p.padding_y, p.kernel_height, p.dilation_y, p.source_height);
    for (int32_t column = 0; column < p.target_width; column++) {
        const range across =
            inside(column * p.stride_x - p.padding_x, p.kernel_width, p.dilation_x, p.source_width);
        const uint8_t* corner = x + (down.first * p.source_width + across.first) * pixel;
        for (const uint8_t* end = corner + pixel; corner < end; corner += SPIKERUN_WORD_BYTES) {
            spikerun_store(y, 0,
                           largest(corner, down.count, across.count, row_step, column_step, sign) ^ sign);
            y += SPIKERUN_WORD_BYTES;
        }
    }
}

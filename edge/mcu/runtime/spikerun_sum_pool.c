/* SPDX-License-Identifier: Apache-2.0 */
/* Four channels at once: two registers hold the sums of a window in lanes of 16 bits. */
#include "spikerun.h"
#include "spikerun_word.h"
#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1) && !defined(SPIKERUN_WIDE)
#include <arm_mve.h>
#define HELIUM 1
#endif

/* The source pixels that a window sees. */
typedef struct {
    const uint8_t* x;
    int32_t rows, columns, row_bytes, pixel_bytes;
} window;

/* The sum of a channel's words. */
static int32_t sum_of(const window* seen, int32_t channel, int32_t sign) {
    const uint8_t* row = seen->x;
    int32_t sum = 0;
    for (int32_t y = seen->rows; y > 0; y--, row += seen->row_bytes) {
        const uint8_t* words = row;
        for (int32_t left = seen->columns; left > 0; left--, words += seen->pixel_bytes) {
            sum += spikerun_value(spikerun_load(words, channel), sign);
        }
    }
    return sum;
}

#ifndef SPIKERUN_WIDE
/* Words that a lane of 16 bits holds the sum of, signed or not: 255 * 255 is below 2^16, 255 * 128 below
 * 2^15.
 */
#define LANE 255

/* Makes a part so many rows of a window; rows that lie one behind the other are one. */
static inline void take_rows(window* part, const window* seen, int32_t rows) {
    const int32_t flat = seen->row_bytes == seen->columns * seen->pixel_bytes;
    part->rows = flat ? 1 : rows;
    part->columns = flat ? rows * seen->columns : seen->columns;
}

#ifdef HELIUM
/* sum[k] += gains[k] * values[k] of up to four channels. */
static void add_products(const spikerun_sum_pool* self, int32_t channel, const int16_t* values,
                         int32_t* acc) {
    const mve_pred16_t within = vctp32q((uint32_t)(self->channels - channel));
    const int32x4_t gains =
        self->gain_step != 0 ? vld1q_z_s32(self->gains + channel, within) : vdupq_n_s32(self->gains[0]);
    const int32x4_t sums =
        self->sign != 0 ? vldrhq_s32(values) : vreinterpretq_s32_u32(vldrhq_u32((const uint16_t*)values));
    const int32x4_t now = vld1q_z_s32(acc + channel, within);
    vst1q_p_s32(acc + channel, vaddq_s32(now, vmulq_s32(gains, sums)), within);
}

/* Adds the sums of eight channels of a stretch of rows. */
static inline __attribute__((always_inline)) void add_eight(const spikerun_sum_pool* self, const window* seen,
                                                            int32_t channel, int32_t sign, int32_t* acc) {
    const mve_pred16_t within = vctp16q((uint32_t)(self->channels - channel));
    const uint8_t* row = seen->x + channel;
    uint16x8_t sums = vdupq_n_u16(0);
    int16_t values[8];
    for (int32_t y = seen->rows; y > 0; y--, row += seen->row_bytes) {
        const uint8_t* words = row;
        for (int32_t left = seen->columns; left > 0; left--, words += seen->pixel_bytes) {
            const uint16x8_t eight = sign != 0
                                         ? vreinterpretq_u16_s16(vldrbq_z_s16((const int8_t*)words, within))
                                         : vldrbq_z_u16(words, within);
            sums = vaddq_u16(sums, eight);
        }
    }
    vst1q_u16((uint16_t*)values, sums);
    add_products(self, channel, values, acc);
    if (channel + 4 < self->channels) {
        add_products(self, channel + 4, values + 4, acc);
    }
}

/* Adds the sums of all channels, a stretch of rows after the other; returns how many channels these are. */
static int32_t add_fours(const spikerun_sum_pool* self, const window* seen, int32_t* acc) {
    const int32_t rows = seen->columns > 0 ? LANE / seen->columns : 0;
    for (int32_t channel = 0; rows > 0 && channel < self->channels; channel += 8) {
        window part = *seen;
        for (int32_t left = seen->rows; left > 0; left -= rows, part.x += rows * seen->row_bytes) {
            take_rows(&part, seen, left < rows ? left : rows);
            if (self->sign != 0) {
                add_eight(self, &part, channel, 1, acc);
            } else {
                add_eight(self, &part, channel, 0, acc);
            }
        }
    }
    return rows > 0 ? self->channels : 0;
}
#else
/* The sums of four channels, of which the first lies at a multiple of four bytes; words are made unsigned by
 * `sign`, in all four bytes. */
static void four(const window* seen, int32_t channel, uint32_t sign, int32_t* sums) {
    const uint8_t* row = seen->x + channel;
    uint32_t even = 0, odd = 0;
    for (int32_t y = seen->rows; y > 0; y--, row += seen->row_bytes) {
        const uint8_t* words = row;
        for (int32_t left = seen->columns; left > 0; left--, words += seen->pixel_bytes) {
            const uint32_t word = *(const uint32_t*)(const void*)words ^ sign;
            even += word & 0x00ff00ffu;
            odd += (word >> 8) & 0x00ff00ffu;
        }
    }
    const int32_t more = sign != 0 ? 128 * seen->rows * seen->columns : 0;
    sums[0] = (int32_t)(even & 0xffffu) - more;
    sums[1] = (int32_t)(odd & 0xffffu) - more;
    sums[2] = (int32_t)(even >> 16) - more;
    sums[3] = (int32_t)(odd >> 16) - more;
}

/* Adds the sums of as many channels as there are whole fours, a stretch of rows after the other; returns how
 * many channels these are. */
static int32_t add_fours(const spikerun_sum_pool* self, const window* seen, int32_t* acc) {
    const int32_t rows = seen->columns > 0 ? LANE / seen->columns : 0;
    const int32_t aligned = ((uintptr_t)seen->x | (uintptr_t)self->channels) % 4 == 0;
    if (!aligned || rows == 0) {
        return 0;
    }
    for (int32_t channel = 0; channel < self->channels; channel += 4) {
        const int32_t* const gains = self->gains + channel * self->gain_step;
        window part = *seen;
        for (int32_t left = seen->rows; left > 0; left -= rows, part.x += rows * seen->row_bytes) {
            int32_t sums[4];
            take_rows(&part, seen, left < rows ? left : rows);
            four(&part, channel, self->sign != 0 ? 0x80808080u : 0, sums);
            for (int32_t k = 0; k < 4; k++) {
                acc[channel + k] += gains[k * self->gain_step] * sums[k];
            }
        }
    }
    return self->channels;
}
#endif
#endif

/* Adds what a window sees. */
static void add_window(const spikerun_sum_pool* self, const window* seen, int32_t* acc) {
#ifdef SPIKERUN_WIDE
    int32_t channel = 0;
#else
    int32_t channel = add_fours(self, seen, acc);
#endif
    for (; channel < self->channels; channel++) {
        acc[channel] += self->gains[channel * self->gain_step] * sum_of(seen, channel, self->sign);
    }
}

void SPIKERUN_RUN(sum_pool)(const spikerun_sum_pool* self, int32_t row, const uint8_t* x, int32_t* acc) {
    const int32_t pixel = self->channels * SPIKERUN_WORD_BYTES, line = self->source_width * pixel;
    int32_t top = row * self->stride_y - self->padding_y, left = -self->padding_x;
    int32_t bottom = top + self->kernel_height;
    top = top < 0 ? 0 : top;
    bottom = bottom < self->source_height ? bottom : self->source_height;
    acc += self->offset;
    for (int32_t column = 0; column < self->target_width; column++, left += self->stride_x) {
        const int32_t first = left < 0 ? 0 : left, end = left + self->kernel_width;
        const int32_t last = end < self->source_width ? end : self->source_width;
        if (top < bottom && first < last) {
            const window seen = {x + top * line + first * pixel, bottom - top, last - first, line, pixel};
            add_window(self, &seen, acc);
        }
        acc += self->pitch;
    }
}

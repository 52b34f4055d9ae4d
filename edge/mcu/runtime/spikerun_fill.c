/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"
#include "spikerun_word.h"
#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)
#include <arm_mve.h>
#endif

/* The same number everywhere. */
static void fill_with(int32_t* acc, const int32_t* end, int32_t value) {
    SPIKERUN_ROLLED
    for (; acc + 4 <= end; acc += 4) {
        acc[0] = value;
        acc[1] = value;
        acc[2] = value;
        acc[3] = value;
    }
    SPIKERUN_ROLLED
    while (acc < end) {
        *acc++ = value;
    }
}

/* The same numbers in each pixel, of the four channels from `channel` on. */
static void fill_channels_from(int32_t* acc, const int32_t* end, int32_t channels, const int32_t* values,
                               int32_t channel) {
#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)
    const int32x4_t four = vld1q_s32(values + channel);
    SPIKERUN_ROLLED
    for (int32_t* to = acc + channel; to < end; to += channels) {
        vst1q_s32(to, four);
    }
#else
    const int32_t a = values[channel], b = values[channel + 1], c = values[channel + 2],
                  d = values[channel + 3];
    SPIKERUN_ROLLED
    for (int32_t* to = acc + channel; to < end; to += channels) {
        to[0] = a;
        to[1] = b;
        to[2] = c;
        to[3] = d;
    }
#endif
}

/* The same of all channels. */
static void fill_channels(int32_t* acc, const int32_t* end, int32_t channels, const int32_t* values) {
    int32_t channel = 0;
    SPIKERUN_ROLLED
    for (; channel + 4 <= channels; channel += 4) {
        fill_channels_from(acc, end, channels, values, channel);
    }
    if (channel < channels && channels > 4) { /* some twice */
        fill_channels_from(acc, end, channels, values, channels - 4);
        return;
    }
    SPIKERUN_ROLLED
    for (; channel < channels; channel++) {
        const int32_t value = values[channel];
        SPIKERUN_ROLLED
        for (int32_t* to = acc + channel; to < end; to += channels) {
            *to = value;
        }
    }
}

void spikerun_fill_run(const spikerun_fill* self, int32_t row, int32_t* acc) {
    const int32_t channels = self->shape.channels, pixel_step = self->value.pixel_step;
    const int32_t* values = self->value.values + row * self->shape.pixels * pixel_step;
    int32_t* const end = acc + channels * self->shape.pixels;
    if (self->value.channel_step == 0 && pixel_step == 0) {
        fill_with(acc, end, *values);
    } else if (pixel_step == 0) {
        fill_channels(acc, end, channels, values);
    } else { /* a number for each neuron */
        fill_channels(acc, end, channels * self->shape.pixels, values);
    }
}

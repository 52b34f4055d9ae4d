/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"
#include "spikerun_word.h"

void SPIKERUN_WORDS(take)(const spikerun_shape* shape, const uint8_t* frame, uint8_t* words) {
    for (int32_t channel = 0; channel < shape->channels; channel++) {
        for (int32_t pixel = 0; pixel < shape->pixels; pixel++) {
            spikerun_store(words, pixel * shape->channels + channel, spikerun_load(frame, 0));
            frame += SPIKERUN_WORD_BYTES;
        }
    }
}

#ifndef SPIKERUN_WIDE
void spikerun_read_values(const spikerun_shape* shape, const int32_t* values, int32_t* out) {
    for (int32_t channel = 0; channel < shape->channels; channel++) {
        for (int32_t pixel = 0; pixel < shape->pixels; pixel++) {
            *out++ = values[pixel * shape->channels + channel];
        }
    }
}
#endif

void SPIKERUN_WORDS(read_words)(const spikerun_shape* shape, int32_t sign, const uint8_t* words,
                                int32_t* out) {
    for (int32_t channel = 0; channel < shape->channels; channel++) {
        for (int32_t pixel = 0; pixel < shape->pixels; pixel++) {
            *out++ = spikerun_value(spikerun_load(words, pixel * shape->channels + channel), sign);
        }
    }
}

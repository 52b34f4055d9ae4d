/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"
#include "spikerun_word.h"

void SPIKERUN_RUN(diagonal)(const spikerun_diagonal* self, int32_t row, const uint8_t* x, int32_t* acc) {
    x += row * self->target_width * self->channels * SPIKERUN_WORD_BYTES;
    acc += self->offset;
    for (int32_t column = 0; column < self->target_width; column++) {
        for (int32_t channel = 0; channel < self->channels; channel++) {
            const uint32_t word = spikerun_load(x, 0);
            x += SPIKERUN_WORD_BYTES;
            if (word != 0) {
                acc[channel] += self->gains[channel * self->gain_step] * spikerun_value(word, self->sign);
            }
        }
        acc += self->pitch;
    }
}

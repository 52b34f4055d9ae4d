/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"

/* How many of the levels are <= v, found bit by bit, the highest first. */
static int32_t passed(const int32_t* levels, int32_t count, int32_t top, int32_t v) {
    int32_t k = 0;
    for (int32_t bit = top; bit > 0; bit >>= 1) {
        if (k + bit <= count && levels[k + bit - 1] <= v) {
            k += bit;
        }
    }
    return k;
}

void spikerun_fire_levels_run(const spikerun_fire_levels* self, const int32_t* v, uint8_t* word) {
    const spikerun_fire_levels f = *self; /* a copy: as far as the compiler knows, words could lie in *self */
    const int32_t* const end = v + f.shape.channels * f.shape.pixels;
    while (v < end) {
        const int32_t* levels = f.levels;
        const uint8_t* words = f.words;
        for (int32_t channel = 0; channel < f.shape.channels; channel++) {
            *word++ = words[passed(levels, f.count, f.top, *v++)];
            levels += f.level_step;
            words += f.word_step;
        }
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"

/* floor(v / threshold), clipped to 0 .. 2^bits - 1; threshold << bits fits, so nothing here overflows. */
static int32_t magnitude(int32_t v, int32_t threshold, int32_t bits) {
    if (v < threshold) {
        return 0;
    }
    return v >= (threshold << bits) ? (1 << bits) - 1 : v / threshold;
}

/* Two's complement: the same, shifted by half the range. */
static int32_t signed_word(int32_t v, int32_t threshold, int32_t bits) {
    const int32_t half = threshold << (bits - 1);
    const int32_t lowest = 1 << (bits - 1);
    if (v < -half) {
        return -lowest;
    }
    return v >= half ? lowest - 1 : (v + half) / threshold - lowest;
}

/* Keeps the `spikes` most significant bits that are set in the word of `bits` bits. */
static int32_t most_significant(int32_t word, int32_t bits, int32_t spikes) {
    int32_t kept = 0;
    for (int32_t bit = 1 << (bits - 1); bit > 0 && spikes > 0; bit >>= 1) {
        if ((word & bit) != 0) {
            kept |= bit;
            spikes--;
        }
    }
    return kept;
}

static int32_t fire(int32_t v, int32_t threshold, int32_t bits, int32_t max_spikes, int32_t is_signed) {
    int32_t q = is_signed ? signed_word(v, threshold, bits) : magnitude(v, threshold, bits);
    if (max_spikes < bits && q != 0) {
        q = most_significant(q, bits, max_spikes);
        if (is_signed && (q >> (bits - 1)) != 0) {
            q -= 1 << bits;
        }
    }
    return q;
}

void spikerun_fire_run(const spikerun_fire* self, int32_t row, const int32_t* v, uint8_t* word) {
    const spikerun_fire f =
        *self; /* a copy: as far as the compiler knows, writing words could change *self */
    const int32_t* pixel = f.threshold.values + row * f.shape.pixels * f.threshold.pixel_step;
    const int32_t* const end = v + f.shape.channels * f.shape.pixels;
    while (v < end) {
        const int32_t* threshold = pixel;
        for (int32_t channel = 0; channel < f.shape.channels; channel++) {
            const int32_t value = *v++;
            const int32_t silent = !f.is_signed && value < *threshold; /* most are */
            *word++ =
                silent ? 0 : (uint8_t)(fire(value, *threshold, f.bits, f.max_spikes, f.is_signed) & 0xff);
            threshold += f.threshold.channel_step;
        }
        pixel += f.threshold.pixel_step;
    }
}

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

static uint8_t fire(const spikerun_fire* self, int32_t v, int32_t threshold) {
    int32_t q = self->is_signed ? signed_word(v, threshold, self->bits) : magnitude(v, threshold, self->bits);
    if (self->max_spikes < self->bits && q != 0) {
        q = most_significant(q, self->bits, self->max_spikes);
        if (self->is_signed && (q >> (self->bits - 1)) != 0) {
            q -= 1 << self->bits;
        }
    }
    return (uint8_t)(q & 0xff);
}

void spikerun_fire_words(const spikerun_fire* self, const int32_t* membrane, uint8_t* words) {
    const int32_t channels = self->shape.channels, pixels = self->shape.pixels;
    for (int32_t pixel = 0; pixel < pixels; pixel++) {
        const int32_t* threshold = self->threshold.values + pixel * self->threshold.pixel_step;
        for (int32_t channel = 0; channel < channels; channel++) {
            words[channel * pixels + pixel] = fire(self, *membrane++, *threshold);
            threshold += self->threshold.channel_step;
        }
    }
}

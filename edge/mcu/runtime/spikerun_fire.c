/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"
#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)
#include <arm_mve.h>
#endif

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

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)
#define BY_FACTORS 1
static inline int32x4_t words_of(int32x4_t v, int32x4_t factor, int32_t shift) {
    const int32x4_t q = vmaxq_s32(vmulhq_s32(v, factor), vdupq_n_s32(0));
    return vshlq_r_s32(vminq_s32(q, vdupq_n_s32(255)), shift);
}

/* Four channels of all pixels, then the next four. */
static void fire_by_factors(const spikerun_fire* self, const int32_t* v, uint8_t* word) {
    const int32_t channels = self->shape.channels, shift = self->bits - 8;
    const int32_t *factors = self->factors, *const end = v + channels * self->shape.pixels;
    for (int32_t first = 0; first < channels; first += 4) {
        const int32_t at = first + 4 > channels && channels > 4 ? channels - 4 : first; /* some twice */
        const int32_t left = channels - at;
        const int32x4_t factor = vld1q_s32(factors + (self->factor_step != 0 ? at : 0));
        uint8_t* to = word + at;
        if (left >= 4) {
            for (const int32_t* from = v + at; from < end; from += channels, to += channels) {
                vstrbq_s32((int8_t*)to, words_of(vld1q_s32(from), factor, shift));
            }
        } else {
            const mve_pred16_t within = vctp32q((uint32_t)left);
            for (const int32_t* from = v + at; from < end; from += channels, to += channels) {
                vstrbq_p_s32((int8_t*)to, words_of(vld1q_z_s32(from, within), factor, shift), within);
            }
        }
    }
}
#elif defined(__ARM_ARCH_ISA_THUMB) && __ARM_ARCH_ISA_THUMB == 2
#define BY_FACTORS 1
/* The upper half of the product, clipped to a byte. */
static inline uint32_t part(int32_t v, int32_t factor) {
    uint32_t byte;
    __asm__("usat %0, #8, %1" : "=r"(byte) : "r"((int32_t)(((int64_t)v * factor) >> 32)));
    return byte;
}

static inline void store_four(uint8_t* word, uint32_t four) { /* at any address */
#ifdef __ARM_FEATURE_UNALIGNED
    __asm__ volatile("str %1, [%0]" : : "r"(word), "r"(four) : "memory");
#else
    for (int32_t k = 0; k < 4; k++) {
        word[k] = (uint8_t)(four >> 8 * k);
    }
#endif
}

/* The words of a pixel, four at once. */
static inline void fire_pixel(const spikerun_fire* self, const int32_t* v, uint8_t* word) {
    const int32_t channels = self->shape.channels, step = self->factor_step;
    const int32_t* factor = self->factors;
    const uint32_t down = 8u - (uint32_t)self->bits, mask = 0x01010101u * (0xffu >> down);
    const int32_t* const end = v + channels;
    for (; v + 4 <= end; v += 4, factor += step, word += 4) {
        const uint32_t four = part(v[0], factor[0]) | part(v[1], factor[1]) << 8 |
                              part(v[2], factor[2]) << 16 | part(v[3], factor[3]) << 24;
        store_four(word, four >> down & mask);
    }
    while (v < end) {
        *word++ = (uint8_t)(part(*v++, *factor++) >> down);
    }
}

static void fire_by_factors(const spikerun_fire* self, const int32_t* v, uint8_t* word) {
    const spikerun_fire f = *self; /* a copy: as far as the compiler knows, words could lie in *self */
    for (int32_t left = f.shape.pixels; left > 0; left--) {
        fire_pixel(&f, v, word);
        v += f.shape.channels;
        word += f.shape.channels;
    }
}
#endif

void spikerun_fire_run(const spikerun_fire* self, int32_t row, const int32_t* v, uint8_t* word) {
    const spikerun_fire f = *self; /* as above */
    const int32_t* pixel = f.threshold.values + row * f.shape.pixels * f.threshold.pixel_step;
    const int32_t* const end = v + f.shape.channels * f.shape.pixels;
#ifdef BY_FACTORS
    if (f.factors != NULL) {
        fire_by_factors(self, v, word);
        return;
    }
#endif
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

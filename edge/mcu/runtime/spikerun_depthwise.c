/* SPDX-License-Identifier: Apache-2.0 */
/* A convolution of each channel with itself alone: four channels at once, whose sums stay in registers over
 * all taps; where all four are silent a tap costs a comparison. */
#include "spikerun.h"
#include "spikerun_word.h"

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1) && !defined(SPIKERUN_WIDE)
#include <arm_mve.h>
#define HELIUM 1
#elif defined(__ARM_FEATURE_DSP) && !defined(SPIKERUN_WIDE)
/* Bytes 0 and 2 of a word as two numbers of 16 bits, and bytes 1 and 3. */
#define EXTENDED(name, instruction)                       \
    static inline uint32_t name(uint32_t bytes) {         \
        uint32_t halves;                                  \
        __asm__(instruction : "=r"(halves) : "r"(bytes)); \
        return halves;                                    \
    }
EXTENDED(even_words, "uxtb16 %0, %1")
EXTENDED(odd_words, "uxtb16 %0, %1, ror #8")
EXTENDED(even_weights, "sxtb16 %0, %1")
EXTENDED(odd_weights, "sxtb16 %0, %1, ror #8")

/* sum + the product of the lower halves, and of the upper ones. */
static inline int32_t add_lower(int32_t sum, uint32_t x, uint32_t y) {
    __asm__("smlabb %0, %1, %2, %0" : "+r"(sum) : "r"(x), "r"(y));
    return sum;
}
static inline int32_t add_upper(int32_t sum, uint32_t x, uint32_t y) {
    __asm__("smlatt %0, %1, %2, %0" : "+r"(sum) : "r"(x), "r"(y));
    return sum;
}
#endif

/* Taps that are added at once. */
#define TAPS 9

/* A tap within the image: the words of its pixel, and its weights. */
typedef struct {
    const uint8_t* x;
    const int8_t* weights;
} tap;

/* What is the same for a pixel. */
typedef struct {
    const tap *taps, *end;
    int32_t sign;
} pixel;

static void one(const pixel* self, int32_t channel, int32_t* acc) {
    int32_t sum = 0;
    for (const tap* t = self->taps; t < self->end; t++) {
        sum += spikerun_value(spikerun_load(t->x, channel), self->sign) * t->weights[channel];
    }
    acc[channel] += sum;
}

#if defined(HELIUM)
/* Four channels: products of 32 bits. */
static void four(const pixel* self, int32_t channel, int32_t* acc) {
    const tap* const end = self->end;
    int32x4_t sum = vld1q_s32(acc + channel);
    for (const tap* t = self->taps; t < end; t++) {
        const int32x4_t words = vreinterpretq_s32_u32(vldrbq_u32(t->x + channel));
        sum = vaddq_s32(sum, vmulq_s32(words, vldrbq_s32(t->weights + channel)));
    }
    vst1q_s32(acc + channel, sum);
}
#elif !defined(SPIKERUN_WIDE)
static inline uint32_t word_at(const void* bytes) {
    return *(const uint32_t*)bytes;
}

/* Channels that lie at a multiple of four bytes. */
static void four(const pixel* self, int32_t channel, int32_t* acc) {
    int32_t a = acc[channel], b = acc[channel + 1], c = acc[channel + 2], d = acc[channel + 3];
    const tap* const end = self->end;
#if !defined(__ARM_FEATURE_DSP)
    const int32_t sign = self->sign;
#endif
    for (const tap* t = self->taps; t < end; t++) {
        const uint8_t* const x = t->x + channel;
        const uint32_t words = word_at(x);
        if (words == 0) {
            continue;
        }
#if defined(__ARM_FEATURE_DSP)
        const uint32_t weights = word_at(t->weights + channel);
        a = add_lower(a, even_words(words), even_weights(weights));
        c = add_upper(c, even_words(words), even_weights(weights));
        b = add_lower(b, odd_words(words), odd_weights(weights));
        d = add_upper(d, odd_words(words), odd_weights(weights));
#else
        const int8_t* const weights = t->weights + channel;
        a += spikerun_value(x[0], sign) * weights[0];
        b += spikerun_value(x[1], sign) * weights[1];
        c += spikerun_value(x[2], sign) * weights[2];
        d += spikerun_value(x[3], sign) * weights[3];
#endif
    }
    acc[channel] = a;
    acc[channel + 1] = b;
    acc[channel + 2] = c;
    acc[channel + 3] = d;
}

#endif

#ifndef SPIKERUN_WIDE
/* Whether four channels may be loaded at once, and are words as `four` takes them. */
static int32_t in_fours(const spikerun_depthwise* self, const uint8_t* x) {
#if defined(__ARM_FEATURE_DSP)
    if (self->sign != 0) {
        return 0;
    }
#endif
    return self->channels % 4 == 0 && (uintptr_t)x % 4 == 0;
}
#endif

/* Adds some taps to all channels of a pixel. */
static void add_taps(const spikerun_depthwise* self, const pixel* to, int32_t fours, int32_t* acc) {
    int32_t channel = 0;
#ifdef SPIKERUN_WIDE
    (void)fours;
#else
    for (; fours && channel < self->channels; channel += 4) {
        four(to, channel, acc);
    }
#endif
    for (; channel < self->channels; channel++) {
        one(to, channel, acc);
    }
}

/* Adds what the pixel sees from the source row `top` and the column `left` on. */
static void add_pixel(const spikerun_depthwise* self, const uint8_t* x, int32_t fours, int32_t top,
                      int32_t left, int32_t* acc) {
    tap taps[TAPS];
    tap* next = taps;
    const int32_t channels = self->channels, step = (channels + 3) / 4 * 4;
    const int8_t* weights = (const int8_t*)self->weights;
    for (int32_t i = 0; i < self->kernel_height; i++) {
        const int32_t y = top + i * self->dilation_y;
        const int32_t inside = y >= 0 && y < self->source_height;
        for (int32_t j = 0; j < self->kernel_width; j++, weights += step) {
            const int32_t column = left + j * self->dilation_x;
            if (inside && column >= 0 && column < self->source_width) {
                next->x = x + (y * self->source_width + column) * channels * SPIKERUN_WORD_BYTES;
                next->weights = weights;
                next++;
            }
            if (next == taps + TAPS) {
                const pixel all = {taps, next, self->sign};
                add_taps(self, &all, fours, acc);
                next = taps;
            }
        }
    }
    const pixel rest = {taps, next, self->sign};
    add_taps(self, &rest, fours, acc);
}

void SPIKERUN_RUN(depthwise)(const spikerun_depthwise* self, int32_t row, const uint8_t* x, int32_t* acc) {
#ifdef SPIKERUN_WIDE
    const int32_t fours = 0;
#else
    const int32_t fours = in_fours(self, x);
#endif
    acc += self->offset;
    for (int32_t column = 0; column < self->target_width; column++) {
        add_pixel(self, x, fours, row * self->stride_y - self->padding_y,
                  column * self->stride_x - self->padding_x, acc);
        acc += self->pitch;
    }
}

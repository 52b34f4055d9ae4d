/* SPDX-License-Identifier: Apache-2.0 */
/* A convolution of each channel with itself alone: several channels at once, whose sums stay in registers
 * over all taps; where four are silent a tap costs a comparison. What taps a pixel sees is found once for a
 * row, and again only for the pixels at its ends. */
#include "spikerun.h"
#include "spikerun_halves.h"
#include "spikerun_word.h"

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1) && !defined(SPIKERUN_WIDE)
#include <arm_mve.h>
#define HELIUM 1
#elif defined(__ARM_FEATURE_DSP) && !defined(SPIKERUN_WIDE)
#define DSP 1
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

/* Whether four words may be loaded at once. */
#if defined(SPIKERUN_WIDE)
#define ALIGNED(channels, x) 0
#elif defined(__ARM_FEATURE_UNALIGNED)
#define ALIGNED(channels, x) 1
#define WHERE __attribute__((packed))
#else
#define ALIGNED(channels, x) (((uintptr_t)(x) | (uintptr_t)(channels)) % 4 == 0)
#define WHERE
#endif

/* Taps that are added at once. */
#define TAPS 9

/* A tap within the image: how many bytes behind those of a pixel its words lie, and its weights. */
typedef struct {
    int32_t at;
    const int8_t* weights;
} tap;

/* What is the same for a pixel. */
typedef struct {
    const uint8_t* x;
    const tap *taps, *end;
} pixel;

/* `sign` is constant where these are called, so that their loops are short. */
#define WITHIN static inline __attribute__((always_inline))

#if defined(HELIUM)
/* Sixteen channels of `count` taps, sums at `acc`; x and the number that weights are moved by lie at the
 * first of these channels. Products of 32 bits, of even and odd channels apart; no compiler keeps them in
 * registers. */
typedef void sixteen(int32_t* acc, const tap* taps, int32_t count, const uint8_t* x, int32_t channel);
sixteen spikerun_depthwise_unsigned, spikerun_depthwise_signed;
#define EIGHT(load, offset, even, odd) \
    "    " load " q4, [r4" offset      \
    "]\n"                              \
    "    vldrb.s16 q5, [r5" offset     \
    "]\n"                              \
    "    vmullb.s16 q6, q4, q5\n"      \
    "    vadd.i32 " even ", " even     \
    ", q6\n"                           \
    "    vmullt.s16 q4, q4, q5\n"      \
    "    vadd.i32 " odd ", " odd ", q4\n"
#define SIXTEEN(name, load) \
    __asm__(".syntax unified\n.thumb\n.section .text." name ",\"ax\",%progbits\n.balign 4\n.global " name \
            "\n.type " name ", %function\n.thumb_func\n" name                                             \
            ":\n"                                                                                         \
            "    push {r4-r6, lr}\n"                                                                      \
            "    vpush {d8-d13}\n"                                                                        \
            "    ldr r6, [sp, #64]\n"                                                                     \
            "    vld20.32 {q0, q1}, [r0]\n"                                                               \
            "    vld21.32 {q0, q1}, [r0]!\n"                                                              \
            "    vld20.32 {q2, q3}, [r0]\n"                                                               \
            "    vld21.32 {q2, q3}, [r0]\n"                                                               \
            "    dls lr, r2\n"                                                                            \
            "1:  ldrd r4, r5, [r1], #8\n"                                                                 \
            "    add r4, r3\n"                                                                            \
            "    add r5, r6\n" EIGHT(load, "", "q0", "q1") EIGHT(load, ", #8", "q2", "q3")                \
            "    le lr, 1b\n"                                                                             \
            "    vst20.32 {q2, q3}, [r0]\n"                                                               \
            "    vst21.32 {q2, q3}, [r0]\n"                                                               \
            "    sub r0, #32\n"                                                                           \
            "    vst20.32 {q0, q1}, [r0]\n"                                                               \
            "    vst21.32 {q0, q1}, [r0]\n"                                                               \
            "    vpop {d8-d13}\n"                                                                         \
            "    pop {r4-r6, pc}\n"                                                                       \
            ".size " name ", .-" name "\n.text\n")
SIXTEEN("spikerun_depthwise_unsigned", "vldrb.u16");
SIXTEEN("spikerun_depthwise_signed", "vldrb.s16");

/* Up to four channels. */
WITHIN void four(const pixel* self, int32_t channel, int32_t left, int32_t sign, int32_t* acc) {
    const tap* const end = self->end;
    const mve_pred16_t within = vctp32q((uint32_t)left);
    int32x4_t sum = vld1q_z_s32(acc + channel, within);
    for (const tap* t = self->taps; t < end; t++) {
        const uint8_t* const x = self->x + t->at + channel;
        const int32x4_t words = sign != 0 ? vldrbq_z_s32((const int8_t*)x, within)
                                          : vreinterpretq_s32_u32(vldrbq_z_u32(x, within));
        sum = vaddq_s32(sum, vmulq_s32(words, vldrbq_z_s32(t->weights + channel, within)));
    }
    vst1q_p_s32(acc + channel, sum, within);
}

WITHIN void add_channels(const pixel* self, int32_t channels, int32_t fours, int32_t sign, int32_t* acc) {
    const int32_t count = (int32_t)(self->end - self->taps);
    int32_t channel = 0;
    (void)fours;
    for (; count > 0 && channel + 16 <= channels; channel += 16) {
        (sign != 0 ? spikerun_depthwise_signed : spikerun_depthwise_unsigned)(
            acc + channel, self->taps, count, self->x + channel, channel);
    }
    for (; channel < channels; channel += 4) {
        four(self, channel, channels - channel, sign, acc);
    }
}
#else
static void one(const pixel* self, int32_t channel, int32_t sign, int32_t* acc) {
    int32_t sum = 0;
    for (const tap* t = self->taps; t < self->end; t++) {
        sum += spikerun_value(spikerun_load(self->x + t->at, channel), sign) * t->weights[channel];
    }
    acc[channel] += sum;
}

#if !defined(SPIKERUN_WIDE)
typedef struct WHERE {
    uint32_t word;
} anywhere;

static inline uint32_t word_at(const void* bytes) {
    return ((const anywhere*)bytes)->word;
}

WITHIN void four(const pixel* self, int32_t channel, int32_t sign, int32_t* acc) {
    int32_t a = acc[channel], b = acc[channel + 1], c = acc[channel + 2], d = acc[channel + 3];
    const tap* const end = self->end;
    const uint8_t* const from = self->x + channel;
    for (const tap* t = self->taps; t < end; t++) {
        const uint8_t* const x = from + t->at;
        const uint32_t words = word_at(x);
        if (words == 0) {
            continue;
        }
#if defined(DSP)
        const uint32_t weights = word_at(t->weights + channel);
        const uint32_t even = sign != 0 ? spikerun_even_signed(words) : spikerun_even_unsigned(words);
        const uint32_t odd = sign != 0 ? spikerun_odd_signed(words) : spikerun_odd_unsigned(words);
        a = add_lower(a, even, spikerun_even_signed(weights));
        c = add_upper(c, even, spikerun_even_signed(weights));
        b = add_lower(b, odd, spikerun_odd_signed(weights));
        d = add_upper(d, odd, spikerun_odd_signed(weights));
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

/* Adds some taps to all channels of a pixel; fours: whether four words may be loaded at once. */
WITHIN void add_channels(const pixel* self, int32_t channels, int32_t fours, int32_t sign, int32_t* acc) {
    int32_t channel = 0;
#ifdef SPIKERUN_WIDE
    (void)fours;
#else
    for (; fours && channel + 4 <= channels; channel += 4) {
        four(self, channel, sign, acc);
    }
#endif
    for (; channel < channels; channel++) {
        one(self, channel, sign, acc);
    }
}
#endif

/* A part of the taps of a target row, as all its pixels see them that lie far enough from its ends. */
typedef struct {
    const spikerun_depthwise* map;
    const uint8_t* x;
    int32_t count, fours;
    tap taps[TAPS];
    int32_t columns[TAPS]; /* how many columns behind that of the pixel a tap lies */
} stretch;

/* Adds the taps that lie within the image of the pixel whose first tap lies in the column `left`. */
static void add_within(const stretch* self, int32_t left, int32_t* acc) {
    const spikerun_depthwise* const map = self->map;
    tap taps[TAPS];
    tap* next = taps;
    for (int32_t k = 0; k < self->count; k++) {
        const int32_t column = left + self->columns[k];
        if (column >= 0 && column < map->source_width) {
            next->at = self->taps[k].at + left * map->channels * SPIKERUN_WORD_BYTES;
            next->weights = self->taps[k].weights;
            next++;
        }
    }
    const pixel seen = {self->x, taps, next};
    add_channels(&seen, map->channels, self->fours, map->sign, acc);
}

/* Adds the taps to all pixels of the row; those that see the whole width of the kernel share the list. */
WITHIN void add_row(const stretch* self, int32_t sign, int32_t* acc) {
    const spikerun_depthwise* const map = self->map;
    const int32_t room = map->source_width - (map->kernel_width - 1) * map->dilation_x;
    const int32_t words = map->channels * SPIKERUN_WORD_BYTES, stride = map->stride_x, pitch = map->pitch;
    int32_t left = -map->padding_x;
    for (int32_t column = map->target_width; column > 0; column--) {
        if (left >= 0 && left < room) {
            const pixel seen = {self->x + left * words, self->taps, self->taps + self->count};
            add_channels(&seen, map->channels, self->fours, sign, acc);
        } else {
            add_within(self, left, acc);
        }
        left += stride;
        acc += pitch;
    }
}

static void flush(stretch* self, int32_t* acc) {
    if (self->count > 0 && self->map->sign == 0) { /* shorter loops, as the compiler knows the sign */
        add_row(self, 0, acc);
    } else if (self->count > 0) {
        add_row(self, SPIKERUN_SIGN, acc);
    }
    self->count = 0;
}

void SPIKERUN_RUN(depthwise)(const spikerun_depthwise* self, int32_t row, const uint8_t* x, int32_t* acc) {
    const int32_t channels = self->channels, words = channels * SPIKERUN_WORD_BYTES;
    const int8_t* weights = (const int8_t*)self->weights;
    int32_t y = row * self->stride_y - self->padding_y;
    stretch part;
    part.map = self;
    part.x = x;
    part.count = 0;
    part.fours = ALIGNED(channels, x);
    acc += self->offset;
    for (int32_t i = self->kernel_height; i > 0; i--, y += self->dilation_y) {
        for (int32_t j = 0; j < self->kernel_width; j++, weights += (channels + 3) / 4 * 4) {
            if (y >= 0 && y < self->source_height) {
                const int32_t column = j * self->dilation_x;
                part.columns[part.count] = column;
                part.taps[part.count].at = (y * self->source_width + column) * words;
                part.taps[part.count].weights = weights;
                part.count++;
            }
            if (part.count == TAPS) {
                flush(&part, acc);
            }
        }
    }
    flush(&part, acc);
}

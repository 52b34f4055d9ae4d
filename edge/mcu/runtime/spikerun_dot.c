/* SPDX-License-Identifier: Apache-2.0 */
/* Dense: each target multiplies all words that it sees, active or not. With Helium sixteen products take one
 * instruction, which pays where many neurons are active. */
#include "spikerun.h"
#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)
#include <arm_mve.h>
#endif

/* Targets that are computed at once, and words. */
#define TARGETS 6
#define WORDS 16

/* Adds `begin` and the sum of words times (weight + 128) to `blocks` times TARGETS targets. */
void spikerun_dot_six(const uint8_t* x, const uint8_t* weights, int32_t length, int32_t blocks, int32_t* acc,
                      uint32_t begin);

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)
#define TARGET(sum) "    vldrb.u8 q1, [r3], #16\n    vmladava.u8 " sum ", q0, q1\n"
__asm__(
    ".syntax unified\n"
    ".thumb\n"
    ".section .text.spikerun_dot_six,\"ax\",%progbits\n"
    ".balign 4\n"
    ".global spikerun_dot_six\n"
    ".type spikerun_dot_six, %function\n"
    ".thumb_func\n"
    "spikerun_dot_six:\n"
    "    push {r4-r11, lr}\n"
    "    mov r5, r0\n"
    "    mov r0, r2\n"
    "    mov r11, r3\n"
    "    mov r3, r1\n"
    "    ldrd r7, r9, [sp, #36]\n" /* acc, begin */
    "0:  ldm r7, {r2, r4, r6, r8, r10, r12}\n"
    "    add r2, r9\n"
    "    add r4, r9\n"
    "    add r6, r9\n"
    "    add r8, r9\n"
    "    add r10, r9\n"
    "    add r12, r9\n"
    "    mov r1, r5\n"
    "    dlstp.8 lr, r0\n"
    "1:  vldrb.u8 q0, [r1], #16\n" TARGET("r2") TARGET("r4") TARGET("r6") TARGET("r8") TARGET("r10")
        TARGET("r12") "    letp lr, 1b\n"
                      "    stm r7!, {r2, r4, r6, r8, r10, r12}\n"
                      "    subs r11, #1\n"
                      "    bne 0b\n"
                      "    pop {r4-r11, pc}\n"
                      ".size spikerun_dot_six, .-spikerun_dot_six\n"
                      ".text\n");

static uint32_t sum_of(const uint8_t* x, int32_t length) {
    uint32_t sum = 0;
    for (; length > 0; length -= WORDS, x += WORDS) {
        sum = vaddvaq_u8(sum, vldrbq_z_u8(x, vctp8q((uint32_t)length)));
    }
    return sum;
}

static void copied(const uint8_t* x, int32_t length, uint8_t* to) {
    for (; length > 0; length -= WORDS, x += WORDS, to += WORDS) {
        const mve_pred16_t within = vctp8q((uint32_t)length);
        vstrbq_p_u8(to, vldrbq_z_u8(x, within), within);
    }
}
#else
void spikerun_dot_six(const uint8_t* x, const uint8_t* weights, int32_t length, int32_t blocks, int32_t* acc,
                      uint32_t begin) {
    const int32_t padded = (length + WORDS - 1) / WORDS * WORDS;
    for (int32_t target = 0; target < TARGETS * blocks; target++) {
        const uint8_t* const own = weights + target / TARGETS * TARGETS * padded + target % TARGETS * WORDS;
        uint32_t sum = begin;
        for (int32_t k = 0; k < length; k++) {
            sum += (uint32_t)x[k] * own[k / WORDS * TARGETS * WORDS + k % WORDS];
        }
        acc[target] = (int32_t)((uint32_t)acc[target] + sum);
    }
}

static uint32_t sum_of(const uint8_t* x, int32_t length) {
    uint32_t sum = 0;
    for (int32_t k = 0; k < length; k++) {
        sum += x[k];
    }
    return sum;
}

static void copied(const uint8_t* x, int32_t length, uint8_t* to) {
    for (int32_t k = 0; k < length; k++) {
        to[k] = x[k];
    }
}
#endif

static void cleared(uint8_t* to, int32_t length) {
    for (int32_t k = 0; k < length; k++) {
        to[k] = 0;
    }
}

/* Adds what a pixel sees, `length` words, to all of its targets. */
static void add_words(const spikerun_dot* self, const uint8_t* x, int32_t length, int32_t* acc) {
    const int32_t blocks = self->channels / TARGETS, left = self->channels % TARGETS;
    const int32_t padded = (length + WORDS - 1) / WORDS * WORDS;
    const uint8_t* const weights = (const uint8_t*)self->weights;
    const uint32_t begin = 0u - 128u * sum_of(x, length);
    if (blocks > 0) {
        spikerun_dot_six(x, weights, length, blocks, acc, begin);
    }
    if (left > 0) {
        int32_t sums[TARGETS] = {0, 0, 0, 0, 0, 0};
        spikerun_dot_six(x, weights + blocks * TARGETS * padded, length, 1, sums, begin);
        for (int32_t k = 0; k < left; k++) {
            acc[blocks * TARGETS + k] += sums[k];
        }
    }
}

/* Copies what a pixel sees from the source row `top` and the column `left` on; what lies outside is 0. */
static void see(const spikerun_dot* self, const uint8_t* x, int32_t top, int32_t left, uint8_t* to) {
    const int32_t channels = self->source_channels, length = self->kernel_width * channels;
    const int32_t begin = left < 0 ? -left : 0, room = self->source_width - left;
    const int32_t end = self->kernel_width < room ? self->kernel_width : room;
    int32_t y = top;
    for (int32_t i = self->kernel_height; i > 0; i--, y += self->dilation_y, to += length) {
        const int32_t inside = y >= 0 && y < self->source_height && begin < end;
        if (!inside || end - begin < self->kernel_width) {
            cleared(to, length);
        }
        if (inside) {
            copied(x + (y * self->source_width + left + begin) * channels, (end - begin) * channels,
                   to + begin * channels);
        }
    }
}

void spikerun_dot_run(const spikerun_dot* self, int32_t row, const uint8_t* x, int32_t* acc,
                      int32_t* memory) {
    const int32_t top = row * self->stride_y - self->padding_y, channels = self->source_channels;
    const int32_t length = self->kernel_height * self->kernel_width * channels;
    const int32_t flat = self->kernel_height == 1 && top >= 0 && top < self->source_height;
    uint8_t* const seen = (uint8_t*)memory;
    int32_t left = -self->padding_x;
    acc += self->offset;
    for (int32_t column = self->target_width; column > 0; column--) {
        if (flat && left >= 0 && left + self->kernel_width <= self->source_width) {
            add_words(self, x + (top * self->source_width + left) * channels, length, acc);
        } else {
            see(self, x, top, left, seen);
            add_words(self, seen, length, acc);
        }
        left += self->stride_x;
        acc += self->pitch;
    }
}

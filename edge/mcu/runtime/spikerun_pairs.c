/* SPDX-License-Identifier: Apache-2.0 */
/* Dense: each target multiplies all words that it sees, active or not, two products an instruction (SMLAD).
 * What four pixels of the target row see is laid out side by side as pairs of 16 bits, so that each weight
 * that is loaded is used four times. */
#include "spikerun.h"
#include "spikerun_halves.h"

/* Four neighbours on the row that are computed at once. */
#define PIXELS 4

/* Where sums go: the end of the pairs, the sums of the first pixel, the bytes from one pixel to the next, and
 * how many steps of a loop of four are passed by when it is entered, in bytes of its code. */
typedef struct {
    const uint32_t* end;
    int32_t* acc;
    int32_t pitch, skip;
} place;

/* Adds `blocks` times two targets: of four pixels, and of one. Pairs lie PIXELS words apart. */
void spikerun_pairs_four(const uint32_t* x, const uint32_t* weights, int32_t blocks, const place* to);
void spikerun_pairs_one(const uint32_t* x, const uint32_t* weights, int32_t blocks, const place* to);

#if defined(__ARM_FEATURE_DSP)
#define FOUR_BYTES 52
#define ONE_BYTES 24
#define FOUR                        \
    "    ldr lr, [r1], #4\n"        \
    "    ldrd r2, r3, [r0], #8\n"   \
    "    sxtb16 r12, lr\n"          \
    "    sxtb16 lr, lr, ror #8\n"   \
    "    smlad r4, r12, r2, r4\n"   \
    "    smlad r5, lr, r2, r5\n"    \
    "    smlad r6, r12, r3, r6\n"   \
    "    smlad r7, lr, r3, r7\n"    \
    "    ldrd r2, r3, [r0], #8\n"   \
    "    smlad r8, r12, r2, r8\n"   \
    "    smlad r9, lr, r2, r9\n"    \
    "    smlad r10, r12, r3, r10\n" \
    "    smlad r11, lr, r3, r11\n"
#define ONE                       \
    "    ldr lr, [r1], #4\n"      \
    "    ldr r2, [r0], #16\n"     \
    "    sxtb16 r12, lr\n"        \
    "    sxtb16 lr, lr, ror #8\n" \
    "    smlad r4, r12, r2, r4\n" \
    "    smlad r5, lr, r2, r5\n"
/* The stack: x, blocks, end, acc, pitch, where the loop is entered. */
#define FUNCTION(name, load, step, store)                                                                 \
    __asm__(".syntax unified\n.thumb\n.section .text." name ",\"ax\",%progbits\n.balign 4\n.global " name \
            "\n.type " name ", %function\n.thumb_func\n" name                                             \
            ":\n"                                                                                         \
            "    push {r4-r11, lr}\n"                                                                     \
            "    ldm r3, {r4-r7}\n"                                                                       \
            "    mov r3, r2\n"                                                                            \
            "    adr.w r2, 1f\n"                                                                          \
            "    add r7, r2\n"                                                                            \
            "    orr r7, r7, #1\n"                                                                        \
            "    push {r0, r3, r4, r5, r6, r7}\n"                                                         \
            "0:  ldrd r2, r3, [sp, #12]\n" load                                                           \
            "    ldr r0, [sp]\n"                                                                          \
            "    ldr r12, [sp, #20]\n"                                                                    \
            "    bx r12\n"                                                                                \
            "    .balign 4\n"                                                                             \
            "1:\n" step step step step                                                                    \
            "    ldr r2, [sp, #8]\n"                                                                      \
            "    cmp r0, r2\n"                                                                            \
            "    bne 1b\n"                                                                                \
            "    ldrd r2, r3, [sp, #12]\n"                                                                \
            "    add r12, r2, #8\n"                                                                       \
            "    str r12, [sp, #12]\n" store                                                              \
            "    ldr r2, [sp, #4]\n"                                                                      \
            "    subs r2, #1\n"                                                                           \
            "    str r2, [sp, #4]\n"                                                                      \
            "    bne 0b\n"                                                                                \
            "    add sp, #24\n"                                                                           \
            "    pop {r4-r11, pc}\n"                                                                      \
            ".size " name ", .-" name "\n.text\n")
FUNCTION("spikerun_pairs_four",
         "    ldrd r4, r5, [r2]\n    add r2, r3\n    ldrd r6, r7, [r2]\n    add r2, r3\n"
         "    ldrd r8, r9, [r2]\n    add r2, r3\n    ldrd r10, r11, [r2]\n",
         FOUR,
         "    strd r4, r5, [r2]\n    add r2, r3\n    strd r6, r7, [r2]\n    add r2, r3\n"
         "    strd r8, r9, [r2]\n    add r2, r3\n    strd r10, r11, [r2]\n");
FUNCTION("spikerun_pairs_one", "    ldrd r4, r5, [r2]\n", ONE, "    strd r4, r5, [r2]\n");
#else
#define FOUR_BYTES 1
#define ONE_BYTES 1
/* The product of the lower halves and that of the upper ones. */
static uint32_t both(uint32_t x, uint32_t y) {
    return (uint32_t)((int16_t)(x & 0xffffu) * (int16_t)(y & 0xffffu)) +
           (uint32_t)((int16_t)(x >> 16) * (int16_t)(y >> 16));
}

static void pixels(const uint32_t* x, const uint32_t* weights, int32_t blocks, const place* to,
                   int32_t count) {
    for (int32_t block = 0; block < blocks; block++) {
        for (const uint32_t* pair = x; pair < to->end; pair += PIXELS, weights++) {
            for (int32_t k = 0; k < count; k++) {
                int32_t* const acc = to->acc + k * (to->pitch / 4) + 2 * block;
                acc[0] = (int32_t)((uint32_t)acc[0] + both(pair[k], spikerun_even_signed(*weights)));
                acc[1] = (int32_t)((uint32_t)acc[1] + both(pair[k], spikerun_odd_signed(*weights)));
            }
        }
    }
}

void spikerun_pairs_four(const uint32_t* x, const uint32_t* weights, int32_t blocks, const place* to) {
    pixels(x, weights, blocks, to, PIXELS);
}

void spikerun_pairs_one(const uint32_t* x, const uint32_t* weights, int32_t blocks, const place* to) {
    pixels(x, weights, blocks, to, 1);
}
#endif

/* Lays out words as pairs: of four of them 0 and 2, then 1 and 3; of the last one or two one pair. `sign` is
 * constant where it is called. */
static inline uint32_t* laid_out(const uint8_t* x, int32_t length, int32_t sign, uint32_t* to) {
    for (; length >= 4; length -= 4, x += 4, to += 2 * PIXELS) {
        const uint32_t words = spikerun_four(x);
        to[0] = sign != 0 ? spikerun_even_signed(words) : spikerun_even_unsigned(words);
        to[PIXELS] = sign != 0 ? spikerun_odd_signed(words) : spikerun_odd_unsigned(words);
    }
    if (length > 0) {
        const uint32_t second = length > 1 ? x[1] : 0u, third = length > 2 ? x[2] : 0u;
        const uint32_t behind = length > 2 ? third : second;
        const uint32_t even = x[0] | (behind << 16);
        to[0] = sign != 0 ? spikerun_even_signed(even) : even;
        to += PIXELS;
        if (length > 2) {
            to[0] = sign != 0 ? spikerun_even_signed(second) : second;
            to += PIXELS;
        }
    }
    return to;
}

/* A row of the kernel outside the image. */
static uint32_t* nothing(int32_t pairs, uint32_t* to) {
    for (; pairs > 0; pairs--, to += PIXELS) {
        to[0] = 0;
    }
    return to;
}

/* Lays out what a pixel sees from the source row `top` and the column `left` on. */
static void see(const spikerun_pairs* self, const uint8_t* x, int32_t top, int32_t left, uint8_t* copy,
                uint32_t* to) {
    const int32_t channels = self->source_channels, length = self->kernel_width * channels;
    const int32_t pairs = length / 4 * 2 + (length % 4 + 1) / 2, room = self->source_width - left;
    const int32_t begin = left < 0 ? -left : 0, end = self->kernel_width < room ? self->kernel_width : room;
    int32_t y = top;
    for (int32_t i = self->kernel_height; i > 0; i--, y += self->dilation_y) {
        if (y < 0 || y >= self->source_height || begin >= end) {
            to = nothing(pairs, to);
            continue;
        }
        const uint8_t* from = x + (y * self->source_width + left + begin) * channels;
        if (end - begin < self->kernel_width) {
            for (int32_t k = 0; k < length; k++) {
                const int32_t within = k >= begin * channels && k < end * channels;
                copy[k] = within ? from[k - begin * channels] : 0;
            }
            from = copy;
        }
        to = self->sign == 0 ? laid_out(from, length, 0, to) : laid_out(from, length, self->sign, to);
    }
}

/* Adds what is laid out to the targets of `count` pixels. */
static void add(const spikerun_pairs* self, const uint32_t* x, int32_t pairs, int32_t count, int32_t* acc) {
    const int32_t blocks = self->channels / 2, passed = -pairs & 3;
    const uint32_t *const end = x + pairs * PIXELS, *const last = self->weights + blocks * pairs;
    const place all = {end, acc, self->pitch * 4, passed * FOUR_BYTES};
    if (blocks > 0 && count == PIXELS) {
        spikerun_pairs_four(x, self->weights, blocks, &all);
    }
    for (int32_t k = 0; k < count; k++, x++, acc += self->pitch) {
        place to = {end + k, acc, 0, passed * ONE_BYTES};
        if (blocks > 0 && count < PIXELS) {
            spikerun_pairs_one(x, self->weights, blocks, &to);
        }
        if (self->channels % 2 != 0) {
            int32_t sums[2] = {0, 0};
            to.acc = sums;
            spikerun_pairs_one(x, last, 1, &to);
            acc[2 * blocks] += sums[0];
        }
    }
}

void spikerun_pairs_run(const spikerun_pairs* self, int32_t row, const uint8_t* x, int32_t* acc,
                        int32_t* memory) {
    const int32_t length = self->kernel_width * self->source_channels;
    const int32_t pairs = self->kernel_height * (length / 4 * 2 + (length % 4 + 1) / 2);
    uint32_t* const seen = (uint32_t*)(void*)memory;
    uint8_t* const copy = (uint8_t*)(seen + PIXELS * pairs);
    const int32_t top = row * self->stride_y - self->padding_y;
    int32_t left = -self->padding_x;
    acc += self->offset;
    for (int32_t column = 0; column < self->target_width; column += PIXELS) {
        const int32_t rest = self->target_width - column, count = rest < PIXELS ? rest : PIXELS;
        for (int32_t k = 0; k < count; k++, left += self->stride_x) {
            see(self, x, top, left, copy, seen + k);
        }
        add(self, seen, pairs, count, acc);
        acc += PIXELS * self->pitch;
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Dense: each target multiplies all words that it sees, active or not. With Helium sixteen products take one
 * instruction, which pays where many neurons are active. */
#include "spikerun.h"
#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)
#include <arm_mve.h>
#endif

/* What a target pixel sees: `rows` stretches of `length` words, and of the weights of each target. */
typedef struct {
    const uint8_t *x, *weights;
    int32_t rows, length, x_step, weights_step;
} window;

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)
static uint32_t sum_of(const window* w) {
    uint32_t sum = 0;
    for (int32_t row = 0; row < w->rows; row++) {
        const uint8_t* x = w->x + row * w->x_step;
        for (int32_t left = w->length; left > 0; left -= 16, x += 16) {
            sum = vaddvaq_u8(sum, vldrbq_z_u8(x, vctp8q((uint32_t)left)));
        }
    }
    return sum;
}

/* Four targets, whose weights lie `step` bytes apart. */
void spikerun_dot_four(const window* w, const uint8_t* weights, int32_t step, uint32_t* sums);
__asm__(
    ".syntax unified\n"
    ".thumb\n"
    ".section .text.spikerun_dot_four,\"ax\",%progbits\n"
    ".balign 4\n"
    ".global spikerun_dot_four\n"
    ".type spikerun_dot_four, %function\n"
    ".thumb_func\n"
    "spikerun_dot_four:\n"
    "    push {r2-r11, lr}\n"
    "    ldm r3, {r4, r6, r8, r10}\n"
    "    ldr r12, [r0]\n"    /* words of a row */
    "    ldr lr, [r0, #8]\n" /* rows */
    "0:  str lr, [sp]\n"
    "    mov r3, r12\n"
    "    mov r5, r1\n"
    "    add r7, r5, r2\n"
    "    add r9, r7, r2\n"
    "    add r11, r9, r2\n"
    "    ldr lr, [r0, #12]\n" /* length */
    "    dlstp.8 lr, lr\n"
    "1:  vldrb.u8 q0, [r3], #16\n"
    "    vldrb.u8 q1, [r5], #16\n"
    "    vmladava.u8 r4, q0, q1\n"
    "    vldrb.u8 q2, [r7], #16\n"
    "    vmladava.u8 r6, q0, q2\n"
    "    vldrb.u8 q3, [r9], #16\n"
    "    vmladava.u8 r8, q0, q3\n"
    "    vldrb.u8 q1, [r11], #16\n"
    "    vmladava.u8 r10, q0, q1\n"
    "    letp lr, 1b\n"
    "    ldrd r3, r5, [r0, #16]\n" /* steps from one row to the next */
    "    add r12, r3\n"
    "    add r1, r5\n"
    "    ldr lr, [sp]\n"
    "    subs lr, #1\n"
    "    bne 0b\n"
    "    ldr r3, [sp, #4]\n"
    "    stm r3, {r4, r6, r8, r10}\n"
    "    pop {r2-r11, pc}\n"
    ".size spikerun_dot_four, .-spikerun_dot_four\n"
    ".text\n");
#else
static uint32_t sum_of(const window* w) {
    uint32_t sum = 0;
    for (int32_t row = 0; row < w->rows; row++) {
        for (int32_t k = 0; k < w->length; k++) {
            sum += w->x[row * w->x_step + k];
        }
    }
    return sum;
}

static void spikerun_dot_four(const window* w, const uint8_t* weights, int32_t step, uint32_t* sums) {
    for (int32_t row = 0; row < w->rows; row++) {
        const uint8_t *const x = w->x + row * w->x_step, *const first = weights + row * w->weights_step;
        for (int32_t target = 0; target < 4; target++) {
            for (int32_t k = 0; k < w->length; k++) {
                sums[target] += (uint32_t)x[k] * first[target * step + k];
            }
        }
    }
}
#endif

/* Adds what a pixel sees to all of its targets. */
static void add_window(const spikerun_dot* self, const window* w, int32_t* acc) {
    const int32_t step = self->kernel_height * self->kernel_width * self->source_channels;
    const uint32_t begin = 0u - 128u * sum_of(w);
    const uint8_t* weights = w->weights;
    for (int32_t left = self->channels; left > 0; left -= 4) {
        uint32_t sums[4] = {begin, begin, begin, begin};
        spikerun_dot_four(w, weights, step, sums);
        if (left >= 4) {
            acc[0] += (int32_t)sums[0];
            acc[1] += (int32_t)sums[1];
            acc[2] += (int32_t)sums[2];
            acc[3] += (int32_t)sums[3];
        }
        for (int32_t k = 0; left < 4 && k < left; k++) {
            acc[k] += (int32_t)sums[k];
        }
        acc += 4;
        weights += 4 * step;
    }
}

/* Adds what is seen from the source row `top` and the column `left` on. */
static void add_pixel(const spikerun_dot* self, const uint8_t* x, int32_t top, int32_t left, int32_t* acc) {
    const int32_t channels = self->source_channels, dilation = self->dilation_y;
    const int32_t begin = left < 0 ? -left : 0, room = self->source_width - left;
    const int32_t end = self->kernel_width < room ? self->kernel_width : room;
    int32_t first = 0, last = self->kernel_height;
    while (first < last && top + first * dilation < 0) {
        first++;
    }
    while (last > first && top + (last - 1) * dilation >= self->source_height) {
        last--;
    }
    if (first < last && begin < end) {
        const window seen = {x + ((top + first * dilation) * self->source_width + left + begin) * channels,
                             (const uint8_t*)self->weights + (first * self->kernel_width + begin) * channels,
                             last - first,
                             (end - begin) * channels,
                             dilation * self->source_width * channels,
                             self->kernel_width * channels};
        add_window(self, &seen, acc);
    }
}

void spikerun_dot_run(const spikerun_dot* self, int32_t row, const uint8_t* x, int32_t* acc) {
    acc += self->offset;
    for (int32_t column = 0; column < self->target_width; column++) {
        add_pixel(self, x, row * self->stride_y - self->padding_y, column * self->stride_x - self->padding_x,
                  acc);
        acc += self->pitch;
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of weights on a Cortex-M3, M4, M7 or M33: products of 64 bits, and of spikes sixteen targets at once.
 * No compiler leaves them all in registers, hence assembly. */
#include "spikerun_lanes.h"

/* Adds `blocks` times four targets, values unsigned. A pair of registers holds the sums of two of them, the
 * lower one in 24 bits: `begin` is 2^23 and what takes the 128 of all events away. */
void spikerun_rows_fours(int32_t* sum, int32_t blocks, uint64_t begin, const spikerun_active* active);
/* An event in 24 bytes of code. */
#define EVENT                         \
    "    ldrd r11, r12, [r8], #8\n"   \
    "    ldr r11, [r10, r11]\n"       \
    "    and lr, r3, r11\n"           \
    "    umlal r4, r5, lr, r12\n"     \
    "    and r11, r3, r11, ror #16\n" \
    "    umlal r6, r7, r11, r12\n"
__asm__(
    ".syntax unified\n"
    ".thumb\n"
    ".section .text.spikerun_rows_fours,\"ax\",%progbits\n"
    ".balign 4\n"
    ".global spikerun_rows_fours\n"
    ".type spikerun_rows_fours, %function\n"
    ".thumb_func\n"
    "spikerun_rows_fours:\n"
    "    push {r2-r11, lr}\n"
    "    ldr r2, [sp, #44]\n" /* active */
    "    ldr r10, [r2, #8]\n" /* weights */
    "0:  ldrd r4, r5, [sp]\n"
    "    mov r6, r4\n"
    "    mov r7, r5\n"
    "    movw r3, #0x00ff\n"
    "    movt r3, #0xff00\n"
    "    ldrd r8, r9, [r2]\n" /* events, and their end */
    "    subs lr, r9, r8\n"
    "    beq 3f\n"
    "    rsb lr, lr, #0\n" /* what is missing to a multiple of four events is passed by */
    "    and lr, lr, #24\n"
    "    add lr, lr, lr, lsl #1\n"
    "    adr r12, 1f\n"
    "    add r12, lr\n"
    "    orr r12, r12, #1\n"
    "    bx r12\n"
    "    .balign 4\n"
    "1:\n" EVENT EVENT EVENT EVENT
    "    cmp r8, r9\n"
    "    bne 1b\n"
    "3:  ldm r0, {r3, r8, r9, lr}\n"
    "    ubfx r12, r4, #0, #24\n" /* the sums 0 and 3 */
    "    sub r12, r12, #0x800000\n"
    "    add r3, r12\n"
    "    add lr, lr, r4, lsr #24\n"
    "    add lr, lr, r5, lsl #8\n"
    "    ubfx r12, r6, #0, #24\n" /* the sums 2 and 1 */
    "    sub r12, r12, #0x800000\n"
    "    add r9, r12\n"
    "    add r8, r8, r6, lsr #24\n"
    "    add r8, r8, r7, lsl #8\n"
    "    stm r0!, {r3, r8, r9, lr}\n"
    "    add r10, #4\n"
    "    subs r1, #1\n"
    "    bne 0b\n"
    "    pop {r2-r11, pc}\n"
    ".size spikerun_rows_fours, .-spikerun_rows_fours\n"
    ".text\n");

/* Sixteen targets in lanes, values 1: lanes[2 k] += even bytes, lanes[2 k + 1] += what is behind the lowest
 * byte (with DSP the odd bytes), of the word k of each event. */
void spikerun_rows_sixteen(uint32_t* lanes, const spikerun_event* begin, const spikerun_event* end,
                           uintptr_t weights);
#if defined(__ARM_FEATURE_DSP)
#define ODD_LANES(even, odd, total) (odd)
#define WORD(x, even, odd) \
    "    uxtab16 " even ", " even ", " x "\n    uxtab16 " odd ", " odd ", " x ", ror #8\n"
#define TWO(at, a, b, c, d) "    ldrd r0, lr, [r12, #" at "]\n" WORD("r0", a, b) WORD("lr", c, d)
#else
#define ODD_LANES(even, odd, total) spikerun_odd_lanes(even, odd, total)
#define WORD(at, even, odd)         \
    "    ldr r0, [r12, #" at        \
    "]\n"                           \
    "    and lr, r0, #0x00ff00ff\n" \
    "    add " even ", lr\n    add " odd ", " odd ", r0, lsr #8\n"
#define TWO(at, next, a, b, c, d) WORD(at, a, b) WORD(next, c, d)
#endif
__asm__(
    ".syntax unified\n"
    ".thumb\n"
    ".section .text.spikerun_rows_sixteen,\"ax\",%progbits\n"
    ".balign 4\n"
    ".global spikerun_rows_sixteen\n"
    ".type spikerun_rows_sixteen, %function\n"
    ".thumb_func\n"
    "spikerun_rows_sixteen:\n"
    "    push {r0, r4-r11, lr}\n"
    "    ldm r0, {r4-r11}\n"
    "    cmp r1, r2\n"
    "    beq 2f\n"
    "1:  ldr r12, [r1], #8\n"
    "    add r12, r3\n"
#if defined(__ARM_FEATURE_DSP)
    TWO("0", "r4", "r5", "r6", "r7") TWO("8", "r8", "r9", "r10", "r11")
#else
    TWO("0", "4", "r4", "r5", "r6", "r7") TWO("8", "12", "r8", "r9", "r10", "r11")
#endif
        "    cmp r1, r2\n"
        "    bne 1b\n"
        "2:  pop {r0}\n"
        "    stm r0, {r4-r11}\n"
        "    pop {r4-r11, pc}\n"
        ".size spikerun_rows_sixteen, .-spikerun_rows_sixteen\n"
        ".text\n");

void spikerun_add_events(int32_t* sum, int32_t length, const spikerun_active* active) {
    const int32_t blocks = length / 4, left = length % 4;
    const uint64_t begin = 0x800000u - (uint64_t)(uint32_t)active->total * 0x80000080u;
    if (active->total != active->size || active->size > 65535) { /* 65535 * 128 is below 2^23 */
        spikerun_any_events(sum, length, active);
        return;
    }
    if (blocks > 0) {
        spikerun_rows_fours(sum, blocks, begin, active);
    }
    if (left > 0) {
        spikerun_active rest = *active;
        int32_t sums[4] = {0, 0, 0, 0};
        rest.weights += (uintptr_t)blocks * 4;
        spikerun_rows_fours(sums, 1, begin, &rest);
        for (int32_t k = 0; k < left; k++) {
            sum[4 * blocks + k] += sums[k];
        }
    }
}

/* Adds sixteen sums. */
static void add_sixteen(int32_t* sum, const spikerun_active* active, int32_t at) {
    uint32_t lanes[8];
    for (int32_t k = 0; k < 8; k++) {
        lanes[k] = spikerun_lanes_begin(active->total);
    }
    spikerun_rows_sixteen(lanes, active->begin, active->end, active->weights + (uintptr_t)at);
    for (int32_t k = 0; k < 8; k += 2) {
        spikerun_add_lanes(sum + 2 * k, 4, lanes[k], ODD_LANES(lanes[k], lanes[k + 1], active->total));
    }
}

void spikerun_add_spikes(int32_t* sum, int32_t length, const spikerun_active* active) {
    int32_t at = 0;
    for (; at + 16 <= length; at += 16) {
        add_sixteen(sum + at, active, at);
    }
    spikerun_any_spikes(sum, length, active, at);
}

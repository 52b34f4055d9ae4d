/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of weights with Helium (Cortex-M55, M85). */
#include <arm_mve.h>

#include "spikerun_rows.h"

/* Loops over events that no compiler leaves that short. lanes: four registers of sums, 32 of 16 bits or 16
 * of 32. */
#define ROWS(name, event, load, step, add) \
    __asm__(".syntax unified\n.thumb\n.section .text." name ",\"ax\",%progbits\n.balign 4\n.global " \
            name "\n.type " name ", %function\n.thumb_func\n" name ":\n"                          \
            "    push {r4, r5, r6, lr}\n"                                                         \
            "    vpush {d8-d11}\n"                                                                \
            "    vldrw.u32 q0, [r0]\n"                                                            \
            "    vldrw.u32 q1, [r0, #16]\n"                                                       \
            "    vldrw.u32 q2, [r0, #32]\n"                                                       \
            "    vldrw.u32 q3, [r0, #48]\n"                                                       \
            "    subs r2, r2, r1\n"                                                               \
            "    beq 2f\n"                                                                        \
            "    lsrs r2, r2, #3\n"                                                               \
            "    dls lr, r2\n"                                                                    \
            "1:  " event "\n"                                                                     \
            "    add r4, r3\n"                                                                    \
            "    " load " q4, [r4]\n"                                                             \
            "    " load " q5, [r4, #" step "]\n"                                                  \
            "    " add("q0", "q4")                                                                \
            "    " load " q4, [r4, #2 * " step "]\n"                                              \
            "    " add("q1", "q5")                                                                \
            "    " load " q5, [r4, #3 * " step "]\n"                                              \
            "    " add("q2", "q4")                                                                \
            "    " add("q3", "q5")                                                                \
            "    le lr, 1b\n"                                                                     \
            "2:  vstrw.32 q0, [r0]\n"                                                             \
            "    vstrw.32 q1, [r0, #16]\n"                                                        \
            "    vstrw.32 q2, [r0, #32]\n"                                                        \
            "    vstrw.32 q3, [r0, #48]\n"                                                        \
            "    vpop {d8-d11}\n"                                                                 \
            "    pop {r4, r5, r6, pc}\n"                                                          \
            ".size " name ", .-" name "\n.text\n")
#define ADD_16(sum, row) "vadd.i16 " sum ", " sum ", " row "\n"
#define MULTIPLY_16(sum, row) "vmla.u16 " sum ", " row ", r5\n"
#define MULTIPLY_32(sum, row) "vmla.u32 " sum ", " row ", r5\n"
typedef void rows(void* lanes, const spikerun_event* begin, const spikerun_event* end, uintptr_t weights);
rows spikerun_rows_spikes, spikerun_rows_graded, spikerun_rows_wide;
ROWS("spikerun_rows_spikes", "ldr r4, [r1], #8", "vldrb.u16", "8", ADD_16);
ROWS("spikerun_rows_graded", "ldrd r4, r5, [r1], #8", "vldrb.u16", "8", MULTIPLY_16);
ROWS("spikerun_rows_wide", "ldrd r4, r5, [r1], #8", "vldrb.u32", "4", MULTIPLY_32);

/* Lanes of 16 bits wrap, and hold the sums in the end; `graded` is constant where it is called. */
#define SPIKERUN_WITHIN static inline __attribute__((always_inline))

SPIKERUN_WITHIN uint16x8_t add_row(uint16x8_t sum, uint16x8_t row, int32_t value, int32_t graded) {
    return graded ? vmlaq_n_u16(sum, row, (uint16_t)value) : vaddq_u16(sum, row);
}

/* sum[k] += values[k] of four, or of as many as are left. */
static inline void add_four(int32_t* sum, const int16_t* values) {
    vst1q_s32(sum, vaddq_s32(vld1q_s32(sum), vldrhq_s32(values)));
}

static inline void add_rest(int32_t* sum, int32_t left, const int16_t* values) {
    const mve_pred16_t within = vctp32q((uint32_t)left);
    vst1q_p_s32(sum, vaddq_s32(vld1q_z_s32(sum, within), vldrhq_s32(values)), within);
}

static void thirty_two(int32_t* sum, const spikerun_active* active, int32_t offset, int32_t graded) {
    int16_t values[32];
    for (int32_t k = 0; k < 32; k += 8) {
        vst1q_s16(values + k, vdupq_n_s16((int16_t)(-128 * active->total)));
    }
    (graded ? spikerun_rows_graded : spikerun_rows_spikes)(values, active->begin, active->end,
                                                           active->weights + (uintptr_t)offset);
    for (int32_t k = 0; k < 32; k += 4) {
        add_four(sum + k, values + k);
    }
}

/* Thirteen to sixteen targets. */
SPIKERUN_WITHIN void sixteen(int32_t* sum, int32_t left, const spikerun_active* active, int32_t offset,
                             int32_t graded) {
    const uintptr_t base = active->weights + (uintptr_t)offset;
    const spikerun_event* event = active->begin;
    uint16x8_t a = vdupq_n_u16((uint16_t)(-128 * active->total)), b = a;
    int16_t values[16];
    for (int32_t n = (int32_t)(active->end - event); n > 0; n--, event++) {
        const uint8_t* const row = (const uint8_t*)(base + event->at);
        a = add_row(a, vldrbq_u16(row), event->value, graded);
        b = add_row(b, vldrbq_u16(row + 8), event->value, graded);
    }
    vst1q_u16((uint16_t*)values, a);
    vst1q_u16((uint16_t*)values + 8, b);
    add_four(sum, values);
    add_four(sum + 4, values + 4);
    add_four(sum + 8, values + 8);
    add_rest(sum + 12, left - 12, values + 12);
}

/* Five to eight targets, or with `four` up to four, whose rows may end there. */
SPIKERUN_WITHIN void eight(int32_t* sum, int32_t left, const spikerun_active* active, int32_t offset,
                           int32_t four, int32_t graded) {
    const uintptr_t base = active->weights + (uintptr_t)offset;
    const spikerun_event* event = active->begin;
    const mve_pred16_t within = vctp16q(4);
    uint16x8_t a = vdupq_n_u16((uint16_t)(-128 * active->total));
    int16_t values[8];
    for (int32_t n = (int32_t)(active->end - event); n > 0; n--, event++) {
        const uint8_t* const row = (const uint8_t*)(base + event->at);
        a = add_row(a, four ? vldrbq_z_u16(row, within) : vldrbq_u16(row), event->value, graded);
    }
    vst1q_u16((uint16_t*)values, a);
    if (four) {
        add_rest(sum, left, values);
    } else {
        add_four(sum, values);
        add_rest(sum + 4, left - 4, values + 4);
    }
}

SPIKERUN_WITHIN void all_lanes(int32_t* sum, int32_t length, const spikerun_active* active, int32_t graded) {
    int32_t at = 0;
    for (; at + 32 <= length; at += 32) {
        thirty_two(sum + at, active, at, graded);
    }
    for (; at + 12 < length; at += 16) {
        sixteen(sum + at, length - at < 16 ? length - at : 16, active, at, graded);
    }
    if (at + 4 < length) {
        eight(sum + at, length - at < 8 ? length - at : 8, active, at, 0, graded);
        at += 8;
    }
    if (at < length) {
        eight(sum + at, length - at, active, at, 1, graded);
    }
}

void spikerun_add_spikes(int32_t* sum, int32_t length, const spikerun_active* active) {
    all_lanes(sum, length, active, 0);
}

/* Any values: up to eight targets. */
static void wide_eight(int32_t* sum, int32_t left, const spikerun_active* active, int32_t offset) {
    const uintptr_t base = active->weights + (uintptr_t)offset;
    const spikerun_event* event = active->begin;
    const mve_pred16_t first = vctp32q((uint32_t)left), second = left > 4 ? vctp32q((uint32_t)left - 4) : 0;
    uint32x4_t a = vdupq_n_u32(0u - 128u * (uint32_t)active->total), b = a;
    for (int32_t n = (int32_t)(active->end - event); n > 0; n--, event++) {
        const uint8_t* const row = (const uint8_t*)(base + event->at);
        const uint32_t value = (uint32_t)event->value;
        a = vmlaq_n_u32(a, vldrbq_z_u32(row, first), value);
        b = vmlaq_n_u32(b, vldrbq_z_u32(row + 4, second), value);
    }
    vst1q_p_s32(sum, vaddq_s32(vld1q_z_s32(sum, first), vreinterpretq_s32_u32(a)), first);
    vst1q_p_s32(sum + 4, vaddq_s32(vld1q_z_s32(sum + 4, second), vreinterpretq_s32_u32(b)), second);
}

static void wide_sixteen(int32_t* sum, const spikerun_active* active, int32_t offset) {
    int32_t values[16];
    for (int32_t k = 0; k < 16; k += 4) {
        vst1q_s32(values + k, vdupq_n_s32((int32_t)(0u - 128u * (uint32_t)active->total)));
    }
    spikerun_rows_wide(values, active->begin, active->end, active->weights + (uintptr_t)offset);
    for (int32_t k = 0; k < 16; k += 4) {
        vst1q_s32(sum + k, vaddq_s32(vld1q_s32(sum + k), vld1q_s32(values + k)));
    }
}

void spikerun_add_events(int32_t* sum, int32_t length, const spikerun_active* active) {
    int32_t at = 0;
    if (active->size <= SPIKERUN_LANES) {
        all_lanes(sum, length, active, 1);
        return;
    }
    for (; at + 16 <= length; at += 16) {
        wide_sixteen(sum + at, active, at);
    }
    for (; at < length; at += 8) {
        wide_eight(sum + at, length - at, active, at);
    }
}

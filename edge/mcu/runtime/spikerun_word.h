/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernels share. Files KIND_wide.c are those of KIND with SPIKERUN_WIDE: words of two bytes. */
#ifndef SPIKERUN_WORD_H
#define SPIKERUN_WORD_H

#include <stdint.h>

#ifdef SPIKERUN_WIDE
#define SPIKERUN_WORD_BYTES 2
#define SPIKERUN_SIGN 0x8000
#define SPIKERUN_RUN(kind) spikerun_##kind##_wide_run
#define SPIKERUN_WORDS(name) spikerun_##name##_wide
#else
#define SPIKERUN_WORD_BYTES 1
#define SPIKERUN_SIGN 0x80
#define SPIKERUN_RUN(kind) spikerun_##kind##_run
#define SPIKERUN_WORDS(name) spikerun_##name
#endif

/* Before a loop: unrolled it would take kilobytes. */
#if defined(__clang__)
#define SPIKERUN_ROLLED _Pragma("clang loop unroll(disable) vectorize(disable)")
#else
#define SPIKERUN_ROLLED
#endif

/* The n-th word as its bits. */
static inline uint32_t spikerun_load(const uint8_t* words, int32_t n) {
    const uint8_t* const word = words + n * SPIKERUN_WORD_BYTES;
    return SPIKERUN_WORD_BYTES == 1 ? word[0] : word[0] | ((uint32_t)word[SPIKERUN_WORD_BYTES - 1] << 8);
}

static inline void spikerun_store(uint8_t* words, int32_t n, uint32_t bits) {
    uint8_t* const word = words + n * SPIKERUN_WORD_BYTES;
    word[0] = (uint8_t)(bits & 0xffu);
    if (SPIKERUN_WORD_BYTES == 2) {
        word[SPIKERUN_WORD_BYTES - 1] = (uint8_t)((bits >> 8) & 0xffu);
    }
}

/* From the bits of a word to the integer that it stands for. */
static inline int32_t spikerun_value(uint32_t word, int32_t sign) {
    const int32_t value = (int32_t)word;
    return value - ((value & sign) << 1);
}

#endif

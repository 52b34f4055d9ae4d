/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as pairs of numbers of 16 bits, which cores with DSP multiply two at a time. */
#ifndef SPIKERUN_HALVES_H
#define SPIKERUN_HALVES_H

#include <stdint.h>

#if defined(__ARM_FEATURE_DSP)
#define SPIKERUN_HALVES(name, instruction, portable)      \
    static inline uint32_t name(uint32_t bytes) {         \
        uint32_t halves;                                  \
        __asm__(instruction : "=r"(halves) : "r"(bytes)); \
        return halves;                                    \
    }
#else
#define SPIKERUN_HALVES(name, instruction, portable) \
    static inline uint32_t name(uint32_t bytes) {    \
        return portable;                             \
    }
static inline uint32_t spikerun_extended(uint32_t halves) {
    const uint32_t sign = halves & 0x00800080u;
    return halves | ((sign << 1) * 0xffu);
}
#endif

/* Bytes 0 and 2, and bytes 1 and 3. */
SPIKERUN_HALVES(spikerun_even_unsigned, "uxtb16 %0, %1", bytes & 0x00ff00ffu)
SPIKERUN_HALVES(spikerun_odd_unsigned, "uxtb16 %0, %1, ror #8", (bytes >> 8) & 0x00ff00ffu)
SPIKERUN_HALVES(spikerun_even_signed, "sxtb16 %0, %1", spikerun_extended(bytes & 0x00ff00ffu))
SPIKERUN_HALVES(spikerun_odd_signed, "sxtb16 %0, %1, ror #8", spikerun_extended((bytes >> 8) & 0x00ff00ffu))

/* Four bytes wherever they lie. */
#if defined(__ARM_FEATURE_UNALIGNED)
typedef struct __attribute__((packed)) {
    uint32_t word;
} spikerun_anywhere;
static inline uint32_t spikerun_four(const uint8_t* bytes) {
    return ((const spikerun_anywhere*)bytes)->word;
}
#else
static inline uint32_t spikerun_four(const uint8_t* bytes) {
    return bytes[0] | ((uint32_t)bytes[1] << 8) | ((uint32_t)bytes[2] << 16) | ((uint32_t)bytes[3] << 24);
}
#endif

#endif

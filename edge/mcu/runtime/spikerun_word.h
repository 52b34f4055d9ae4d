/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernels share. */
#ifndef SPIKERUN_WORD_H
#define SPIKERUN_WORD_H

#include <stdint.h>

/* From a byte to the integer that it stands for. */
static inline int32_t spikerun_value(uint8_t word, int32_t sign) {
    const int32_t value = word;
    return value - ((value & sign) << 1);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"
#include "spikerun_word.h"

spikerun_status SPIKERUN_WORDS(check_words)(const uint8_t* words, int32_t count, int32_t bits,
                                            int32_t is_signed) {
    const int32_t lowest = is_signed ? -(1 << (bits - 1)) : 0;
    const int32_t range = 1 << bits;
    for (int32_t n = 0; n < count; n++) {
        const int32_t value = spikerun_value(spikerun_load(words, n), is_signed ? SPIKERUN_SIGN : 0);
        if (value < lowest || value >= lowest + range) {
            return SPIKERUN_ERROR_INPUT;
        }
    }
    return SPIKERUN_OK;
}

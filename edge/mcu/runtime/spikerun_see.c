/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"

void spikerun_see(const spikerun_observer* observer, int32_t trace, const int32_t* values,
                  const uint8_t* words, int32_t count) {
    if (observer != NULL) {
        observer->see(observer->context, trace, values, words, count);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"

void spikerun_tick(int32_t* clock, int32_t last, const int32_t* periods, int32_t count) {
    if (clock[0] < last) {
        clock[0]++;
    }
    for (int32_t k = 0; k < count; k++) {
        clock[1 + k] = clock[1 + k] + 1 == periods[k] ? 0 : clock[1 + k] + 1;
    }
}

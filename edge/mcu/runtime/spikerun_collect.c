/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun.h"

void spikerun_collect_run(const spikerun_collect* self, const int32_t* v, int32_t* answer) {
    const int32_t count = self->shape.channels * self->shape.pixels, shift = self->shift;
    for (int32_t n = 0; n < count; n++) {
        if (self->mode == SPIKERUN_MODE_MEAN) {
            answer[n] += v[n] < 0 ? ~(~v[n] >> shift) : v[n] >> shift; /* C says nothing of -1 >> shift */
        } else if (v[n] > answer[n]) {
            answer[n] = v[n];
        }
    }
}

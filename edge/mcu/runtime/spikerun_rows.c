/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of weights, on the core that the compiler makes code for. */
#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)
#include "spikerun_rows_mve.h"
#elif defined(__ARM_ARCH_ISA_THUMB) && __ARM_ARCH_ISA_THUMB == 2
#include "spikerun_rows_v7m.h"
#else
#include "spikerun_lanes.h"

void spikerun_add_events(int32_t* sum, int32_t length, const spikerun_active* active) {
    spikerun_any_events(sum, length, active);
}

void spikerun_add_spikes(int32_t* sum, int32_t length, const spikerun_active* active) {
    spikerun_any_spikes(sum, length, active, 0);
}
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The self-test as a program; what begins with port_ is the machine's. */
#include "model_selftest.h"

int main(void) {
    static model_state state;
    static int32_t out[MODEL_OUTPUTS];
    static uint32_t sums[MODEL_TRACES];
    const spikerun_port port = {port_print, port_ticks, port_stack_used};
    return model_selftest(&state, out, sums, &port) == 0 ? 0 : 1;
}

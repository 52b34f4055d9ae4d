/* SPDX-License-Identifier: Apache-2.0 */
#define SPIKERUN_WIDE 1
#include "spikerun_events.c"

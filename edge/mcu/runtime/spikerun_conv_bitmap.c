/* SPDX-License-Identifier: Apache-2.0 */
#define SPIKERUN_BITMAP 1
#include "spikerun_packed_conv.h"

/* SPDX-License-Identifier: Apache-2.0 */
#include "spikerun_packed_conv.h"

// SPDX-License-Identifier: Apache-2.0
// Depthwise convolutions: one input and one output channel a group, so that channels are the lanes.
#pragma once

#include <vector>

#include "geometry.hpp"
#include "linear.hpp"

namespace spikerun {

// weight: [kh][kw][channel]; offset: first output channel in the target.
LinearPointer depthwise(std::vector<int8_t> weight, const Geometry& g, size_t offset);

}  // namespace spikerun

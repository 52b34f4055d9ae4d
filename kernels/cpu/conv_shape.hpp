// SPDX-License-Identifier: Apache-2.0
// The sizes of a convolution.
#pragma once

#include "conv_weights.hpp"

namespace spikerun {

struct ConvShape {
    size_t in_h, in_w, in_c;      // input image
    size_t out_h, out_w, out_c;   // target image, all channels
    size_t taps, kernel_w;        // kernel positions, and those in a row
    size_t groups, group_in;      // input channels of a group
    size_t group_out, n_channel;  // output channels of a group, of all groups
    size_t offset;                // first output channel in the target

    size_t tap_weights() const { return group_in * n_channel; }
    Channels group(size_t g) const { return {g * group_in, group_in, g * group_out, group_out}; }
};

// Rows of outputs, and the rows of the image that they read.
struct ConvRows {
    Span out, in;
};

// a / b, both less than 2^32: the shorter division takes less time.
SPIKERUN_INLINE size_t quotient(size_t a, size_t b) {
    return static_cast<uint32_t>(a) / static_cast<uint32_t>(b);
}

// Where an input lies.
struct Place {
    size_t y, column, channel;
};
SPIKERUN_INLINE Place place_of(const ConvShape& s, size_t input) {
    const size_t pixel = quotient(input, s.in_c), y = quotient(pixel, s.in_w);
    return {y, pixel - y * s.in_w, input - pixel * s.in_c};
}

}  // namespace spikerun

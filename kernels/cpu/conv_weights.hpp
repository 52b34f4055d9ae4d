// SPDX-License-Identifier: Apache-2.0
// The weights of a convolution, or of one group of its channels: there is one copy, which all of its kernels
// read.
#pragma once

#include <vector>

#include "geometry.hpp"
#include "linear.hpp"

namespace spikerun {

// Channels of the input that are connected with channels of the output: all, or those of a group.
struct Channels {
    size_t in_first, in_count;    // in the image
    size_t out_first, out_count;  // of the weights
};

// Output channels `first`..`first + count`, whose weights, of `width` >= count channels each, begin at `at`.
struct ChannelBlock {
    size_t first, count, width, at;
};

struct ConvWeights {
    // What kernels may read behind the last weight.
    static constexpr size_t slack = 64;

    size_t in_c;
    std::vector<ChannelBlock> blocks;
    std::vector<size_t> taps;  // where those of each kernel position begin, in widths of the block
    size_t next;               // from an input channel to the next, in the same
    Arena<int8_t> bytes;       // with the slack; empty where the weights are another's
    const int8_t* data;

    // The row of a block for each input channel of a kernel position, `step` apart.
    const int8_t* rows(const ChannelBlock& block, size_t tap) const {
        return data + block.at + taps[tap] * block.width;
    }
    size_t step(const ChannelBlock& block) const { return next * block.width; }
    // The same, whose owner is another.
    ConvWeights view() const { return {in_c, blocks, taps, next, {}, data}; }

    // Lays the weights out in the blocks, behind which `end` is. weight: [tap][input channel][n_columns].
    void fill(const int8_t* weight, size_t n_columns, size_t first_column, size_t end);
};

// Those of a group, where they stand as they were given: [tap][input channel of a group][n_columns].
ConvWeights weights_of_group(const int8_t* weight, size_t n_taps, size_t n_columns, const Channels& channels);

// The rows of the image that these rows of outputs read; taps: of outputs.
Span rows_read(const Taps& taps, Span outputs);

}  // namespace spikerun

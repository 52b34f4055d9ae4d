// SPDX-License-Identifier: Apache-2.0
#include "conv_weights.hpp"

#include <algorithm>

namespace spikerun {

void ConvWeights::fill(const int8_t* weight, size_t n_columns, size_t first_column, size_t end) {
    bytes.resize(end + slack);
    data = bytes.data();
    for (const ChannelBlock& block : blocks) {
        const int8_t* from = weight + first_column + block.first;
        for (size_t tap = 0; tap < taps.size(); ++tap) {
            int8_t* to = bytes.data() + block.at + taps[tap] * block.width;
            for (size_t c = 0; c < in_c; ++c, from += n_columns, to += step(block))
                std::copy_n(from, block.count, to);
        }
    }
}

ConvWeights weights_of_group(const int8_t* weight, size_t n_taps, size_t n_columns,
                             const Channels& channels) {
    const ChannelBlock all{0, channels.out_count, n_columns, channels.out_first};
    ConvWeights made{channels.in_count, {all}, {}, 1, {}, weight};
    for (size_t tap = 0; tap < n_taps; ++tap) made.taps.push_back(tap * channels.in_count);
    return made;
}

Span rows_read(const Taps& taps, Span outputs) {
    Span read{0, 0};
    for (size_t y = outputs.begin; y < outputs.end; ++y) {
        const Range range = taps.ranges[y];
        if (range.count == 0) continue;
        read.begin = read.empty() ? range.position : std::min<size_t>(read.begin, range.position);
        read.end = std::max(read.end, range.position + (range.count - 1) * taps.position_step + 1);
    }
    return read;
}

}  // namespace spikerun

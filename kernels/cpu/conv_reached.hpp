// SPDX-License-Identifier: Apache-2.0
// Convolutions of inputs that come one by one: each adds rows of weights to the outputs that it reaches.
#pragma once

#include <algorithm>
#include <vector>

#include "conv_shape.hpp"
#include "rows.hpp"

namespace spikerun {

// The weights of an input channel in the order of the outputs that an input reaches, where these lie beside
// each other: a row of the kernel, from its last tap to its first, of stride s every s-th.
class ReachedRows {
  public:
    // Empty where they lie otherwise.
    ReachedRows(const ConvShape& s, const Window& of_inputs, const ConvWeights& weights)
        : kernel_w_(s.kernel_w), kernel_h_(s.taps / s.kernel_w), places_(s.kernel_w) {
        const size_t step = of_inputs.columns.kernel_step;  // behind it outputs go back by one
        if (of_inputs.columns.position_step != ~size_t{0} || s.groups != 1 || s.group_out != s.out_c) return;
        size_t place = 0;
        for (size_t first = 0; first < std::min(step, kernel_w_); ++first)
            for (size_t tap = first + (kernel_w_ - 1 - first) / step * step + step; tap > first;)
                places_[tap -= step] = place++;
        bytes_.resize(s.in_c * s.taps * s.out_c + ConvWeights::slack);
        for (size_t c = 0; c < s.in_c; ++c)
            for (size_t tap = 0; tap < s.taps; ++tap)
                for (const ChannelBlock& block : weights.blocks)
                    std::copy_n(
                        weights.rows(block, tap) + c * weights.step(block), block.count,
                        bytes_.data() + at(c, tap / kernel_w_, tap % kernel_w_, s.out_c) + block.first);
    }
    bool empty() const { return bytes_.empty(); }
    // From this tap of a row on.
    SPIKERUN_INLINE const int8_t* row(size_t channel, size_t kernel_row, size_t tap, size_t out_c) const {
        return bytes_.data() + at(channel, kernel_row, tap, out_c);
    }

  private:
    SPIKERUN_INLINE size_t at(size_t channel, size_t kernel_row, size_t tap, size_t out_c) const {
        return ((channel * kernel_h_ + kernel_row) * kernel_w_ + places_[tap]) * out_c;
    }
    size_t kernel_w_, kernel_h_;
    std::vector<size_t> places_;
    Arena<int8_t> bytes_;
};

// acc[j] += weights[j], for j < n.
SPIKERUN_INLINE void add_weights(const int8_t* SPIKERUN_RESTRICT weights, int32_t* SPIKERUN_RESTRICT acc,
                                 size_t n) {
    constexpr size_t width = 16;
    size_t j = 0;
    for (; j + width <= n; j += width)
        for (size_t k = 0; k < width; ++k) acc[j + k] = wrapping_add(acc[j + k], weights[j + k]);
    for (; j < n; ++j) acc[j] = wrapping_add(acc[j], weights[j]);
}

// Of listed inputs, in their order; marks the outputs that they reach, those of a row together.
struct ScatterReached {
    SPIKERUN_INLINE static void run(const ConvShape& s, const Window& windows, const ReachedRows& weights,
                                    const Event* events, size_t count, int32_t* acc, Marks* marks) {
        constexpr size_t ahead = 8;
        for (size_t k = 0; k < count; ++k) {
            if (k + ahead < count) fetch(s, windows, row_of(events[k + ahead]), acc);
            const Place place = place_of(s, row_of(events[k]));
            const Range rows = windows.rows.ranges[place.y], columns = windows.columns.ranges[place.column];
            if (columns.count == 0) continue;
            const size_t n = columns.count * s.out_c, behind = columns.count - 1;
            const size_t tap = columns.kernel + behind * windows.columns.kernel_step;
            size_t kernel_row = rows.kernel, row = rows.position;
            for (uint32_t a = rows.count; a > 0; --a) {
                const int8_t* const from = weights.row(place.channel, kernel_row, tap, s.out_c);
                const size_t j = (row * s.out_w + columns.position - behind) * s.out_c;
                if (value_of(events[k]) == 1)
                    add_weights(from, acc + j, n);
                else
                    add_row(from, value_of(events[k]), acc + j, n);
                if (marks != nullptr) marks->add(j, n);
                kernel_row += windows.rows.kernel_step;
                row += windows.rows.position_step;
            }
        }
    }

    // What an input will add to.
    SPIKERUN_INLINE static void fetch(const ConvShape& s, const Window& windows, size_t input,
                                      const int32_t* acc) {
        constexpr size_t line = 64 / sizeof(int32_t);
        const Place place = place_of(s, input);
        const Range rows = windows.rows.ranges[place.y], columns = windows.columns.ranges[place.column];
        size_t row = rows.position;
        for (uint32_t a = rows.count; a > 0; --a, row += windows.rows.position_step)
            for (size_t j = 0; j < columns.count * s.out_c; j += line)
                fetch_to_write(acc + (row * s.out_w + columns.position + 1 - columns.count) * s.out_c + j);
    }
};

}  // namespace spikerun

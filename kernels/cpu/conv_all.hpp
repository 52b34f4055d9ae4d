// SPDX-License-Identifier: Apache-2.0
// Convolutions of all inputs, whatever their words: sums of 32 bits of some neighbouring outputs and some
// channels stay in registers, while the windows pass by two words at a time.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "geometry.hpp"
#include "linear.hpp"

namespace spikerun {

struct AllPlan {
    // Of weights: what one register holds is eight channels of two words.
    static constexpr size_t lanes = 8;

    Image in, out;
    Pair padding, stride;
    size_t width;      // of a row of the padded image, in words
    size_t n_padded;   // words of it, and one behind them
    size_t offset;     // first output channel in the target
    size_t n_channel;  // how many there are
    size_t pairs;  // of the words of a window that lie side by side; the last word may belong to no weight
    std::vector<size_t> runs;  // where such words begin, from the first word of the window
    // [block of `lanes` channels][run][pair][channel][both words]
    Arena<int8_t> weight;

    size_t block_weights() const { return runs.size() * pairs * 2 * lanes; }
};

class AllConv {
  public:
    // weight: [kh][kw][cin][n_channel]. Null where too much of the padded image would be padding.
    static std::unique_ptr<AllConv> make(const int8_t* weight, const Geometry& g, size_t n_channel,
                                         size_t offset);

    // acc += C(x). Does nothing and returns false if the instruction set in use has no such kernel.
    bool apply(const int16_t* x, int32_t* acc, Scratch& scratch) const noexcept;
    void need(ScratchSize& size) const noexcept;
    size_t bytes() const noexcept { return plan_.weight.size(); }

  private:
    explicit AllConv(AllPlan plan) : plan_(std::move(plan)) {}
    AllPlan plan_;
};

}  // namespace spikerun

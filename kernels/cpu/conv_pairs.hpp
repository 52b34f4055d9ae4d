// SPDX-License-Identifier: Apache-2.0
// Event-driven convolutions of unsigned words of up to 7 bits, two active inputs at a time.
//
// Outputs of one row are visited from left to right, with the sums of `reach` neighbours in registers: as
// many as an input column has a part in. A step takes the active inputs of the columns that begin to reach
// the next output, of all rows of the kernel, as one list; then the oldest sums are done. So the weights of
// an input that belong to all of these outputs lie side by side, and are looked up once.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "geometry.hpp"
#include "linear.hpp"

namespace spikerun {

// Output channels `first`..`first + count`, whose weights, of `width` >= count channels each, begin at `at`.
struct PairBlock {
    size_t first, count, width, at;
};

// Registers have room for the sums of so many neighbours.
constexpr size_t most_reach = 6;

struct PairPlan {
    static constexpr size_t most_places = size_t{1} << 25;

    size_t in_h, in_w, in_c;     // input image
    size_t out_h, out_w, out_c;  // target image, all channels
    size_t offset;               // first output channel in the target
    size_t stride, padding;      // of columns
    size_t phases;               // places in a stride, of those columns that reach an output
    size_t reach;                // outputs of a row that a column of inputs has a part in, at most
    size_t kernel_h;
    Taps rows;                                   // of outputs
    std::vector<uint32_t> columns, columns_end;  // of the inputs that a step takes
    std::vector<PairBlock> blocks;
    // Of each block: [phase][row of the kernel][input channel][output in reach, the oldest first][channel].
    Arena<int8_t> weight;

    // The last outputs are done when no column reaches them any more.
    size_t steps() const { return out_w + reach - 1; }
    size_t rows_of_weights() const { return phases * kernel_h * in_c; }
};

class PairConv {
  public:
    // weight: [kh][kw][cin][n_channel]. Null where the geometry is not one for this kernel.
    static std::unique_ptr<PairConv> make(const int8_t* weight, const Geometry& g, size_t n_channel,
                                          size_t offset);

    // acc += C(x). Does nothing and returns false if the instruction set in use has no such kernel, or a word
    // is not in 0..127.
    bool apply(const int16_t* x, int32_t* acc, Scratch& scratch) const noexcept;
    void need(ScratchSize& size) const noexcept;
    size_t bytes() const noexcept { return plan_.weight.size(); }

  private:
    explicit PairConv(PairPlan plan) : plan_(std::move(plan)) {}
    PairPlan plan_;
};

}  // namespace spikerun

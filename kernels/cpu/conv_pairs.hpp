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

#include "conv_weights.hpp"
#include "geometry.hpp"
#include "isa.hpp"
#include "linear.hpp"

namespace spikerun {

// Registers have room for the sums of so many neighbours.
constexpr size_t most_reach = 6;

struct PairPlan {
    static constexpr size_t most_places = size_t{1} << 25;

    size_t in_h, in_w, in_c;     // input image, and the channels of it that are read
    size_t pixel, first;         // all of its channels, and the first of these
    size_t out_h, out_w, out_c;  // target image, all channels
    size_t offset;               // first output channel in the target
    size_t stride, padding;      // of columns
    size_t phases;               // places in a stride, of those columns that reach an output
    size_t reach;                // outputs of a row that a column of inputs has a part in, at most
    size_t kernel_h;
    Taps rows;                                   // of outputs
    std::vector<uint32_t> columns, columns_end;  // of the inputs that a step takes
    // Of each block: [phase][row of the kernel][input channel][output in reach, the oldest first][channel].
    ConvWeights weights;

    // The last outputs are done when no column reaches them any more.
    size_t steps() const { return out_w + reach - 1; }
    size_t rows_of_weights() const { return phases * kernel_h * in_c; }
};

class PairConv {
  public:
    // weight: [kh][kw][input channels of a group][n_columns], with the target's channels from `offset` on.
    // For the instruction set in use; null where that has no such kernel, or the geometry is not one for it.
    static std::unique_ptr<PairConv> make(const int8_t* weight, const Geometry& g, size_t n_columns,
                                          const Channels& channels, size_t offset);
    // acc += C(x), of some rows of outputs. Does nothing and returns false if a word that they read is not in
    // 0..127.
    bool apply(const int16_t* x, int32_t* acc, Scratch& scratch, Span rows) const noexcept {
        return kernel_(plan_, x, acc, scratch, rows);
    }
    void need(ScratchSize& size) const noexcept;
    const ConvWeights& weights() const noexcept { return plan_.weights; }
    size_t bytes() const noexcept { return plan_.weights.bytes.size(); }

  private:
    using Kernel = bool (*)(const PairPlan&, const int16_t*, int32_t*, Scratch&, Span) noexcept;

    PairConv(PairPlan plan, Kernel kernel) : plan_(std::move(plan)), kernel_(kernel) {}

    PairPlan plan_;
    Kernel kernel_;
};

#if defined(SPIKERUN_X86)
// The kernels, each in a file of its own.
bool pairs_sse4(const PairPlan& p, const int16_t* x, int32_t* acc, Scratch& scratch, Span rows) noexcept;
bool pairs_avx2(const PairPlan& p, const int16_t* x, int32_t* acc, Scratch& scratch, Span rows) noexcept;
bool pairs_avx512(const PairPlan& p, const int16_t* x, int32_t* acc, Scratch& scratch, Span rows) noexcept;
#endif

}  // namespace spikerun

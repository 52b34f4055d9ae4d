// SPDX-License-Identifier: Apache-2.0
// Convolutions of all inputs, whatever their words: sums of 32 bits of some neighbouring outputs and some
// channels stay in registers, while the windows pass by, some words at a time. The image is copied into one
// with its padding, in bytes where the words allow it (words of both signs, with as much added that none is
// negative, which sums begin without); the weights are interleaved when they are needed, some
// channels at a time, which takes little beside what is done with them.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "conv_weights.hpp"
#include "geometry.hpp"
#include "isa.hpp"
#include "linear.hpp"

namespace spikerun {

struct AllPlan {
    // At most so many channels are interleaved at a time.
    static constexpr size_t most_channels = 64;
    // What kernels may read behind the padded image.
    static constexpr size_t slack = 16;

    Image in, out;
    Pair padding, stride;
    size_t in_c;               // channels of a group
    size_t width;              // of a row of the padded image of a group, in words
    size_t n_padded;           // words of it
    size_t run_words;          // words of a window that lie side by side
    size_t run_taps;           // kernel positions that they belong to
    size_t window_h;           // rows of the padded image that a window spans
    std::vector<size_t> runs;  // where such words begin, from the first word of the window

    // Groups of `words` words, of all runs.
    size_t steps(size_t words) const { return (run_words + words - 1) / words; }
};

// A group of channels of an image, of a target, and their weights.
struct AllGroup {
    const ConvWeights* weights;
    size_t in_first, offset;
};

// The part of the outputs that is computed: some rows, and of each group some channels, from a multiple of
// most_channels on.
struct AllPart {
    Span rows, channels;
};

class AllConv {
  public:
    // For the instruction set in use, group_in channels a group. Null where that has no such kernel, or too
    // much of the padded image would be padding.
    static std::unique_ptr<AllConv> make(const Geometry& g, size_t group_in);

    // acc += C(x), of one group and a part of the outputs.
    void apply(const AllGroup& group, const int16_t* x, int32_t* acc, Scratch& scratch,
               const AllPart& part) const noexcept {
        kernel_(plan_, group, x, acc, scratch, part);
    }
    void need(ScratchSize& size) const noexcept;

  private:
    using Kernel = void (*)(const AllPlan&, const AllGroup&, const int16_t*, int32_t*, Scratch&,
                            const AllPart&) noexcept;

    AllConv(AllPlan plan, Kernel kernel) : plan_(std::move(plan)), kernel_(kernel) {}

    AllPlan plan_;
    Kernel kernel_;
};

#if defined(SPIKERUN_X86)
// The kernels, each in a file of its own.
#define SPIKERUN_ALL(name)                                                                               \
    void name(const AllPlan& p, const AllGroup& group, const int16_t* x, int32_t* acc, Scratch& scratch, \
              const AllPart& part) noexcept
SPIKERUN_ALL(all_sse4);
SPIKERUN_ALL(all_avx2);
SPIKERUN_ALL(all_avx512);
SPIKERUN_ALL(all_vnni);
#endif

}  // namespace spikerun

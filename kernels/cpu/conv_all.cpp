// SPDX-License-Identifier: Apache-2.0
// The weights of conv_all.hpp.
#include "conv_all.hpp"

#include <algorithm>

namespace spikerun {

namespace {

// Inputs that one row of outputs meets, or one column.
int64_t covered(const Axis& a) {
    return (a.out - 1) * a.stride + a.dilation * (a.kernel - 1) + 1;
}

void lay_out(const int8_t* weight, size_t run_words, AllPlan& plan) {
    const size_t blocks = (plan.n_channel + AllPlan::lanes - 1) / AllPlan::lanes;
    plan.weight.resize(blocks * plan.block_weights());
    for (size_t channel = 0; channel < plan.n_channel; ++channel) {
        int8_t* const to = plan.weight.data() + channel / AllPlan::lanes * plan.block_weights() +
                           channel % AllPlan::lanes * 2;
        for (size_t run = 0; run < plan.runs.size(); ++run)
            for (size_t k = 0; k < run_words; ++k)
                to[(run * plan.pairs + k / 2) * 2 * AllPlan::lanes + k % 2] =
                    weight[(run * run_words + k) * plan.n_channel + channel];
    }
}

}  // namespace

std::unique_ptr<AllConv> AllConv::make(const int8_t* weight, const Geometry& g, size_t n_channel,
                                       size_t offset) {
    const int64_t rows = covered(height(g)), columns = covered(width(g));
    constexpr int64_t few = 1 << 14;
    if (rows > max_size / columns || rows * columns > (4 * g.in.size() + few) / g.in.c) return nullptr;
    AllPlan plan{};
    plan.in = g.in;
    plan.out = g.out;
    plan.padding = g.padding;
    plan.stride = g.stride;
    plan.width = unsign(columns * g.in.c);
    plan.n_padded = unsign(rows) * plan.width + 1;
    plan.offset = offset;
    plan.n_channel = n_channel;
    // The words of a row of the kernel lie side by side, unless its columns are dilated.
    const bool whole = g.dilation.w == 1;
    const size_t run_words = unsign(whole ? g.kernel.w * g.in.c : g.in.c);
    plan.pairs = (run_words + 1) / 2;
    for (int64_t row = 0; row < g.kernel.h; ++row)
        for (int64_t column = 0; column < (whole ? 1 : g.kernel.w); ++column)
            plan.runs.push_back(unsign(row * g.dilation.h) * plan.width +
                                unsign(column * g.dilation.w * g.in.c));
    lay_out(weight, run_words, plan);
    return std::unique_ptr<AllConv>(new AllConv(std::move(plan)));
}

}  // namespace spikerun

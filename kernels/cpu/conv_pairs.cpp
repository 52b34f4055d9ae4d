// SPDX-License-Identifier: Apache-2.0
// The weights of conv_pairs.hpp, and where that kernel can be taken.
#include "conv_pairs.hpp"

#include <algorithm>
#include <utility>

namespace spikerun {

namespace {

// The sums of all outputs that are in reach have 16 bits, and stay in 12 registers.
size_t widest(size_t reach) {
    return reach <= 3 ? 64 : 32;
}

// The column of the inputs at this place of the padded image, or the next that there is.
uint32_t column(size_t place, const PairPlan& plan) {
    return static_cast<uint32_t>(std::min(std::max(place, plan.padding) - plan.padding, plan.in_w));
}

// Channels in blocks as wide as possible; the last has rows of weights that are 0, if it must.
std::vector<PairBlock> blocks_of(size_t n_channel, const PairPlan& plan) {
    std::vector<PairBlock> blocks;
    size_t at = 0;
    for (size_t first = 0; first < n_channel;) {
        size_t width = widest(plan.reach);
        while (width > 16 && width > n_channel - first) width /= 2;
        const size_t count = std::min(width, n_channel - first);
        blocks.push_back({first, count, width, at});
        at += plan.rows_of_weights() * plan.reach * width;
        first += count;
    }
    return blocks;
}

void lay_out(const int8_t* weight, size_t kernel_w, size_t n_channel, PairPlan& plan) {
    const PairBlock& last = plan.blocks.back();
    plan.weight.resize(last.at + plan.rows_of_weights() * plan.reach * last.width);
    for (const PairBlock& block : plan.blocks) {
        int8_t* to = plan.weight.data() + block.at;
        for (size_t phase = 0; phase < plan.phases; ++phase)
            for (size_t row = 0; row < plan.kernel_h * plan.in_c; ++row)
                for (size_t output = 0; output < plan.reach; ++output, to += block.width) {
                    const size_t tap = phase + (plan.reach - 1 - output) * plan.stride;
                    if (tap >= kernel_w) continue;
                    const size_t kernel_row = row / plan.in_c, channel = row % plan.in_c;
                    const size_t from = (kernel_row * kernel_w + tap) * plan.in_c + channel;
                    std::copy_n(weight + from * n_channel + block.first, block.count, to);
                }
    }
}

}  // namespace

std::unique_ptr<PairConv> PairConv::make(const int8_t* weight, const Geometry& g, size_t n_channel,
                                         size_t offset) {
    if (g.dilation.w != 1 && g.kernel.w != 1) return nullptr;
    const size_t kernel_w = unsign(g.kernel.w), stride = unsign(g.stride.w);
    const size_t reach = (kernel_w + stride - 1) / stride;
    if (reach > most_reach) return nullptr;
    PairPlan plan{unsign(g.in.h),
                  unsign(g.in.w),
                  unsign(g.in.c),
                  unsign(g.out.h),
                  unsign(g.out.w),
                  unsign(g.out.c),
                  offset,
                  stride,
                  unsign(g.padding.w),
                  std::min(stride, kernel_w),
                  reach,
                  unsign(g.kernel.h),
                  taps_of_outputs(height(g)),
                  {},
                  {},
                  {},
                  {}};
    if (plan.rows_of_weights() * reach > PairPlan::most_places) return nullptr;
    for (size_t step = 0; step < plan.steps(); ++step) {
        plan.columns.push_back(column(step * stride, plan));
        plan.columns_end.push_back(column(step * stride + plan.phases, plan));
    }
    plan.blocks = blocks_of(n_channel, plan);
    lay_out(weight, kernel_w, n_channel, plan);
    return std::unique_ptr<PairConv>(new PairConv(std::move(plan)));
}

}  // namespace spikerun

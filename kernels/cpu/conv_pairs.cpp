// SPDX-License-Identifier: Apache-2.0
// The weights of conv_pairs.hpp, and where that kernel can be taken.
#include "conv_pairs.hpp"

#include <algorithm>
#include <utility>

#include "conv_pairs_lists.hpp"

namespace spikerun {

namespace {

// The widest blocks of channels whose sums of 16 bits, of all outputs that are in reach, stay in registers,
// beside two rows of weights and what they become: 12 of 16, 24 of 32.
size_t widest(size_t reach, Isa isa) {
    const size_t bytes = isa >= Isa::v4 ? 24 * 64 : isa == Isa::v3 ? 12 * 32 : 12 * 16;
    size_t width = isa >= Isa::v4 ? 128 : isa == Isa::v3 ? 64 : 32;
    while (reach * width * sizeof(int16_t) > bytes) width /= 2;
    return width;
}

// The column of the inputs at this place of the padded image, or the next that there is.
uint32_t column(size_t place, const PairPlan& plan) {
    return static_cast<uint32_t>(std::min(std::max(place, plan.padding) - plan.padding, plan.in_w));
}

// Channels in blocks as wide as possible; the last has rows of weights that are 0, if it must.
std::vector<ChannelBlock> blocks_of(size_t n_channel, const PairPlan& plan, Isa isa) {
    std::vector<ChannelBlock> blocks;
    size_t at = 0;
    for (size_t first = 0; first < n_channel;) {
        size_t width = widest(plan.reach, isa);
        while (width > 16 && width > n_channel - first) width /= 2;
        const size_t count = std::min(width, n_channel - first);
        blocks.push_back({first, count, width, at});
        at += plan.rows_of_weights() * plan.reach * width;
        first += count;
    }
    return blocks;
}

// Where the weights of each position of the kernel begin.
std::vector<size_t> taps_of(size_t kernel_w, const PairPlan& plan) {
    std::vector<size_t> taps;
    for (size_t row = 0; row < plan.kernel_h; ++row)
        for (size_t tap = 0; tap < kernel_w; ++tap)
            taps.push_back((tap % plan.stride * plan.kernel_h + row) * plan.in_c * plan.reach + plan.reach -
                           1 - tap / plan.stride);
    return taps;
}

}  // namespace

std::unique_ptr<PairConv> PairConv::make(const int8_t* weight, const Geometry& g, size_t n_columns,
                                         const Channels& channels, size_t offset) {
    Kernel kernel = nullptr;
    const Isa isa = current_isa.load(std::memory_order_relaxed);
#if defined(SPIKERUN_X86)
    kernel = isa >= Isa::v4     ? pairs_avx512
             : isa == Isa::v3   ? pairs_avx2
             : isa == Isa::sse4 ? pairs_sse4
                                : kernel;
#endif
    if (kernel == nullptr || (g.dilation.w != 1 && g.kernel.w != 1) || (g.dilation.h != 1 && g.kernel.h != 1))
        return nullptr;
    const size_t kernel_w = unsign(g.kernel.w), stride = unsign(g.stride.w);
    const size_t reach = (kernel_w + stride - 1) / stride;
    if (reach > most_reach) return nullptr;
    PairPlan plan{unsign(g.in.h),
                  unsign(g.in.w),
                  channels.in_count,
                  unsign(g.in.c),
                  channels.in_first,
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
                  {}};
    if ((plan.phases * plan.kernel_h + plan.in_h) * plan.in_c * reach > PairPlan::most_places) return nullptr;
    for (size_t step = 0; step < plan.steps(); ++step) {
        plan.columns.push_back(column(step * stride, plan));
        plan.columns_end.push_back(column(step * stride + plan.phases, plan));
    }
    plan.weights = {channels.in_count,
                    blocks_of(channels.out_count, plan, isa),
                    taps_of(kernel_w, plan),
                    reach,
                    {},
                    nullptr};
    const ChannelBlock& last = plan.weights.blocks.back();
    plan.weights.fill(weight, n_columns, channels.out_first,
                      last.at + plan.rows_of_weights() * reach * last.width);
    return std::unique_ptr<PairConv>(new PairConv(std::move(plan), kernel));
}

void PairConv::need(ScratchSize& size) const noexcept {
    const ScratchSize own = list_sizes(plan_);
    size.events = std::max(size.events, own.events);
    size.places = std::max(size.places, own.places);
    size.lists = std::max(size.lists, own.lists);
}

}  // namespace spikerun

// SPDX-License-Identifier: Apache-2.0
// What conv_all.hpp knows before it sees words, and where its kernels can be taken.
#include "conv_all.hpp"

#include <algorithm>

namespace spikerun {

namespace {

// Inputs that one row of outputs meets, or one column.
int64_t covered(const Axis& a) {
    return (a.out - 1) * a.stride + a.dilation * (a.kernel - 1) + 1;
}

}  // namespace

std::unique_ptr<AllConv> AllConv::make(const Geometry& g, size_t group_in) {
    Kernel kernel = nullptr;
#if defined(SPIKERUN_X86)
    switch (current_isa.load(std::memory_order_relaxed)) {
        case Isa::v4_vnni:
            kernel = all_vnni;
            break;
        case Isa::v4:
            kernel = all_avx512;
            break;
        case Isa::v3:
            kernel = all_avx2;
            break;
        case Isa::sse4:
            kernel = all_sse4;
            break;
        case Isa::plain:
            break;
    }
#endif
    if (kernel == nullptr) return nullptr;
    const int64_t rows = covered(height(g)), columns = covered(width(g));
    constexpr int64_t few = 1 << 14;
    if (rows > max_size / columns || rows * columns > (4 * g.in.size() + few) / g.in.c) return nullptr;
    AllPlan plan{};
    plan.in = g.in;
    plan.out = g.out;
    plan.padding = g.padding;
    plan.stride = g.stride;
    plan.in_c = group_in;
    plan.width = unsign(columns) * group_in;
    plan.n_padded = unsign(rows) * plan.width;
    plan.window_h = unsign(g.dilation.h * (g.kernel.h - 1) + 1);
    // The words of a row of the kernel lie side by side, unless its columns are dilated.
    const bool whole = g.dilation.w == 1;
    plan.run_taps = whole ? unsign(g.kernel.w) : 1;
    plan.run_words = plan.run_taps * group_in;
    for (int64_t row = 0; row < g.kernel.h; ++row)
        for (int64_t column = 0; column < (whole ? 1 : g.kernel.w); ++column)
            plan.runs.push_back(unsign(row * g.dilation.h) * plan.width +
                                unsign(column * g.dilation.w) * group_in);
    return std::unique_ptr<AllConv>(new AllConv(std::move(plan), kernel));
}

void AllConv::need(ScratchSize& size) const noexcept {
    size.patch = std::max(size.patch, plan_.n_padded + AllPlan::slack);
    // Four words of a byte take as much as two of two.
    const size_t bytes =
        plan_.runs.size() * plan_.steps(2) * 2 * AllPlan::most_channels + 4 * AllPlan::most_channels;
    size.places = std::max(size.places, bytes / sizeof(uint32_t) * 2);
}

}  // namespace spikerun

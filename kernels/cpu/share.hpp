// SPDX-License-Identifier: Apache-2.0
// How threads share an operation.
#pragma once

#include <algorithm>

#include "common.hpp"

namespace spikerun {

struct Span {
    size_t begin, end;
    size_t size() const noexcept { return end - begin; }
    bool empty() const noexcept { return begin == end; }
};

// What one of several threads does: part `index` of `count`.
struct Share {
    size_t index = 0, count = 1;

    bool first() const noexcept { return index == 0; }
    // Its part of n things, in whole groups of `grain`; the last group may be smaller.
    Span of(size_t n, size_t grain = 1) const noexcept {
        const size_t groups = (n + grain - 1) / grain;
        return {std::min(n, groups * index / count * grain),
                std::min(n, groups * (index + 1) / count * grain)};
    }
};

}  // namespace spikerun

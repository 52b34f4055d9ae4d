// SPDX-License-Identifier: Apache-2.0
// For files of kernels in intrinsics of AVX2: functions that are compiled for it, whatever the rest is.
#pragma once

#include <array>

#include "sse4.hpp"

#if defined(SPIKERUN_X86)

#define SPIKERUN_V3 [[gnu::target("arch=x86-64-v3")]]
#define SPIKERUN_V3_INLINE [[gnu::target("arch=x86-64-v3"), gnu::always_inline]] inline

namespace spikerun {

// [mask][k]: the place of the k-th lane whose bit in the mask is 0.
inline constexpr auto kept_lanes = [] {
    std::array<std::array<uint8_t, 8>, 256> table{};
    for (size_t mask = 0; mask < 256; ++mask)
        for (size_t lane = 0, k = 0; lane < 8; ++lane)
            if ((mask >> lane & 1) == 0) table[mask][k++] = static_cast<uint8_t>(lane);
    return table;
}();

SPIKERUN_V3_INLINE __m256i load(const void* from) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}
SPIKERUN_V3_INLINE void store(void* to, __m256i vector) {
    _mm256_storeu_si256(static_cast<__m256i*>(to), vector);
}
SPIKERUN_V3_INLINE __m256i repeated(uint32_t number) {
    return _mm256_set1_epi32(static_cast<int>(number));
}
// to[k] += sums[k] for eight sums.
SPIKERUN_V3_INLINE void add_to(int32_t* to, __m256i sums) {
    store(to, _mm256_add_epi32(load(to), sums));
}

}  // namespace spikerun

#endif

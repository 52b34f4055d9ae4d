// SPDX-License-Identifier: Apache-2.0
// For files of kernels in intrinsics of AVX-512: functions that are compiled for it, whatever the rest is.
#pragma once

#include "avx2.hpp"

#if defined(SPIKERUN_X86)

#define SPIKERUN_V4 [[gnu::target("arch=x86-64-v4")]]
#define SPIKERUN_V4_INLINE [[gnu::target("arch=x86-64-v4"), gnu::always_inline]] inline
#define SPIKERUN_VNNI [[gnu::target("arch=x86-64-v4,avx512vnni")]]
#define SPIKERUN_VNNI_INLINE [[gnu::target("arch=x86-64-v4,avx512vnni"), gnu::always_inline]] inline

namespace spikerun {

SPIKERUN_V4_INLINE __m512i load_wide(const void* from) {
    return _mm512_loadu_si512(from);
}
SPIKERUN_V4_INLINE void store_wide(void* to, __m512i vector) {
    _mm512_storeu_si512(to, vector);
}
SPIKERUN_V4_INLINE __m512i repeated_wide(uint32_t number) {
    return _mm512_set1_epi32(static_cast<int>(number));
}
// to[k] += sums[k] for sixteen sums.
SPIKERUN_V4_INLINE void add_to(int32_t* to, __m512i sums) {
    store_wide(to, _mm512_add_epi32(load_wide(to), sums));
}

}  // namespace spikerun

#endif

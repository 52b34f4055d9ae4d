// SPDX-License-Identifier: Apache-2.0
// For files of kernels in intrinsics of SSE4: functions that are compiled for it, whatever the rest is.
#pragma once

#include "isa.hpp"

#if defined(SPIKERUN_X86)

// GCC warns of what its own header leaves open on purpose.
#if !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>
#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#define SPIKERUN_V2 [[gnu::target("arch=x86-64-v2")]]
#define SPIKERUN_V2_INLINE [[gnu::target("arch=x86-64-v2"), gnu::always_inline]] inline
// Before a loop over registers.
#if defined(__clang__)
#define SPIKERUN_UNROLLED _Pragma("clang loop unroll(full)")
#else
#define SPIKERUN_UNROLLED _Pragma("GCC unroll 32")
#endif
// Keeps what two operations read from being loaded twice, as operands of both: loads are scarce.
#define SPIKERUN_IN_REGISTERS(a, b) asm("" : "+x"(a), "+x"(b))

namespace spikerun {

SPIKERUN_V2_INLINE __m128i load_half(const void* from) {
    return _mm_loadu_si128(static_cast<const __m128i*>(from));
}
SPIKERUN_V2_INLINE void store_half(void* to, __m128i vector) {
    _mm_storeu_si128(static_cast<__m128i*>(to), vector);
}
SPIKERUN_V2_INLINE __m128i repeated_half(uint32_t number) {
    return _mm_set1_epi32(static_cast<int>(number));
}
// to[k] += sums[k] for four sums.
SPIKERUN_V2_INLINE void add_to(int32_t* to, __m128i sums) {
    store_half(to, _mm_add_epi32(load_half(to), sums));
}

}  // namespace spikerun

#endif

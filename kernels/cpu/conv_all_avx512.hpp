// SPDX-License-Identifier: Apache-2.0
// What the kernels of conv_all.hpp for AVX-512, with VNNI and without, share: that for words of 16 bits.
#pragma once

#include "avx512.hpp"

#if defined(SPIKERUN_X86)

#include "conv_all_rows.hpp"

namespace spikerun {
namespace {

struct Lane {
    using Vector = __m512i;
    static constexpr size_t channels = 16;
    SPIKERUN_V4_INLINE static Vector repeat(int32_t words) { return _mm512_set1_epi32(words); }
};

struct WideWords : Lane {
    static constexpr size_t bytes = 32, outputs = 4, vectors = 4, unit = 64;
    template <class L, size_t Outputs, size_t Vectors>
    using Method = Dots<L, Outputs, Vectors>;
    SPIKERUN_V4_INLINE static Vector weights(const int8_t* from) { return _mm512_cvtepi8_epi16(load(from)); }
    SPIKERUN_V4_INLINE static void add(Vector& sum, Vector words, Vector weights) {
        sum = _mm512_add_epi32(sum, _mm512_madd_epi16(words, weights));
    }
};

}  // namespace
}  // namespace spikerun

#endif

// SPDX-License-Identifier: Apache-2.0
// The kernel of conv_all.hpp, for AVX-512 without VNNI: that of conv_all_avx2.cpp, with twice as many
// channels in a register.
#define SPIKERUN_TARGET SPIKERUN_V4
#define SPIKERUN_TARGET_INLINE SPIKERUN_V4_INLINE
#include "conv_all_avx512.hpp"

#if defined(SPIKERUN_X86)

namespace spikerun {
namespace {

struct Avx512 {
    struct Bytes : Lane {
        static constexpr uint16_t largest = 127;
        static constexpr size_t bytes = 64, outputs = 6, vectors = 2, unit = 32;
        template <class L, size_t Outputs, size_t Vectors>
        using Method = Products<L, Outputs, Vectors>;
        SPIKERUN_V4_INLINE static Vector weights(const int8_t* from) { return load_wide(from); }
        SPIKERUN_V4_INLINE static Vector products(Vector words, Vector weights) {
            return _mm512_maddubs_epi16(words, weights);
        }
        SPIKERUN_V4_INLINE static Vector plus(Vector a, Vector b) { return _mm512_add_epi16(a, b); }
        SPIKERUN_V4_INLINE static void widen(Vector& sum, Vector narrow) {
            sum = _mm512_add_epi32(sum, _mm512_madd_epi16(narrow, _mm512_set1_epi16(1)));
        }
    };
    using Words = WideWords;
};

}  // namespace

SPIKERUN_V4 SPIKERUN_ALL(all_avx512) {
    run_all<Avx512>(p, group, x, acc, scratch, part);
}

}  // namespace spikerun

#endif

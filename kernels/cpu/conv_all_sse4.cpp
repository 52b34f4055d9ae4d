// SPDX-License-Identifier: Apache-2.0
// The kernel of conv_all.hpp, for SSE4: that of conv_all_avx2.cpp, with half as many channels in a register.
#include "sse4.hpp"

#if defined(SPIKERUN_X86)

#define SPIKERUN_TARGET SPIKERUN_V2
#define SPIKERUN_TARGET_INLINE SPIKERUN_V2_INLINE
#include "conv_all_rows.hpp"

namespace spikerun {
namespace {

struct Lane {
    using Vector = __m128i;
    static constexpr size_t channels = 4, vectors = 2, unit = 16;
    SPIKERUN_V2_INLINE static Vector repeat(int32_t words) { return _mm_set1_epi32(words); }
};

struct Sse4 {
    struct Bytes : Lane {
        static constexpr uint16_t largest = 127;
        static constexpr size_t bytes = 16, outputs = 3;
        template <class L, size_t Outputs, size_t Vectors>
        using Method = Products<L, Outputs, Vectors>;
        SPIKERUN_V2_INLINE static Vector weights(const int8_t* from) { return load_half(from); }
        SPIKERUN_V2_INLINE static Vector products(Vector words, Vector weights) {
            return _mm_maddubs_epi16(words, weights);
        }
        SPIKERUN_V2_INLINE static Vector plus(Vector a, Vector b) { return _mm_add_epi16(a, b); }
        SPIKERUN_V2_INLINE static void widen(Vector& sum, Vector narrow) {
            sum = _mm_add_epi32(sum, _mm_madd_epi16(narrow, _mm_set1_epi16(1)));
        }
    };
    struct Words : Lane {
        static constexpr size_t bytes = 8, outputs = 4;
        template <class L, size_t Outputs, size_t Vectors>
        using Method = Dots<L, Outputs, Vectors>;
        SPIKERUN_V2_INLINE static Vector weights(const int8_t* from) {
            return _mm_cvtepi8_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
        }
        SPIKERUN_V2_INLINE static void add(Vector& sum, Vector words, Vector weights) {
            sum = _mm_add_epi32(sum, _mm_madd_epi16(words, weights));
        }
    };
};

}  // namespace

SPIKERUN_V2 SPIKERUN_ALL(all_sse4) {
    run_all<Sse4>(p, group, x, acc, scratch, part);
}

}  // namespace spikerun

#endif

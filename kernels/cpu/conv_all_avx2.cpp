// SPDX-License-Identifier: Apache-2.0
// The kernel of conv_all.hpp, for AVX2. Of the words of a byte one instruction multiplies four by the weights
// of eight channels, and adds the products by two to 16 bits; of two of 16 bits one adds both products to 32
// bits, which is exact: 2^15 * 2^7 * 2 < 2^31.
#include "avx2.hpp"

#if defined(SPIKERUN_X86)

#define SPIKERUN_TARGET SPIKERUN_V3
#define SPIKERUN_TARGET_INLINE SPIKERUN_V3_INLINE
#include "conv_all_rows.hpp"

namespace spikerun {
namespace {

struct Lane {
    using Vector = __m256i;
    static constexpr size_t channels = 8, vectors = 2, unit = 16;
    SPIKERUN_V3_INLINE static Vector repeat(int32_t words) { return _mm256_set1_epi32(words); }
};

struct Avx2 {
    struct Bytes : Lane {
        static constexpr uint16_t largest = 127;
        static constexpr size_t bytes = 32, outputs = 4;
        template <class L, size_t Outputs, size_t Vectors>
        using Method = Products<L, Outputs, Vectors>;
        SPIKERUN_V3_INLINE static Vector weights(const int8_t* from) { return load(from); }
        SPIKERUN_V3_INLINE static Vector products(Vector words, Vector weights) {
            return _mm256_maddubs_epi16(words, weights);
        }
        SPIKERUN_V3_INLINE static Vector plus(Vector a, Vector b) { return _mm256_add_epi16(a, b); }
        SPIKERUN_V3_INLINE static void widen(Vector& sum, Vector narrow) {
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(narrow, _mm256_set1_epi16(1)));
        }
    };
    struct Words : Lane {
        static constexpr size_t bytes = 16, outputs = 4;
        template <class L, size_t Outputs, size_t Vectors>
        using Method = Dots<L, Outputs, Vectors>;
        SPIKERUN_V3_INLINE static Vector weights(const int8_t* from) {
            return _mm256_cvtepi8_epi16(load_half(from));
        }
        SPIKERUN_V3_INLINE static void add(Vector& sum, Vector words, Vector weights) {
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(words, weights));
        }
    };
};

}  // namespace

SPIKERUN_V3 SPIKERUN_ALL(all_avx2) {
    run_all<Avx2>(p, group, x, acc, scratch, part);
}

}  // namespace spikerun

#endif

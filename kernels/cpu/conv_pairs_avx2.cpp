// SPDX-License-Identifier: Apache-2.0
// The kernel of conv_pairs.hpp, for AVX2.
#include <array>

#include "conv_pairs_lanes.hpp"

#if defined(SPIKERUN_X86)

#define SPIKERUN_TARGET SPIKERUN_V3
#define SPIKERUN_TARGET_INLINE SPIKERUN_V3_INLINE
#include "conv_pairs_rows.hpp"

namespace spikerun {
namespace {

struct Avx2 {
    struct Seen {
        __m256i bits, sum;
        Others others;
        SPIKERUN_V3_INLINE Seen() : bits(_mm256_setzero_si256()), sum(_mm256_setzero_si256()) {}
        SPIKERUN_V3_INLINE uint32_t total() const {
            const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
            const __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
            return static_cast<uint32_t>(_mm_cvtsi128_si32(two) + _mm_extract_epi32(two, 1)) + others.sum;
        }
        SPIKERUN_V3_INLINE bool fit() const {
            return _mm256_testz_si256(bits, repeated(~largest_word)) != 0 &&
                   (others.bits & ~largest_word) == 0;
        }
    };

    SPIKERUN_V3_INLINE static size_t pack(const int16_t* x, size_t n, uint32_t first, uint32_t step,
                                          uint32_t* to, Seen& seen) {
        const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), zero = _mm256_setzero_si256();
        __m256i row = _mm256_add_epi32(repeated(first), _mm256_mullo_epi32(lanes, repeated(step)));
        const __m256i eight = repeated(8 * step);
        size_t count = 0, c = 0;
        for (; c + 8 <= n; c += 8) {
            const __m256i wide = _mm256_cvtepu16_epi32(load_half(x + c));
            seen.bits = _mm256_or_si256(seen.bits, wide);
            seen.sum = _mm256_add_epi32(seen.sum, wide);
            const __m256i silent = _mm256_cmpeq_epi32(wide, zero);
            const auto mask = static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(silent)));
            const auto* const kept = reinterpret_cast<const __m128i*>(kept_lanes[mask].data());
            const __m256i order = _mm256_cvtepu8_epi32(_mm_loadl_epi64(kept));
            store(to + count, _mm256_permutevar8x32_epi32(_mm256_or_si256(row, wide), order));
            count += 8 - static_cast<size_t>(__builtin_popcount(mask));
            row = _mm256_add_epi32(row, eight);
        }
        for (; c < n; ++c)
            count += pack_one(x[c], first + static_cast<uint32_t>(c) * step, to + count, seen.others);
        return count;
    }

    SPIKERUN_V3_INLINE static void unpack(const Lists& lists, size_t begin, size_t end) {
        const __m256i words = repeated(largest_word);
        for (size_t k = begin; k < end; k += 8) {
            const __m256i packed = load(lists.place + k), next = load(lists.place + k + 1);
            const __m256i a = _mm256_and_si256(packed, words), b = _mm256_and_si256(next, words);
            const __m256i pair = _mm256_or_si256(a, _mm256_slli_epi32(b, 8));
            store(lists.factor + k, _mm256_or_si256(pair, _mm256_slli_epi32(pair, 16)));
            store(lists.place + k, _mm256_slli_epi32(_mm256_srli_epi32(packed, word_bits), 4));
        }
    }

    SPIKERUN_V3_INLINE static RowKernel kernel(size_t reach, size_t width) {
        return width == 16   ? row_kernels<Narrow, 16, 6>[reach - 1]
               : width == 32 ? row_kernels<Wide, 32, 6>[reach - 1]
                             : row_kernels<Wide, 64, 3>[reach - 1];
    }
};

}  // namespace

SPIKERUN_V3 bool pairs_avx2(const PairPlan& p, const int16_t* x, int32_t* acc, Scratch& scratch,
                            Span rows) noexcept {
    return run_plan<Avx2>(p, x, acc, scratch, rows);
}

}  // namespace spikerun

#endif

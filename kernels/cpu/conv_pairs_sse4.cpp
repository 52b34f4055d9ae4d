// SPDX-License-Identifier: Apache-2.0
// The kernel of conv_pairs.hpp, for SSE4.
#include <array>

#include "conv_pairs_lanes.hpp"

#if defined(SPIKERUN_X86)

#define SPIKERUN_TARGET SPIKERUN_V2
#define SPIKERUN_TARGET_INLINE SPIKERUN_V2_INLINE
#include "conv_pairs_rows.hpp"

namespace spikerun {
namespace {

// [mask]: the bytes of those of four lanes whose bit in the mask is 0, in front.
constexpr auto kept_bytes = [] {
    std::array<std::array<uint8_t, 16>, 16> table{};
    for (size_t mask = 0; mask < 16; ++mask)
        for (size_t lane = 0, k = 0; lane < 4; ++lane)
            if ((mask >> lane & 1) == 0)
                for (size_t byte = 0; byte < 4; ++byte)
                    table[mask][k++] = static_cast<uint8_t>(4 * lane + byte);
    return table;
}();

struct Sse4 {
    struct Seen {
        __m128i bits, sum;
        Others others;
        SPIKERUN_V2_INLINE Seen() : bits(_mm_setzero_si128()), sum(_mm_setzero_si128()) {}
        SPIKERUN_V2_INLINE uint32_t total() const {
            const __m128i two = _mm_add_epi32(sum, _mm_unpackhi_epi64(sum, sum));
            return static_cast<uint32_t>(_mm_cvtsi128_si32(two) + _mm_extract_epi32(two, 1)) + others.sum;
        }
        SPIKERUN_V2_INLINE bool fit() const {
            return _mm_testz_si128(bits, repeated_half(~largest_word)) != 0 &&
                   (others.bits & ~largest_word) == 0;
        }
    };

    SPIKERUN_V2_INLINE static size_t pack(const int16_t* x, size_t n, uint32_t first, uint32_t step,
                                          uint32_t* to, Seen& seen) {
        const __m128i lanes = _mm_setr_epi32(0, 1, 2, 3), zero = _mm_setzero_si128();
        __m128i row = _mm_add_epi32(repeated_half(first), _mm_mullo_epi32(lanes, repeated_half(step)));
        const __m128i four = repeated_half(4 * step);
        size_t count = 0, c = 0;
        for (; c + 4 <= n; c += 4) {
            const __m128i words = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(x + c));
            const __m128i wide = _mm_cvtepu16_epi32(words);
            seen.bits = _mm_or_si128(seen.bits, wide);
            seen.sum = _mm_add_epi32(seen.sum, wide);
            const __m128i silent = _mm_cmpeq_epi32(wide, zero);
            const auto mask = static_cast<uint32_t>(_mm_movemask_ps(_mm_castsi128_ps(silent)));
            store_half(to + count,
                       _mm_shuffle_epi8(_mm_or_si128(row, wide), load_half(kept_bytes[mask].data())));
            count += 4 - static_cast<size_t>(__builtin_popcount(mask));
            row = _mm_add_epi32(row, four);
        }
        for (; c < n; ++c)
            count += pack_one(x[c], first + static_cast<uint32_t>(c) * step, to + count, seen.others);
        return count;
    }

    SPIKERUN_V2_INLINE static void unpack(const Lists& lists, size_t begin, size_t end) {
        const __m128i words = repeated_half(largest_word);
        for (size_t k = begin; k < end; k += 4) {
            const __m128i packed = load_half(lists.place + k), next = load_half(lists.place + k + 1);
            const __m128i a = _mm_and_si128(packed, words), b = _mm_and_si128(next, words);
            const __m128i pair = _mm_or_si128(a, _mm_slli_epi32(b, 8));
            store_half(lists.factor + k, _mm_or_si128(pair, _mm_slli_epi32(pair, 16)));
            store_half(lists.place + k, _mm_slli_epi32(_mm_srli_epi32(packed, word_bits), 4));
        }
    }

    SPIKERUN_V2_INLINE static RowKernel kernel(size_t reach, size_t width) {
        return (width == 16 ? row_kernels<Narrow, 16, 6>[reach - 1] : row_kernels<Narrow, 32, 3>[reach - 1]);
    }
};

}  // namespace

SPIKERUN_V2 bool pairs_sse4(const PairPlan& p, const int16_t* x, int32_t* acc, Scratch& scratch,
                            Span rows) noexcept {
    return run_plan<Sse4>(p, x, acc, scratch, rows);
}

}  // namespace spikerun

#endif

// SPDX-License-Identifier: Apache-2.0
// The kernel of conv_pairs.hpp, for AVX-512.
#include "conv_pairs_lanes.hpp"

#if defined(SPIKERUN_X86)

#define SPIKERUN_TARGET SPIKERUN_V4
#define SPIKERUN_TARGET_INLINE SPIKERUN_V4_INLINE
#include "conv_pairs_rows.hpp"

namespace spikerun {
namespace {

struct Avx512 {
    struct Seen {
        __m512i bits, sum;
        SPIKERUN_V4_INLINE Seen() : bits(_mm512_setzero_si512()), sum(_mm512_setzero_si512()) {}
        SPIKERUN_V4_INLINE uint32_t total() const {
            return static_cast<uint32_t>(_mm512_reduce_add_epi32(sum));
        }
        SPIKERUN_V4_INLINE bool fit() const {
            return _mm512_test_epi32_mask(bits, repeated_wide(~largest_word)) == 0;
        }
    };

    SPIKERUN_V4_INLINE static size_t pack(const int16_t* x, size_t n, uint32_t first, uint32_t step,
                                          uint32_t* to, Seen& seen) {
        const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        __m512i row = _mm512_add_epi32(repeated_wide(first), _mm512_mullo_epi32(lanes, repeated_wide(step)));
        const __m512i sixteen = repeated_wide(16 * step);
        size_t count = 0, c = 0;
        for (; c + 16 <= n; c += 16) {
            count += pack_words(load(x + c), row, to + count, seen);
            row = _mm512_add_epi32(row, sixteen);
        }
        if (c < n) {
            const auto rest = static_cast<__mmask16>((1u << (n - c)) - 1);
            count += pack_words(_mm256_maskz_loadu_epi16(rest, x + c), row, to + count, seen);
        }
        return count;
    }
    SPIKERUN_V4_INLINE static size_t pack_words(__m256i words, __m512i row, uint32_t* to, Seen& seen) {
        const __m512i wide = _mm512_cvtepu16_epi32(words);
        seen.bits = _mm512_or_si512(seen.bits, wide);
        seen.sum = _mm512_add_epi32(seen.sum, wide);
        const __mmask16 active = _mm512_test_epi32_mask(wide, wide);
        // Compressed in a register: some processors are slow to do so into memory.
        store_wide(to, _mm512_maskz_compress_epi32(active, _mm512_or_si512(row, wide)));
        return static_cast<size_t>(__builtin_popcount(active));
    }

    SPIKERUN_V4_INLINE static void unpack(const Lists& lists, size_t begin, size_t end) {
        const __m512i words = repeated_wide(largest_word);
        for (size_t k = begin; k < end; k += 16) {
            const __m512i packed = load_wide(lists.place + k), next = load_wide(lists.place + k + 1);
            const __m512i a = _mm512_and_si512(packed, words), b = _mm512_and_si512(next, words);
            const __m512i pair = _mm512_or_si512(a, _mm512_slli_epi32(b, 8));
            store_wide(lists.factor + k, _mm512_or_si512(pair, _mm512_slli_epi32(pair, 16)));
            store_wide(lists.place + k, _mm512_slli_epi32(_mm512_srli_epi32(packed, word_bits), 4));
        }
    }

    SPIKERUN_V4_INLINE static RowKernel kernel(size_t reach, size_t width) {
        return width == 16   ? row_kernels<Narrow, 16, 6>[reach - 1]
               : width == 32 ? row_kernels<Wide, 32, 6>[reach - 1]
               : width == 64 ? row_kernels<Widest, 64, 6>[reach - 1]
                             : row_kernels<Widest, 128, 6>[reach - 1];
    }
};

}  // namespace

SPIKERUN_V4 bool pairs_avx512(const PairPlan& p, const int16_t* x, int32_t* acc, Scratch& scratch,
                              Span rows) noexcept {
    return run_plan<Avx512>(p, x, acc, scratch, rows);
}

}  // namespace spikerun

#endif

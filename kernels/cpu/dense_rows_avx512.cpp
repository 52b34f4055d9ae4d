// SPDX-License-Identifier: Apache-2.0
// The kernel of dense_rows.hpp, for AVX-512; words of 128..255 are left to VNNI, all others to AVX2.
#include "dense_sums_avx512.hpp"

#if defined(SPIKERUN_X86)

#define SPIKERUN_TARGET SPIKERUN_V4
#define SPIKERUN_TARGET_INLINE SPIKERUN_V4_INLINE
#include "dense_loops.hpp"

namespace spikerun {

namespace {

// The lower or the upper half of numbers of 16 bits, with 32.
template <int Half>
SPIKERUN_V4_INLINE __m512i widened(__m512i numbers) {
    return _mm512_cvtepi16_epi32(_mm512_extracti64x4_epi64(numbers, Half));
}
// Words of 0..127; sums of 16 bits. Of 64 channels in two registers: of every 16 the first eight, and the
// others.
struct Few {
    static constexpr bool few = true;
    static constexpr size_t sums = 2, most_blocks = 4;
    using Vector = __m512i;
    using Words = __m512i;
    using Memory = int16_t;

    SPIKERUN_V4_INLINE static Vector zero() { return _mm512_setzero_si512(); }
    SPIKERUN_V4_INLINE static Words words(uint32_t factor) {
        return _mm512_set1_epi32(static_cast<int>(factor));
    }
    SPIKERUN_V4_INLINE static uint32_t sum_of(uint32_t factor) {
        return (factor & 0xFF) + (factor >> 8 & 0xFF);
    }
    SPIKERUN_V4_INLINE static void add(const int8_t* a, const int8_t* b, Words words, Vector (&to)[sums]) {
        Vector of_a = _mm512_loadu_si512(a);
        Vector of_b = _mm512_loadu_si512(b);
        asm("" : "+v"(of_a), "+v"(of_b));
        to[0] = _mm512_add_epi16(to[0], _mm512_maddubs_epi16(words, _mm512_unpacklo_epi8(of_a, of_b)));
        to[1] = _mm512_add_epi16(to[1], _mm512_maddubs_epi16(words, _mm512_unpackhi_epi8(of_a, of_b)));
    }
    SPIKERUN_V4_INLINE static void load(const int16_t* from, size_t, Vector (&to)[sums]) {
        to[0] = _mm512_loadu_si512(from);
        to[1] = _mm512_loadu_si512(from + 32);
    }
    SPIKERUN_V4_INLINE static void store(int16_t* to, size_t, const Vector (&from)[sums]) {
        _mm512_storeu_si512(to, from[0]);
        _mm512_storeu_si512(to + 32, from[1]);
    }
    SPIKERUN_V4_INLINE static void save(const Vector (&from)[sums], int32_t* acc, size_t columns) {
        const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
        const __m512i second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
        const __m512i low = _mm512_permutex2var_epi64(from[0], first, from[1]);
        const __m512i high = _mm512_permutex2var_epi64(from[0], second, from[1]);
        const __m512i wide[4] = {widened<0>(low), widened<1>(low), widened<0>(high), widened<1>(high)};
        add_64(acc, wide, columns);
    }
};

// Lists rows and their words, one behind the other; returns how many, and what bits the words have.
template <bool Active>
SPIKERUN_V4_INLINE size_t list(const DenseJob& job, uint32_t& bits) {
    const auto stride = static_cast<uint32_t>(job.stride);
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __m512i row = _mm512_mullo_epi32(lanes, _mm512_set1_epi32(static_cast<int>(stride)));
    const __m512i step = _mm512_set1_epi32(static_cast<int>(16 * stride));
    __m512i seen = _mm512_setzero_si512();
    size_t count = 0;
    for (size_t i = 0; i < job.n_in; i += 16, row = _mm512_add_epi32(row, step)) {
        const __mmask16 there = of_columns(job.n_in - i);
        const __m512i words = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(there, job.x + i));
        seen = _mm512_or_si512(seen, words);
        if constexpr (Active) {
            const __mmask16 active = _mm512_test_epi32_mask(words, words);
            _mm512_storeu_si512(job.place + count, _mm512_maskz_compress_epi32(active, row));
            _mm512_storeu_si512(job.factor + count, _mm512_maskz_compress_epi32(active, words));
            count += static_cast<size_t>(__builtin_popcount(active));
        } else {
            _mm512_storeu_si512(job.place + i, row);
            _mm512_storeu_si512(job.factor + i, words);
        }
    }
    bits = static_cast<uint32_t>(_mm512_reduce_or_epi32(seen));
    return Active ? count : job.n_in;
}

// The words of pairs, as bytes a b a b.
SPIKERUN_V4_INLINE void pair_words(uint32_t* factor, size_t count) {
    for (size_t k = 0; k < count; k += 16) {
        const __m512i words = _mm512_loadu_si512(factor + k);
        const __m512i both = _mm512_or_si512(words, _mm512_srli_epi64(words, 24));
        const __m512i low = _mm512_and_si512(both, _mm512_set1_epi64(0xFFFF));
        const __m512i twice = _mm512_or_si512(low, _mm512_slli_epi64(low, 16));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(factor + k / 2), _mm512_cvtepi64_epi32(twice));
    }
}

// Whether it can be done here.
SPIKERUN_V4 bool run(const DenseJob& job, bool vnni) {
    uint32_t bits = 0;
    const size_t count = job.active ? list<true>(job, bits) : list<false>(job, bits);
    if (bits > (vnni ? 255 : DenseJob::largest_few)) return false;
    if (count == 0) return true;
    std::fill_n(job.place + count, DenseJob::slack / 2, job.place[count - 1]);
    job.factor[count] = 0;
    pair_words(job.factor, count);
    const DenseRows rows{job.place, job.factor, (count + 1) / 2};
    if (bits <= DenseJob::largest_few)
        add_rows_of<Few>(rows, job);
    else
        add_dense_bytes_vnni(rows, job);
    return true;
}

}  // namespace

void add_dense_rows_avx512(const DenseJob& job, bool vnni) noexcept {
    if (!run(job, vnni)) add_dense_rows_avx2(job);
}

}  // namespace spikerun

#endif

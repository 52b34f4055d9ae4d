// SPDX-License-Identifier: Apache-2.0
// The kernel of dense_rows.hpp, for AVX2.
#include "avx2.hpp"

#if defined(SPIKERUN_X86)

#define SPIKERUN_TARGET SPIKERUN_V3
#define SPIKERUN_TARGET_INLINE SPIKERUN_V3_INLINE
#include <array>

#include "dense_loops.hpp"

namespace spikerun {

namespace {

// Words of 0..127; sums of 16 bits. Of 32 channels in two registers: [0..7, 16..23] and [8..15, 24..31].
struct Few {
    static constexpr bool few = true;
    static constexpr size_t sums = 4, most_blocks = 2;
    using Vector = __m256i;
    using Words = __m256i;
    using Memory = int16_t;

    SPIKERUN_V3_INLINE static Vector zero() { return _mm256_setzero_si256(); }
    SPIKERUN_V3_INLINE static Words words(uint32_t factor) { return repeated(factor); }
    SPIKERUN_V3_INLINE static uint32_t sum_of(uint32_t factor) {
        return (factor & 0xFF) + (factor >> 8 & 0xFF);
    }
    SPIKERUN_V3_INLINE static void add(const int8_t* a, const int8_t* b, Words words, Vector (&to)[sums]) {
        SPIKERUN_UNROLLED
        for (size_t k = 0; k < 2; ++k) {
            Vector of_a = ::spikerun::load(a + 32 * k);
            Vector of_b = ::spikerun::load(b + 32 * k);
            SPIKERUN_IN_REGISTERS(of_a, of_b);
            const Vector low = _mm256_maddubs_epi16(words, _mm256_unpacklo_epi8(of_a, of_b));
            const Vector high = _mm256_maddubs_epi16(words, _mm256_unpackhi_epi8(of_a, of_b));
            to[2 * k] = _mm256_add_epi16(to[2 * k], low);
            to[2 * k + 1] = _mm256_add_epi16(to[2 * k + 1], high);
        }
    }
    SPIKERUN_V3_INLINE static void load(const int16_t* from, size_t, Vector (&to)[sums]) {
        SPIKERUN_UNROLLED
        for (size_t k = 0; k < sums; ++k) to[k] = ::spikerun::load(from + 16 * k);
    }
    SPIKERUN_V3_INLINE static void store(int16_t* to, size_t, const Vector (&from)[sums]) {
        SPIKERUN_UNROLLED
        for (size_t k = 0; k < sums; ++k) ::spikerun::store(to + 16 * k, from[k]);
    }
    // Adds the first `columns` of the sums to `acc`.
    SPIKERUN_V3_INLINE static void save(const Vector (&from)[sums], int32_t* acc, size_t columns) {
        if (columns >= DenseJob::block) return save_whole(from, acc);
        std::array<int32_t, DenseJob::block> some{};
        save_whole(from, some.data());
        for (size_t j = 0; j < columns; ++j) acc[j] = wrapping_add(acc[j], some[j]);
    }
    SPIKERUN_V3_INLINE static void save_whole(const Vector (&from)[sums], int32_t* acc) {
        SPIKERUN_UNROLLED
        for (size_t k = 0; k < sums; ++k) {
            int32_t* const to = acc + 32 * (k / 2) + 8 * (k % 2);
            add_to(to, _mm256_cvtepi16_epi32(_mm256_castsi256_si128(from[k])));
            add_to(to + 16, _mm256_cvtepi16_epi32(_mm256_extracti128_si256(from[k], 1)));
        }
    }
};

// Any words; sums of 32 bits.
struct Any {
    static constexpr bool few = false;
    static constexpr size_t sums = 8, most_blocks = 1;
    using Vector = __m256i;
    using Words = __m256i;
    using Memory = int32_t;

    SPIKERUN_V3_INLINE static Vector zero() { return _mm256_setzero_si256(); }
    SPIKERUN_V3_INLINE static Words words(uint32_t factor) { return repeated(factor); }
    SPIKERUN_V3_INLINE static void add(const int8_t* a, const int8_t* b, Words words, Vector (&to)[sums]) {
        SPIKERUN_UNROLLED
        for (size_t k = 0; k < sums; k += 2) {
            const __m128i of_a = load_half(a + 8 * k), of_b = load_half(b + 8 * k);
            const Vector low = _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(of_a, of_b));
            const Vector high = _mm256_cvtepi8_epi16(_mm_unpackhi_epi8(of_a, of_b));
            to[k] = _mm256_add_epi32(to[k], _mm256_madd_epi16(words, low));
            to[k + 1] = _mm256_add_epi32(to[k + 1], _mm256_madd_epi16(words, high));
        }
    }
    SPIKERUN_V3_INLINE static void load(const int32_t* from, size_t columns, Vector (&to)[sums]) {
        std::array<int32_t, DenseJob::block> some{};
        if (columns < DenseJob::block) {
            std::copy_n(from, columns, some.begin());
            from = some.data();
        }
        SPIKERUN_UNROLLED
        for (size_t k = 0; k < sums; ++k) to[k] = ::spikerun::load(from + 8 * k);
    }
    SPIKERUN_V3_INLINE static void store(int32_t* to, size_t columns, const Vector (&from)[sums]) {
        std::array<int32_t, DenseJob::block> some;
        int32_t* const all = columns < DenseJob::block ? some.data() : to;
        SPIKERUN_UNROLLED
        for (size_t k = 0; k < sums; ++k) ::spikerun::store(all + 8 * k, from[k]);
        if (columns < DenseJob::block) std::copy_n(some.begin(), columns, to);
    }
    SPIKERUN_V3_INLINE static void save(const Vector (&from)[sums], int32_t* acc, size_t columns) {
        Vector before[sums];
        load(acc, columns, before);
        SPIKERUN_UNROLLED
        for (size_t k = 0; k < sums; ++k) before[k] = _mm256_add_epi32(before[k], from[k]);
        store(acc, columns, before);
    }
};

// Lists rows and their words, one behind the other; returns how many, and what bits the words have.
template <bool Active>
SPIKERUN_V3_INLINE size_t list(const DenseJob& job, uint32_t& bits) {
    const auto stride = static_cast<uint32_t>(job.stride);
    const __m256i zero = _mm256_setzero_si256(), eight = repeated(8 * stride);
    __m256i row = _mm256_mullo_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), repeated(stride));
    __m256i seen = zero;
    size_t count = 0, i = 0;
    for (; i + 8 <= job.n_in; i += 8, row = _mm256_add_epi32(row, eight)) {
        const __m256i words = _mm256_cvtepu16_epi32(load_half(job.x + i));
        seen = _mm256_or_si256(seen, words);
        if constexpr (Active) {
            const __m256 silent = _mm256_castsi256_ps(_mm256_cmpeq_epi32(words, zero));
            const auto mask = static_cast<uint32_t>(_mm256_movemask_ps(silent));
            const auto* const kept = reinterpret_cast<const __m128i*>(kept_lanes[mask].data());
            const __m256i order = _mm256_cvtepu8_epi32(_mm_loadl_epi64(kept));
            store(job.place + count, _mm256_permutevar8x32_epi32(row, order));
            store(job.factor + count, _mm256_permutevar8x32_epi32(words, order));
            count += 8 - static_cast<size_t>(__builtin_popcount(mask));
        } else {
            store(job.place + i, row);
            store(job.factor + i, words);
            count += 8;
        }
    }
    const __m128i four = _mm_or_si128(_mm256_castsi256_si128(seen), _mm256_extracti128_si256(seen, 1));
    const __m128i two = _mm_or_si128(four, _mm_unpackhi_epi64(four, four));
    bits = static_cast<uint32_t>(_mm_cvtsi128_si32(two) | _mm_extract_epi32(two, 1));
    for (; i < job.n_in; ++i) {
        const auto word = static_cast<uint16_t>(job.x[i]);
        bits |= word;
        job.place[count] = static_cast<uint32_t>(i) * stride;
        job.factor[count] = word;
        count += !Active || word != 0;
    }
    return count;
}

// The words of pairs: as bytes a b a b, or as a and b of 16 bits.
SPIKERUN_V3_INLINE void pair_words(uint32_t* factor, size_t count, bool bytes) {
    const __m256i low = _mm256_set1_epi64x(bytes ? 0xFFFF : -1),
                  even = _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6);
    for (size_t k = 0; k < count; k += 8) {
        const __m256i words = load(factor + k);
        const __m256i right = bytes ? _mm256_srli_epi64(words, 24) : _mm256_srli_epi64(words, 16);
        __m256i both = _mm256_and_si256(_mm256_or_si256(words, right), low);
        if (bytes) both = _mm256_or_si256(both, _mm256_slli_epi64(both, 16));
        const __m256i four = _mm256_permutevar8x32_epi32(both, even);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(factor + k / 2), _mm256_castsi256_si128(four));
    }
}

SPIKERUN_V3 void run(const DenseJob& job) {
    uint32_t bits = 0;
    size_t count = job.active ? list<true>(job, bits) : list<false>(job, bits);
    if (count == 0) return;
    std::fill_n(job.place + count, DenseJob::slack / 2, job.place[count - 1]);
    job.factor[count] = 0;
    const DenseRows rows{job.place, job.factor, (count + 1) / 2};
    const bool few = bits <= DenseJob::largest_few;
    pair_words(job.factor, count, few);
    if (few)
        add_rows_of<Few>(rows, job);
    else
        add_rows_of<Any>(rows, job);
}

}  // namespace

void add_dense_rows_avx2(const DenseJob& job) noexcept {
    run(job);
}

}  // namespace spikerun

#endif

// SPDX-License-Identifier: Apache-2.0
// The sums of conv_pairs_rows.hpp in registers. The bytes of two rows of weights are interleaved as [a0 b0 a1
// b1 ..]; one instruction multiplies them by the two words and adds both products: 127 * 128 * 2 < 2^15. Sums
// have 16 bits, and are added to those of 32 bits before they could overflow.
//
// For two active inputs and as many channels as a register has bytes that is 2 interleavings, 2
// multiplications and 2 additions. With VNNI it could be 2 and 4 multiplications that add: as many
// operations, no sums to save in between, but twice as many registers of them. Measured with these six
// operations in a loop on Zen 4, which shares them among four units, but has two that multiply: 2.0 a cycle
// against 1.5 with VNNI. On processors of Intel with two units for all of them both would take three cycles,
// so there is one kernel for both.
#pragma once

#include <array>

#include "avx512.hpp"

#if defined(SPIKERUN_X86)

namespace spikerun {

// 16 channels in two registers, of which `count` are there.
struct Narrow {
    using Vector = __m128i;
    static constexpr size_t channels = 16;
    SPIKERUN_V2_INLINE static Vector zero() { return _mm_setzero_si128(); }
    SPIKERUN_V2_INLINE static Vector both(const uint32_t* factor) { return repeated_half(*factor); }
    SPIKERUN_V2_INLINE static void add(const int8_t* a, const int8_t* b, Vector words, Vector& low,
                                       Vector& high) {
        Vector of_a = load_half(a);
        Vector of_b = load_half(b);
        SPIKERUN_IN_REGISTERS(of_a, of_b);
        low = _mm_add_epi16(low, _mm_maddubs_epi16(words, _mm_unpacklo_epi8(of_a, of_b)));
        high = _mm_add_epi16(high, _mm_maddubs_epi16(words, _mm_unpackhi_epi8(of_a, of_b)));
    }
    SPIKERUN_V2_INLINE static void save_eight(Vector sums, int32_t* to) {
        add_to(to, _mm_cvtepi16_epi32(sums));
        add_to(to + 4, _mm_cvtepi16_epi32(_mm_unpackhi_epi64(sums, sums)));
    }
    SPIKERUN_V2_INLINE static void save(Vector low, Vector high, int32_t* to, size_t count) {
        if (count >= channels) {
            save_eight(low, to);
            save_eight(high, to + 8);
            return;
        }
        std::array<int16_t, channels> sums;
        store_half(sums.data(), low);
        store_half(sums.data() + 8, high);
        for (size_t j = 0; j < count; ++j) to[j] = wrapping_add(to[j], sums[j]);
    }
};

// 32 channels in two registers: [0..7, 16..23] and [8..15, 24..31].
struct Wide {
    using Vector = __m256i;
    static constexpr size_t channels = 32;
    SPIKERUN_V3_INLINE static Vector zero() { return _mm256_setzero_si256(); }
    SPIKERUN_V3_INLINE static Vector both(const uint32_t* factor) { return repeated(*factor); }
    SPIKERUN_V3_INLINE static void add(const int8_t* a, const int8_t* b, Vector words, Vector& low,
                                       Vector& high) {
        Vector of_a = load(a);
        Vector of_b = load(b);
        SPIKERUN_IN_REGISTERS(of_a, of_b);
        low = _mm256_add_epi16(low, _mm256_maddubs_epi16(words, _mm256_unpacklo_epi8(of_a, of_b)));
        high = _mm256_add_epi16(high, _mm256_maddubs_epi16(words, _mm256_unpackhi_epi8(of_a, of_b)));
    }
    SPIKERUN_V3_INLINE static void save_eight(__m128i sums, int32_t* to) {
        add_to(to, _mm256_cvtepi16_epi32(sums));
    }
    SPIKERUN_V3_INLINE static void save(Vector low, Vector high, int32_t* to, size_t) {
        save_eight(_mm256_castsi256_si128(low), to);
        save_eight(_mm256_castsi256_si128(high), to + 8);
        save_eight(_mm256_extracti128_si256(low, 1), to + 16);
        save_eight(_mm256_extracti128_si256(high, 1), to + 24);
    }
};

// 64 channels in two registers, eight each by turns.
struct Widest {
    using Vector = __m512i;
    static constexpr size_t channels = 64;
    SPIKERUN_V4_INLINE static Vector zero() { return _mm512_setzero_si512(); }
    SPIKERUN_V4_INLINE static Vector both(const uint32_t* factor) { return repeated_wide(*factor); }
    SPIKERUN_V4_INLINE static void add(const int8_t* a, const int8_t* b, Vector words, Vector& low,
                                       Vector& high) {
        Vector of_a = load_wide(a);
        Vector of_b = load_wide(b);
        asm("" : "+v"(of_a), "+v"(of_b));
        low = _mm512_add_epi16(low, _mm512_maddubs_epi16(words, _mm512_unpacklo_epi8(of_a, of_b)));
        high = _mm512_add_epi16(high, _mm512_maddubs_epi16(words, _mm512_unpackhi_epi8(of_a, of_b)));
    }
    SPIKERUN_V4_INLINE static void save_half(Vector sums, int32_t* to) {
        add_to(to, _mm512_cvtepi16_epi32(_mm512_castsi512_si256(sums)));
        add_to(to + 16, _mm512_cvtepi16_epi32(_mm512_extracti64x4_epi64(sums, 1)));
    }
    SPIKERUN_V4_INLINE static void save(Vector low, Vector high, int32_t* to, size_t) {
        const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
        const __m512i last = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
        save_half(_mm512_permutex2var_epi64(low, first, high), to);
        save_half(_mm512_permutex2var_epi64(low, last, high), to + 32);
    }
};

}  // namespace spikerun

#endif

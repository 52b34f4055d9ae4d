// SPDX-License-Identifier: Apache-2.0
// The kernel of dense_rows.hpp for words of 0..255, for AVX-512 with VNNI: a file of its own, so that no
// other function is compiled for what its processor may lack.
#include "dense_sums_avx512.hpp"

#if defined(SPIKERUN_X86)

#define SPIKERUN_TARGET SPIKERUN_VNNI
#define SPIKERUN_TARGET_INLINE SPIKERUN_VNNI_INLINE
#include "dense_loops.hpp"

namespace spikerun {

namespace {

// Words of 0..255; sums of 32 bits. Sum k of lane 4 * l + i is that of column 16 * l + 8 * (k / 2) + 2 * i +
// k % 2.
struct Byte {
    static constexpr bool few = false;
    static constexpr size_t sums = 4, most_blocks = 4;
    using Vector = __m512i;
    struct Words {
        Vector even, odd;
    };
    using Memory = int32_t;

    SPIKERUN_VNNI_INLINE static Vector zero() { return _mm512_setzero_si512(); }
    SPIKERUN_VNNI_INLINE static Words words(uint32_t factor) {
        return {_mm512_set1_epi32(static_cast<int>(factor & 0xFFFF)),
                _mm512_set1_epi32(static_cast<int>(factor & 0xFFFF0000))};
    }
    SPIKERUN_VNNI_INLINE static void add(const int8_t* a, const int8_t* b, Words words, Vector (&to)[sums]) {
        const Vector of_a = _mm512_loadu_si512(a), of_b = _mm512_loadu_si512(b);
        const Vector low = _mm512_unpacklo_epi8(of_a, of_b), high = _mm512_unpackhi_epi8(of_a, of_b);
        to[0] = _mm512_dpbusd_epi32(to[0], words.even, low);
        to[1] = _mm512_dpbusd_epi32(to[1], words.odd, low);
        to[2] = _mm512_dpbusd_epi32(to[2], words.even, high);
        to[3] = _mm512_dpbusd_epi32(to[3], words.odd, high);
    }
    // A pass begins with 0, and adds what it has: sums in memory are in the order of the columns.
    SPIKERUN_VNNI_INLINE static void load(const int32_t*, size_t, Vector (&to)[sums]) {
        SPIKERUN_UNROLLED
        for (size_t k = 0; k < sums; ++k) to[k] = zero();
    }
    SPIKERUN_VNNI_INLINE static void store(int32_t* to, size_t columns, const Vector (&from)[sums]) {
        save(from, to, columns);
    }
    SPIKERUN_VNNI_INLINE static void save(const Vector (&from)[sums], int32_t* acc, size_t columns) {
        // Of the four columns after 16 * l, in lane l: those after it, and 4, 8, 12 further.
        const Vector r0 = _mm512_unpacklo_epi32(from[0], from[1]);
        const Vector r1 = _mm512_unpackhi_epi32(from[0], from[1]);
        const Vector r2 = _mm512_unpacklo_epi32(from[2], from[3]);
        const Vector r3 = _mm512_unpackhi_epi32(from[2], from[3]);
        const Vector even_low = _mm512_shuffle_i32x4(r0, r1, 0x88),
                     odd_low = _mm512_shuffle_i32x4(r0, r1, 0xDD);
        const Vector even_high = _mm512_shuffle_i32x4(r2, r3, 0x88),
                     odd_high = _mm512_shuffle_i32x4(r2, r3, 0xDD);
        const Vector all[4] = {
            _mm512_shuffle_i32x4(even_low, even_high, 0x88), _mm512_shuffle_i32x4(odd_low, odd_high, 0x88),
            _mm512_shuffle_i32x4(even_low, even_high, 0xDD), _mm512_shuffle_i32x4(odd_low, odd_high, 0xDD)};
        add_64(acc, all, columns);
    }
};

SPIKERUN_VNNI void run(const DenseRows& rows, const DenseJob& job) {
    add_rows_of<Byte>(rows, job);
}

}  // namespace

void add_dense_bytes_vnni(const DenseRows& rows, const DenseJob& job) noexcept {
    run(rows, job);
}

}  // namespace spikerun

#endif

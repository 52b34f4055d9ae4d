// SPDX-License-Identifier: Apache-2.0
// Tiles as vectors of the registers of an instruction set, and how membranes leak.
#pragma once

#include <algorithm>
#include <cstring>

#include "isa.hpp"
#include "marks.hpp"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace spikerun {

// Vectors of W numbers, as long as the registers of an instruction set are; a tile is some of them.
template <size_t W>
struct Lanes;
#define SPIKERUN_LANES(W)                                                   \
    template <>                                                             \
    struct Lanes<W> {                                                       \
        static constexpr size_t parts = Marks::tile / W;                    \
        using Int = int32_t __attribute__((vector_size(4 * W)));            \
        using Unsigned = uint32_t __attribute__((vector_size(4 * W)));      \
        using Short = int16_t __attribute__((vector_size(2 * W)));          \
        using UnsignedShort = uint16_t __attribute__((vector_size(2 * W))); \
    };
SPIKERUN_LANES(4)
SPIKERUN_LANES(8)
#undef SPIKERUN_LANES

// By reference: how vectors are passed by value depends on the instruction set.
template <class V, class E>
SPIKERUN_INLINE void load(V& to, const E* from) {
    std::memcpy(&to, from, sizeof to);
}
template <class V, class E>
SPIKERUN_INLINE void store(const V& from, E* to) {
    std::memcpy(to, &from, sizeof from);
}

// Where a vector of all ones or zeros says so, `a`.
template <class V>
SPIKERUN_INLINE void choose(V& to, const V& where, const V& a) {
    to ^= (a ^ to) & where;
}

// Whether any of these bits is set anywhere.
template <class V>
SPIKERUN_INLINE bool any(const V& x, uint32_t bits = ~uint32_t{0}) {
#if defined(__SSE2__)
    __m128i parts[sizeof(V) / 16];
    std::memcpy(parts, &x, sizeof x);
    __m128i all = parts[0];
    for (size_t k = 1; k < sizeof(V) / 16; ++k) all = _mm_or_si128(all, parts[k]);
    all = _mm_and_si128(all, _mm_set1_epi32(static_cast<int>(bits)));
    return _mm_movemask_epi8(_mm_cmpeq_epi32(all, _mm_setzero_si128())) != 0xFFFF;
#else
    uint64_t parts[sizeof(V) / 8], all = 0;
    std::memcpy(parts, &x, sizeof x);
    for (const uint64_t part : parts) all |= part;
    return (all & (uint64_t{bits} << 32 | bits)) != 0;
#endif
}

// x = x * factor / 2^16, so many times, for numbers below 2^16 of a tile.
#if defined(__SSE2__)
template <size_t W>
SPIKERUN_INLINE void shrink_short(typename Lanes<W>::Unsigned* x, const typename Lanes<W>::Unsigned* factor,
                                  uint32_t times) {
    using Narrow = typename Lanes<W>::UnsignedShort;
    using Wide = typename Lanes<W>::Unsigned;
    constexpr uint32_t often = 8;
    constexpr size_t half = Marks::tile / 2;
    uint16_t words[Marks::tile], factors[Marks::tile];
    for (size_t k = 0; k < Lanes<W>::parts; ++k) {
        store(__builtin_convertvector(x[k], Narrow), words + k * W);
        store(__builtin_convertvector(factor[k], Narrow), factors + k * W);
    }
    __m128i low, high, by_low, by_high;
    load(low, words);
    load(high, words + half);
    load(by_low, factors);
    load(by_high, factors + half);
    while (true) {
        const uint32_t n = std::min(times, often);
        SPIKERUN_ROLLED
        for (uint32_t step = 0; step < n; ++step) {
            low = _mm_mulhi_epu16(low, by_low);
            high = _mm_mulhi_epu16(high, by_high);
        }
        times -= n;
        if (times == 0) break;
        const __m128i zero = _mm_cmpeq_epi16(_mm_or_si128(low, high), _mm_setzero_si128());
        if (_mm_movemask_epi8(zero) == 0xFFFF) break;
    }
    store(low, words);
    store(high, words + half);
    for (size_t k = 0; k < Lanes<W>::parts; ++k) {
        Narrow part;
        load(part, words + k * W);
        x[k] = __builtin_convertvector(part, Wide);
    }
}
#else
template <size_t W>
SPIKERUN_INLINE void shrink_short(typename Lanes<W>::Unsigned* x, const typename Lanes<W>::Unsigned* factor,
                                  uint32_t times) {
    for (bool more = true; more;) {
        typename Lanes<W>::Unsigned all{};
        for (size_t k = 0; k < Lanes<W>::parts; ++k) {
            x[k] = x[k] * factor[k] >> 16;
            all |= x[k];
        }
        more = --times != 0 && any(all);
    }
}
#endif

// v = the magnitude of v times keep / 2^16, so many times, with the sign of v: a tile. Most membranes have
// less than 16 bits, and factors too: then products need no more than 32. What a step does not change,
// further ones do not either.
template <size_t W>
SPIKERUN_INLINE void leak(typename Lanes<W>::Int (&v)[Lanes<W>::parts], const int32_t* keep, uint32_t times,
                          bool short_factors) {
    using Unsigned = typename Lanes<W>::Unsigned;
    using Int = typename Lanes<W>::Int;
    constexpr size_t parts = Lanes<W>::parts;
    Int sign[parts];
    Unsigned x[parts], factor[parts], all{};
    for (size_t k = 0; k < parts; ++k) {
        sign[k] = v[k] >> 31;
        x[k] = reinterpret_cast<Unsigned>((v[k] ^ sign[k]) - sign[k]);
        load(factor[k], keep + k * W);
        all |= x[k];
    }
    if (!any(all)) return;
    if (short_factors && !any(all, 0xFFFF0000)) {
        shrink_short<W>(x, factor, times);
    } else {
        do {
            all = Unsigned{};
            for (size_t k = 0; k < parts; ++k) {
                const Unsigned before = x[k];
                x[k] = (x[k] >> 16) * factor[k] + ((x[k] & 0xFFFF) * factor[k] >> 16);
                all |= x[k] ^ before;
            }
        } while (--times != 0 && any(all));
    }
    for (size_t k = 0; k < parts; ++k) v[k] = (reinterpret_cast<Int>(x[k]) ^ sign[k]) - sign[k];
}

// Kernel<W>::run(arguments...), W the lanes of the instruction set in use.
template <template <size_t> class Kernel, class... Arguments>
void run_in_lanes(Arguments&&... arguments) noexcept {
#if defined(SPIKERUN_X86)
    switch (current_isa.load(std::memory_order_relaxed)) {
        case Isa::v4_vnni:  // longer registers are slower here: a tile is two of these
        case Isa::v4:
        case Isa::v3:
            return run_v3<Kernel<8>>(arguments...);
        case Isa::sse4:
#if !defined(SPIKERUN_FEW_ISAS)
            return run_sse4<Kernel<4>>(arguments...);
#endif
        case Isa::plain:
            break;
    }
#endif
    return Kernel<4>::run(arguments...);
}

}  // namespace spikerun

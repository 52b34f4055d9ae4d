// SPDX-License-Identifier: Apache-2.0
// What every kernel file shares: number types, limits, wrap-around sums.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

#if defined(__GNUC__)
#define SPIKERUN_INLINE [[gnu::always_inline]] inline
#define SPIKERUN_LAMBDA_INLINE __attribute__((always_inline))
#define SPIKERUN_RESTRICT __restrict__
#else
#define SPIKERUN_INLINE inline
#define SPIKERUN_LAMBDA_INLINE
#define SPIKERUN_RESTRICT __restrict
#endif

// Before a loop that must not be unrolled before it is vectorised; clang needs no such advice.
#if defined(__GNUC__) && !defined(__clang__)
#define SPIKERUN_ROLLED _Pragma("GCC unroll 1")
#else
#define SPIKERUN_ROLLED
#endif

namespace spikerun {

using std::int16_t;
using std::int32_t;
using std::int64_t;
using std::int8_t;
using std::size_t;
using std::uint16_t;
using std::uint32_t;
using std::uint64_t;

// Upper limit of every dimension and of every register, so that no product of sizes overflows.
constexpr int64_t max_size = int64_t{1} << 28;

// Membranes saturate here (24-bit hardware registers).
constexpr int64_t membrane_limit = (int64_t{1} << 23) - 1;

// a + b modulo 2^32: defined for every input, unlike the signed sum.
SPIKERUN_INLINE int32_t wrapping_add(int32_t a, int32_t b) {
    return static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
}

// acc + a * b modulo 2^32.
SPIKERUN_INLINE int32_t wrapping_multiply_add(int32_t acc, int32_t a, int32_t b) {
    return static_cast<int32_t>(static_cast<uint32_t>(acc) +
                                static_cast<uint32_t>(a) * static_cast<uint32_t>(b));
}

template <class T>
SPIKERUN_INLINE T clip(T x, T low, T high) {
    return x < low ? low : high < x ? high : x;
}

// Asks for a cache line that will be written soon.
SPIKERUN_INLINE void fetch_to_write(const void* place) {
#if defined(__GNUC__)
    __builtin_prefetch(place, 1);
#else
    (void)place;
#endif
}

// The number of set bits: without branches and without an instruction for it, so that loops are vectorised
// for every machine.
SPIKERUN_INLINE uint16_t set_bits(uint16_t w) {
    const auto pairs = static_cast<uint16_t>(w - ((w >> 1) & 0x5555));
    const auto fours = static_cast<uint16_t>((pairs & 0x3333) + ((pairs >> 2) & 0x3333));
    const auto eights = static_cast<uint16_t>((fours + (fours >> 4)) & 0x0F0F);
    return static_cast<uint16_t>((eights + (eights >> 8)) & 0x1F);
}

// The place of the lowest set bit of x, which is not zero.
SPIKERUN_INLINE size_t lowest_bit(uint64_t x) {
#if defined(__GNUC__)
    return static_cast<size_t>(__builtin_ctzll(x));
#else
    size_t place = 0;
    for (; (x & 1) == 0; x >>= 1) ++place;
    return place;
#endif
}

// The place of the highest set bit of x, which is not zero.
SPIKERUN_INLINE size_t highest_bit(uint64_t x) {
#if defined(__GNUC__)
    return static_cast<size_t>(63 - __builtin_clzll(x));
#else
    size_t place = 0;
    for (; x > 1; x >>= 1) ++place;
    return place;
#endif
}

inline size_t unsign(int64_t value) {
    return static_cast<size_t>(value);
}

inline std::string text(int64_t value) {
    return std::to_string(value);
}

// Throws the ValueError of an argument, unless `ok`.
inline void require(bool ok, const char* argument, const std::string& problem) {
    if (!ok) throw std::invalid_argument(std::string(argument) + ": " + problem);
}

inline void require_range(const char* argument, int64_t value, int64_t low, int64_t high) {
    if (value < low || value > high)
        require(false, argument, "expected " + text(low) + ".." + text(high) + ", got " + text(value));
}

inline void require_same(size_t expected, size_t got, const char* argument) {
    if (expected != got)
        require(false, argument,
                "expected " + std::to_string(expected) + " elements, got " + std::to_string(got));
}

}  // namespace spikerun

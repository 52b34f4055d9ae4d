// What every kernel file shares: number types, wrap-around sums, and code for several instruction sets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

// Marks a function that the compiler builds once per instruction set and the loader chooses from at start.
// Helpers called from it must be SPIKERUN_INLINE to be built with it.
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(SPIKERUN_NO_CLONES)
#define SPIKERUN_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define SPIKERUN_CLONES
#endif

#if defined(__GNUC__)
#define SPIKERUN_INLINE [[gnu::always_inline]] inline
#define SPIKERUN_LAMBDA_INLINE __attribute__((always_inline))
#define SPIKERUN_RESTRICT __restrict__
#else
#define SPIKERUN_INLINE inline
#define SPIKERUN_LAMBDA_INLINE
#define SPIKERUN_RESTRICT __restrict
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

// Throws the ValueError of an argument, unless `ok`.
inline void require(bool ok, const char* argument, const std::string& problem) {
    if (!ok) throw std::invalid_argument(std::string(argument) + ": " + problem);
}

}  // namespace spikerun

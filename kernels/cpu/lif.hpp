// SPDX-License-Identifier: Apache-2.0
// Leaky integrate-and-fire in fixed point: its parameters and arithmetic. lif_step.cpp has the equation.
#pragma once

#include <memory>

#include "program.hpp"
#include "values.hpp"

namespace spikerun::lif {

enum class Reset { value, subtract, subtract_after_leak, none };

constexpr int32_t wide_limit = (1 << 29) - 1;
constexpr int32_t chip_limit = (1 << 23) - 1;

struct Parameters {
    Values threshold, keep_v, keep_u, bias, bias_u, v_reset, v_min;
    int32_t fraction_bits, refractory, inclusive;
};

struct Registers {
    Numbers i, u, v, wait;
    Words pending, s;
};

SPIKERUN_INLINE uint32_t bits(int32_t x) {
    return static_cast<uint32_t>(x);
}

// x * k / 2^16, toward zero.
SPIKERUN_INLINE uint32_t kept(int32_t x, int32_t k) {
    const uint32_t sign = bits(x >> 31), magnitude = (bits(x) ^ sign) - sign, keep = bits(k);
    const uint32_t product = (magnitude >> 16) * keep + (((magnitude & 0xFFFF) * keep) >> 16);
    return (product ^ sign) - sign;
}

SPIKERUN_INLINE int32_t clamp(uint32_t x, int32_t limit) {
    const auto value = static_cast<int32_t>(x);
    return value < -limit ? -limit : value > limit ? limit : value;
}

// The value congruent to x modulo 2^24 in (-2^23, 2^23].
SPIKERUN_INLINE int32_t wrap24(uint32_t x) {
    return 0x800000 - static_cast<int32_t>((0x800000U - x) & 0xFFFFFFU);
}

// All ones where something holds. Choices are made with masks: given branches, compilers take them, and make
// no vectors.
SPIKERUN_INLINE int32_t mask(bool holds) {
    return -static_cast<int32_t>(holds);
}

SPIKERUN_INLINE int32_t chosen(int32_t where, int32_t a, int32_t b) {
    return b ^ ((a ^ b) & where);
}

}  // namespace spikerun::lif

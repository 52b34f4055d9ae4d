#include "neurons.hpp"

#include <algorithm>

namespace spikerun {

namespace {

template <class T>
SPIKERUN_INLINE T clip(T x, T low, T high) {
    return std::min(std::max(x, low), high);
}

// The word of the most significant `keep` set bits of a `bits`-bit two's complement word.
SPIKERUN_INLINE int16_t most_significant(int16_t word, int bits, bool is_signed, int keep) {
    const auto mask = static_cast<uint32_t>((uint32_t{1} << bits) - 1);
    const uint32_t source = static_cast<uint16_t>(word) & mask;
    uint32_t kept = 0;
    for (int b = bits - 1; b >= 0 && keep > 0; --b) {
        const uint32_t bit = source & (uint32_t{1} << b);
        kept |= bit;
        keep -= bit != 0;
    }
    const bool negative = is_signed && (kept >> (bits - 1)) != 0;
    return static_cast<int16_t>(static_cast<uint16_t>(negative ? kept | ~mask : kept));
}

// x, decayed by d / 4096 toward zero.
SPIKERUN_INLINE int64_t decay(int64_t x, int64_t d) {
    const int64_t magnitude = ((x < 0 ? -x : x) * (4096 - d)) >> 12;
    return x < 0 ? -magnitude : magnitude;
}

// The value congruent to x modulo 2^24 in (-2^23, 2^23].
SPIKERUN_INLINE int64_t wrap24(int64_t x) {
    const int64_t low = x & 0xFFFFFF;
    return low > 0x800000 ? low - 0x1000000 : low;
}

SPIKERUN_CLONES void divide(const int32_t* SPIKERUN_RESTRICT v, int16_t* SPIKERUN_RESTRICT word,
                            const int32_t* SPIKERUN_RESTRICT threshold, size_t n, int32_t low,
                            int32_t high) noexcept {
    const double floor_at = low;
    const double ceiling = high;
    for (size_t j = 0; j < n; ++j) {
        // Exact: a quotient of two int32 that is not an integer is at least 2^-31 away from one, and a double
        // is far closer than that. Clipped and shifted to be positive, so that truncation rounds down.
        const double q =
            clip(static_cast<double>(v[j]) / static_cast<double>(threshold[j]), floor_at, ceiling);
        word[j] = static_cast<int16_t>(static_cast<int32_t>(q - floor_at) + low);
    }
}

SPIKERUN_CLONES void send_value(int32_t* SPIKERUN_RESTRICT u, int16_t* SPIKERUN_RESTRICT left,
                                const int32_t* SPIKERUN_RESTRICT threshold, int16_t* SPIKERUN_RESTRICT s,
                                size_t n, int32_t g) noexcept {
    for (size_t j = 0; j < n; ++j) {
        const int32_t part = threshold[j] * g;
        const bool spike = (u[j] >= part) & (left[j] > 0);
        u[j] = spike ? u[j] - part : u[j];
        left[j] = static_cast<int16_t>(left[j] - spike);
        s[j] = spike;
    }
}

SPIKERUN_CLONES void send_sign(int32_t* SPIKERUN_RESTRICT u, int16_t* SPIKERUN_RESTRICT left,
                               const int32_t* SPIKERUN_RESTRICT threshold, int16_t* SPIKERUN_RESTRICT s,
                               size_t n, int32_t magnitude) noexcept {
    for (size_t j = 0; j < n; ++j) {
        const bool spike = (u[j] < 0) & (left[j] > 0);
        u[j] = spike ? u[j] + threshold[j] * magnitude : u[j];
        left[j] = static_cast<int16_t>(left[j] - spike);
        s[j] = spike;
    }
}

}  // namespace

void fire(const int32_t* v, int16_t* word, const int32_t* threshold, size_t n, WordRule rule) noexcept {
    const int32_t levels = int32_t{1} << rule.bits;
    const int32_t low = rule.is_signed ? -levels / 2 : 0;
    divide(v, word, threshold, n, low, low + levels - 1);
    if (rule.max_spikes >= rule.bits) return;
    for (size_t j = 0; j < n; ++j)
        word[j] = most_significant(word[j], rule.bits, rule.is_signed, rule.max_spikes);
}

void send(int32_t* u, int16_t* left, const int32_t* threshold, int16_t* s, size_t n, int32_t g) noexcept {
    if (g > 0)
        send_value(u, left, threshold, s, n, g);
    else if (g < 0)
        send_sign(u, left, threshold, s, n, -g);
    else
        std::fill(s, s + n, int16_t{0});
}

SPIKERUN_CLONES void if_step(const int32_t* SPIKERUN_RESTRICT i, int32_t* SPIKERUN_RESTRICT v,
                             int16_t* SPIKERUN_RESTRICT s, const int32_t* SPIKERUN_RESTRICT threshold,
                             const int32_t* SPIKERUN_RESTRICT bias, const int32_t* SPIKERUN_RESTRICT v_min,
                             size_t n, Reset reset) noexcept {
    for (size_t j = 0; j < n; ++j) {
        const int64_t sum = int64_t{v[j]} + i[j] + bias[j];
        const int64_t low = std::max<int64_t>(v_min[j], -membrane_limit);
        const auto x = static_cast<int32_t>(clip(sum, low, membrane_limit));
        const bool spike = x >= threshold[j];
        const int32_t after = reset == Reset::zero ? 0 : x - (spike ? threshold[j] : 0);
        v[j] = spike ? after : x;
        s[j] = spike;
    }
}

void lif_step(const int32_t* i, const LifState& state, int16_t* s, const LifParameters& p,
              size_t n) noexcept {
    for (size_t j = 0; j < n; ++j) {
        const int64_t u = wrap24(decay(state.u[j], p.du[j]) + int64_t{i[j]} * 64);
        state.u[j] = static_cast<int32_t>(u);
        s[j] = 0;
        if (state.wait[j] > 0) {
            --state.wait[j];
            continue;
        }
        const int64_t threshold = int64_t{p.threshold[j]} * 64;
        const int64_t late = threshold * state.pending[j];
        int64_t v = clip(decay(state.v[j], p.dv[j]) + u + p.bias[j] - late, -membrane_limit, membrane_limit);
        const bool spike = v > threshold;
        if (p.reset == Reset::subtract_after_leak) {
            state.pending[j] = spike;
        } else if (spike) {
            v = p.reset == Reset::zero ? 0 : v - threshold;
        }
        state.v[j] = static_cast<int32_t>(v);
        s[j] = spike;
        if (spike) state.wait[j] = p.refractory;
    }
}

SPIKERUN_CLONES void count_spikes(const int16_t* SPIKERUN_RESTRICT word,
                                  const int32_t* SPIKERUN_RESTRICT fan_out, size_t n, bool popcount, int bits,
                                  int64_t* total) noexcept {
    const auto mask = static_cast<uint16_t>((uint32_t{1} << bits) - 1);
    int64_t spikes = 0;
    int64_t operations = 0;
    for (size_t j = 0; j < n; ++j) {
        // No branches, and no instruction for counting, so that the loop is vectorised for every machine.
        const auto w = static_cast<uint16_t>(popcount ? word[j] & mask : word[j] != 0);
        const auto pairs = static_cast<uint16_t>(w - ((w >> 1) & 0x5555));
        const auto fours = static_cast<uint16_t>((pairs & 0x3333) + ((pairs >> 2) & 0x3333));
        const auto eights = static_cast<uint16_t>((fours + (fours >> 4)) & 0x0F0F);
        const int64_t count = (eights + (eights >> 8)) & 0x1F;
        spikes += count;
        operations += count * fan_out[j];
    }
    total[0] += spikes;
    total[1] += operations;
}

SPIKERUN_CLONES void weigh(const int16_t* x, int16_t* y, size_t n, int32_t g) noexcept {
    for (size_t j = 0; j < n; ++j) y[j] = static_cast<int16_t>(x[j] * g);
}

}  // namespace spikerun

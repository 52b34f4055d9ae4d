// One step, or one firing, of each kind of neuron. All arrays have n elements; no two may overlap.
// Defined for every content of every register.
#pragma once

#include "common.hpp"

namespace spikerun {

// How a few-spikes population turns its membrane into a word.
struct WordRule {
    int bits;        // 1..15 unsigned, 1..16 signed
    bool is_signed;  // two's complement: lo..hi is -2^(bits-1)..2^(bits-1)-1 instead of 0..2^bits-1
    int max_spikes;  // only the most significant set bits are kept
};

enum class Reset { zero, subtract, subtract_after_leak };

// word = clip(floor(v / threshold), lo, hi), cut to its max_spikes most significant set bits. threshold >= 1.
void fire(const int32_t* v, int16_t* word, const int32_t* threshold, size_t n, WordRule rule) noexcept;

// One step of restoring division, most significant spike first; `left` is the number of spikes still allowed.
// g > 0: s = (u >= threshold * g) and (left > 0), u -= threshold * g * s
// g < 0: s = (u < 0) and (left > 0), u += threshold * |g| * s (the sign, sent first)      g = 0: s = 0
// threshold * |g| must fit int32.
void send(int32_t* u, int16_t* left, const int32_t* threshold, int16_t* s, size_t n, int32_t g) noexcept;

// v = clip(v + i + bias, max(v_min, -membrane_limit), membrane_limit); s = (v >= threshold); then the reset.
void if_step(const int32_t* i, int32_t* v, int16_t* s, const int32_t* threshold, const int32_t* bias,
             const int32_t* v_min, size_t n, Reset reset) noexcept;

struct LifParameters {
    const int32_t* threshold;  // 0..2^17-1, aligned by 6 bits to the membrane
    const int32_t* bias;
    const int32_t* du;  // decays in 1/4096, 0..4096
    const int32_t* dv;
    Reset reset;
    int32_t refractory;  // steps without a membrane update after a spike
};

struct LifState {
    int32_t* u;        // current
    int32_t* v;        // membrane
    int32_t* wait;     // refractory steps left
    int16_t* pending;  // a spike whose threshold is subtracted at the next update
};

// Loihi's fixed-point leaky integrate-and-fire, with dec(x, d) = sign(x) * ((|x| * (4096 - d)) >> 12):
// u = wrap24(dec(u, du) + (i << 6)) in (-2^23, 2^23]
// wait > 0: wait -= 1, s = 0, v as it was
// else: v = clip(dec(v, dv) + u + bias - (threshold << 6) * pending, +-membrane_limit), s = (v > threshold <<
// 6),
//       then the reset, and wait = refractory where s
void lif_step(const int32_t* i, const LifState& state, int16_t* s, const LifParameters& parameters,
              size_t n) noexcept;

// Adds the number of spikes in `word` (set bits of its `bits` lowest; or nonzero words) to total[0], and the
// sum of spikes * fan_out to total[1].
void count_spikes(const int16_t* word, const int32_t* fan_out, size_t n, bool popcount, int bits,
                  int64_t* total) noexcept;

// y = g * x, modulo 2^16.
void weigh(const int16_t* x, int16_t* y, size_t n, int32_t g) noexcept;

}  // namespace spikerun

// SPDX-License-Identifier: Apache-2.0
// fire: word = clip(floor(v / threshold), lo, hi), then only its max_spikes most significant set bits.
#include <algorithm>
#include <limits>

#include "bindings.hpp"
#include "isa.hpp"

namespace spikerun {

namespace {

// lo..hi is 0..2^bits - 1; signed (two's complement): -2^(bits-1)..2^(bits-1) - 1.
struct Rule {
    int bits;
    bool is_signed;
    int max_spikes;
};

// (v + 1/2) / threshold has the floor of v / threshold, and is at least 1 / (2 threshold) away from every
// integer. Clipped and shifted to be positive, so that truncation rounds down.
//
// Real: double, whose product with a reciprocal is wrong by far less than that for every int32; or float,
// which has twice as many lanes, while threshold * 2^bits <= 2^21 (`short_enough`). v + 1/2 is exact below
// 2^23, and what is not has words that are clipped: more than 4 * 2^bits. The reciprocal, the product and the
// difference are wrong by 2^-24 of themselves each, together by less than 2^bits * 2^-22.4, 3 / (8 threshold)
// at most.
template <class Real, bool is_signed>
struct Divide {
    SPIKERUN_INLINE static void run(const int32_t* SPIKERUN_RESTRICT v, int16_t* SPIKERUN_RESTRICT word,
                                    const Real* SPIKERUN_RESTRICT reciprocal, size_t n, int32_t low,
                                    int32_t high) {
        const auto floor_at = static_cast<Real>(is_signed ? low : 0);
        const auto ceiling = static_cast<Real>(high);
        for (size_t j = 0; j < n; ++j) {
            Real q = (static_cast<Real>(v[j]) + Real{0.5}) * reciprocal[j];
            q = q < floor_at ? floor_at : q;
            q = q < ceiling ? q : ceiling;
            if constexpr (is_signed)
                word[j] = static_cast<int16_t>(static_cast<int32_t>(q - floor_at) + low);
            else
                word[j] = static_cast<int16_t>(static_cast<int32_t>(q));
        }
    }
};

bool short_enough(int32_t threshold, int bits) {
    return threshold <= (int32_t{1} << 21) >> bits;
}

// Drops the lowest set bits of two's complement words, until no more than max_spikes are left. A round drops
// one.
struct Keep {
    SPIKERUN_INLINE static void run(int16_t* word, size_t n, const Rule& rule) {
        const auto mask = static_cast<uint16_t>((uint32_t{1} << rule.bits) - 1);
        const auto sign = static_cast<uint16_t>(rule.is_signed ? 1u << (rule.bits - 1) : 0);
        const auto most = static_cast<uint16_t>(rule.max_spikes);
        for (int round = rule.max_spikes; round < rule.bits; ++round) {
            for (size_t j = 0; j < n; ++j) {
                const auto bits = static_cast<uint16_t>(word[j] & mask);
                const auto dropped = static_cast<uint16_t>(bits & (bits - 1));
                const uint16_t kept = set_bits(bits) > most ? dropped : bits;
                word[j] = static_cast<int16_t>((kept ^ sign) - sign);
            }
        }
    }
};

Rule rule_of(int64_t bits, bool is_signed, int64_t max_spikes) {
    require_range("bits", bits, 1, is_signed ? 16 : 15);
    require_range("max_spikes", max_spikes, 0, 1024);
    return {static_cast<int>(bits), is_signed, static_cast<int>(max_spikes)};
}

// Thresholds are the same for all neurons, for each channel or for each neuron.
template <class Real>
void append_fire(Program& program, When when, Numbers v, Words word, const Rule& rule,
                 const Values& threshold, size_t tile) {
    std::vector<Real> reciprocal(threshold.data().begin(), threshold.data().end());
    for (Real& number : reciprocal) number = 1 / number;
    const int32_t levels = int32_t{1} << rule.bits;
    const int32_t low = rule.is_signed ? -levels / 2 : 0;
    const bool all = threshold.size() == v.size;
    const auto fire_tile = [=, reciprocal = std::move(reciprocal)](Workspace& ws, int64_t, size_t j,
                                                                   size_t n) {
        const int32_t* const from = v.in(ws) + j;
        int16_t* const to = word.in(ws) + j;
        const Real* const by = reciprocal.data() + (all ? j : 0);
        if (rule.is_signed)
            run<Divide<Real, true>>(from, to, by, n, low, low + levels - 1);
        else
            run<Divide<Real, false>>(from, to, by, n, low, low + levels - 1);
        if (rule.max_spikes < rule.bits) run<Keep>(to, n, rule);
    };
    program.append_tiles(when, v.size, tile, fire_tile);
}

void fire(Program& program, When when, int64_t v_id, int64_t word_id, nb::object threshold, int64_t bits,
          bool is_signed, int64_t max_spikes) {
    const Numbers v = program.numbers(v_id, "v");
    const Words word = program.words(word_id, "word");
    require_same(v.size, word.size, "word");
    const Rule rule = rule_of(bits, is_signed, max_spikes);
    Values values = values_of(threshold, "threshold", v.size);
    values.require_within(1, std::numeric_limits<int32_t>::max());
    const size_t tile = tiled(v.size, {&values});
    const bool all_short = short_enough(values.largest(), rule.bits);
    (all_short ? append_fire<float> : append_fire<double>)(program, when, v, word, rule, values, tile);
}

}  // namespace

void bind_fire(ProgramClass& cls) {
    operation(cls, "fire", &fire, "v"_a, "word"_a, "threshold"_a, "bits"_a, "signed"_a, "max_spikes"_a);
}

}  // namespace spikerun

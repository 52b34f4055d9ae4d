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

// (v + 1/2) / threshold has the floor of v / threshold, and is at least 1/2 / threshold away from every
// integer. Clipped and shifted to be positive, so that truncation rounds down; what it is then is wrong by
// less than that: by levels * 2^-51 in double precision, in single by levels * 2^-23, which is enough up to
// this product of threshold and levels. There v + 1/2 is exact, or far beyond what is clipped.
constexpr int64_t largest_single = int64_t{1} << 21;

template <class Real>
struct Divide {
    SPIKERUN_INLINE static void run(const int32_t* SPIKERUN_RESTRICT v, int16_t* SPIKERUN_RESTRICT word,
                                    const Real* SPIKERUN_RESTRICT reciprocal, size_t n, int32_t low,
                                    int32_t high) {
        const auto floor_at = static_cast<Real>(low);
        const auto ceiling = static_cast<Real>(high);
        for (size_t j = 0; j < n; ++j) {
            const Real q = clip((static_cast<Real>(v[j]) + Real{0.5}) * reciprocal[j], floor_at, ceiling);
            word[j] = static_cast<int16_t>(static_cast<int32_t>(q - floor_at) + low);
        }
    }
};

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

template <class Real>
void append(Program& program, When when, Numbers v, Words word, const Values& values, size_t tile,
            const Rule& rule) {
    std::vector<Real> reciprocal(values.data().size());
    for (size_t j = 0; j < reciprocal.size(); ++j)
        reciprocal[j] = static_cast<Real>(1 / static_cast<double>(values.data()[j]));
    const int32_t levels = int32_t{1} << rule.bits;
    const int32_t low = rule.is_signed ? -levels / 2 : 0;
    const bool all = values.size() == v.size;  // one for each neuron
    program.append(when, [=, reciprocal = std::move(reciprocal)](Workspace& ws, int64_t) {
        for_each_tile(v.size, tile, [&](size_t j, size_t n) {
            run<Divide<Real>>(v.in(ws) + j, word.in(ws) + j, reciprocal.data() + (all ? j : 0), n, low,
                              low + levels - 1);
        });
        if (rule.max_spikes < rule.bits) run<Keep>(word.in(ws), word.size, rule);
    });
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
    if (int64_t{values.largest()} << rule.bits <= largest_single)
        append<float>(program, when, v, word, values, tile, rule);
    else
        append<double>(program, when, v, word, values, tile, rule);
}

}  // namespace

void bind_fire(ProgramClass& cls) {
    operation(cls, "fire", &fire, "v"_a, "word"_a, "threshold"_a, "bits"_a, "signed"_a, "max_spikes"_a);
}

}  // namespace spikerun

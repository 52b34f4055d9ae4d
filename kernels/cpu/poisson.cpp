// SPDX-License-Identifier: Apache-2.0
// poisson: s = how many thresholds of each neuron are smaller than its word of this pass, of Philox-4x32-10
// (Salmon et al., SC'11): kernels/philox.py says of which counter.
#include <limits>

#include "bindings.hpp"
#include "isa.hpp"

namespace spikerun {

namespace {

constexpr size_t lanes = 32;          // neurons at a time
constexpr uint32_t stream = 1;        // what is drawn: POISSON of kernels/philox.py
constexpr int64_t most_events = 255;  // of a neuron in a pass

// In which order neurons lie, and what their words and their thresholds are.
struct Drawn {
    uint32_t key[2];
    size_t channels, places;           // of the image; of a vector one channel
    std::vector<uint32_t> thresholds;  // `rows` times `width`
    size_t rows, width;

    // The number in C order of the neuron at place j of the kernels' order.
    SPIKERUN_INLINE size_t number(size_t j) const { return j % channels * places + j / channels; }
    // Where its thresholds begin.
    SPIKERUN_INLINE size_t row(size_t number) const {
        return rows == 1 ? 0 : number / (channels * places / rows) * width;
    }
};

using Lanes = uint32_t[lanes];

// One of the four words of the counters (number, low, high, stream).
SPIKERUN_INLINE void philox(const uint32_t (&key)[2], const Lanes& number, uint32_t low, uint32_t high,
                            size_t which, Lanes& out) {
    Lanes words[4];
    for (size_t j = 0; j < lanes; ++j) {
        words[0][j] = number[j];
        words[1][j] = low;
        words[2][j] = high;
        words[3][j] = stream;
    }
    uint32_t left = key[0];
    uint32_t right = key[1];
    for (int round = 0; round < 10; ++round) {
        for (size_t j = 0; j < lanes; ++j) {
            const uint64_t a = uint64_t{words[0][j]} * 0xD2511F53U;
            const uint64_t c = uint64_t{words[2][j]} * 0xCD9E8D57U;
            words[0][j] = static_cast<uint32_t>(c >> 32) ^ words[1][j] ^ left;
            words[2][j] = static_cast<uint32_t>(a >> 32) ^ words[3][j] ^ right;
            words[1][j] = static_cast<uint32_t>(c);
            words[3][j] = static_cast<uint32_t>(a);
        }
        left += 0x9E3779B9U;
        right += 0xBB67AE85U;
    }
    for (size_t j = 0; j < lanes; ++j) out[j] = words[which][j];
}

// Neurons first..first + count of the kernels' order.
struct Draw {
    SPIKERUN_INLINE static void run(const Drawn& drawn, size_t first, size_t count, int64_t t, int16_t* s) {
        Lanes number;
        Lanes word;
        for (size_t j = 0; j < lanes; ++j)
            number[j] = static_cast<uint32_t>(drawn.number(j < count ? first + j : first));
        philox(drawn.key, number, static_cast<uint32_t>(t >> 2), static_cast<uint32_t>(t >> 34),
               static_cast<size_t>(t & 3), word);
        Lanes events{};
        const uint32_t* const thresholds = drawn.thresholds.data();
        if (drawn.rows == 1) {
            for (size_t k = 0; k < drawn.width; ++k)
                for (size_t j = 0; j < lanes; ++j) events[j] += thresholds[k] < word[j] ? 1 : 0;
        } else {
            for (size_t j = 0; j < count; ++j) {
                const uint32_t* const own = thresholds + drawn.row(number[j]);
                for (size_t k = 0; k < drawn.width; ++k) events[j] += own[k] < word[j] ? 1 : 0;
            }
        }
        for (size_t j = 0; j < count; ++j) s[j] = static_cast<int16_t>(events[j]);
    }
};

void poisson(Program& program, When when, int64_t s_id, nb::object thresholds, int64_t seed,
             int64_t channels) {
    const Words s = program.words(s_id, "s");
    const auto table = take<const uint32_t, 2>(thresholds, "thresholds");
    require_range("seed", seed, 0, std::numeric_limits<int64_t>::max());
    require_range("channels", channels, 1, static_cast<int64_t>(s.size));
    require(s.size % unsign(channels) == 0, "channels", "do not divide the neurons");
    require_range("thresholds", static_cast<int64_t>(table.shape(1)), 0, most_events);
    require(table.shape(0) > 0 && s.size % table.shape(0) == 0, "thresholds", "have rows for other neurons");
    require(!s.tracked(), "s", "is tracked, but what is drawn is never at rest");
    Drawn drawn{{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)},
                unsign(channels),
                s.size / unsign(channels),
                std::vector<uint32_t>(table.data(), table.data() + table.size()),
                table.shape(0),
                table.shape(1)};
    program.append_tiles(when, s.size, lanes,
                         [=, drawn = std::move(drawn)](Workspace& ws, int64_t t, size_t j, size_t n) {
                             run<Draw>(drawn, j, n, t, s.in(ws) + j);
                         });
}

}  // namespace

void bind_poisson(ProgramClass& cls) {
    operation(cls, "poisson", &poisson, "s"_a, "thresholds"_a, "seed"_a, "channels"_a = 1);
}

}  // namespace spikerun

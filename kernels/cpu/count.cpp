// SPDX-License-Identifier: Apache-2.0
// count: counters[slot] += (spikes, sum of spikes * fan_out).
#include <algorithm>
#include <bitset>
#include <cstring>
#include <limits>
#include <numeric>

#include "bindings.hpp"
#include "isa.hpp"

namespace spikerun {

namespace {

// Spikes are the set bits of `mask`, or words that are not zero. Sum: of one tile.
template <class Sum>
struct CountSpikes {
    SPIKERUN_INLINE static void run(const int16_t* SPIKERUN_RESTRICT word,
                                    const int32_t* SPIKERUN_RESTRICT fan_out, size_t n, bool popcount,
                                    uint16_t mask, int64_t* total) {
        Sum spikes = 0;
        Sum operations = 0;
        for (size_t j = 0; j < n; ++j) {
            const auto w = static_cast<uint16_t>(popcount ? word[j] & mask : word[j] != 0);
            const auto count = static_cast<Sum>(set_bits(w));
            spikes += count;
            operations += count * static_cast<Sum>(fan_out[j]);
        }
        total[0] += static_cast<int64_t>(spikes);
        total[1] += static_cast<int64_t>(operations);
    }
};

// The spikes of four words. `mask`: of the bits that are spikes, of each; 0: words that are not zero are one.
SPIKERUN_INLINE size_t spikes_of(uint64_t words, uint64_t mask) {
    constexpr uint64_t low = 0x7FFF7FFF7FFF7FFF;
    if (mask != 0) return std::bitset<64>(words & mask).count();
    return std::bitset<64>((((words & low) + low) | words) & ~low).count();
}

// The same for words in runs of equal fan-out, such as the channels of a position: two times four words in a
// step, and a product for each run.
struct CountRuns {
    SPIKERUN_INLINE static void run(const int16_t* word, const int32_t* fan_out, size_t runs, size_t length,
                                    uint64_t mask, int64_t* total) {
        uint64_t all = 0;
        uint64_t operations = 0;
        for (size_t r = 0; r < runs; ++r, word += length) {
            size_t spikes = 0;
            size_t others = 0;
            size_t j = 0;
            for (; j + 8 <= length; j += 8) {
                spikes += spikes_of(four_words(word + j), mask);
                others += spikes_of(four_words(word + j + 4), mask);
            }
            for (; j < length; ++j) spikes += spikes_of(static_cast<uint16_t>(word[j]), mask);
            spikes += others;
            all += spikes;
            operations += spikes * static_cast<uint64_t>(fan_out[r]);
        }
        total[0] += static_cast<int64_t>(all);
        total[1] += static_cast<int64_t>(operations);
    }

    SPIKERUN_INLINE static uint64_t four_words(const int16_t* word) {
        uint64_t four = 0;
        std::memcpy(&four, word, sizeof four);
        return four;
    }
};

// The length of the runs, all equally long, in which the fan-outs of n words are the same.
size_t run_length(const Values& fan_out, size_t n) {
    size_t length = n;
    const std::vector<int32_t>& values = fan_out.data();
    for (size_t j = 1; values.size() > 1 && j < n && length > 1; ++j)
        if (values[j % values.size()] != values[(j - 1) % values.size()]) length = std::gcd(length, j);
    constexpr size_t longest = 1024;  // so that threads can share them
    while (length > longest && length % 2 == 0) length /= 2;
    return length;
}

void append_runs(Program& program, When when, Words word, const Values& fan_out, size_t length, uint16_t mask,
                 int64_t slot) {
    std::vector<int32_t> of_runs(word.size / length);
    for (size_t r = 0; r < of_runs.size(); ++r)
        of_runs[r] = fan_out.data()[r * length % fan_out.data().size()];
    const size_t parts = of_runs.size();
    program.append(when, parts,
                   [=, of_runs = std::move(of_runs), four = mask * 0x0001000100010001u](
                       Workspace& ws, int64_t, Share share, Scratch&) {
                       const Span runs = share.of(of_runs.size());
                       int64_t total[2] = {};
                       run<CountRuns>(word.in(ws) + runs.begin * length, of_runs.data() + runs.begin,
                                      runs.size(), length, four, total);
                       ws.count(unsign(slot), total[0], total[1]);
                   });
}

void count(Program& program, When when, int64_t word_id, nb::object fan_out, std::string mode, int64_t bits,
           int64_t slot) {
    const Words word = program.words(word_id, "word");
    require_range("bits", bits, 1, 16);
    require_range("slot", slot, 0, 1 << 20);
    require(mode == "popcount" || mode == "nonzero", "mode",
            "expected 'popcount' or 'nonzero', got '" + mode + "'");
    const auto mask = static_cast<uint16_t>((uint32_t{1} << bits) - 1);
    Values values = values_of(fan_out, "fan_out", word.size);
    values.require_within(0, std::numeric_limits<int32_t>::max());
    program.need_slot(slot);
    constexpr size_t shortest = 8;
    if (const size_t length = run_length(values, word.size); length >= shortest) {
        append_runs(program, when, word, values, length, mode == "popcount" ? mask : uint16_t{0}, slot);
        return;
    }
    const size_t tile = tiled(word.size, {&values});
    const uint64_t most = uint64_t{16} * static_cast<uint64_t>(values.largest()) * tile;
    const bool narrow = most <= std::numeric_limits<uint32_t>::max();
    const bool popcount = mode == "popcount";
    program.append_tiles(when, word.size, tile, [=](Workspace& ws, int64_t, size_t j, size_t n) {
        int64_t total[2] = {};
        if (narrow)
            run<CountSpikes<uint32_t>>(word.in(ws) + j, values.at(j), n, popcount, mask, total);
        else
            run<CountSpikes<uint64_t>>(word.in(ws) + j, values.at(j), n, popcount, mask, total);
        ws.count(unsign(slot), total[0], total[1]);
    });
}

}  // namespace

void bind_count(ProgramClass& cls) {
    operation(cls, "count", &count, "word"_a, "fan_out"_a, "mode"_a, "bits"_a, "slot"_a);
}

}  // namespace spikerun

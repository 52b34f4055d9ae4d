// SPDX-License-Identifier: Apache-2.0
// count: counters[slot] += (spikes, sum of spikes * fan_out).
#include <limits>

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
    const size_t tile = tiled(word.size, {&values});
    const uint64_t most = uint64_t{16} * static_cast<uint64_t>(values.largest()) * tile;
    const bool narrow = most <= std::numeric_limits<uint32_t>::max();
    program.append(when, [=, popcount = mode == "popcount"](Workspace& ws, int64_t) {
        int64_t* const total = &ws.counters[2 * unsign(slot)];
        for_each_tile(word.size, tile, [&](size_t j, size_t n) {
            if (narrow)
                run<CountSpikes<uint32_t>>(word.in(ws) + j, values.at(j), n, popcount, mask, total);
            else
                run<CountSpikes<uint64_t>>(word.in(ws) + j, values.at(j), n, popcount, mask, total);
        });
    });
    program.need_slot(slot);
}

}  // namespace

void bind_count(ProgramClass& cls) {
    operation(cls, "count", &count, "word"_a, "fan_out"_a, "mode"_a, "bits"_a, "slot"_a);
}

}  // namespace spikerun

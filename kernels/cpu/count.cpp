// SPDX-License-Identifier: Apache-2.0
// count: counters[slot] += (spikes, sum of spikes * fan_out).
#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "bindings.hpp"
#include "isa.hpp"
#include "repeated.hpp"

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

// Neighbours of the same fan-out, such as those inside an image.
struct Run {
    size_t begin, n;
    int64_t fan_out;
};

// The spikes of n words, piece by piece, so that they are counted in as many bits as words have.
template <bool popcount>
SPIKERUN_INLINE int64_t spikes_of(const int16_t* word, size_t n, uint16_t mask) {
    constexpr size_t piece = 2048;  // times 16 spikes
    int64_t spikes = 0;
    for (size_t begin = 0; begin < n; begin += piece) {
        const size_t end = std::min(begin + piece, n);
        uint16_t part = 0;
        for (size_t j = begin; j < end; ++j) {
            const auto w = static_cast<uint16_t>(word[j]);
            part = static_cast<uint16_t>(part + (popcount ? set_bits(w & mask) : w != 0));
        }
        spikes += part;
    }
    return spikes;
}

template <bool popcount>
struct CountRuns {
    SPIKERUN_INLINE static void run(const int16_t* word, const Run* runs, size_t n, uint16_t mask,
                                    int64_t* total) {
        for (size_t r = 0; r < n; ++r) {
            const int64_t spikes = spikes_of<popcount>(word + runs[r].begin, runs[r].n, mask);
            total[0] += spikes;
            total[1] += spikes * runs[r].fan_out;
        }
    }
};

// The runs of n words, none of which is so long that threads could not share them.
std::vector<Run> runs_of(const Values& fan_out, size_t n) {
    constexpr size_t longest = 2048;
    std::vector<Run> runs;
    for (size_t j = 0; j < n; ++j) {
        const int64_t value = fan_out[j];
        if (runs.empty() || runs.back().fan_out != value || runs.back().n == longest)
            runs.push_back({j, 0, value});
        ++runs.back().n;
    }
    return runs;
}

void append_runs(Program& program, When when, Words word, std::vector<Run> runs, bool popcount, uint16_t mask,
                 int64_t slot) {
    const size_t parts = runs.size();
    program.append(when, parts, [=, all = std::move(runs)](Workspace& ws, int64_t, Share share, Scratch&) {
        const Span own = share.of(all.size());
        int64_t total[2] = {};
        if (popcount)
            run<CountRuns<true>>(word.in(ws), all.data() + own.begin, own.size(), mask, total);
        else
            run<CountRuns<false>>(word.in(ws), all.data() + own.begin, own.size(), mask, total);
        ws.count(unsign(slot), total[0], total[1]);
    });
}

// Of the tiles that are marked, words that are not zero.
struct CountMarked {
    SPIKERUN_INLINE static void run(const int16_t* word, const Marks& marks, const Repeated& fan_out,
                                    size_t period, int64_t* total) {
        marks.each_run([&](size_t first, size_t n) SPIKERUN_LAMBDA_INLINE {
            const size_t j = first * Marks::tile;
            CountSpikes<uint64_t>::run(word + j, fan_out.at(j, phase_of(j, period)), n * Marks::tile, false,
                                       0xFFFF, total);
        });
    }
};

void append_marked(Program& program, When when, Words word, const Values& fan_out, int64_t slot) {
    const size_t period = fan_out.size() < word.size ? fan_out.size() : 1;
    const auto all = std::make_shared<const Repeated>(fan_out, word.size, period);
    program.append(when, [=](Workspace& ws, int64_t) {
        if (word.marks(ws).none()) return;
        int64_t total[2] = {};
        run<CountMarked>(word.in(ws), word.marks(ws), *all, period, total);
        ws.count(unsign(slot), total[0], total[1]);
    });
    program.idle([=](Workspace& ws) { return word.marks(ws).none() ? forever : 0; });
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
    const bool popcount = mode == "popcount";
    if (word.tracked() && !popcount) {
        append_marked(program, when, word, values, slot);
        return;
    }
    constexpr size_t shortest = 16;  // a run, on average, that is not counted word by word
    if (std::vector<Run> runs = runs_of(values, word.size); runs.size() * shortest <= word.size + shortest) {
        append_runs(program, when, word, std::move(runs), popcount, mask, slot);
        return;
    }
    const size_t tile = tiled(word.size, {&values});
    const uint64_t most = uint64_t{16} * static_cast<uint64_t>(values.largest()) * tile;
    const bool narrow = most <= std::numeric_limits<uint32_t>::max();
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

// SPDX-License-Identifier: Apache-2.0
// fire_levels: word = words[k], k = how many of the levels, which do not decrease, are <= v.
#include <algorithm>
#include <limits>

#include "bindings.hpp"
#include "isa.hpp"

namespace spikerun {

namespace {

// Both tables have rows of a power of two: levels that no v needs to reach are behind the given ones, and the
// last word is repeated for a v that reaches them. Place 2^K - 1 of a row of levels is never looked at.
struct Rows {
    size_t width;
    std::vector<int32_t> levels;
    std::vector<int16_t> words;
};

// k is found bit by bit, the highest first, counted from the beginning of the neuron's row: for 2^K - 1
// levels K loads, K comparisons and K additions a neuron, and a load of the word; a block of neurons at a
// time. To compare with all levels takes 2^K - 1 of each, in wider steps: up to K = 4 that was one or two
// nanoseconds a neuron faster, from K = 6 on slower.
struct LookUp {
    SPIKERUN_INLINE static void run(const int32_t* SPIKERUN_RESTRICT v, int16_t* SPIKERUN_RESTRICT word,
                                    const int32_t* SPIKERUN_RESTRICT row, size_t n,
                                    const int32_t* SPIKERUN_RESTRICT levels,
                                    const int16_t* SPIKERUN_RESTRICT words, int32_t top) {
        constexpr size_t block = 256;
        int32_t k[block];
        for (size_t begin = 0; begin < n; begin += block) {
            const size_t count = n - begin < block ? n - begin : block;
            for (size_t j = 0; j < count; ++j) k[j] = row[begin + j];
            for (int32_t bit = top; bit > 0; bit /= 2)
                for (size_t j = 0; j < count; ++j) k[j] += levels[k[j] + bit - 1] <= v[begin + j] ? bit : 0;
            for (size_t j = 0; j < count; ++j) word[begin + j] = words[k[j]];
        }
    }
};

Rows rows_of(const Array<const int32_t, 2>& levels, const Array<const int32_t, 2>& words) {
    const size_t given = levels.shape(1);
    require_range("levels", static_cast<int64_t>(given), 1, 1 << 14);
    require_same(given + 1, words.shape(1), "words");
    const size_t rows = std::max(levels.shape(0), words.shape(0));
    for (const size_t own : {levels.shape(0), words.shape(0)})
        if (own != 1) require_same(rows, own, "words");
    Rows made{2, {}, {}};
    while (made.width <= given) made.width *= 2;
    require_range("levels", static_cast<int64_t>(rows * made.width), 1, std::numeric_limits<int32_t>::max());
    made.levels.assign(rows * made.width, std::numeric_limits<int32_t>::max());
    made.words.resize(rows * made.width);
    for (size_t r = 0; r < rows; ++r) {
        const int32_t* const from = levels.data() + (levels.shape(0) == 1 ? 0 : r * given);
        const int32_t* const word = words.data() + (words.shape(0) == 1 ? 0 : r * (given + 1));
        std::copy_n(from, given, made.levels.begin() + static_cast<ptrdiff_t>(r * made.width));
        for (size_t k = 0; k < made.width; ++k) {
            const int32_t value = word[std::min(k, given)];
            require_range("words", value, std::numeric_limits<int16_t>::min(),
                          std::numeric_limits<int16_t>::max());
            made.words[r * made.width + k] = static_cast<int16_t>(value);
        }
    }
    return made;
}

void fire_levels(Program& program, When when, int64_t v_id, int64_t word_id, nb::object levels,
                 nb::object words) {
    const Numbers v = program.numbers(v_id, "v");
    const Words word = program.words(word_id, "word");
    require_same(v.size, word.size, "word");
    Rows rows = rows_of(take<const int32_t, 2>(levels, "levels"), take<const int32_t, 2>(words, "words"));
    std::vector<int32_t> begin(rows.levels.size() / rows.width);
    for (size_t r = 0; r < begin.size(); ++r) begin[r] = static_cast<int32_t>(r * rows.width);
    Values row("levels", std::move(begin), v.size);
    const size_t tile = tiled(v.size, {&row});
    const auto top = static_cast<int32_t>(rows.width / 2);
    const auto fire_tile = [=, rows = std::move(rows), row = std::move(row)](Workspace& ws, int64_t, size_t j,
                                                                             size_t n) {
        run<LookUp>(v.in(ws) + j, word.in(ws) + j, row.at(j), n, rows.levels.data(), rows.words.data(), top);
    };
    program.append_tiles(when, v.size, tile, fire_tile);
}

}  // namespace

void bind_fire_levels(ProgramClass& cls) {
    operation(cls, "fire_levels", &fire_levels, "v"_a, "word"_a, "levels"_a, "words"_a);
}

}  // namespace spikerun

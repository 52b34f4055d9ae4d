// SPDX-License-Identifier: Apache-2.0
// Dense projections whose weights are zero for the most part: of each row (input) only those blocks of 16
// outputs are kept that are not all zero.
#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "bindings.hpp"
#include "listed.hpp"

namespace spikerun {

namespace {

constexpr size_t width = 16;

// sums[j] += value * row[j] for a block, in vectors that GCC does not find by itself.
SPIKERUN_INLINE void add_block_of(const int8_t* row, int16_t value, int16_t* sums) {
#if defined(__GNUC__)
    using Numbers [[gnu::vector_size(2 * width)]] = int16_t;
    int16_t wide[width];
    for (size_t j = 0; j < width; ++j) wide[j] = row[j];
    Numbers factor, sum;
    std::memcpy(&factor, wide, sizeof factor);
    std::memcpy(&sum, sums, sizeof sum);
    sum += factor * value;
    std::memcpy(sums, &sum, sizeof sum);
#else
    for (size_t j = 0; j < width; ++j) sums[j] = static_cast<int16_t>(sums[j] + value * row[j]);
#endif
}
SPIKERUN_INLINE void add_block_of(const int8_t* row, int32_t value, int32_t* sums) {
    add_row_block<width>(row, value, sums);
}

template <class Index>
struct Blocks {
    static constexpr bool narrow = true;
    Arena<Index> column;   // the first output of each block
    Arena<int8_t> weight;  // [blocks][width]
    size_t lines;          // of weights of a row, in the mean

    template <class Sum>
    SPIKERUN_INLINE void add(size_t begin, size_t end, int32_t value, Sum* sums) const {
        const Index* const place = column.data();
        const int8_t* const block = weight.data();
        for (size_t k = begin; k < end; ++k)
            add_block_of(block + k * width, static_cast<Sum>(value), sums + place[k]);
    }
    SPIKERUN_INLINE void fetch(size_t begin) const {
        ::spikerun::fetch(weight.data() + begin * width, lines);
        ::spikerun::fetch(column.data() + begin, 1);
    }
    size_t bytes() const { return column.size() * (sizeof(Index) + width); }
};

// Calls visit(first output, weights) for each block of a row that is not all zero. The last block begins
// where it ends with the row, and leaves out what it shares with the one before.
template <class Visit>
void visit_blocks(const int8_t* row, size_t n_out, Visit visit) {
    for (size_t first = 0; first < n_out; first += width) {
        const size_t begin = std::min(first, n_out - width);
        int8_t block[width] = {};
        std::copy(row + first, row + begin + width, block + (first - begin));
        if (std::any_of(block, block + width, [](int8_t w) { return w != 0; })) visit(begin, block);
    }
}

template <class Index>
LinearPointer packed(const int8_t* weight, size_t n_in, size_t n_out) {
    size_t count = 0;
    for (size_t i = 0; i < n_in; ++i)
        visit_blocks(weight + i * n_out, n_out, [&](size_t, const int8_t*) { ++count; });
    const ListedParts parts(n_out, width);
    ListedBegins begins(parts, n_in);
    Blocks<Index> blocks{{}, {}, count * width / n_in / 64 + 1};
    blocks.column.reserve(count);
    blocks.weight.reserve(count * width);
    for (size_t i = 0; i < n_in; ++i) {
        visit_blocks(weight + i * n_out, n_out, [&](size_t begin, const int8_t* block) {
            begins.add(begin, blocks.column.size());
            blocks.column.push_back(static_cast<Index>(begin));
            blocks.weight.insert(blocks.weight.end(), block, block + width);
        });
        begins.end_row(blocks.column.size());
    }
    return std::make_shared<Listed<Blocks<Index>>>(begins.end(blocks.column.size()), std::move(blocks),
                                                   parts);
}

LinearPointer blocks(nb::object weight) {
    const auto array = take<const int8_t, 2>(weight, "weight");
    const size_t n_in = array.shape(0);
    const size_t n_out = array.shape(1);
    require_range("weight", static_cast<int64_t>(n_in), 1, max_size);
    require_range("weight", static_cast<int64_t>(n_out), width, max_size);
    require(array.size() <= std::numeric_limits<uint32_t>::max(), "weight", "more than 2^32 elements");
    const bool narrow = n_out <= std::numeric_limits<uint16_t>::max();
    return (narrow ? packed<uint16_t> : packed<uint32_t>)(array.data(), n_in, n_out);
}

}  // namespace

void bind_blocks(LinearClass& cls) {
    cls.def_static("blocks", &blocks, "weight"_a);
}

}  // namespace spikerun

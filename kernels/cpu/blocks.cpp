// SPDX-License-Identifier: Apache-2.0
// Dense projections whose weights are zero for the most part: of each row (input) only those blocks of 16
// outputs are kept that are not all zero.
#include <algorithm>
#include <limits>
#include <utility>

#include "bindings.hpp"
#include "isa.hpp"
#include "rows.hpp"

namespace spikerun {

namespace {

constexpr size_t width = 16;

template <class Index>
struct Blocks {
    std::vector<uint32_t> begin;  // of each row among the blocks, and their number
    std::vector<Index> column;    // the first output of each block
    std::vector<int8_t> weight;   // [blocks][width]
};

template <class Index>
SPIKERUN_INLINE void add_blocks(const Blocks<Index>& blocks, size_t row, int32_t x, int32_t* acc) {
    const Index* const column = blocks.column.data();
    const int8_t* const weight = blocks.weight.data();
    const size_t end = blocks.begin[row + 1];
    for (size_t k = blocks.begin[row]; k < end; ++k)
        add_row_block<width>(weight + k * width, x, acc + column[k]);
}

struct Events {
    template <class Index>
    SPIKERUN_INLINE static void run(const Blocks<Index>& blocks, size_t n_in, const int16_t* x, int32_t* acc,
                                    Event* events) {
        const size_t count = collect_events(x, n_in, 1, events);
        for (size_t e = 0; e < count; ++e) add_blocks(blocks, row_of(events[e]), value_of(events[e]), acc);
    }
};

struct All {
    template <class Index>
    SPIKERUN_INLINE static void run(const Blocks<Index>& blocks, size_t n_in, const int16_t* x,
                                    int32_t* acc) {
        for (size_t i = 0; i < n_in; ++i) add_blocks(blocks, i, x[i], acc);
    }
};

template <class Index>
class DenseBlocks final : public Linear {
  public:
    DenseBlocks(Blocks<Index> blocks, size_t n_out)
        : Linear(blocks.begin.size() - 1, n_out), blocks_(std::move(blocks)) {}

    void apply_event(const int16_t* x, int32_t* acc, Scratch& scratch, Share) const noexcept override {
        run<Events>(blocks_, n_in(), x, acc, scratch.events.data());
    }
    void apply_dense(const int16_t* x, int32_t* acc, Scratch&, Share) const noexcept override {
        run<All>(blocks_, n_in(), x, acc);
    }
    ScratchSize scratch_size() const noexcept override { return {n_in(), 0, 0}; }
    size_t bytes() const noexcept override { return bytes_of(blocks_.begin, blocks_.column, blocks_.weight); }

  private:
    Blocks<Index> blocks_;
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
    Blocks<Index> blocks;
    blocks.begin.reserve(n_in + 1);
    blocks.column.reserve(count);
    blocks.weight.reserve(count * width);
    blocks.begin.push_back(0);
    for (size_t i = 0; i < n_in; ++i) {
        visit_blocks(weight + i * n_out, n_out, [&](size_t begin, const int8_t* block) {
            blocks.column.push_back(static_cast<Index>(begin));
            blocks.weight.insert(blocks.weight.end(), block, block + width);
        });
        blocks.begin.push_back(static_cast<uint32_t>(blocks.column.size()));
    }
    return std::make_shared<DenseBlocks<Index>>(std::move(blocks), n_out);
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

// SPDX-License-Identifier: Apache-2.0
// Dense projections: weight[n_in][n_out], one contiguous row of outputs for each input.
#include <limits>
#include <utility>

#include "bindings.hpp"
#include "conv_pairs.hpp"
#include "isa.hpp"
#include "rows.hpp"

namespace spikerun {

namespace {

// The last `rest` columns of n, which fill no block: a block that ends with the rows, of which only they
// count.
template <size_t Block, class Rows>
SPIKERUN_INLINE void add_rest(Rows source, size_t count, size_t narrow, int32_t* acc, size_t n, size_t rest) {
    int32_t sum[Block] = {};
    source.weight += n - Block;
    add_block<Block>(source, count, narrow, 0, sum);
    for (size_t j = 0; j < rest; ++j)
        acc[n - rest + j] = wrapping_add(acc[n - rest + j], sum[Block - rest + j]);
}

template <class Rows>
SPIKERUN_INLINE void add_columns(const Rows& source, size_t count, size_t narrow, int32_t* acc, size_t n) {
    const size_t rest = n >= 16 ? n % 16 : n >= 8 ? n % 8 : 0;
    add_all(source, count, narrow, acc, n - rest);
    if (rest == 0) return;
    if (n >= 16)
        add_rest<16>(source, count, narrow, acc, n, rest);
    else
        add_rest<8>(source, count, narrow, acc, n, rest);
}

struct Events {
    SPIKERUN_INLINE static void run(const int8_t* weight, size_t n_in, size_t n_out, const int16_t* x,
                                    int32_t* acc, Event* events) {
        const size_t count = collect_events(x, n_in, static_cast<uint32_t>(n_out), events);
        add_columns(ListedRows{weight, events}, count, narrow_rows(x, n_in), acc, n_out);
    }
};

struct All {
    SPIKERUN_INLINE static void run(const int8_t* weight, size_t n_in, size_t n_out, const int16_t* x,
                                    int32_t* acc) {
        add_columns(AllRows{weight, n_out, x}, n_in, narrow_rows(x, n_in), acc, n_out);
    }
};

// Weights of at most so many bytes are kept for pairs as well, in blocks of columns; those of larger matrices
// are read from farther away, where whole rows come faster.
constexpr size_t largest_pairs = size_t{1} << 20;

// A matrix as a convolution of an image of one position.
std::unique_ptr<PairConv> pairs_of(const std::vector<int8_t>& weight, size_t n_in, size_t n_out) {
    if (weight.size() > largest_pairs) return nullptr;
    const Image in{1, 1, static_cast<int64_t>(n_in)}, out{1, 1, static_cast<int64_t>(n_out)};
    return PairConv::make(weight.data(), {in, out, {1, 1}, {1, 1}, {0, 0}, {1, 1}}, n_out, 0);
}

class Dense final : public Linear {
  public:
    Dense(std::vector<int8_t> weight, size_t n_in, size_t n_out)
        : Linear(n_in, n_out), weight_(std::move(weight)), pairs_(pairs_of(weight_, n_in, n_out)) {}

    void apply_event(const int16_t* x, int32_t* acc, Scratch& scratch, Share) const noexcept override {
        if (pairs_ && pairs_->apply(x, acc, scratch)) return;
        run<Events>(weight_.data(), n_in(), n_out(), x, acc, scratch.events.data());
    }
    void apply_dense(const int16_t* x, int32_t* acc, Scratch&, Share) const noexcept override {
        run<All>(weight_.data(), n_in(), n_out(), x, acc);
    }
    ScratchSize scratch_size() const noexcept override {
        ScratchSize size{n_in(), 0, 0};
        if (pairs_) pairs_->need(size);
        return size;
    }
    size_t bytes() const noexcept override { return bytes_of(weight_); }

  private:
    std::vector<int8_t> weight_;
    std::unique_ptr<PairConv> pairs_;
};

LinearPointer dense(nb::object weight) {
    const auto array = take<const int8_t, 2>(weight, "weight");
    for (const size_t side : {array.shape(0), array.shape(1)})
        require_range("weight", static_cast<int64_t>(side), 1, max_size);
    require(array.size() <= std::numeric_limits<uint32_t>::max(), "weight", "more than 2^32 elements");
    return std::make_shared<Dense>(copied<int8_t, 2>(weight, "weight"), array.shape(0), array.shape(1));
}

}  // namespace

void bind_dense(LinearClass& cls) {
    cls.def_static("dense", &dense, "weight"_a);
}

}  // namespace spikerun

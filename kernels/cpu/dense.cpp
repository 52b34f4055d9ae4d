// SPDX-License-Identifier: Apache-2.0
// Dense projections: weight[n_in][n_out], one contiguous row of outputs for each input.
#include <algorithm>
#include <limits>
#include <utility>

#include "bindings.hpp"
#include "dense_rows.hpp"
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

// Adds four rows at a time to all columns, in int16 while that is exact, as rows come from afar.
template <class Rows>
SPIKERUN_INLINE void add_long_rows(const Rows& source, size_t count, int16_t* sums, int32_t* acc, size_t n) {
    constexpr size_t rows = 4;
    NarrowSums narrow(sums, acc, n);
    for (size_t k = 0; k < count; k += rows) {
        const size_t end = std::min(k + rows, count);
        uint32_t magnitude = 0;
        for (size_t i = k; i < end; ++i) magnitude += static_cast<uint32_t>(std::abs(source.value(i)));
        if (narrow.take(magnitude))
            add_range(source, k, end, 0, sums, n);
        else
            add_range(source, k, end, 0, acc, n);
    }
    narrow.save();
}

// For instruction sets without a kernel of dense_rows.hpp.
struct Plain {
    SPIKERUN_INLINE static void run(const DenseJob& job, Event* events) {
        if (job.active) {
            const size_t count = collect_events(job.x, job.n_in, static_cast<uint32_t>(job.stride), events);
            add(ListedRows{job.weight, events}, count, job);
        } else {
            add(AllRows{job.weight, job.stride, job.x}, job.n_in, job);
        }
    }
    template <class Rows>
    SPIKERUN_INLINE static void add(const Rows& rows, size_t count, const DenseJob& job) {
        if (job.near)
            add_columns(rows, count, narrow_rows(job.x, job.n_in), job.acc, job.columns);
        else
            add_long_rows(rows, count, job.sums, job.acc, job.columns);
    }
};

// Weights of so many bytes are near: they stay in a cache of one core. Measured.
constexpr size_t largest_near = size_t{1} << 19;

class Dense final : public Linear {
  public:
    Dense(std::vector<int8_t> weight, size_t n_in, size_t n_out)
        : Linear(n_in, n_out), weight_(std::move(weight)) {}

    void apply_event(const int16_t* x, int32_t* acc, Scratch& scratch, Share share) const noexcept override {
        apply(x, acc, scratch, share, true);
    }
    void apply_dense(const int16_t* x, int32_t* acc, Scratch& scratch, Share share) const noexcept override {
        apply(x, acc, scratch, share, false);
    }
    size_t parts() const noexcept override { return (n_out() + DenseJob::block - 1) / DenseJob::block; }
    ScratchSize scratch_size() const noexcept override {
        ScratchSize size{n_in(), 0, 0};
        size.places = 2 * listed();
        need_sums(size, n_out() + DenseJob::block);
        return size;
    }
    size_t bytes() const noexcept override { return n_in() * n_out(); }

  private:
    size_t listed() const noexcept { return n_in() + DenseJob::slack; }

    void apply(const int16_t* x, int32_t* acc, Scratch& scratch, Share share, bool active) const noexcept {
        const Span columns = share.of(n_out(), DenseJob::block);
        if (columns.empty()) return;
        uint32_t* const place = scratch.places.data();
        uint32_t* const factor = place + listed();
        const DenseJob job{x,
                           n_in(),
                           active,
                           weight_.data() + columns.begin,
                           n_out(),
                           columns.size(),
                           n_in() * n_out() <= largest_near,
                           acc + columns.begin,
                           place,
                           factor,
                           aligned_sums(scratch)};
        if (!add_dense_rows(job)) run<Plain>(job, scratch.events.data());
    }

    std::vector<int8_t> weight_;
};

LinearPointer dense(nb::object weight) {
    const auto array = take<const int8_t, 2>(weight, "weight");
    for (const size_t side : {array.shape(0), array.shape(1)})
        require_range("weight", static_cast<int64_t>(side), 1, max_size);
    require(array.size() <= std::numeric_limits<uint32_t>::max(), "weight", "more than 2^32 elements");
    std::vector<int8_t> weights;
    weights.reserve(array.size() + DenseJob::behind);
    weights.assign(array.data(), array.data() + array.size());
    weights.resize(array.size() + DenseJob::behind);
    return std::make_shared<Dense>(std::move(weights), array.shape(0), array.shape(1));
}

}  // namespace

void bind_dense(LinearClass& cls) {
    cls.def_static("dense", &dense, "weight"_a);
}

}  // namespace spikerun

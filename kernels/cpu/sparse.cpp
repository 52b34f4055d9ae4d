// SPDX-License-Identifier: Apache-2.0
// Sparse projections: the entries of each source, in rows.
#include <limits>
#include <utility>

#include "bindings.hpp"
#include "isa.hpp"
#include "rows.hpp"

namespace spikerun {

namespace {

template <class Index>
struct Rows {
    std::vector<int64_t> begin;
    std::vector<Index> index;
    std::vector<int8_t> weight;
};

template <class Index>
class Sparse final : public Linear {
  public:
    Sparse(Rows<Index> rows, size_t n_out) : Linear(rows.begin.size() - 1, n_out), rows_(std::move(rows)) {}

    void apply_event(const int16_t* x, int32_t* acc, Scratch& scratch, Share) const noexcept override {
        Event* const events = scratch.events.data();
        const size_t count = run<Collect>(x, n_in(), events);
        for (size_t e = 0; e < count; ++e) add(row_of(events[e]), value_of(events[e]), acc);
    }
    void apply_dense(const int16_t* x, int32_t* acc, Scratch&, Share) const noexcept override {
        for (size_t i = 0; i < n_in(); ++i) add(i, x[i], acc);
    }
    ScratchSize scratch_size() const noexcept override { return {n_in(), 0, 0}; }
    size_t bytes() const noexcept override { return bytes_of(rows_.begin, rows_.index, rows_.weight); }

  private:
    struct Collect {
        SPIKERUN_INLINE static size_t run(const int16_t* x, size_t n, Event* events) {
            return collect_events(x, n, 1, events);
        }
    };

    SPIKERUN_INLINE void add(size_t row, int32_t x, int32_t* acc) const noexcept {
        const Index* const index = rows_.index.data();
        const int8_t* const weight = rows_.weight.data();
        const auto end = static_cast<size_t>(rows_.begin[row + 1]);
        for (auto k = static_cast<size_t>(rows_.begin[row]); k < end; ++k)
            acc[index[k]] = wrapping_add(acc[index[k]], x * weight[k]);
    }

    Rows<Index> rows_;
};

void check(const Rows<int32_t>& rows, int64_t n_out) {
    require_range("n_out", n_out, 1, max_size);
    require_range("indptr", static_cast<int64_t>(rows.begin.size()), 2, max_size + 1);
    require_same(rows.index.size(), rows.weight.size(), "data");
    require(rows.begin.front() == 0, "indptr", "must begin with 0");
    for (size_t i = 0; i + 1 < rows.begin.size(); ++i)
        require(rows.begin[i] <= rows.begin[i + 1], "indptr", "must not decrease");
    require(unsign(rows.begin.back()) == rows.index.size(), "indptr", "must end with the number of indices");
    for (const int32_t target : rows.index) require_range("indices", target, 0, n_out - 1);
}

LinearPointer sparse(nb::object indptr, nb::object indices, nb::object data, int64_t n_out) {
    Rows<int32_t> rows{copied<int64_t, 1>(indptr, "indptr"), copied<int32_t, 1>(indices, "indices"),
                       copied<int8_t, 1>(data, "data")};
    check(rows, n_out);
    if (n_out > std::numeric_limits<uint16_t>::max())
        return std::make_shared<Sparse<int32_t>>(std::move(rows), unsign(n_out));
    std::vector<uint16_t> narrow(rows.index.begin(), rows.index.end());
    return std::make_shared<Sparse<uint16_t>>(
        Rows<uint16_t>{std::move(rows.begin), std::move(narrow), std::move(rows.weight)}, unsign(n_out));
}

}  // namespace

void bind_sparse(LinearClass& cls) {
    cls.def_static("sparse", &sparse, "indptr"_a, "indices"_a, "data"_a, "n_out"_a);
}

}  // namespace spikerun

// SPDX-License-Identifier: Apache-2.0
// Sparse projections: by source for events, and transposed, by target, for the dense kernel.
#include <utility>

#include "bindings.hpp"
#include "rows.hpp"

namespace spikerun {

namespace {

struct Rows {
    std::vector<int64_t> begin;
    std::vector<int32_t> index;
    std::vector<int8_t> weight;
};

Rows transposed(const Rows& rows, size_t n_out) {
    Rows result{std::vector<int64_t>(n_out + 1, 0), std::vector<int32_t>(rows.index.size()),
                std::vector<int8_t>(rows.index.size())};
    for (const int32_t target : rows.index) ++result.begin[static_cast<size_t>(target) + 1];
    for (size_t o = 0; o < n_out; ++o) result.begin[o + 1] += result.begin[o];
    std::vector<int64_t> next(result.begin.begin(), result.begin.end() - 1);
    for (size_t i = 0; i + 1 < rows.begin.size(); ++i) {
        for (int64_t k = rows.begin[i]; k < rows.begin[i + 1]; ++k) {
            const auto from = static_cast<size_t>(k);
            const auto to = static_cast<size_t>(next[static_cast<size_t>(rows.index[from])]++);
            result.index[to] = static_cast<int32_t>(i);
            result.weight[to] = rows.weight[from];
        }
    }
    return result;
}

class Sparse final : public Linear {
  public:
    Sparse(Rows rows, size_t n_out)
        : Linear(rows.begin.size() - 1, n_out),
          by_source_(std::move(rows)),
          by_target_(transposed(by_source_, n_out)) {}

    void apply_event(const int16_t* x, int32_t* acc, Scratch& scratch) const noexcept override {
        Event* const events = scratch.events.data();
        const size_t count = collect_events(x, n_in(), 1, events);
        for (size_t e = 0; e < count; ++e) {
            const size_t i = row_of(events[e]);
            for (auto k = begin(by_source_, i); k < begin(by_source_, i + 1); ++k) {
                int32_t& sum = acc[by_source_.index[k]];
                sum = wrapping_add(sum, value_of(events[e]) * by_source_.weight[k]);
            }
        }
    }

    void apply_dense(const int16_t* x, int32_t* acc, Scratch&) const noexcept override {
        for (size_t o = 0; o < n_out(); ++o) {
            int32_t sum = acc[o];
            for (auto k = begin(by_target_, o); k < begin(by_target_, o + 1); ++k)
                sum = wrapping_add(sum, x[by_target_.index[k]] * by_target_.weight[k]);
            acc[o] = sum;
        }
    }

    ScratchSize scratch_size() const noexcept override { return {n_in(), 0, 0}; }

  private:
    static size_t begin(const Rows& rows, size_t i) { return static_cast<size_t>(rows.begin[i]); }

    Rows by_source_;
    Rows by_target_;
};

void check(const Rows& rows, int64_t n_out) {
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
    Rows rows{copied<int64_t, 1>(indptr, "indptr"), copied<int32_t, 1>(indices, "indices"),
              copied<int8_t, 1>(data, "data")};
    check(rows, n_out);
    return std::make_shared<Sparse>(std::move(rows), unsign(n_out));
}

}  // namespace

void bind_sparse(LinearClass& cls) {
    cls.def_static("sparse", &sparse, "indptr"_a, "indices"_a, "data"_a, "n_out"_a);
}

}  // namespace spikerun

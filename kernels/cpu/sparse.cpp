// SPDX-License-Identifier: Apache-2.0
// Sparse projections: the entries of each source, in rows.
#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "bindings.hpp"
#include "listed.hpp"

namespace spikerun {

namespace {

// As they are given.
struct Rows {
    std::vector<int64_t> begin;
    std::vector<int32_t> index;
    std::vector<int8_t> weight;
};

template <class Index>
struct Entries {
    static constexpr bool narrow = false;
    std::vector<Index> index;
    std::vector<int8_t> weight;
    size_t mean;  // of a row

    SPIKERUN_INLINE void add(size_t begin, size_t end, int32_t value, int32_t* sums) const {
        const Index* const place = index.data();
        const int8_t* const factor = weight.data();
        for (size_t k = begin; k < end; ++k) sums[place[k]] = wrapping_add(sums[place[k]], value * factor[k]);
    }
    SPIKERUN_INLINE void fetch(size_t begin) const {
        ::spikerun::fetch(index.data() + begin, mean * sizeof(Index) / 64 + 1);
        ::spikerun::fetch(weight.data() + begin, mean / 64 + 1);
    }
    size_t bytes() const { return index.size() * (sizeof(Index) + 1); }
};

void check(const Rows& rows, int64_t n_out) {
    require_range("n_out", n_out, 1, max_size);
    require_range("indptr", static_cast<int64_t>(rows.begin.size()), 2, max_size + 1);
    require_same(rows.index.size(), rows.weight.size(), "data");
    require(rows.index.size() < std::numeric_limits<uint32_t>::max(), "data", "2^32 elements or more");
    require(rows.begin.front() == 0, "indptr", "must begin with 0");
    for (size_t i = 0; i + 1 < rows.begin.size(); ++i)
        require(rows.begin[i] <= rows.begin[i + 1], "indptr", "must not decrease");
    require(unsign(rows.begin.back()) == rows.index.size(), "indptr", "must end with the number of indices");
    for (const int32_t target : rows.index) require_range("indices", target, 0, n_out - 1);
}

// In the order of columns within each row.
template <class Index>
LinearPointer listed(const Rows& rows, size_t n_out) {
    const size_t n_in = rows.begin.size() - 1;
    const ListedParts parts(n_out, 1);
    ListedBegins begins(parts, n_in);
    Entries<Index> entries{{}, {}, rows.index.size() / n_in};
    entries.index.reserve(rows.index.size());
    entries.weight.reserve(rows.index.size());
    std::vector<size_t> order;
    for (size_t i = 0; i < n_in; ++i) {
        order.resize(static_cast<size_t>(rows.begin[i + 1] - rows.begin[i]));
        std::iota(order.begin(), order.end(), static_cast<size_t>(rows.begin[i]));
        std::stable_sort(order.begin(), order.end(),
                         [&](size_t a, size_t b) { return rows.index[a] < rows.index[b]; });
        for (const size_t k : order) {
            begins.add(static_cast<size_t>(rows.index[k]), entries.index.size());
            entries.index.push_back(static_cast<Index>(rows.index[k]));
            entries.weight.push_back(rows.weight[k]);
        }
        begins.end_row(entries.index.size());
    }
    return std::make_shared<Listed<Entries<Index>>>(begins.end(entries.index.size()), std::move(entries),
                                                    parts);
}

LinearPointer sparse(nb::object indptr, nb::object indices, nb::object data, int64_t n_out) {
    Rows rows{copied<int64_t, 1>(indptr, "indptr"), copied<int32_t, 1>(indices, "indices"),
              copied<int8_t, 1>(data, "data")};
    check(rows, n_out);
    return unsign(n_out) > std::numeric_limits<uint16_t>::max() ? listed<int32_t>(rows, unsign(n_out))
                                                                : listed<uint16_t>(rows, unsign(n_out));
}

}  // namespace

void bind_sparse(LinearClass& cls) {
    cls.def_static("sparse", &sparse, "indptr"_a, "indices"_a, "data"_a, "n_out"_a);
}

}  // namespace spikerun

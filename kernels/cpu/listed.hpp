// SPDX-License-Identifier: Apache-2.0
// Rows of weights of which only some are kept: what is listed of each row (input) lies side by side, in the
// order of its columns (outputs), which threads share.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "isa.hpp"
#include "rows.hpp"

namespace spikerun {

class ListedParts {
  public:
    // Columns are taken apart in multiples of `grain`.
    ListedParts(size_t n_out, size_t grain) : n_out_(n_out) {
        parts_ = std::clamp(n_out / columns_of_part, size_t{1}, most_parts);
        width_ = n_out / parts_ / grain * grain;
    }
    size_t parts() const noexcept { return parts_; }
    // Where part k begins.
    size_t column(size_t k) const noexcept { return k == parts_ ? n_out_ : k * width_; }
    // Which part has a column.
    size_t of(size_t first) const noexcept { return std::min(first / width_, parts_ - 1); }

  private:
    static constexpr size_t columns_of_part = 1024, most_parts = 4;
    size_t n_out_, parts_, width_;
};

// Of some rows, those that are listed in a share: the entries begin[row * parts + first] .. begin[row * parts
// + last].
struct ListedShare {
    const uint32_t* begin;
    size_t parts, first, last;
    SPIKERUN_INLINE size_t from(size_t row) const { return begin[row * parts + first]; }
    SPIKERUN_INLINE size_t to(size_t row) const { return begin[row * parts + last]; }
};

// Counts entries while rows are listed.
class ListedBegins {
  public:
    ListedBegins(const ListedParts& parts, size_t n_in) : parts_(parts) {
        begin_.reserve(n_in * parts.parts() + 1);
    }
    // Entry `count` is the next, and of this column; columns do not shrink within a row.
    void add(size_t column, size_t count) { go_to(row_ + parts_.of(column), count); }
    void end_row(size_t count) {
        row_ += parts_.parts();
        go_to(row_ - 1, count);
    }
    std::vector<uint32_t> end(size_t count) {
        begin_.push_back(static_cast<uint32_t>(count));
        return std::move(begin_);
    }

  private:
    void go_to(size_t place, size_t count) {
        while (begin_.size() <= place) begin_.push_back(static_cast<uint32_t>(count));
    }
    ListedParts parts_;
    std::vector<uint32_t> begin_;
    size_t row_ = 0;
};

// The rows that are visited, and their values: those of events, or all.
struct ListedEvents {
    const Event* events;
    SPIKERUN_INLINE size_t row(size_t k) const { return row_of(events[k]); }
    SPIKERUN_INLINE int32_t value(size_t k) const { return value_of(events[k]); }
};
struct ListedAll {
    const int16_t* x;
    SPIKERUN_INLINE size_t row(size_t k) const { return k; }
    SPIKERUN_INLINE int32_t value(size_t k) const { return x[k]; }
};

// Fetches what is not far behind `from`, as far as rows are long in the mean.
SPIKERUN_INLINE void fetch(const void* from, size_t lines) {
#if defined(__GNUC__)
    for (size_t k = 0; k < lines; ++k) __builtin_prefetch(static_cast<const char*>(from) + 64 * k);
#endif
}

// Visits rows: `list.add(begin, end, value, sums)` adds a value times the entries begin..end to sums of 32
// bits or, where `List::narrow` says that it is good at that and no row has two entries of a column, of 16;
// `list.fetch(begin)` fetches those of a row that comes soon.
template <class List, class Rows>
SPIKERUN_INLINE void add_listed(const List& list, const ListedShare& share, const Rows& rows, size_t count,
                                Span columns, int16_t* sums, int32_t* acc) {
    constexpr size_t ahead = 4;
    NarrowSums narrow(sums + columns.begin, acc + columns.begin, List::narrow ? columns.size() : 0);
    for (size_t k = 0; k < count; ++k) {
        if (k + ahead < count) list.fetch(share.from(rows.row(k + ahead)));
        const size_t begin = share.from(rows.row(k)), end = share.to(rows.row(k));
        const int32_t value = rows.value(k);
        if constexpr (List::narrow) {
            if (narrow.take(static_cast<uint32_t>(std::abs(value)))) {
                list.add(begin, end, value, sums);
                continue;
            }
        }
        list.add(begin, end, value, acc);
    }
    narrow.save();
}

// A map whose rows are listed. List: what is kept of them, how it is added, its bytes.
template <class List>
class Listed final : public Linear {
  public:
    Listed(std::vector<uint32_t> begin, List list, const ListedParts& parts)
        : Linear((begin.size() - 1) / parts.parts(), parts.column(parts.parts())),
          begin_(std::move(begin)),
          list_(std::move(list)),
          parts_(parts) {}

    void apply_event(const int16_t* x, int32_t* acc, Scratch& scratch, Share share) const noexcept override {
        run<Kernel>(*this, x, acc, scratch, share, true);
    }
    void apply_dense(const int16_t* x, int32_t* acc, Scratch& scratch, Share share) const noexcept override {
        run<Kernel>(*this, x, acc, scratch, share, false);
    }
    size_t parts() const noexcept override { return parts_.parts(); }
    ScratchSize scratch_size() const noexcept override {
        ScratchSize size{n_in(), 0, 0};
        need_sums(size, n_out());
        return size;
    }
    size_t bytes() const noexcept override { return bytes_of(begin_) + list_.bytes(); }

  private:
    struct Kernel {
        SPIKERUN_INLINE static void run(const Listed& map, const int16_t* x, int32_t* acc, Scratch& scratch,
                                        Share share, bool active) {
            const Span parts = share.of(map.parts());
            if (parts.empty()) return;
            const Span columns{map.parts_.column(parts.begin), map.parts_.column(parts.end)};
            const ListedShare entries{map.begin_.data(), map.parts(), parts.begin, parts.end};
            int16_t* const sums = aligned_sums(scratch);
            if (!active) return add_listed(map.list_, entries, ListedAll{x}, map.n_in(), columns, sums, acc);
            Event* const events = scratch.events.data();
            const size_t count = collect_events(x, map.n_in(), 1, events);
            if (count != 0) add_listed(map.list_, entries, ListedEvents{events}, count, columns, sums, acc);
        }
    };

    std::vector<uint32_t> begin_;
    List list_;
    ListedParts parts_;
};

}  // namespace spikerun

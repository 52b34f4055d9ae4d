// SPDX-License-Identifier: Apache-2.0
// Convolutions over channels-last images; the weights of one kernel position are [cin / groups][cout].
#include <algorithm>
#include <limits>
#include <utility>

#include "bindings.hpp"
#include "conv_all.hpp"
#include "conv_depthwise.hpp"
#include "conv_pairs.hpp"
#include "conv_reached.hpp"
#include "isa.hpp"
#include "rows.hpp"

namespace spikerun {

namespace {

using Rows = ConvRows;

// Whether the lists of a window's row can be taken as one: they lie beside each other, and where their
// weights are moves from column to column as the columns do.
SPIKERUN_INLINE bool joins(const ConvShape& s, const Window& window) {
    return s.groups == 1 && window.columns.position_step == 1 &&
           (s.in_w + s.taps) * s.tap_weights() <= std::numeric_limits<uint32_t>::max();
}

// Lists the active channels of each input position and group: those of list i are events[begin[i] .. begin[i
// + 1]). The rows of joined lists are those of taps that move with their columns.
SPIKERUN_INLINE void list_events(const ConvShape& s, bool joined, const int16_t* x, Span rows, Event* events,
                                 uint32_t* begin) {
    const size_t of_row = s.in_w * s.groups, lists = rows.end * of_row;
    const auto per_column = static_cast<uint32_t>(joined ? s.tap_weights() : 0);
    size_t count = 0;
    for (size_t i = rows.begin * of_row, column = 0; i < lists; ++i) {
        begin[i] = static_cast<uint32_t>(count);
        count += collect_events(x + i * s.group_in, s.group_in, static_cast<uint32_t>(s.n_channel),
                                events + count, static_cast<uint32_t>(column) * per_column);
        if (++column == s.in_w) column = 0;
    }
    begin[lists] = static_cast<uint32_t>(count);
}

// Lists are copied in pieces of this many events, without a branch for each; so lists need as much room
// behind them.
constexpr size_t piece = 16;

// Copies a list of events with their rows moved by `base`, which is modulo 2^64: rows stay in 0..2^32 - 1.
SPIKERUN_INLINE size_t move_list(const Event* SPIKERUN_RESTRICT from, size_t count, uint64_t base,
                                 Event* SPIKERUN_RESTRICT to) {
    for (size_t k = 0; k < count; k += piece)
        for (size_t i = 0; i < piece; ++i) to[k + i] = from[k + i] + base;
    return count;
}

// Merges the lists of the inputs in the window of output (y, column), for one group; returns the number of
// events.
SPIKERUN_INLINE size_t merge_window(const ConvShape& s, const Window& window, bool joined, size_t y,
                                    size_t column, size_t group, const Event* events, const uint32_t* begin,
                                    Event* merged) {
    const Range rows = window.rows.ranges[y];
    const Range columns = window.columns.ranges[column];
    const size_t step = window.columns.position_step * s.groups;
    size_t count = 0;
    if (columns.count == 0) return count;
    for (size_t a = 0; a < rows.count; ++a) {
        const size_t image_row = rows.position + a * window.rows.position_step;
        size_t list = (image_row * s.in_w + columns.position) * s.groups;
        const uint32_t end = begin[list + (columns.count - 1) * step + s.groups];
        if (begin[list] == end) continue;  // this row is silent
        size_t tap = (rows.kernel + a) * s.kernel_w + columns.kernel;
        if (joined) {
            count += move_list(events + begin[list], end - begin[list],
                               (tap - columns.position) * s.tap_weights(), merged + count);
            continue;
        }
        list += group;
        for (size_t b = 0; b < columns.count; ++b, list += step, ++tap)
            count += move_list(events + begin[list], begin[list + 1] - begin[list], tap * s.tap_weights(),
                               merged + count);
    }
    return count;
}

// Each output position takes the active inputs in its window; its sums stay in registers meanwhile.
struct Gather {
    SPIKERUN_INLINE static void run(const ConvShape& s, const Window& window, const int8_t* weight,
                                    const int16_t* x, int32_t* acc, Scratch& scratch, Rows rows) {
        const size_t image_row = s.in_w * s.in_c;
        const size_t narrow = narrow_rows(x + rows.in.begin * image_row, rows.in.size() * image_row);
        Event* const events = scratch.events.data();
        Event* const merged = events + s.in_h * s.in_w * s.in_c + piece;
        uint32_t* const begin = scratch.lists.data();
        const bool joined = joins(s, window);
        list_events(s, joined, x, rows.in, events, begin);
        for (size_t y = rows.out.begin; y < rows.out.end; ++y) {
            for (size_t column = 0; column < s.out_w; ++column) {
                for (size_t g = 0; g < s.groups; ++g) {
                    const size_t count = merge_window(s, window, joined, y, column, g, events, begin, merged);
                    if (count == 0) continue;
                    int32_t* const out = acc + (y * s.out_w + column) * s.out_c + s.offset + g * s.group_out;
                    add_all(ListedRows{weight + g * s.group_out, merged}, count, narrow, out, s.group_out);
                }
            }
        }
    }
};

// Each active input adds its row of weights to the outputs that it reaches; what is silent costs no more than
// a look.
struct Scatter {
    // Of the inputs of these groups; weights: those of each group.
    SPIKERUN_INLINE static void run(const ConvShape& s, const Window& windows, const ConvWeights* weights,
                                    Span groups, const int16_t* x, int32_t* acc, Event* events, Rows rows) {
        const size_t image_row = s.in_w * s.in_c;
        const size_t count =
            collect_events(x + rows.in.begin * image_row, rows.in.size() * image_row, 1, events);
        for (size_t k = 0, y = rows.in.begin, begin = 0; k < count; ++k) {
            for (; row_of(events[k]) >= begin + image_row; ++y) begin += image_row;
            const size_t input = row_of(events[k]) - begin;
            const size_t column = quotient(input, s.in_c), channel = input - column * s.in_c;
            const size_t group = s.groups == 1 ? 0 : quotient(channel, s.group_in);
            if (group < groups.begin || group >= groups.end) continue;
            const size_t of_group = channel - group * s.group_in;
            int32_t* const out = acc + s.offset + group * s.group_out;
            for (const ChannelBlock& block : weights[group].blocks) {
                const size_t at = of_group * weights[group].step(block);
                reach(s, windows, y, column, rows.out,
                      [&](size_t tap, size_t position) SPIKERUN_LAMBDA_INLINE {
                          add_row(weights[group].rows(block, tap) + at, value_of(events[k]),
                                  out + position * s.out_c + block.first, block.count);
                      });
            }
        }
    }

    // Of listed inputs, in their order; marks the outputs that they reach.
    SPIKERUN_INLINE static void listed(const ConvShape& s, const Window& windows, const ConvWeights* weights,
                                       const Event* events, size_t count, int32_t* acc, Marks* marks) {
        for (size_t k = 0; k < count; ++k) {
            const Place place = place_of(s, row_of(events[k]));
            const size_t group = s.groups == 1 ? 0 : quotient(place.channel, s.group_in);
            const size_t first = s.offset + group * s.group_out;
            const ConvWeights& own = weights[group];
            for (const ChannelBlock& block : own.blocks) {
                const size_t at = (place.channel - group * s.group_in) * own.step(block);
                reach(s, windows, place.y, place.column, {0, s.out_h},
                      [&](size_t tap, size_t position) SPIKERUN_LAMBDA_INLINE {
                          const size_t j = position * s.out_c + first + block.first;
                          add_row(own.rows(block, tap) + at, value_of(events[k]), acc + j, block.count);
                          if (marks != nullptr) marks->add(j, block.count);
                      });
            }
        }
    }

    struct Listed {
        template <class... Arguments>
        SPIKERUN_INLINE static void run(const Arguments&... arguments) {
            listed(arguments...);
        }
    };

    // Calls add(kernel position, output position) for the outputs that an input reaches.
    template <class Add>
    SPIKERUN_INLINE static void reach(const ConvShape& s, const Window& windows, size_t y, size_t column,
                                      Span rows, Add add) {
        const Range range = windows.rows.ranges[y], columns = windows.columns.ranges[column];
        // Steps are modulo 2^64, as positions are.
        size_t tap = range.kernel * s.kernel_w + columns.kernel, row = range.position;
        for (uint32_t a = range.count; a > 0; --a) {
            if (row >= rows.begin && row < rows.end)
                for (uint32_t b = 0; b < columns.count; ++b)
                    add(tap + b * windows.columns.kernel_step,
                        row * s.out_w + columns.position + b * windows.columns.position_step);
            tap += windows.rows.kernel_step * s.kernel_w;
            row += windows.rows.position_step;
        }
    }
};

// Up to so many active inputs of some rows are scattered instead of gathered: to look at all windows pays
// once more than one channel of most lists is active; earlier where rows of weights are long, whose sums then
// stay in registers. Measured; the bits are the same.
size_t few_to_gather(const ConvShape& s, size_t rows) noexcept {
    constexpr size_t long_row = 64;
    return rows * s.in_w * s.groups * long_row / std::max(s.group_out, long_row);
}

// The same where outputs are visited in pairs otherwise. Measured.
size_t few_for_pairs(const ConvShape& s, size_t rows) noexcept {
    return rows * s.in_w / 3;
}

// Whether at most `limit` inputs are active. Where more are, that is seen after some of them.
bool are_few(const int16_t* x, size_t n, size_t limit) noexcept {
    constexpr size_t counted = 4096;
    size_t count = 0;
    for (size_t k = 0; k < n && count <= limit; k += counted)
        count += run<CountNonzero>(x + k, std::min(counted, n - k));
    return count <= limit;
}

// Each output position copies its window, zeros where that leaves the image, and adds all of it.
struct GatherAll {
    SPIKERUN_INLINE static void run(const ConvShape& s, const Window& window, const int8_t* weight,
                                    const int16_t* x, int32_t* acc, Scratch& scratch, Rows rows) {
        const size_t image_row = s.in_w * s.in_c;
        const size_t narrow = narrow_rows(x + rows.in.begin * image_row, rows.in.size() * image_row);
        int16_t* const patch = scratch.patch.data();
        const size_t count = s.taps * s.group_in;
        for (size_t y = rows.out.begin; y < rows.out.end; ++y) {
            for (size_t column = 0; column < s.out_w; ++column) {
                for (size_t g = 0; g < s.groups; ++g) {
                    std::fill_n(patch, count, int16_t{0});
                    for_each_tap(window.rows, y, window.columns, column, s.in_w,
                                 [&](size_t row, size_t tap, size_t position) SPIKERUN_LAMBDA_INLINE {
                                     const int16_t* const from = x + position * s.in_c + g * s.group_in;
                                     int16_t* const to = patch + (row * s.kernel_w + tap) * s.group_in;
                                     for (size_t c = 0; c < s.group_in; ++c) to[c] = from[c];
                                 });
                    int32_t* const out = acc + (y * s.out_w + column) * s.out_c + s.offset + g * s.group_out;
                    add_all(AllRows{weight + g * s.group_out, s.n_channel, patch}, count, narrow, out,
                            s.group_out);
                }
            }
        }
    }
};

// Groups of fewer output channels would leave most of a register without work.
constexpr size_t fewest_in_group = 8;

class Conv final : public Linear {
  public:
    // weight: [kh][kw][input channels of a group][all output channels]. It is kept once, in the order in
    // which the kernels of the instruction set in use read it.
    Conv(const int8_t* weight, const Geometry& g, const ConvShape& shape)
        : Linear(unsign(g.in.size()), unsign(g.out.size())),
          shape_(shape),
          of_inputs_{taps_of_inputs(height(g)), taps_of_inputs(width(g))},
          of_outputs_{taps_of_outputs(height(g)), taps_of_outputs(width(g))} {
        const bool wide = shape.groups == 1 || shape.group_out >= fewest_in_group;
        if (wide) all_ = AllConv::make(g, shape.group_in);
        for (size_t group = 0; wide && group < shape.groups; ++group) {
            const Channels channels = shape.group(group);
            auto pairs =
                PairConv::make(weight, g, shape.n_channel, channels, shape.offset + channels.out_first);
            if (!pairs) break;
            weights_.push_back(pairs->weights().view());
            pairs_.push_back(std::move(pairs));
        }
        if (!pairs_.empty()) return;
        plain_.resize(shape.taps * shape.tap_weights() + ConvWeights::slack);
        std::copy_n(weight, shape.taps * shape.tap_weights(), plain_.data());
        for (size_t group = 0; group < shape.groups; ++group)
            weights_.push_back(
                weights_of_group(plain_.data(), shape.taps, shape.n_channel, shape.group(group)));
    }

    void apply_event(const int16_t* x, int32_t* acc, Scratch& scratch, Share share) const noexcept override {
        const Rows rows = rows_of(share);
        const size_t image_row = shape_.in_w * shape_.in_c, n = rows.in.size();
        const size_t limit = pairs_.empty() ? few_to_gather(shape_, n) : few_for_pairs(shape_, n);
        if (are_few(x + rows.in.begin * image_row, n * image_row, limit)) {
            scatter({0, shape_.groups}, x, acc, scratch, rows);
        } else if (pairs_.empty()) {
            run<Gather>(shape_, of_outputs_, plain_.data(), x, acc, scratch, rows);
        } else {
            for (size_t group = 0; group < shape_.groups; ++group)
                if (!pairs_[group]->apply(x, acc, scratch, rows.out))
                    add_all_of(group, x, acc, scratch, rows, {0, shape_.group_out});
        }
    }
    void apply_dense(const int16_t* x, int32_t* acc, Scratch& scratch, Share share) const noexcept override {
        if (all_ == nullptr && pairs_.empty())
            return run<GatherAll>(shape_, of_outputs_, plain_.data(), x, acc, scratch, rows_of(share));
        // Threads that share the channels, where these come out even, interleave no weights twice.
        constexpr size_t most = AllPlan::most_channels;
        const bool even = all_ && (shape_.group_out + most - 1) / most % share.count == 0;
        const Rows rows = rows_of(even ? Share{} : share);
        const Span channels = (even ? share : Share{}).of(shape_.group_out, most);
        for (size_t group = 0; group < shape_.groups; ++group)
            add_all_of(group, x, acc, scratch, rows, channels);
    }
    void prepare_listed() override {
        if (!reached_) reached_ = std::make_unique<ReachedRows>(shape_, of_inputs_, weights_.front());
    }
    bool apply_listed(const Event* events, size_t n, int32_t* acc, Marks* marks) const noexcept override {
        if (reached_ && !reached_->empty())
            run<ScatterReached>(shape_, of_inputs_, *reached_, events, n, acc, marks);
        else
            run<Scatter::Listed>(shape_, of_inputs_, weights_.data(), events, n, acc, marks);
        return true;
    }
    size_t parts() const noexcept override { return shape_.out_h; }
    ScratchSize scratch_size() const noexcept override {
        const size_t window = shape_.taps * shape_.group_in;
        // The lists of all inputs, and behind them the merged list of one window.
        ScratchSize size{n_in() + window + 2 * piece, shape_.in_h * shape_.in_w * shape_.groups + 1, window};
        if (!pairs_.empty()) pairs_.front()->need(size);
        if (all_) all_->need(size);
        return size;
    }
    size_t bytes() const noexcept override {
        size_t bytes = plain_.size();
        for (const auto& pairs : pairs_) bytes += pairs->bytes();
        return bytes;
    }

  private:
    Rows rows_of(Share share) const noexcept {
        const Span out = share.of(shape_.out_h);
        return {out, rows_read(of_outputs_.rows, out)};
    }
    void scatter(Span groups, const int16_t* x, int32_t* acc, Scratch& scratch, Rows rows) const noexcept {
        run<Scatter>(shape_, of_inputs_, weights_.data(), groups, x, acc, scratch.events.data(), rows);
    }
    // Whatever the words; where most of a padded image would be padding, it is not made.
    void add_all_of(size_t group, const int16_t* x, int32_t* acc, Scratch& scratch, Rows rows,
                    Span channels) const noexcept {
        if (!all_) return scatter({group, group + 1}, x, acc, scratch, rows);
        const Channels own = shape_.group(group);
        all_->apply({&weights_[group], own.in_first, shape_.offset + own.out_first}, x, acc, scratch,
                    {rows.out, channels});
    }

    ConvShape shape_;
    Window of_inputs_, of_outputs_;
    std::vector<std::unique_ptr<PairConv>> pairs_;  // of each group, or none
    Arena<int8_t> plain_;                           // the weights as they were given, else
    std::vector<ConvWeights> weights_;              // of each group, wherever they are kept
    std::unique_ptr<AllConv> all_;
    std::unique_ptr<const ReachedRows> reached_;  // of inputs that come one by one
};

LinearPointer conv(nb::object weights, Dimensions3 in_hwc, Dimensions3 out_hwc, Dimensions2 stride,
                   Dimensions2 padding, Dimensions2 dilation, int64_t groups, int64_t channel_offset) {
    const auto array = take<const int8_t, 4>(weights, "weight");
    const auto extent = [&](size_t axis) { return static_cast<int64_t>(array.shape(axis)); };
    const Geometry g = geometry_of(in_hwc, out_hwc, {extent(0), extent(1)}, stride, padding, dilation);
    const int64_t cout = extent(3);
    check_geometry(g, Rounding::down);
    require(groups >= 1 && g.in.c % groups == 0, "groups", "must divide the input channels");
    require(cout >= 1 && cout % groups == 0, "groups", "must divide the output channels of the weight");
    require(channel_offset >= 0 && channel_offset <= g.out.c - cout, "channel_offset",
            "output channels " + text(channel_offset) + ".. do not fit the target's " + text(g.out.c));
    require(array.size() <= std::numeric_limits<uint32_t>::max(), "weight", "more than 2^32 elements");
    const int64_t group_in = g.in.c / groups;
    require(extent(2) == group_in, "weight", "expected the shape (kh, kw, cin / groups, cout)");
    const ConvShape shape{unsign(g.in.h),
                          unsign(g.in.w),
                          unsign(g.in.c),
                          unsign(g.out.h),
                          unsign(g.out.w),
                          unsign(g.out.c),
                          array.shape(0) * array.shape(1),
                          array.shape(1),
                          unsign(groups),
                          unsign(group_in),
                          unsign(cout / groups),
                          unsign(cout),
                          unsign(channel_offset)};
    if (shape.group_in == 1 && shape.group_out == 1)
        return depthwise(copied<int8_t, 4>(weights, "weight"), g, shape.offset);
    return std::make_shared<Conv>(array.data(), g, shape);
}

}  // namespace

void bind_conv(LinearClass& cls) {
    cls.def_static("conv", &conv, "weight"_a, "in_hwc"_a, "out_hwc"_a, "stride"_a = Dimensions2{1, 1},
                   "padding"_a = Dimensions2{0, 0}, "dilation"_a = Dimensions2{1, 1}, "groups"_a = 1,
                   "channel_offset"_a = 0);
}

}  // namespace spikerun

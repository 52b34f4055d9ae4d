// SPDX-License-Identifier: Apache-2.0
// Convolutions over channels-last images; the weights of one kernel position are [cin / groups][cout].
#include <algorithm>
#include <limits>
#include <utility>

#include "bindings.hpp"
#include "conv_all.hpp"
#include "conv_depthwise.hpp"
#include "conv_pairs.hpp"
#include "isa.hpp"
#include "rows.hpp"

namespace spikerun {

namespace {

struct Shape {
    size_t in_h, in_w, in_c;      // input image
    size_t out_h, out_w, out_c;   // target image, all channels
    size_t taps, kernel_w;        // kernel positions, and those in a row
    size_t groups, group_in;      // input channels of a group
    size_t group_out, n_channel;  // output channels of a group, of all groups
    size_t offset;                // first output channel in the target

    size_t tap_weights() const { return group_in * n_channel; }
};

// From positions of one image to those of the other that they are connected with.
struct Window {
    Taps rows, columns;
};

// Whether the lists of a window's row can be taken as one: they lie beside each other, and where their
// weights are moves from column to column as the columns do.
SPIKERUN_INLINE bool joins(const Shape& s, const Window& window) {
    return s.groups == 1 && window.columns.position_step == 1 &&
           (s.in_w + s.taps) * s.tap_weights() <= std::numeric_limits<uint32_t>::max();
}

// Lists the active channels of each input position and group: those of list i are events[begin[i] .. begin[i
// + 1]). The rows of joined lists are those of taps that move with their columns.
SPIKERUN_INLINE void list_events(const Shape& s, bool joined, const int16_t* x, Event* events,
                                 uint32_t* begin) {
    const size_t lists = s.in_h * s.in_w * s.groups;
    const auto per_column = static_cast<uint32_t>(joined ? s.tap_weights() : 0);
    size_t count = 0;
    for (size_t i = 0, column = 0; i < lists; ++i) {
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
SPIKERUN_INLINE size_t merge_window(const Shape& s, const Window& window, bool joined, size_t y,
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
    SPIKERUN_INLINE static void run(const Shape& s, const Window& window, const int8_t* weight,
                                    const int16_t* x, int32_t* acc, Scratch& scratch) {
        const size_t narrow = narrow_rows(x, s.in_h * s.in_w * s.in_c);
        Event* const events = scratch.events.data();
        Event* const merged = events + s.in_h * s.in_w * s.in_c + piece;
        uint32_t* const begin = scratch.lists.data();
        const bool joined = joins(s, window);
        list_events(s, joined, x, events, begin);
        for (size_t y = 0; y < s.out_h; ++y) {
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
    SPIKERUN_INLINE static void run(const Shape& s, const Window& windows, const int8_t* weight,
                                    const int16_t* x, int32_t* acc, Event* events) {
        const size_t image_row = s.in_w * s.in_c;
        const size_t count = collect_events(x, s.in_h * image_row, 1, events);
        const size_t n = s.group_out, tap = s.tap_weights();
        const size_t from_row = windows.rows.kernel_step * s.kernel_w * tap;
        const size_t from_column = windows.columns.kernel_step * tap;
        const size_t to_row = windows.rows.position_step * s.out_w * s.out_c;
        const size_t to_column = windows.columns.position_step * s.out_c;
        for (size_t k = 0, y = 0; k < count; ++k) {
            while (row_of(events[k]) >= (y + 1) * image_row) ++y;
            const size_t input = row_of(events[k]) - y * image_row;
            const size_t column = quotient(input, s.in_c);
            const size_t channel = input - column * s.in_c;
            const size_t group = s.groups == 1 ? 0 : quotient(channel, s.group_in);
            const size_t of_group = channel - group * s.group_in;
            const Range rows = windows.rows.ranges[y], columns = windows.columns.ranges[column];
            // Where the first row of weights and its target lie; steps are modulo 2^64, as positions are.
            size_t from =
                (rows.kernel * s.kernel_w + columns.kernel) * tap + of_group * s.n_channel + group * n;
            size_t to = (rows.position * s.out_w + columns.position) * s.out_c + s.offset + group * n;
            for (uint32_t a = rows.count; a > 0; --a, from += from_row, to += to_row)
                for (uint32_t b = 0; b < columns.count; ++b)
                    add_row(weight + (from + b * from_column), value_of(events[k]),
                            acc + (to + b * to_column), n);
        }
    }

    // a / b, both less than 2^32: the shorter division takes less time.
    SPIKERUN_INLINE static size_t quotient(size_t a, size_t b) {
        return static_cast<uint32_t>(a) / static_cast<uint32_t>(b);
    }
};

// Whether to scatter so many active inputs: to look at all windows pays once more than one channel of most
// lists is active; earlier where rows are long, whose sums then stay in registers. Measured; the bits are the
// same.
bool scatters(const Shape& s, size_t active) noexcept {
    constexpr size_t long_row = 64;
    return active * std::max(s.group_out, long_row) <= s.in_h * s.in_w * s.groups * long_row;
}

// Up to so many active inputs, to scatter them takes less time than to visit all outputs in pairs. Measured.
size_t few(const Shape& s) noexcept {
    return s.in_h * s.in_w / 3;
}

// Each output position copies its window, zeros where that leaves the image, and adds all of it.
struct GatherAll {
    SPIKERUN_INLINE static void run(const Shape& s, const Window& window, const int8_t* weight,
                                    const int16_t* x, int32_t* acc, Scratch& scratch) {
        const size_t narrow = narrow_rows(x, s.in_h * s.in_w * s.in_c);
        int16_t* const patch = scratch.patch.data();
        const size_t count = s.taps * s.group_in;
        for (size_t y = 0; y < s.out_h; ++y) {
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

class Conv final : public Linear {
  public:
    Conv(std::vector<int8_t> weight, const Geometry& g, const Shape& shape)
        : Linear(unsign(g.in.size()), unsign(g.out.size())),
          weight_(std::move(weight)),
          shape_(shape),
          of_inputs_{taps_of_inputs(height(g)), taps_of_inputs(width(g))},
          of_outputs_{taps_of_outputs(height(g)), taps_of_outputs(width(g))} {
        if (shape.groups != 1) return;
        pairs_ = PairConv::make(weight_.data(), g, shape.n_channel, shape.offset);
        all_ = AllConv::make(weight_.data(), g, shape.n_channel, shape.offset);
    }

    void apply_event(const int16_t* x, int32_t* acc, Scratch& scratch, Share) const noexcept override {
        const size_t active = run<CountNonzero>(x, n_in());
        if (pairs_ && active > few(shape_) && pairs_->apply(x, acc, scratch)) return;
        if (scatters(shape_, active))
            run<Scatter>(shape_, of_inputs_, weight_.data(), x, acc, scratch.events.data());
        else
            run<Gather>(shape_, of_outputs_, weight_.data(), x, acc, scratch);
    }
    void apply_dense(const int16_t* x, int32_t* acc, Scratch& scratch, Share) const noexcept override {
        if (all_ && all_->apply(x, acc, scratch)) return;
        run<GatherAll>(shape_, of_outputs_, weight_.data(), x, acc, scratch);
    }
    ScratchSize scratch_size() const noexcept override {
        const size_t window = shape_.taps * shape_.group_in;
        // The lists of all inputs, and behind them the merged list of one window.
        ScratchSize size{n_in() + window + 2 * piece, shape_.in_h * shape_.in_w * shape_.groups + 1, window};
        if (pairs_) pairs_->need(size);
        if (all_) all_->need(size);
        return size;
    }
    size_t bytes() const noexcept override {
        return bytes_of(weight_) + (pairs_ ? pairs_->bytes() : 0) + (all_ ? all_->bytes() : 0);
    }

  private:
    std::vector<int8_t> weight_;
    Shape shape_;
    Window of_inputs_, of_outputs_;
    std::unique_ptr<PairConv> pairs_;
    std::unique_ptr<AllConv> all_;
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
    const Shape shape{unsign(g.in.h),
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
    std::vector<int8_t> weight = copied<int8_t, 4>(weights, "weight");
    if (shape.group_in == 1 && shape.group_out == 1) return depthwise(std::move(weight), g, shape.offset);
    return std::make_shared<Conv>(std::move(weight), g, shape);
}

}  // namespace

void bind_conv(LinearClass& cls) {
    cls.def_static("conv", &conv, "weight"_a, "in_hwc"_a, "out_hwc"_a, "stride"_a = Dimensions2{1, 1},
                   "padding"_a = Dimensions2{0, 0}, "dilation"_a = Dimensions2{1, 1}, "groups"_a = 1,
                   "channel_offset"_a = 0);
}

}  // namespace spikerun

// Convolutions over channels-last images; the weights of one kernel position are [cin / groups][cout].
#include <algorithm>
#include <limits>
#include <utility>

#include "linear.hpp"
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

struct Maps {
    Taps rows_of_inputs, columns_of_inputs;    // scatter: from an input to its outputs
    Taps rows_of_outputs, columns_of_outputs;  // gather: from an output to its inputs
};

// Calls visit(kernel position, image position) for each pair of a row tap and a column tap.
template <class Visit>
SPIKERUN_INLINE void for_each_tap(const Taps& rows, size_t y, const Taps& columns, size_t x, size_t kernel_w,
                                  size_t image_w, Visit visit) {
    for (size_t a = rows.begin[y]; a < rows.begin[y + 1]; ++a) {
        for (size_t b = columns.begin[x]; b < columns.begin[x + 1]; ++b) {
            const Tap row = rows.taps[a];
            const Tap column = columns.taps[b];
            visit(static_cast<size_t>(row.kernel) * kernel_w + static_cast<size_t>(column.kernel),
                  static_cast<size_t>(row.position) * image_w + static_cast<size_t>(column.position));
        }
    }
}

// Lists the active channels of each input position and group: those of list i are events[begin[i] .. begin[i
// + 1]).
SPIKERUN_INLINE void list_events(const Shape& s, const int16_t* x, Event* events, uint32_t* begin) {
    const size_t lists = s.in_h * s.in_w * s.groups;
    size_t count = 0;
    for (size_t i = 0; i < lists; ++i) {
        begin[i] = static_cast<uint32_t>(count);
        count += collect_events(x + i * s.group_in, s.group_in, static_cast<uint32_t>(s.n_channel),
                                events + count);
    }
    begin[lists] = static_cast<uint32_t>(count);
}

// Lists are copied in pieces of this many events, without a branch for each; so lists need as much room
// behind them.
constexpr size_t piece = 16;

// Copies a list of events with their rows moved by `base`.
SPIKERUN_INLINE size_t move_list(const Event* SPIKERUN_RESTRICT from, size_t count, uint32_t base,
                                 Event* SPIKERUN_RESTRICT to) {
    for (size_t k = 0; k < count; k += piece)
        for (size_t i = 0; i < piece; ++i) to[k + i] = from[k + i] + base;
    return count;
}

// Merges the lists of the inputs in the window of output (y, column), for one group; returns the number of
// events.
SPIKERUN_INLINE size_t merge_window(const Shape& s, const Maps& maps, size_t y, size_t column, size_t group,
                                    const Event* events, const uint32_t* begin, Event* merged) {
    const Tap* const columns = maps.columns_of_outputs.taps.data();
    const size_t left = maps.columns_of_outputs.begin[column];
    const size_t right = maps.columns_of_outputs.begin[column + 1];
    size_t count = 0;
    if (left == right) return count;
    for (size_t a = maps.rows_of_outputs.begin[y]; a < maps.rows_of_outputs.begin[y + 1]; ++a) {
        const Tap row = maps.rows_of_outputs.taps[a];
        const size_t first = static_cast<size_t>(row.position) * s.in_w;
        const auto list_of = [&](size_t b) {
            return (first + static_cast<size_t>(columns[b].position)) * s.groups;
        };
        if (begin[list_of(left)] == begin[list_of(right - 1) + s.groups]) continue;  // this row is silent
        for (size_t b = left; b < right; ++b) {
            const size_t list = list_of(b) + group;
            const size_t kernel =
                static_cast<size_t>(row.kernel) * s.kernel_w + static_cast<size_t>(columns[b].kernel);
            count += move_list(events + begin[list], begin[list + 1] - begin[list],
                               static_cast<uint32_t>(kernel * s.tap_weights()), merged + count);
        }
    }
    return count;
}

// Each output position takes the active inputs in its window; its sums stay in registers meanwhile.
SPIKERUN_CLONES void conv_event(const Shape& s, const Maps& maps, const int8_t* weight, const int16_t* x,
                                int32_t* acc, Scratch& scratch) noexcept {
    const size_t narrow = narrow_rows(x, s.in_h * s.in_w * s.in_c);
    Event* const events = scratch.events.data();
    Event* const merged = events + s.in_h * s.in_w * s.in_c + piece;
    uint32_t* const begin = scratch.lists.data();
    list_events(s, x, events, begin);
    for (size_t y = 0; y < s.out_h; ++y) {
        for (size_t column = 0; column < s.out_w; ++column) {
            for (size_t g = 0; g < s.groups; ++g) {
                const size_t count = merge_window(s, maps, y, column, g, events, begin, merged);
                if (count == 0) continue;
                int32_t* const out = acc + (y * s.out_w + column) * s.out_c + s.offset + g * s.group_out;
                add_all(ListedRows{weight + g * s.group_out, merged}, count, narrow, out, s.group_out);
            }
        }
    }
}

// Each output position copies its window, zeros where that leaves the image, and adds all of it.
SPIKERUN_CLONES void conv_dense(const Shape& s, const Maps& maps, const int8_t* weight, const int16_t* x,
                                int32_t* acc, Scratch& scratch) noexcept {
    const size_t narrow = narrow_rows(x, s.in_h * s.in_w * s.in_c);
    int16_t* const patch = scratch.patch.data();
    const size_t count = s.taps * s.group_in;
    for (size_t y = 0; y < s.out_h; ++y) {
        for (size_t column = 0; column < s.out_w; ++column) {
            for (size_t g = 0; g < s.groups; ++g) {
                std::fill_n(patch, count, int16_t{0});
                for_each_tap(maps.rows_of_outputs, y, maps.columns_of_outputs, column, s.kernel_w, s.in_w,
                             [&](size_t kernel, size_t position) SPIKERUN_LAMBDA_INLINE {
                                 const int16_t* const from = x + position * s.in_c + g * s.group_in;
                                 for (size_t c = 0; c < s.group_in; ++c)
                                     patch[kernel * s.group_in + c] = from[c];
                             });
                int32_t* const out = acc + (y * s.out_w + column) * s.out_c + s.offset + g * s.group_out;
                add_all(AllRows{weight + g * s.group_out, s.n_channel, patch}, count, narrow, out,
                        s.group_out);
            }
        }
    }
}

// Depthwise (one input and one output channel a group): channels are the lanes instead of the rows.
SPIKERUN_CLONES void depthwise_event(const Shape& s, const Maps& maps, const int8_t* weight, const int16_t* x,
                                     int32_t* acc, Scratch& scratch) noexcept {
    Event* const events = scratch.events.data();
    for (size_t y = 0; y < s.in_h; ++y) {
        for (size_t column = 0; column < s.in_w; ++column) {
            const size_t count = collect_events(x + (y * s.in_w + column) * s.in_c, s.in_c, 1, events);
            if (count == 0) continue;
            for_each_tap(maps.rows_of_inputs, y, maps.columns_of_inputs, column, s.kernel_w, s.out_w,
                         [&](size_t kernel, size_t position) SPIKERUN_LAMBDA_INLINE {
                             const int8_t* const w = weight + kernel * s.n_channel;
                             int32_t* const out = acc + position * s.out_c + s.offset;
                             for (size_t k = 0; k < count; ++k) {
                                 const size_t c = row_of(events[k]);
                                 out[c] = wrapping_add(out[c], value_of(events[k]) * w[c]);
                             }
                         });
        }
    }
}

SPIKERUN_CLONES void depthwise_dense(const Shape& s, const Maps& maps, const int8_t* weight, const int16_t* x,
                                     int32_t* acc, Scratch&) noexcept {
    for (size_t y = 0; y < s.out_h; ++y) {
        for (size_t column = 0; column < s.out_w; ++column) {
            int32_t* const SPIKERUN_RESTRICT out = acc + (y * s.out_w + column) * s.out_c + s.offset;
            for_each_tap(maps.rows_of_outputs, y, maps.columns_of_outputs, column, s.kernel_w, s.in_w,
                         [&](size_t kernel, size_t position) SPIKERUN_LAMBDA_INLINE {
                             const int8_t* const w = weight + kernel * s.n_channel;
                             const int16_t* const pixel = x + position * s.in_c;
                             for (size_t c = 0; c < s.n_channel; ++c)
                                 out[c] = wrapping_add(out[c], pixel[c] * w[c]);
                         });
        }
    }
}

class Conv final : public Linear {
  public:
    Conv(std::vector<int8_t> weight, const Shape& shape, Maps maps)
        : Linear(shape.in_h * shape.in_w * shape.in_c, shape.out_h * shape.out_w * shape.out_c),
          weight_(std::move(weight)),
          shape_(shape),
          maps_(std::move(maps)) {}

    void apply_event(const int16_t* x, int32_t* acc, Scratch& scratch) const noexcept override {
        (depthwise() ? depthwise_event : conv_event)(shape_, maps_, weight_.data(), x, acc, scratch);
    }
    void apply_dense(const int16_t* x, int32_t* acc, Scratch& scratch) const noexcept override {
        (depthwise() ? depthwise_dense : conv_dense)(shape_, maps_, weight_.data(), x, acc, scratch);
    }
    ScratchSize scratch_size() const noexcept override {
        const size_t window = shape_.taps * shape_.group_in;
        // The lists of all inputs, and behind them the merged list of one window.
        return {n_in() + window + 2 * piece, shape_.in_h * shape_.in_w * shape_.groups + 1, window};
    }
    size_t bytes() const noexcept override { return weight_.size(); }

  private:
    bool depthwise() const { return shape_.group_in == 1 && shape_.group_out == 1; }

    std::vector<int8_t> weight_;
    Shape shape_;
    Maps maps_;
};

size_t unsign(int64_t value) {
    return static_cast<size_t>(value);
}

}  // namespace

LinearPointer make_conv(std::vector<int8_t> weight, int64_t cout, const Geometry& g, int64_t groups,
                        int64_t channel_offset) {
    check_geometry(g, Rounding::down);
    require(groups >= 1 && g.in.c % groups == 0, "groups", "must divide the input channels");
    require(cout >= 1 && cout % groups == 0, "groups", "must divide the output channels of the weight");
    require(channel_offset >= 0 && channel_offset <= g.out.c - cout, "channel_offset",
            "output channels " + std::to_string(channel_offset) + ".. do not fit the target's " +
                std::to_string(g.out.c));
    require(weight.size() <= std::numeric_limits<uint32_t>::max(), "weight", "more than 2^32 elements");
    const int64_t group_in = g.in.c / groups;
    require(weight.size() == unsign(g.kernel.h * g.kernel.w) * unsign(group_in * cout), "weight",
            "expected the shape (kh, kw, cin / groups, cout)");
    const Shape shape{unsign(g.in.h),
                      unsign(g.in.w),
                      unsign(g.in.c),
                      unsign(g.out.h),
                      unsign(g.out.w),
                      unsign(g.out.c),
                      unsign(g.kernel.h * g.kernel.w),
                      unsign(g.kernel.w),
                      unsign(groups),
                      unsign(group_in),
                      unsign(cout / groups),
                      unsign(cout),
                      unsign(channel_offset)};
    Maps maps{
        taps_of_inputs(g.in.h, g.out.h, g.kernel.h, g.stride.h, g.padding.h, g.dilation.h),
        taps_of_inputs(g.in.w, g.out.w, g.kernel.w, g.stride.w, g.padding.w, g.dilation.w),
        taps_of_outputs(g.in.h, g.out.h, g.kernel.h, g.stride.h, g.padding.h, g.dilation.h),
        taps_of_outputs(g.in.w, g.out.w, g.kernel.w, g.stride.w, g.padding.w, g.dilation.w),
    };
    return std::make_shared<Conv>(std::move(weight), shape, std::move(maps));
}

}  // namespace spikerun

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
    size_t kernel_w;              // to number the kernel positions
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

// Scatter: the active channels of one input position are listed once, then added to every output they reach.
SPIKERUN_CLONES void conv_event(const Shape& s, const Maps& maps, const int8_t* weight, const int16_t* x, int32_t* acc,
                                Event* events) noexcept {
    const bool narrow = all_narrow(x, s.in_h * s.in_w * s.in_c);
    for (size_t y = 0; y < s.in_h; ++y) {
        for (size_t column = 0; column < s.in_w; ++column) {
            const int16_t* const pixel = x + (y * s.in_w + column) * s.in_c;
            for (size_t g = 0; g < s.groups; ++g) {
                const size_t count =
                    collect_events(pixel + g * s.group_in, s.group_in, static_cast<uint32_t>(s.n_channel), events);
                if (count == 0) continue;
                const int8_t* const w = weight + g * s.group_out;
                int32_t* const out = acc + s.offset + g * s.group_out;
                for_each_tap(maps.rows_of_inputs, y, maps.columns_of_inputs, column, s.kernel_w, s.out_w,
                             [&](size_t kernel, size_t position) SPIKERUN_LAMBDA_INLINE {
                                 add_events(narrow, w + kernel * s.tap_weights(), events, count,
                                            out + position * s.out_c, s.group_out);
                             });
            }
        }
    }
}

// Gather: each output position takes all channels of all inputs in its window.
SPIKERUN_CLONES void conv_dense(const Shape& s, const Maps& maps, const int8_t* weight, const int16_t* x,
                                int32_t* acc) noexcept {
    const bool narrow = all_narrow(x, s.in_h * s.in_w * s.in_c);
    for (size_t y = 0; y < s.out_h; ++y) {
        for (size_t column = 0; column < s.out_w; ++column) {
            int32_t* const out = acc + (y * s.out_w + column) * s.out_c + s.offset;
            for_each_tap(maps.rows_of_outputs, y, maps.columns_of_outputs, column, s.kernel_w, s.in_w,
                         [&](size_t kernel, size_t position) SPIKERUN_LAMBDA_INLINE {
                             for (size_t g = 0; g < s.groups; ++g) {
                                 add_all_rows(narrow, weight + kernel * s.tap_weights() + g * s.group_out, s.n_channel,
                                              x + position * s.in_c + g * s.group_in, s.group_in,
                                              out + g * s.group_out, s.group_out);
                             }
                         });
        }
    }
}

// Depthwise (one input and one output channel a group): channels are the lanes instead of the rows.
SPIKERUN_CLONES void depthwise_event(const Shape& s, const Maps& maps, const int8_t* weight, const int16_t* x,
                                     int32_t* acc, Event* events) noexcept {
    for (size_t y = 0; y < s.in_h; ++y) {
        for (size_t column = 0; column < s.in_w; ++column) {
            const size_t count = collect_events(x + (y * s.in_w + column) * s.in_c, s.in_c, 1, events);
            if (count == 0) continue;
            for_each_tap(maps.rows_of_inputs, y, maps.columns_of_inputs, column, s.kernel_w, s.out_w,
                         [&](size_t kernel, size_t position) SPIKERUN_LAMBDA_INLINE {
                             const int8_t* const w = weight + kernel * s.n_channel;
                             int32_t* const out = acc + position * s.out_c + s.offset;
                             for (size_t k = 0; k < count; ++k) {
                                 const size_t c = events[k].row;
                                 out[c] = wrapping_add(out[c], events[k].value * w[c]);
                             }
                         });
        }
    }
}

SPIKERUN_CLONES void depthwise_dense(const Shape& s, const Maps& maps, const int8_t* weight, const int16_t* x,
                                     int32_t* acc) noexcept {
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
        (depthwise() ? depthwise_event : conv_event)(shape_, maps_, weight_.data(), x, acc, scratch.events.data());
    }
    void apply_dense(const int16_t* x, int32_t* acc) const noexcept override {
        (depthwise() ? depthwise_dense : conv_dense)(shape_, maps_, weight_.data(), x, acc);
    }
    size_t scratch_events() const noexcept override { return shape_.in_c; }
    size_t bytes() const noexcept override { return weight_.size(); }

  private:
    bool depthwise() const { return shape_.group_in == 1 && shape_.group_out == 1; }

    std::vector<int8_t> weight_;
    Shape shape_;
    Maps maps_;
};

size_t unsign(int64_t value) { return static_cast<size_t>(value); }

}  // namespace

LinearPointer make_conv(std::vector<int8_t> weight, int64_t cout, const Geometry& g, int64_t groups,
                        int64_t channel_offset) {
    check_geometry(g, Rounding::down);
    require(groups >= 1 && g.in.c % groups == 0, "groups", "must divide the input channels");
    require(cout >= 1 && cout % groups == 0, "groups", "must divide the output channels of the weight");
    require(channel_offset >= 0 && channel_offset <= g.out.c - cout, "channel_offset",
            "output channels " + std::to_string(channel_offset) + ".. do not fit the target's " + std::to_string(g.out.c));
    require(weight.size() <= std::numeric_limits<uint32_t>::max(), "weight", "more than 2^32 elements");
    const int64_t group_in = g.in.c / groups;
    require(weight.size() == unsign(g.kernel.h * g.kernel.w) * unsign(group_in * cout), "weight",
            "expected the shape (kh, kw, cin / groups, cout)");
    const Shape shape{unsign(g.in.h),     unsign(g.in.w),  unsign(g.in.c),     unsign(g.out.h),
                      unsign(g.out.w),    unsign(g.out.c), unsign(g.kernel.w), unsign(groups),
                      unsign(group_in),   unsign(cout / groups), unsign(cout), unsign(channel_offset)};
    Maps maps{
        taps_of_inputs(g.in.h, g.out.h, g.kernel.h, g.stride.h, g.padding.h, g.dilation.h),
        taps_of_inputs(g.in.w, g.out.w, g.kernel.w, g.stride.w, g.padding.w, g.dilation.w),
        taps_of_outputs(g.in.h, g.out.h, g.kernel.h, g.stride.h, g.padding.h, g.dilation.h),
        taps_of_outputs(g.in.w, g.out.w, g.kernel.w, g.stride.w, g.padding.w, g.dilation.w),
    };
    return std::make_shared<Conv>(std::move(weight), shape, std::move(maps));
}

}  // namespace spikerun

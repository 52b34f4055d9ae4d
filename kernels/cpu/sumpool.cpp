// SPDX-License-Identifier: Apache-2.0
// Sum pools: each channel adds up its window, times a gain per channel.
#include <utility>

#include "bindings.hpp"
#include "isa.hpp"
#include "rows.hpp"

namespace spikerun {

namespace {

struct Shape {
    size_t in_h, in_w, channels, out_h, out_w, out_c, offset;
};

// Adds the active channels of each input to the windows that hold it.
struct Scatter {
    SPIKERUN_INLINE static void run(const Shape& s, const Taps& rows, const Taps& columns,
                                    const int32_t* gain, const int16_t* x, int32_t* acc, Event* events) {
        for (size_t y = 0; y < s.in_h; ++y) {
            for (size_t column = 0; column < s.in_w; ++column) {
                const size_t count =
                    collect_events(x + (y * s.in_w + column) * s.channels, s.channels, 1, events);
                if (count == 0) continue;
                for_each_tap(rows, y, columns, column, s.out_w,
                             [&](size_t, size_t, size_t position) SPIKERUN_LAMBDA_INLINE {
                                 int32_t* const out = acc + position * s.out_c + s.offset;
                                 for (size_t e = 0; e < count; ++e) {
                                     const size_t c = row_of(events[e]);
                                     out[c] = wrapping_multiply_add(out[c], gain[c], value_of(events[e]));
                                 }
                             });
            }
        }
    }
};

// Each output adds up its window.
struct Gather {
    SPIKERUN_INLINE static void run(const Shape& s, const Taps& rows, const Taps& columns,
                                    const int32_t* gain, const int16_t* x, int32_t* acc) {
        for (size_t y = 0; y < s.out_h; ++y) {
            for (size_t column = 0; column < s.out_w; ++column) {
                int32_t* const SPIKERUN_RESTRICT out = acc + (y * s.out_w + column) * s.out_c + s.offset;
                for_each_tap(rows, y, columns, column, s.in_w,
                             [&](size_t, size_t, size_t position) SPIKERUN_LAMBDA_INLINE {
                                 const int16_t* const pixel = x + position * s.channels;
                                 for (size_t c = 0; c < s.channels; ++c)
                                     out[c] = wrapping_multiply_add(out[c], gain[c], pixel[c]);
                             });
            }
        }
    }
};

class SumPool final : public Linear {
  public:
    SumPool(std::vector<int32_t> gain, const Geometry& g, const Shape& shape)
        : Linear(unsign(g.in.size()), unsign(g.out.size())),
          gain_(std::move(gain)),
          shape_(shape),
          rows_of_inputs_(taps_of_inputs(height(g))),
          columns_of_inputs_(taps_of_inputs(width(g))),
          rows_of_outputs_(taps_of_outputs(height(g))),
          columns_of_outputs_(taps_of_outputs(width(g))) {}

    void apply_event(const int16_t* x, int32_t* acc, Scratch& scratch, Share) const noexcept override {
        run<Scatter>(shape_, rows_of_inputs_, columns_of_inputs_, gain_.data(), x, acc,
                     scratch.events.data());
    }
    void apply_dense(const int16_t* x, int32_t* acc, Scratch&, Share) const noexcept override {
        run<Gather>(shape_, rows_of_outputs_, columns_of_outputs_, gain_.data(), x, acc);
    }
    bool apply_listed(const Event* events, size_t n, int32_t* acc, Marks* marks) const noexcept override {
        for (size_t e = 0; e < n; ++e) {
            const size_t pixel = row_of(events[e]) / shape_.channels, c = row_of(events[e]) % shape_.channels;
            for_each_tap(rows_of_inputs_, pixel / shape_.in_w, columns_of_inputs_, pixel % shape_.in_w,
                         shape_.out_w, [&](size_t, size_t, size_t position) SPIKERUN_LAMBDA_INLINE {
                             const size_t j = position * shape_.out_c + shape_.offset + c;
                             acc[j] = wrapping_multiply_add(acc[j], gain_[c], value_of(events[e]));
                             if (marks != nullptr) marks->add(j);
                         });
        }
        return true;
    }
    ScratchSize scratch_size() const noexcept override { return {shape_.channels, 0, 0}; }
    size_t bytes() const noexcept override { return bytes_of(gain_); }

  private:
    std::vector<int32_t> gain_;
    Shape shape_;
    Taps rows_of_inputs_, columns_of_inputs_;
    Taps rows_of_outputs_, columns_of_outputs_;
};

LinearPointer sum_pool(Dimensions3 in_hwc, Dimensions3 out_hwc, Dimensions2 kernel, Dimensions2 stride,
                       Dimensions2 padding, nb::object gains, int64_t channel_offset) {
    const Geometry g = geometry_of(in_hwc, out_hwc, kernel, stride, padding, {1, 1});
    check_geometry(g, Rounding::either);
    std::vector<int32_t> gain = copied<int32_t, 1>(gains, "gain");
    require_same(unsign(g.in.c), gain.size(), "gain");
    require(channel_offset >= 0 && channel_offset <= g.out.c - g.in.c, "channel_offset",
            "channels " + text(channel_offset) + ".. do not fit the target's " + text(g.out.c));
    const Shape shape{unsign(g.in.h),  unsign(g.in.w),  unsign(g.in.c),        unsign(g.out.h),
                      unsign(g.out.w), unsign(g.out.c), unsign(channel_offset)};
    return std::make_shared<SumPool>(std::move(gain), g, shape);
}

}  // namespace

void bind_sum_pool(LinearClass& cls) {
    cls.def_static("sum_pool", &sum_pool, "in_hwc"_a, "out_hwc"_a, "kernel"_a, "stride"_a, "padding"_a,
                   "gain"_a, "channel_offset"_a = 0);
}

}  // namespace spikerun

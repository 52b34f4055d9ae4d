// SPDX-License-Identifier: Apache-2.0
#include "conv_depthwise.hpp"

#include <utility>

#include "isa.hpp"
#include "rows.hpp"

namespace spikerun {

namespace {

struct Shape {
    size_t in_h, in_w, channels;  // input image
    size_t out_h, out_w, out_c;   // target image, all channels
    size_t kernel_w;
    size_t offset;  // first output channel in the target
};

// From positions of one image to those of the other that they are connected with.
struct Window {
    Taps rows, columns;
};

struct Scatter {
    SPIKERUN_INLINE static void run(const Shape& s, const Window& windows, const int8_t* weight,
                                    const int16_t* x, int32_t* acc, Event* events) {
        for (size_t y = 0; y < s.in_h; ++y) {
            for (size_t column = 0; column < s.in_w; ++column) {
                const size_t count =
                    collect_events(x + (y * s.in_w + column) * s.channels, s.channels, 1, events);
                if (count == 0) continue;
                for_each_tap(windows.rows, y, windows.columns, column, s.out_w,
                             [&](size_t row, size_t tap, size_t position) SPIKERUN_LAMBDA_INLINE {
                                 const int8_t* const w = weight + (row * s.kernel_w + tap) * s.channels;
                                 int32_t* const out = acc + position * s.out_c + s.offset;
                                 for (size_t k = 0; k < count; ++k) {
                                     const size_t c = row_of(events[k]);
                                     out[c] = wrapping_add(out[c], value_of(events[k]) * w[c]);
                                 }
                             });
            }
        }
    }
};

struct All {
    SPIKERUN_INLINE static void run(const Shape& s, const Window& window, const int8_t* weight,
                                    const int16_t* x, int32_t* acc) {
        for (size_t y = 0; y < s.out_h; ++y) {
            for (size_t column = 0; column < s.out_w; ++column) {
                int32_t* const SPIKERUN_RESTRICT out = acc + (y * s.out_w + column) * s.out_c + s.offset;
                for_each_tap(window.rows, y, window.columns, column, s.in_w,
                             [&](size_t row, size_t tap, size_t position) SPIKERUN_LAMBDA_INLINE {
                                 const int8_t* const w = weight + (row * s.kernel_w + tap) * s.channels;
                                 const int16_t* const pixel = x + position * s.channels;
                                 for (size_t c = 0; c < s.channels; ++c)
                                     out[c] = wrapping_add(out[c], pixel[c] * w[c]);
                             });
            }
        }
    }
};

class Depthwise final : public Linear {
  public:
    Depthwise(std::vector<int8_t> weight, const Geometry& g, const Shape& shape)
        : Linear(unsign(g.in.size()), unsign(g.out.size())),
          weight_(std::move(weight)),
          shape_(shape),
          of_inputs_{taps_of_inputs(height(g)), taps_of_inputs(width(g))},
          of_outputs_{taps_of_outputs(height(g)), taps_of_outputs(width(g))} {}

    void apply_event(const int16_t* x, int32_t* acc, Scratch& scratch, Share) const noexcept override {
        run<Scatter>(shape_, of_inputs_, weight_.data(), x, acc, scratch.events.data());
    }
    void apply_dense(const int16_t* x, int32_t* acc, Scratch&, Share) const noexcept override {
        run<All>(shape_, of_outputs_, weight_.data(), x, acc);
    }
    ScratchSize scratch_size() const noexcept override { return {shape_.channels, 0, 0}; }
    size_t bytes() const noexcept override { return bytes_of(weight_); }

  private:
    std::vector<int8_t> weight_;
    Shape shape_;
    Window of_inputs_, of_outputs_;
};

}  // namespace

LinearPointer depthwise(std::vector<int8_t> weight, const Geometry& g, size_t offset) {
    const Shape shape{unsign(g.in.h),  unsign(g.in.w),  unsign(g.in.c),     unsign(g.out.h),
                      unsign(g.out.w), unsign(g.out.c), unsign(g.kernel.w), offset};
    return std::make_shared<Depthwise>(std::move(weight), g, shape);
}

}  // namespace spikerun

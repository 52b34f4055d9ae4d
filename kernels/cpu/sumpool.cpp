// Sum pools: each channel adds up its window, times a gain per channel.
#include <utility>

#include "linear.hpp"
#include "rows.hpp"

namespace spikerun {

namespace {

class SumPool final : public Linear {
  public:
    SumPool(std::vector<int32_t> gain, const Geometry& g, size_t offset)
        : Linear(static_cast<size_t>(g.in.size()), static_cast<size_t>(g.out.size())),
          gain_(std::move(gain)),
          geometry_(g),
          offset_(offset),
          rows_(taps_of_inputs(g.in.h, g.out.h, g.kernel.h, g.stride.h, g.padding.h, 1)),
          columns_(taps_of_inputs(g.in.w, g.out.w, g.kernel.w, g.stride.w, g.padding.w, 1)),
          window_rows_(taps_of_outputs(g.in.h, g.out.h, g.kernel.h, g.stride.h, g.padding.h, 1)),
          window_columns_(taps_of_outputs(g.in.w, g.out.w, g.kernel.w, g.stride.w, g.padding.w, 1)) {}

    void apply_event(const int16_t* x, int32_t* acc, Scratch& scratch) const noexcept override {
        Event* const events = scratch.events.data();
        for (size_t y = 0; y < in_h(); ++y) {
            for (size_t column = 0; column < in_w(); ++column) {
                const size_t count =
                    collect_events(x + (y * in_w() + column) * channels(), channels(), 1, events);
                if (count == 0) continue;
                for_each_pair(rows_, y, columns_, column, out_w(), [&](size_t position) {
                    int32_t* const out = acc + position * out_c() + offset_;
                    for (size_t e = 0; e < count; ++e) {
                        const size_t c = row_of(events[e]);
                        out[c] = wrapping_multiply_add(out[c], gain_[c], value_of(events[e]));
                    }
                });
            }
        }
    }

    void apply_dense(const int16_t* x, int32_t* acc, Scratch&) const noexcept override {
        const int32_t* const gain = gain_.data();
        for (size_t y = 0; y < out_h(); ++y) {
            for (size_t column = 0; column < out_w(); ++column) {
                int32_t* const SPIKERUN_RESTRICT out = acc + (y * out_w() + column) * out_c() + offset_;
                for_each_pair(window_rows_, y, window_columns_, column, in_w(), [&](size_t position) {
                    const int16_t* const pixel = x + position * channels();
                    for (size_t c = 0; c < channels(); ++c)
                        out[c] = wrapping_multiply_add(out[c], gain[c], pixel[c]);
                });
            }
        }
    }

    ScratchSize scratch_size() const noexcept override { return {channels(), 0, 0}; }
    size_t bytes() const noexcept override { return gain_.size() * sizeof(int32_t); }

  private:
    template <class Visit>
    static void for_each_pair(const Taps& rows, size_t y, const Taps& columns, size_t x, size_t width,
                              Visit visit) {
        for (size_t a = rows.begin[y]; a < rows.begin[y + 1]; ++a)
            for (size_t b = columns.begin[x]; b < columns.begin[x + 1]; ++b)
                visit(static_cast<size_t>(rows.taps[a].position) * width +
                      static_cast<size_t>(columns.taps[b].position));
    }

    size_t in_h() const { return static_cast<size_t>(geometry_.in.h); }
    size_t in_w() const { return static_cast<size_t>(geometry_.in.w); }
    size_t channels() const { return static_cast<size_t>(geometry_.in.c); }
    size_t out_h() const { return static_cast<size_t>(geometry_.out.h); }
    size_t out_w() const { return static_cast<size_t>(geometry_.out.w); }
    size_t out_c() const { return static_cast<size_t>(geometry_.out.c); }

    std::vector<int32_t> gain_;
    Geometry geometry_;
    size_t offset_;
    Taps rows_, columns_;                // from an input to the windows that hold it
    Taps window_rows_, window_columns_;  // from an output to the inputs of its window
};

}  // namespace

LinearPointer make_sum_pool(std::vector<int32_t> gain, const Geometry& g, int64_t channel_offset) {
    check_geometry(g, Rounding::either);
    require(g.dilation.h == 1 && g.dilation.w == 1, "dilation", "sum pools have none");
    require(gain.size() == static_cast<size_t>(g.in.c), "gain", "expected one entry per channel");
    require(channel_offset >= 0 && channel_offset <= g.out.c - g.in.c, "channel_offset",
            "channels " + std::to_string(channel_offset) + ".. do not fit the target's " +
                std::to_string(g.out.c));
    return std::make_shared<SumPool>(std::move(gain), g, static_cast<size_t>(channel_offset));
}

}  // namespace spikerun

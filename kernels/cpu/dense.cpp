// SPDX-License-Identifier: Apache-2.0
// Dense projections: weight[n_in][n_out], one contiguous row of outputs for each input.
#include <limits>
#include <utility>

#include "bindings.hpp"
#include "isa.hpp"
#include "rows.hpp"

namespace spikerun {

namespace {

struct Events {
    SPIKERUN_INLINE static void run(const int8_t* weight, size_t n_in, size_t n_out, const int16_t* x,
                                    int32_t* acc, Event* events) {
        const size_t count = collect_events(x, n_in, static_cast<uint32_t>(n_out), events);
        add_all(ListedRows{weight, events}, count, narrow_rows(x, n_in), acc, n_out);
    }
};

struct All {
    SPIKERUN_INLINE static void run(const int8_t* weight, size_t n_in, size_t n_out, const int16_t* x,
                                    int32_t* acc) {
        add_all(AllRows{weight, n_out, x}, n_in, narrow_rows(x, n_in), acc, n_out);
    }
};

class Dense final : public Linear {
  public:
    Dense(std::vector<int8_t> weight, size_t n_in, size_t n_out)
        : Linear(n_in, n_out), weight_(std::move(weight)) {}

    void apply_event(const int16_t* x, int32_t* acc, Scratch& scratch) const noexcept override {
        run<Events>(weight_.data(), n_in(), n_out(), x, acc, scratch.events.data());
    }
    void apply_dense(const int16_t* x, int32_t* acc, Scratch&) const noexcept override {
        run<All>(weight_.data(), n_in(), n_out(), x, acc);
    }
    ScratchSize scratch_size() const noexcept override { return {n_in(), 0, 0}; }
    size_t bytes() const noexcept override { return bytes_of(weight_); }

  private:
    std::vector<int8_t> weight_;
};

LinearPointer dense(nb::object weight) {
    const auto array = take<const int8_t, 2>(weight, "weight");
    for (const size_t side : {array.shape(0), array.shape(1)})
        require_range("weight", static_cast<int64_t>(side), 1, max_size);
    require(array.size() <= std::numeric_limits<uint32_t>::max(), "weight", "more than 2^32 elements");
    return std::make_shared<Dense>(copied<int8_t, 2>(weight, "weight"), array.shape(0), array.shape(1));
}

}  // namespace

void bind_dense(LinearClass& cls) {
    cls.def_static("dense", &dense, "weight"_a);
}

}  // namespace spikerun

// Dense projections: weight[n_in][n_out], one contiguous row of outputs for each input.
#include <limits>
#include <utility>

#include "linear.hpp"
#include "rows.hpp"

namespace spikerun {

namespace {

SPIKERUN_CLONES void dense_event(const int8_t* weight, size_t n_in, size_t n_out, const int16_t* x,
                                 int32_t* acc, Event* events) noexcept {
    const size_t count = collect_events(x, n_in, static_cast<uint32_t>(n_out), events);
    add_all(ListedRows{weight, events}, count, narrow_rows(x, n_in), acc, n_out);
}

SPIKERUN_CLONES void dense_all(const int8_t* weight, size_t n_in, size_t n_out, const int16_t* x,
                               int32_t* acc) noexcept {
    add_all(AllRows{weight, n_out, x}, n_in, narrow_rows(x, n_in), acc, n_out);
}

class Dense final : public Linear {
  public:
    Dense(std::vector<int8_t> weight, size_t n_in, size_t n_out)
        : Linear(n_in, n_out), weight_(std::move(weight)) {}

    void apply_event(const int16_t* x, int32_t* acc, Scratch& scratch) const noexcept override {
        dense_event(weight_.data(), n_in(), n_out(), x, acc, scratch.events.data());
    }
    void apply_dense(const int16_t* x, int32_t* acc, Scratch&) const noexcept override {
        dense_all(weight_.data(), n_in(), n_out(), x, acc);
    }
    ScratchSize scratch_size() const noexcept override { return {n_in(), 0, 0}; }
    size_t bytes() const noexcept override { return weight_.size(); }

  private:
    std::vector<int8_t> weight_;
};

}  // namespace

LinearPointer make_dense(std::vector<int8_t> weight, int64_t n_in, int64_t n_out) {
    require(n_in >= 1 && n_in <= max_size && n_out >= 1 && n_out <= max_size, "weight",
            "expected 1.." + std::to_string(max_size) + " inputs and outputs");
    require(weight.size() <= std::numeric_limits<uint32_t>::max(), "weight", "more than 2^32 elements");
    return std::make_shared<Dense>(std::move(weight), static_cast<size_t>(n_in), static_cast<size_t>(n_out));
}

}  // namespace spikerun

// Diagonal projections: each input reaches one output with a gain of its own.
#include <utility>

#include "linear.hpp"
#include "rows.hpp"

namespace spikerun {

namespace {

class Diagonal final : public Linear {
  public:
    Diagonal(std::vector<int32_t> gain, std::vector<int32_t> target, size_t n_out)
        : Linear(gain.size(), n_out), gain_(std::move(gain)), target_(std::move(target)) {}

    void apply_event(const int16_t* x, int32_t* acc, Scratch& scratch) const noexcept override {
        Event* const events = scratch.events.data();
        const size_t count = collect_events(x, n_in(), 1, events);
        for (size_t e = 0; e < count; ++e) {
            const size_t i = row_of(events[e]);
            acc[target_[i]] = wrapping_multiply_add(acc[target_[i]], gain_[i], value_of(events[e]));
        }
    }

    void apply_dense(const int16_t* x, int32_t* acc, Scratch&) const noexcept override {
        for (size_t i = 0; i < n_in(); ++i)
            acc[target_[i]] = wrapping_multiply_add(acc[target_[i]], gain_[i], x[i]);
    }

    ScratchSize scratch_size() const noexcept override { return {n_in(), 0, 0}; }
    size_t bytes() const noexcept override { return (gain_.size() + target_.size()) * sizeof(int32_t); }

  private:
    std::vector<int32_t> gain_;
    std::vector<int32_t> target_;
};

}  // namespace

LinearPointer make_diagonal(std::vector<int32_t> gain, std::vector<int32_t> target_index, int64_t n_out) {
    require(n_out >= 1 && n_out <= max_size, "n_out", "expected 1.." + std::to_string(max_size));
    require(!gain.empty() && gain.size() <= static_cast<size_t>(max_size), "gain",
            "expected 1.." + std::to_string(max_size) + " entries");
    require(target_index.size() == gain.size(), "target_index", "expected as many entries as in gain");
    for (const int32_t target : target_index)
        require(target >= 0 && target < n_out, "target_index", "outside 0..n_out-1");
    return std::make_shared<Diagonal>(std::move(gain), std::move(target_index), static_cast<size_t>(n_out));
}

}  // namespace spikerun

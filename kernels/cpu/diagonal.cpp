// SPDX-License-Identifier: Apache-2.0
// Diagonal projections: each input reaches one output with a gain of its own.
#include <utility>

#include "bindings.hpp"
#include "rows.hpp"

namespace spikerun {

namespace {

class Diagonal final : public Linear {
  public:
    Diagonal(std::vector<int32_t> gain, std::vector<int32_t> target, size_t n_out)
        : Linear(gain.size(), n_out), gain_(std::move(gain)), target_(std::move(target)) {}

    void apply_event(const int16_t* x, int32_t* acc, Scratch& scratch, Share) const noexcept override {
        Event* const events = scratch.events.data();
        const size_t count = collect_events(x, n_in(), 1, events);
        for (size_t e = 0; e < count; ++e) {
            const size_t i = row_of(events[e]);
            acc[target_[i]] = wrapping_multiply_add(acc[target_[i]], gain_[i], value_of(events[e]));
        }
    }

    void apply_dense(const int16_t* x, int32_t* acc, Scratch&, Share) const noexcept override {
        for (size_t i = 0; i < n_in(); ++i)
            acc[target_[i]] = wrapping_multiply_add(acc[target_[i]], gain_[i], x[i]);
    }

    bool apply_listed(const Event* events, size_t n, int32_t* acc, Marks* marks) const noexcept override {
        for (size_t e = 0; e < n; ++e) {
            const size_t i = row_of(events[e]), j = unsign(target_[i]);
            acc[j] = wrapping_multiply_add(acc[j], gain_[i], value_of(events[e]));
            if (marks != nullptr) marks->add(j);
        }
        return true;
    }

    ScratchSize scratch_size() const noexcept override { return {n_in(), 0, 0}; }
    size_t bytes() const noexcept override { return bytes_of(gain_, target_); }

  private:
    std::vector<int32_t> gain_;
    std::vector<int32_t> target_;
};

LinearPointer diagonal(nb::object gains, int64_t n_out, nb::object targets) {
    std::vector<int32_t> gain = copied<int32_t, 1>(gains, "gain");
    std::vector<int32_t> target = copied<int32_t, 1>(targets, "target_index");
    require_range("n_out", n_out, 1, max_size);
    require_range("gain", static_cast<int64_t>(gain.size()), 1, max_size);
    require_same(gain.size(), target.size(), "target_index");
    for (const int32_t index : target) require_range("target_index", index, 0, n_out - 1);
    return std::make_shared<Diagonal>(std::move(gain), std::move(target), unsign(n_out));
}

}  // namespace

void bind_diagonal(LinearClass& cls) {
    cls.def_static("diagonal", &diagonal, "gain"_a, "n_out"_a, "target_index"_a);
}

}  // namespace spikerun

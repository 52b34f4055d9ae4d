// SPDX-License-Identifier: Apache-2.0
// Inputs that are unsigned words of 16 bits, in registers of int16: a map of what they are there, which is
// 2^16 too little where the top bit is set, and of these top bits, times 2^16.
#include <algorithm>
#include <utility>

#include "bindings.hpp"

namespace spikerun {

namespace {

class UnsignedWords final : public Linear {
  public:
    explicit UnsignedWords(LinearPointer map) : Linear(map->n_in(), map->n_out()), map_(std::move(map)) {}

    void apply_event(const int16_t* x, int32_t* acc, Scratch& scratch, Share) const noexcept override {
        map_->apply_event(x, acc, scratch, {});
        add_tops(x, acc, scratch);
    }
    void apply_dense(const int16_t* x, int32_t* acc, Scratch& scratch, Share) const noexcept override {
        map_->apply_dense(x, acc, scratch, {});
        add_tops(x, acc, scratch);
    }
    ScratchSize scratch_size() const noexcept override {
        ScratchSize size = map_->scratch_size();
        size.words = n_in();
        size.sums = n_out();
        return size;
    }
    size_t bytes() const noexcept override { return map_->bytes(); }

  private:
    void add_tops(const int16_t* x, int32_t* acc, Scratch& scratch) const noexcept {
        if (std::none_of(x, x + n_in(), [](int16_t word) { return word < 0; })) return;
        int16_t* const tops = scratch.words.data();
        int32_t* const sums = scratch.sums.data();
        for (size_t i = 0; i < n_in(); ++i) tops[i] = x[i] < 0;
        std::fill_n(sums, n_out(), 0);
        map_->apply_event(tops, sums, scratch, {});
        for (size_t j = 0; j < n_out(); ++j)
            acc[j] = wrapping_multiply_add(acc[j], sums[j], int32_t{1} << 16);
    }

    LinearPointer map_;
};

}  // namespace

void bind_unsigned_words(LinearClass& cls) {
    cls.def_static(
        "unsigned_words",
        [](LinearPointer map) -> LinearPointer { return std::make_shared<UnsignedWords>(std::move(map)); },
        "map"_a);
}

}  // namespace spikerun

// SPDX-License-Identifier: Apache-2.0
// Parameters of neurons, for tiles anywhere among these.
#pragma once

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "marks.hpp"
#include "values.hpp"

namespace spikerun {

// Parameters of n neurons, which begin anew every `period` neurons, for stretches of up to 64 tiles.
class Repeated {
  public:
    static constexpr size_t longest = 64 * Marks::tile;
    Repeated(const Values& values, size_t n, size_t period) : data_(values.data()), own_(values.size() == n) {
        const size_t given = data_.size(), length = own_ ? n + longest : period + longest;
        data_.resize(length);
        for (size_t j = given; j < length; ++j) data_[j] = data_[j - given];
    }
    // value(j) of each neuron j, which begins anew every `period`.
    template <class Value>
    static Repeated made(size_t n, size_t period, Value value) {
        std::vector<int32_t> values(period);
        for (size_t j = 0; j < period; ++j) values[j] = value(j);
        return {Values("", std::move(values), n), n, period};
    }
    // j: the first neuron; phase: j modulo the period.
    SPIKERUN_INLINE const int32_t* at(size_t j, size_t phase) const {
        return data_.data() + (own_ ? j : phase);
    }

  private:
    std::vector<int32_t> data_;
    bool own_;
};

// Whether some parameter has a value for each of n neurons.
inline bool whole(size_t n, std::initializer_list<const Values*> all) {
    return std::any_of(all.begin(), all.end(), [n](const Values* values) { return values->size() == n; });
}

inline size_t period_of(size_t n, std::initializer_list<const Values*> all) {
    size_t period = 1;
    for (const Values* values : all)
        if (values->size() < n) period = std::lcm(period, values->size());
    return period;
}

// j modulo the period of parameters; most are powers of two, as numbers of channels are.
SPIKERUN_INLINE size_t phase_of(size_t j, size_t period) {
    if ((period & (period - 1)) == 0) return j & (period - 1);
    return static_cast<uint32_t>(j) % static_cast<uint32_t>(period);
}

}  // namespace spikerun

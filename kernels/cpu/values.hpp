// SPDX-License-Identifier: Apache-2.0
// Parameters of neurons: one number for all of them, for each channel (channels last) or for each neuron.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <numeric>
#include <utility>
#include <vector>

#include "common.hpp"

namespace spikerun {

// Value j is given[j % size]. Neurons are updated tile by tile; values that repeat are kept for one tile
// only, so that inner loops read all three forms alike, and from the cache.
class Values {
  public:
    Values(const char* name, std::vector<int32_t> given, size_t n)
        : name_(name), data_(std::move(given)), n_(n) {
        if (data_.empty() || n % data_.size() != 0)
            require(false, name,
                    "expected 1 or " + std::to_string(n) +
                        " elements or a number of channels that divides it, got " +
                        std::to_string(data_.size()));
    }

    void require_within(int64_t low, int64_t high) const {
        for (const int32_t value : data_) require_range(name_, value, low, high);
    }
    int32_t largest() const { return *std::max_element(data_.begin(), data_.end()); }
    int32_t least() const { return *std::min_element(data_.begin(), data_.end()); }
    void raise_to(int32_t low) {
        for (int32_t& value : data_) value = std::max(value, low);
    }

    // Repeats the values to `length` elements, a multiple of their number.
    void extend(size_t length) {
        const size_t period = data_.size();
        data_.resize(length);
        for (size_t j = period; j < length; ++j) data_[j] = data_[j - period];
    }

    size_t size() const noexcept { return data_.size(); }
    // The value of neuron j.
    int32_t operator[](size_t j) const noexcept { return data_[j % data_.size()]; }
    // Where the values of the tile that begins at neuron j lie.
    size_t offset(size_t j) const noexcept { return data_.size() == n_ ? j : 0; }
    const int32_t* at(size_t j) const noexcept { return data_.data() + offset(j); }
    const std::vector<int32_t>& data() const noexcept { return data_; }

  private:
    const char* name_;
    std::vector<int32_t> data_;
    size_t n_;
};

// Lays all values of one operation on n neurons out for tiles of the same length, which is returned.
inline size_t tiled(size_t n, std::initializer_list<Values*> all) {
    constexpr size_t shortest = 1024;  // the inner loops are long
    size_t period = 1;
    for (const Values* values : all)
        if (values->size() < n) period = std::lcm(period, values->size());  // divides n, as each of them does
    const size_t tile = std::min(n, (shortest + period - 1) / period * period);
    for (Values* values : all)
        if (values->size() < n) values->extend(tile);
    return tile;
}

}  // namespace spikerun

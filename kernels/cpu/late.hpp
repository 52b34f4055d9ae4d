// SPDX-License-Identifier: Apache-2.0
// Late: a map whose synapses have delays of their own, in rows of their sources.
#pragma once

#include <memory>
#include <vector>

#include "linear.hpp"

namespace spikerun {

class Late {
  public:
    // begin: n_in + 1; the rest for each synapse: (delay - least) * n_out + target, and the weight.
    Late(std::vector<int64_t> begin, std::vector<uint32_t> offset, std::vector<int8_t> weight, size_t n_out,
         Span delays)
        : begin_(std::move(begin)),
          offset_(std::move(offset)),
          weight_(std::move(weight)),
          n_out_(n_out),
          delays_(delays) {}

    SPIKERUN_INLINE size_t begin(size_t row) const noexcept { return static_cast<size_t>(begin_[row]); }
    SPIKERUN_INLINE const uint32_t* offset() const noexcept { return offset_.data(); }
    SPIKERUN_INLINE const int8_t* weight() const noexcept { return weight_.data(); }

    size_t n_in() const noexcept { return begin_.size() - 1; }
    size_t n_out() const noexcept { return n_out_; }
    // The least and the largest delay.
    Span delays() const noexcept { return delays_; }
    size_t bytes() const noexcept { return bytes_of(begin_) + bytes_of(offset_) + bytes_of(weight_); }

  private:
    std::vector<int64_t> begin_;
    std::vector<uint32_t> offset_;
    std::vector<int8_t> weight_;
    size_t n_out_;
    Span delays_;
};

using LatePointer = std::shared_ptr<Late>;

}  // namespace spikerun

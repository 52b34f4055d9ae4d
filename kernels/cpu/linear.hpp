// Linear: the map of one projection. Inputs are event values (spikes times significance), outputs are sums.
#pragma once

#include <memory>
#include <vector>

#include "common.hpp"
#include "geometry.hpp"

namespace spikerun {

// One active input: where its row of weights begins (low half) and its value (high half). One number, so that
// the rows of a list are moved by adding to it.
using Event = uint64_t;

inline Event make_event(uint32_t row, int32_t value) {
    return row | uint64_t{static_cast<uint32_t>(value)} << 32;
}
inline size_t row_of(Event event) {
    return static_cast<uint32_t>(event);
}
inline int32_t value_of(Event event) {
    return static_cast<int32_t>(event >> 32);
}

// How many elements of scratch memory a map needs.
struct ScratchSize {
    size_t events = 0, lists = 0, patch = 0;
};

// Memory that kernels need while they run; one per thread, and large enough for every map it is used with.
struct Scratch {
    std::vector<Event> events;    // lists of active inputs
    std::vector<uint32_t> lists;  // where each list begins
    std::vector<int16_t> patch;   // the inputs of one output position

    void grow(const ScratchSize& size) {
        if (events.size() < size.events) events.resize(size.events);
        if (lists.size() < size.lists) lists.resize(size.lists);
        if (patch.size() < size.patch) patch.resize(size.patch);
    }
};

// acc[j] += sum over i of weight(i, j) * x[i], modulo 2^32. Both kernels give the same bits.
class Linear {
  public:
    virtual ~Linear() = default;
    Linear(const Linear&) = delete;
    Linear& operator=(const Linear&) = delete;

    // Visits the inputs that are not zero.
    virtual void apply_event(const int16_t* x, int32_t* acc, Scratch& scratch) const noexcept = 0;
    // Visits all inputs and never asks whether one is zero.
    virtual void apply_dense(const int16_t* x, int32_t* acc, Scratch& scratch) const noexcept = 0;
    virtual ScratchSize scratch_size() const noexcept = 0;
    // Memory held by the weights.
    virtual size_t bytes() const noexcept = 0;

    size_t n_in() const noexcept { return n_in_; }
    size_t n_out() const noexcept { return n_out_; }

  protected:
    Linear(size_t n_in, size_t n_out) : n_in_(n_in), n_out_(n_out) {}

  private:
    size_t n_in_;
    size_t n_out_;
};

using LinearPointer = std::shared_ptr<Linear>;

// weight[n_in][n_out].
LinearPointer make_dense(std::vector<int8_t> weight, int64_t n_in, int64_t n_out);

// Compressed rows; a row is a source. indptr[n_in + 1], indices[nnz] < n_out, data[nnz].
LinearPointer make_sparse(std::vector<int64_t> indptr, std::vector<int32_t> indices, std::vector<int8_t> data,
                          int64_t n_out);

// weight[kernel.h][kernel.w][in.c / groups][cout], written to channels [offset, offset + cout) of the target.
LinearPointer make_conv(std::vector<int8_t> weight, int64_t cout, const Geometry& geometry, int64_t groups,
                        int64_t channel_offset);

// acc[target_index[i]] += gain[i] * x[i].
LinearPointer make_diagonal(std::vector<int32_t> gain, std::vector<int32_t> target_index, int64_t n_out);

// acc[oy][ox][offset + c] += gain[c] * (sum of x[.][.][c] over the window); outside the image counts as 0.
LinearPointer make_sum_pool(std::vector<int32_t> gain, const Geometry& geometry, int64_t channel_offset);

// How many of x[0..n) are not zero.
size_t count_nonzero(const int16_t* x, size_t n) noexcept;

}  // namespace spikerun

// SPDX-License-Identifier: Apache-2.0
// Linear: the map of one projection. Inputs are event values (spikes times significance), outputs are sums.
#pragma once

#include <memory>
#include <new>
#include <vector>

#include "common.hpp"
#include "geometry.hpp"
#include "marks.hpp"
#include "share.hpp"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace spikerun {

// One active input: where its row of weights begins (low half) and its value (high half). One number, so that
// the rows of a list are moved by adding to it.
using Event = uint64_t;

SPIKERUN_INLINE Event make_event(uint32_t row, int32_t value) {
    return row | uint64_t{static_cast<uint32_t>(value)} << 32;
}
SPIKERUN_INLINE size_t row_of(Event event) {
    return static_cast<uint32_t>(event);
}
SPIKERUN_INLINE int32_t value_of(Event event) {
    return static_cast<int32_t>(event >> 32);
}

// Memory on a boundary of cache lines, or, where there is much of it, of the large pages that Linux can be
// asked for: what is read here and there in it then finds its page without a detour.
template <class T>
struct Aligned {
    using value_type = T;
    Aligned() = default;
    template <class U>
    explicit Aligned(const Aligned<U>&) noexcept {}
    T* allocate(size_t n) {
        void* const memory = ::operator new(n * sizeof(T), boundary(n));
#if defined(__linux__) && defined(MADV_HUGEPAGE)
        if (boundary(n) == large) madvise(memory, n * sizeof(T), MADV_HUGEPAGE);  // it may say no
#endif
        return static_cast<T*>(memory);
    }
    void deallocate(T* p, size_t n) noexcept { ::operator delete(p, boundary(n)); }
    bool operator==(const Aligned&) const noexcept { return true; }
    bool operator!=(const Aligned&) const noexcept { return false; }

  private:
    static constexpr std::align_val_t small{64}, large{size_t{1} << 21};
    static std::align_val_t boundary(size_t n) noexcept {
        constexpr size_t much = size_t{1} << 23;  // bytes
        return n * sizeof(T) < much ? small : large;
    }
};

template <class T>
using Arena = std::vector<T, Aligned<T>>;

// How many elements of scratch memory a map needs.
struct ScratchSize {
    size_t events = 0, lists = 0, patch = 0, words = 0, sums = 0, places = 0;
};

// Memory that kernels need while they run; one per thread, and large enough for every map it is used with.
struct Scratch {
    std::vector<Event> events;    // lists of active inputs
    std::vector<uint32_t> lists;  // where each list begins
    std::vector<int16_t> patch;   // the inputs of one output position
    std::vector<int16_t> words;   // other inputs of the same map
    std::vector<int32_t> sums;    // and what they come to
    Arena<uint32_t> places;       // where the weights of active inputs lie

    void grow(const ScratchSize& size) {
        if (events.size() < size.events) events.resize(size.events);
        if (lists.size() < size.lists) lists.resize(size.lists);
        if (patch.size() < size.patch) patch.resize(size.patch);
        if (words.size() < size.words) words.resize(size.words);
        if (sums.size() < size.sums) sums.resize(size.sums);
        if (places.size() < size.places) places.resize(size.places);
    }
};

template <class... T>
size_t bytes_of(const std::vector<T>&... vectors) {
    return ((vectors.size() * sizeof(T)) + ...);
}

// acc[j] += sum over i of weight(i, j) * x[i], modulo 2^32. Both kernels give the same bits.
class Linear {
  public:
    virtual ~Linear() = default;
    Linear(const Linear&) = delete;
    Linear& operator=(const Linear&) = delete;

    // Of both kernels: each of the threads that share a map computes its share of the outputs.
    //
    // Visits the inputs that are not zero.
    virtual void apply_event(const int16_t* x, int32_t* acc, Scratch& scratch,
                             Share share) const noexcept = 0;
    // Visits all inputs and never asks whether one is zero.
    virtual void apply_dense(const int16_t* x, int32_t* acc, Scratch& scratch,
                             Share share) const noexcept = 0;
    // The same for listed inputs: the row of an event is its input; rises. Where `marks` are given, those of
    // the outputs that are written are set. False, and nothing is done, where a map has no such kernel.
    // `prepare_listed` may lay weights out for it, once and before.
    virtual void prepare_listed() {}
    virtual bool apply_listed(const Event*, size_t, int32_t*, Marks*) const noexcept { return false; }
    // Into how many shares the outputs can be taken apart, at most.
    virtual size_t parts() const noexcept { return 1; }
    virtual ScratchSize scratch_size() const noexcept = 0;
    // What the weights take, and the places where they are.
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

}  // namespace spikerun

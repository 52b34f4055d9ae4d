// Max pooling of words, all bits at once or one spike at a time.
#pragma once

#include "geometry.hpp"

namespace spikerun {

// How the comparator of max_pool_step treats a step.
struct ComparatorStep {
    bool restart;  // the first step of a word: all inputs inside the image are candidates again
    bool sign;     // the step that sends the sign, where the smaller one is the larger word
};

class MaxPool {
  public:
    // Throws unless every window holds at least one input.
    explicit MaxPool(const Geometry& geometry);

    // y = the largest word of each window; positions outside the image never win.
    void apply(const int16_t* x, int16_t* y) const noexcept;

    // One spike of a word, most significant first. y = the largest (sign step: smallest) x among the
    // candidates that are still alive; those that differ from it are dropped. `alive` has window_size()
    // entries for each output.
    void step(const int16_t* x, int16_t* alive, int16_t* y, ComparatorStep step) const noexcept;

    size_t n_in() const { return static_cast<size_t>(geometry_.in.size()); }
    size_t n_out() const { return static_cast<size_t>(geometry_.out.size()); }
    // How many entries the register `alive` has.
    size_t n_candidates() const { return n_candidates_; }

  private:
    Geometry geometry_;
    Taps rows_, columns_;
    size_t n_candidates_;
};

}  // namespace spikerun

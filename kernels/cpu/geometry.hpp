// Sliding windows over channels-last images.
#pragma once

#include <vector>

#include "common.hpp"

namespace spikerun {

struct Image {
    int64_t h, w, c;
    int64_t size() const { return h * w * c; }
};

struct Pair {
    int64_t h, w;
};

struct Geometry {
    Image in, out;
    Pair kernel, stride, padding, dilation;
};

// Pools may round the output size up (windows that hang over the edge); convolutions round it down.
enum class Rounding { down, either };

// Throws unless all sizes are in range and the output size follows from the input size.
void check_geometry(const Geometry& geometry, Rounding rounding);

// Throws if a window lies outside the image altogether, where a maximum would be undefined.
void check_windows_not_empty(const Geometry& geometry);

// A kernel position and the output (or input) position that it connects to.
struct Tap {
    int64_t kernel, position;
};

// For each position of one axis, its taps: those of position i are taps[begin[i] .. begin[i + 1]).
struct Taps {
    std::vector<Tap> taps;
    std::vector<size_t> begin;
};

// For each input position of an axis, the outputs whose window holds it.
Taps taps_of_inputs(int64_t n_in, int64_t n_out, int64_t kernel, int64_t stride, int64_t padding,
                    int64_t dilation);

// For each output position of an axis, the inputs inside its window and inside the image.
Taps taps_of_outputs(int64_t n_in, int64_t n_out, int64_t kernel, int64_t stride, int64_t padding,
                     int64_t dilation);

}  // namespace spikerun

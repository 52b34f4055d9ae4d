// SPDX-License-Identifier: Apache-2.0
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

// The kernel positions that connect a position of one axis with positions of another: the first is (kernel,
// position), each further one kernel_step and position_step away.
struct Range {
    uint32_t kernel, position, count;
};

// For each position of one axis, its range. No kernel position counts that leads outside the image.
struct Taps {
    size_t kernel_step, position_step;  // modulo 2^64: a step may be negative
    std::vector<Range> ranges;
};

// From positions of one image to those of the other that they are connected with.
struct Window {
    Taps rows, columns;
};

// One axis of a geometry.
struct Axis {
    int64_t in, out, kernel, stride, padding, dilation;
};
inline Axis height(const Geometry& g) {
    return {g.in.h, g.out.h, g.kernel.h, g.stride.h, g.padding.h, g.dilation.h};
}
inline Axis width(const Geometry& g) {
    return {g.in.w, g.out.w, g.kernel.w, g.stride.w, g.padding.w, g.dilation.w};
}

// For each input position, the outputs whose window holds it.
Taps taps_of_inputs(const Axis& axis);

// For each output position, the inputs inside its window and inside the image.
Taps taps_of_outputs(const Axis& axis);

// Calls visit(kernel row, kernel column, image position) for each pair of a row and a column of a window.
template <class Visit>
SPIKERUN_INLINE void for_each_tap(const Taps& rows, size_t y, const Taps& columns, size_t x, size_t image_w,
                                  Visit visit) {
    const Range row = rows.ranges[y];
    const Range column = columns.ranges[x];
    size_t kernel_row = row.kernel;
    size_t first = row.position * image_w + column.position;
    for (uint32_t a = row.count; a > 0; --a) {
        size_t kernel_column = column.kernel;
        size_t position = first;
        for (uint32_t b = column.count; b > 0; --b) {
            visit(kernel_row, kernel_column, position);
            kernel_column += columns.kernel_step;
            position += columns.position_step;
        }
        kernel_row += rows.kernel_step;
        first += rows.position_step * image_w;
    }
}

}  // namespace spikerun

// SPDX-License-Identifier: Apache-2.0
// Sums of 16 bits stay in registers while the taps of a window pass by: of the whole window, of a row of it,
// or of one tap, as many as are exact for the largest word that there is.
#include "conv_depthwise.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <utility>

#include "isa.hpp"
#include "rows.hpp"

namespace spikerun {

namespace {

struct Shape {
    size_t in_h, in_w, channels;  // input image
    size_t out_h, out_w, out_c;   // target image, all channels
    size_t kernel_h, kernel_w;
    size_t offset;  // first output channel in the target
};

// How large a channel's sum can become at most for words of magnitude 1: of a whole window, and of a row of
// it.
struct Sums {
    int64_t whole = 0, row = 0;
    void take(int64_t of_whole, int64_t of_row) {
        whole = std::max(whole, of_whole);
        row = std::max(row, of_row);
    }
};

// Channels are taken in blocks of so many at once; the last block may overlap the one before.
constexpr size_t width = 16;
inline size_t blocks_of(size_t channels) {
    return (channels + width - 1) / width;
}
SPIKERUN_INLINE size_t first_of(size_t block, size_t channels) {
    return channels < width ? 0 : std::min(block * width, channels - width);
}

struct Weights {
    std::vector<int16_t> taps;              // [tap][channel]
    std::vector<Sums> of_any, of_unsigned;  // words, for each block of channels
};
SPIKERUN_INLINE bool fits(int64_t largest, int64_t weights) {
    return largest * weights <= std::numeric_limits<int16_t>::max();
}

#if defined(__GNUC__)
using Vector [[gnu::vector_size(2 * width)]] = int16_t;
#else
struct Vector {
    int16_t lanes[width];
};
#endif

// sum += a[..] * b[..]. (By reference: how vectors are passed depends on the instruction set.)
SPIKERUN_INLINE void add_product(Vector& sum, const int16_t* a, const Vector& b) {
    Vector first;
    std::memcpy(&first, a, sizeof first);
#if defined(__GNUC__)
    sum += first * b;
#else
    for (size_t j = 0; j < width; ++j)
        sum.lanes[j] = static_cast<int16_t>(sum.lanes[j] + first.lanes[j] * b.lanes[j]);
#endif
}
SPIKERUN_INLINE void add_product(Vector& sum, const int16_t* a, const int16_t* b) {
    Vector second;
    std::memcpy(&second, b, sizeof second);
    add_product(sum, a, second);
}

// acc[j] += sums[j] for all channels, or from `skip` on.
SPIKERUN_INLINE void save(const Vector& sum, int32_t* acc) {
    int16_t sums[width];
    std::memcpy(sums, &sum, sizeof sums);
    for (size_t j = 0; j < width; ++j) acc[j] = wrapping_add(acc[j], sums[j]);
}
SPIKERUN_INLINE void save_behind(const Vector& sum, int32_t* acc, size_t skip) {
    int16_t sums[width];
    std::memcpy(sums, &sum, sizeof sums);
    for (size_t j = skip; j < width; ++j) acc[j] = wrapping_add(acc[j], sums[j]);
}

// Taps that add up in 16 bits: where their words and weights are, from one to the next.
struct Taken {
    const int16_t* words;
    const int16_t* weights;
    size_t word_row, word_column, weight_row, weight_column;
};

// Rows, Columns: how many taps there are, or 0 for those that are given.
template <size_t Rows, size_t Columns>
SPIKERUN_INLINE void add_taps(Vector& sum, const Taken& t, size_t rows, size_t columns) {
    for (size_t a = 0; a < (Rows ? Rows : rows); ++a)
        for (size_t b = 0; b < (Columns ? Columns : columns); ++b)
            add_product(sum, t.words + a * t.word_row + b * t.word_column,
                        t.weights + a * t.weight_row + b * t.weight_column);
}

template <size_t Rows, size_t Columns>
SPIKERUN_INLINE void add_kept(Vector& sum, const Taken& t, const Vector* weights) {
    for (size_t a = 0; a < Rows; ++a)
        for (size_t b = 0; b < Columns; ++b)
            add_product(sum, t.words + a * t.word_row + b * t.word_column, weights[a * Columns + b]);
}

// A row of outputs, of `width` channels that begin with `channel`, of which the first `skip` are left out.
template <size_t Rows, size_t Columns>
struct OutputRow {
    const Shape& s;
    const Window& window;
    size_t channel, skip;

    SPIKERUN_INLINE void add(const Weights& weights, const int16_t* x, const Range& rows,
                             int32_t* acc) const {
        const size_t next = s.channels;
        Taken taken{nullptr,
                    nullptr,
                    window.rows.position_step * s.in_w * next,
                    window.columns.position_step * next,
                    s.kernel_w * next,
                    next};
        constexpr bool whole = Rows != 0 && Columns != 0;
        Vector kept[whole ? Rows * Columns : 1];  // where they do not depend on the column, in registers
        if constexpr (whole) {
            const int16_t* const from = weights.taps.data() + rows.kernel * s.kernel_w * next + channel;
            for (size_t k = 0; k < Rows * Columns; ++k)
                std::memcpy(&kept[k], from + k * next, sizeof kept[k]);
        }
        for (size_t column = 0; column < s.out_w; ++column, acc += s.out_c) {
            const Range columns = window.columns.ranges[column];
            taken.words = x + (rows.position * s.in_w + columns.position) * next + channel;
            taken.weights =
                weights.taps.data() + (rows.kernel * s.kernel_w + columns.kernel) * next + channel;
            Vector sum{};
            if (whole && columns.count == Columns)
                add_kept<Rows, Columns>(sum, taken, kept);
            else if (Columns != 0 && columns.count == Columns)
                add_taps<0, Columns>(sum, taken, rows.count, columns.count);
            else
                add_taps<0, 0>(sum, taken, rows.count, columns.count);
            if (skip == 0)
                save(sum, acc);
            else
                save_behind(sum, acc, skip);
        }
    }
};

// A row of outputs of a square kernel of this size, 0: of any.
template <size_t Kernel>
SPIKERUN_INLINE void add_block(const Shape& s, const Window& window, const Weights& weights, size_t block,
                               const int16_t* x, const Range& rows, int32_t* acc) {
    const size_t first = first_of(block, s.channels), skip = block * width - first;
    if (Kernel != 0 && rows.count == Kernel)
        OutputRow<Kernel, Kernel>{s, window, first, skip}.add(weights, x, rows, acc + first);
    else if (Kernel != 0 && rows.count == 1)
        OutputRow<1, Kernel>{s, window, first, skip}.add(weights, x, rows, acc + first);
    else
        OutputRow<0, Kernel>{s, window, first, skip}.add(weights, x, rows, acc + first);
}

// The same for any words, in 32 bits, of some channels.
SPIKERUN_INLINE void add_wide(const Shape& s, const Window& window, const Weights& weights, Span channels,
                              const int16_t* x, size_t y, int32_t* acc) {
    for (size_t column = 0; column < s.out_w; ++column, acc += s.out_c) {
        int32_t* const SPIKERUN_RESTRICT out = acc;
        for_each_tap(window.rows, y, window.columns, column, s.in_w,
                     [&](size_t row, size_t tap, size_t position) SPIKERUN_LAMBDA_INLINE {
                         const int16_t* const w = weights.taps.data() + (row * s.kernel_w + tap) * s.channels;
                         const int16_t* const pixel = x + position * s.channels;
                         for (size_t c = channels.begin; c < channels.end; ++c)
                             out[c] = wrapping_add(out[c], pixel[c] * w[c]);
                     });
    }
}

// The extremes of the rows of an image that were met so far. They are looked at when they are needed, so that
// they are read from memory once.
struct Extremes {
    int16_t low = 0, high = 0;
    size_t met = 0;

    SPIKERUN_INLINE void meet(const Range& rows, size_t step, const int16_t* x, size_t row) {
        const size_t first = std::max<size_t>(met, rows.position);
        const size_t end = rows.count == 0 ? 0 : rows.position + (rows.count - 1) * step + 1;
        int16_t least = low, most = high;
        for (size_t i = first * row; i < end * row; ++i) {
            least = std::min(least, x[i]);
            most = std::max(most, x[i]);
        }
        low = least;
        high = most;
        met = std::max(met, end);
    }
    SPIKERUN_INLINE int32_t magnitude() const { return std::max<int32_t>(-int32_t{low}, high); }
};

// All inputs.
struct All {
    SPIKERUN_INLINE static void run(const Shape& s, const Window& window, const Weights& weights,
                                    const int16_t* x, int32_t* acc, Span rows) {
        Extremes words;
        for (size_t y = rows.begin; y < rows.end; ++y) {
            int32_t* const out = acc + y * s.out_w * s.out_c + s.offset;
            words.meet(window.rows.ranges[y], window.rows.position_step, x, s.in_w * s.channels);
            const std::vector<Sums>& sums = words.low < 0 ? weights.of_any : weights.of_unsigned;
            if (s.kernel_w == 3)
                add_row<3>(s, window, weights, sums, words.magnitude(), x, y, out);
            else if (s.kernel_w == 5)
                add_row<5>(s, window, weights, sums, words.magnitude(), x, y, out);
            else
                add_row<0>(s, window, weights, sums, words.magnitude(), x, y, out);
        }
    }
    template <size_t Kernel>
    SPIKERUN_INLINE static void add_row(const Shape& s, const Window& window, const Weights& weights,
                                        const std::vector<Sums>& sums, int32_t largest, const int16_t* x,
                                        size_t y, int32_t* acc) {
        for (size_t block = 0; block < sums.size(); ++block) {
            Range taken = window.rows.ranges[y];
            if (s.channels < width || !fits(largest, sums[block].row)) {
                const size_t begin = block * width;
                add_wide(s, window, weights, {begin, std::min(begin + width, s.channels)}, x, y, acc);
            } else if (fits(largest, sums[block].whole)) {
                add_block<Kernel>(s, window, weights, block, x, taken, acc);
            } else {
                uint32_t left = taken.count;
                for (taken.count = 1; left > 0; --left, ++taken.kernel) {
                    add_block<Kernel>(s, window, weights, block, x, taken, acc);
                    taken.position += static_cast<uint32_t>(window.rows.position_step);
                }
            }
        }
    }
};

// Each active input adds to the outputs that it reaches, of these rows.
struct Scatter {
    SPIKERUN_INLINE static void run(const Shape& s, const Window& windows, const Weights& weights,
                                    const int16_t* x, int32_t* acc, Event* events, Span out_rows) {
        for (size_t y = 0; y < s.in_h; ++y) {
            const Range rows = windows.rows.ranges[y];
            const size_t last = rows.position + (rows.count - 1) * windows.rows.position_step;
            if (rows.count == 0 || std::max<size_t>(rows.position, last) < out_rows.begin ||
                std::min<size_t>(rows.position, last) >= out_rows.end)
                continue;
            for (size_t column = 0; column < s.in_w; ++column) {
                const size_t count =
                    collect_events(x + (y * s.in_w + column) * s.channels, s.channels, 1, events);
                if (count == 0) continue;
                for_each_tap(
                    windows.rows, y, windows.columns, column, s.out_w,
                    [&](size_t row, size_t tap, size_t position) SPIKERUN_LAMBDA_INLINE {
                        if (position < out_rows.begin * s.out_w || position >= out_rows.end * s.out_w) return;
                        const int16_t* const w = weights.taps.data() + (row * s.kernel_w + tap) * s.channels;
                        int32_t* const out = acc + position * s.out_c + s.offset;
                        for (size_t k = 0; k < count; ++k) {
                            const size_t c = row_of(events[k]);
                            out[c] = wrapping_add(out[c], value_of(events[k]) * w[c]);
                        }
                    });
            }
        }
    }
};

class Depthwise final : public Linear {
  public:
    Depthwise(Weights weights, const Geometry& g, const Shape& shape)
        : Linear(unsign(g.in.size()), unsign(g.out.size())),
          weights_(std::move(weights)),
          shape_(shape),
          of_inputs_{taps_of_inputs(height(g)), taps_of_inputs(width_of(g))},
          of_outputs_{taps_of_outputs(height(g)), taps_of_outputs(width_of(g))} {}

    void apply_event(const int16_t* x, int32_t* acc, Scratch& scratch, Share share) const noexcept override {
        if (seen(x) * few > n_in())
            apply_dense(x, acc, scratch, share);
        else
            run<Scatter>(shape_, of_inputs_, weights_, x, acc, scratch.events.data(), share.of(shape_.out_h));
    }
    void apply_dense(const int16_t* x, int32_t* acc, Scratch&, Share share) const noexcept override {
        run<All>(shape_, of_outputs_, weights_, x, acc, share.of(shape_.out_h));
    }
    size_t parts() const noexcept override { return shape_.out_h; }
    ScratchSize scratch_size() const noexcept override { return {shape_.channels, 0, 0}; }
    size_t bytes() const noexcept override { return bytes_of(weights_.taps); }

  private:
    // Of so many inputs one at most is active where events take less time than all. Measured.
    static constexpr size_t few = 24;
    // About how many inputs are active, from some rows of the image.
    size_t seen(const int16_t* x) const noexcept {
        constexpr size_t step = 8;
        const size_t row = shape_.in_w * shape_.channels;
        size_t count = 0, rows = 0;
        for (size_t y = step / 2 % shape_.in_h; y < shape_.in_h; y += step, ++rows)
            count += run<CountNonzero>(x + y * row, row);
        return count * shape_.in_h / rows;
    }
    static Axis width_of(const Geometry& g) { return ::spikerun::width(g); }

    Weights weights_;
    Shape shape_;
    Window of_inputs_, of_outputs_;
};

Weights weights_of(const std::vector<int8_t>& weight, const Shape& s) {
    Weights result;
    result.taps.assign(weight.begin(), weight.end());
    const size_t blocks = blocks_of(s.channels);
    result.of_any.resize(blocks);
    result.of_unsigned.resize(blocks);
    for (size_t c = 0; c < s.channels; ++c) {
        int64_t up = 0, down = 0;
        for (size_t row = 0; row < s.kernel_h; ++row) {
            int64_t row_up = 0, row_down = 0;
            for (size_t tap = row * s.kernel_w; tap < (row + 1) * s.kernel_w; ++tap) {
                const int64_t w = weight[tap * s.channels + c];
                (w < 0 ? row_down : row_up) += std::abs(w);
            }
            up += row_up;
            down += row_down;
            // The last block may have channels of the one before.
            for (size_t block = c / width; block < blocks && first_of(block, s.channels) <= c; ++block) {
                result.of_any[block].take(up + down, row_up + row_down);
                result.of_unsigned[block].take(std::max(up, down), std::max(row_up, row_down));
            }
        }
    }
    return result;
}

}  // namespace

LinearPointer depthwise(std::vector<int8_t> weight, const Geometry& g, size_t offset) {
    const Shape shape{unsign(g.in.h),     unsign(g.in.w),     unsign(g.in.c),
                      unsign(g.out.h),    unsign(g.out.w),    unsign(g.out.c),
                      unsign(g.kernel.h), unsign(g.kernel.w), offset};
    return std::make_shared<Depthwise>(weights_of(weight, shape), g, shape);
}

}  // namespace spikerun

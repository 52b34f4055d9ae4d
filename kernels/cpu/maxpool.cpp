// SPDX-License-Identifier: Apache-2.0
// Max pooling: max_pool takes whole words, max_pool_step one spike at a time, max_pool_sums currents.
#include <algorithm>
#include <limits>

#include "bindings.hpp"
#include "isa.hpp"

namespace spikerun {

namespace {

constexpr int16_t lowest = std::numeric_limits<int16_t>::min();

struct Pool {
    size_t channels, in_w, out_h, out_w, kernel_w, taps;
    Taps rows, columns;
};

template <class T>
SPIKERUN_INLINE void take_larger(T* SPIKERUN_RESTRICT best, const T* x, size_t n) {
    for (size_t k = 0; k < n; ++k) best[k] = std::max(best[k], x[k]);
}

// Row by row: first the largest of each column of a row of windows, over the whole width of the image (`row`
// has room for it), then the largest of the columns of each window.
template <class T>
struct Largest {
    SPIKERUN_INLINE static void run(const Pool& p, Span out_rows, const T* x, T* SPIKERUN_RESTRICT y,
                                    T* SPIKERUN_RESTRICT row) {
        const size_t width = p.in_w * p.channels;
        y += out_rows.begin * p.out_w * p.channels;
        for (size_t oy = out_rows.begin; oy < out_rows.end; ++oy) {
            const Range rows = p.rows.ranges[oy];
            const T* from = x + rows.position * width;
            if (rows.count > 1) {
                const T* next = from + p.rows.position_step * width;
                for (size_t k = 0; k < width; ++k) row[k] = std::max(from[k], next[k]);
                for (uint32_t a = 2; a < rows.count; ++a) {
                    next += p.rows.position_step * width;
                    take_larger(row, next, width);
                }
                from = row;
            }
            for (size_t ox = 0; ox < p.out_w; ++ox, y += p.channels)
                of_columns(p.columns.ranges[ox], p.columns.position_step * p.channels, p.channels, from, y);
        }
    }

    SPIKERUN_INLINE static void of_columns(Range columns, size_t step, size_t channels, const T* row,
                                           T* SPIKERUN_RESTRICT y) {
        constexpr size_t block = 16;
        const T* const first = row + columns.position * channels;
        size_t c = 0;
        for (; c + block <= channels; c += block) {
            T best[block];
            for (size_t k = 0; k < block; ++k) best[k] = first[c + k];
            for (uint32_t b = 1; b < columns.count; ++b)
                for (size_t k = 0; k < block; ++k) best[k] = std::max(best[k], first[b * step + c + k]);
            for (size_t k = 0; k < block; ++k) y[c + k] = best[k];
        }
        for (; c < channels; ++c) {
            T best = first[c];
            for (uint32_t b = 1; b < columns.count; ++b) best = std::max(best, first[b * step + c]);
            y[c] = best;
        }
    }
};

// alive: (output position, tap, channel). y = the largest x of the candidates; 0 where there is none. x is a
// spike, or any word but the two extremes.
struct Compare {
    SPIKERUN_INLINE static void run(const Pool& p, const int16_t* x, int16_t* SPIKERUN_RESTRICT alive,
                                    int16_t* SPIKERUN_RESTRICT y, bool sign) {
        const auto flip =
            static_cast<int16_t>(sign ? -1 : 0);  // ~x reverses the order, so that the smallest wins
        const size_t channels = p.channels;
        for (size_t oy = 0; oy < p.out_h; ++oy) {
            for (size_t ox = 0; ox < p.out_w; ++ox, y += channels, alive += p.taps * channels) {
                // Calls visit(candidates, inputs) for each tap inside the image.
                const auto for_each = [&](auto visit) SPIKERUN_LAMBDA_INLINE {
                    for_each_tap(p.rows, oy, p.columns, ox, p.in_w,
                                 [&](size_t row, size_t tap, size_t position) SPIKERUN_LAMBDA_INLINE {
                                     visit(alive + (row * p.kernel_w + tap) * channels,
                                           x + position * channels);
                                 });
                };
                std::fill_n(y, channels, lowest);
                for_each([&](int16_t* candidate, const int16_t* value) SPIKERUN_LAMBDA_INLINE {
                    for (size_t c = 0; c < channels; ++c) {
                        const auto shown = static_cast<int16_t>(value[c] ^ flip);
                        y[c] = std::max(y[c], candidate[c] ? shown : lowest);
                    }
                });
                for (size_t c = 0; c < channels; ++c)
                    y[c] = y[c] == lowest ? int16_t{0} : static_cast<int16_t>(y[c] ^ flip);
                for_each([&](int16_t* candidate, const int16_t* value) SPIKERUN_LAMBDA_INLINE {
                    for (size_t c = 0; c < channels; ++c)
                        candidate[c] = candidate[c] != 0 && value[c] == y[c];
                });
            }
        }
    }
};

// The same for any words, the extremes among them: As is int16_t, or uint16_t where they are unsigned.
template <class As>
struct CompareWide {
    static int32_t shown(int16_t word, bool sign) {
        const auto value = static_cast<int32_t>(static_cast<As>(word));
        return sign ? ~value : value;
    }
    SPIKERUN_INLINE static void run(const Pool& p, const int16_t* x, int16_t* alive, int16_t* y, bool sign) {
        constexpr int32_t nothing = std::numeric_limits<int32_t>::min();
        const size_t channels = p.channels;
        for (size_t oy = 0; oy < p.out_h; ++oy) {
            for (size_t ox = 0; ox < p.out_w; ++ox, y += channels, alive += p.taps * channels) {
                for (size_t c = 0; c < channels; ++c) {
                    int32_t best = nothing;
                    for_each_tap(p.rows, oy, p.columns, ox, p.in_w,
                                 [&](size_t row, size_t tap, size_t position) SPIKERUN_LAMBDA_INLINE {
                                     if (alive[(row * p.kernel_w + tap) * channels + c] != 0)
                                         best = std::max(best, shown(x[position * channels + c], sign));
                                 });
                    y[c] = best == nothing ? int16_t{0} : static_cast<int16_t>(sign ? ~best : best);
                    for_each_tap(p.rows, oy, p.columns, ox, p.in_w,
                                 [&](size_t row, size_t tap, size_t position) SPIKERUN_LAMBDA_INLINE {
                                     int16_t& candidate = alive[(row * p.kernel_w + tap) * channels + c];
                                     candidate = candidate != 0 && x[position * channels + c] == y[c];
                                 });
                }
            }
        }
    }
};

template <class T>
Pool checked_pool(const Geometry& g, Register<T> x, Register<T> y) {
    check_geometry(g, Rounding::either);
    require(g.in.c == g.out.c, "out_hwc", "a pool keeps the number of channels");
    require_same(unsign(g.in.size()), x.size, "x");
    require_same(unsign(g.out.size()), y.size, "y");
    require_apart("y", {x, y});
    Pool pool{unsign(g.in.c),
              unsign(g.in.w),
              unsign(g.out.h),
              unsign(g.out.w),
              unsign(g.kernel.w),
              unsign(g.kernel.h) * unsign(g.kernel.w),
              taps_of_outputs(height(g)),
              taps_of_outputs(width(g))};
    for (const Taps* taps : {&pool.rows, &pool.columns})
        for (const Range& range : taps->ranges)
            require(range.count != 0, "padding",
                    "a window lies outside the image, so that it has no maximum");
    return pool;
}

// As: what the elements are compared as.
template <class As, class T>
void append_largest(Program& program, When when, const Geometry& g, Register<T> x, Register<T> y) {
    Pool pool = checked_pool(g, x, y);
    const size_t row = pool.in_w * pool.channels;
    program.need(sizeof(T) == 2 ? ScratchSize{0, 0, row} : ScratchSize{0, 0, 0, 0, row});
    const size_t parts = pool.out_h;
    program.append(when, parts,
                   [=, pool = std::move(pool)](Workspace& ws, int64_t, Share share, Scratch& own) {
                       T* one_row = nullptr;
                       if constexpr (sizeof(T) == 2)
                           one_row = own.patch.data();
                       else
                           one_row = own.sums.data();
                       run<Largest<As>>(pool, share.of(pool.out_h), reinterpret_cast<const As*>(x.in(ws)),
                                        reinterpret_cast<As*>(y.in(ws)), reinterpret_cast<As*>(one_row));
                   });
}

void max_pool(Program& program, When when, int64_t x, int64_t y, Dimensions3 in_hwc, Dimensions3 out_hwc,
              Dimensions2 kernel, Dimensions2 stride, Dimensions2 padding, Dimensions2 dilation,
              bool unsigned_words) {
    const auto append =
        unsigned_words ? &append_largest<uint16_t, int16_t> : &append_largest<int16_t, int16_t>;
    append(program, when, geometry_of(in_hwc, out_hwc, kernel, stride, padding, dilation),
           program.words(x, "x"), program.words(y, "y"));
}

void max_pool_sums(Program& program, When when, int64_t sums, int64_t acc, Dimensions3 in_hwc,
                   Dimensions3 out_hwc, Dimensions2 kernel, Dimensions2 stride, Dimensions2 padding,
                   Dimensions2 dilation) {
    append_largest<int32_t>(program, when, geometry_of(in_hwc, out_hwc, kernel, stride, padding, dilation),
                            program.numbers(sums, "sums"), program.numbers(acc, "acc"));
}

void max_pool_step(Program& program, When when, int64_t x_id, int64_t alive_id, int64_t y_id,
                   Dimensions3 in_hwc, Dimensions3 out_hwc, Dimensions2 kernel, Dimensions2 stride,
                   Dimensions2 padding, Dimensions2 dilation, int64_t restart_at, int64_t sign_at,
                   bool wide_words, bool unsigned_words) {
    const Words x = program.words(x_id, "x");
    const Words alive = program.words(alive_id, "alive");
    const Words y = program.words(y_id, "y");
    const Geometry g = geometry_of(in_hwc, out_hwc, kernel, stride, padding, dilation);
    Pool pool = checked_pool(g, x, y);
    require_apart("alive", {x, alive, y});
    require(pool.taps <= unsign(max_size), "kernel", "too large");
    require_same(pool.taps * y.size, alive.size, "alive");
    require_range("restart_at", restart_at, 0, when.period - 1);
    require_range("sign_at", sign_at, -1, when.period - 1);
    program.append(when, [=, pool = std::move(pool)](Workspace& ws, int64_t t) {
        const int64_t r = t % when.period;
        if (r == restart_at) std::fill_n(alive.in(ws), alive.size, int16_t{1});
        if (wide_words && unsigned_words)
            run<CompareWide<uint16_t>>(pool, x.in(ws), alive.in(ws), y.in(ws), r == sign_at);
        else if (wide_words)
            run<CompareWide<int16_t>>(pool, x.in(ws), alive.in(ws), y.in(ws), r == sign_at);
        else
            run<Compare>(pool, x.in(ws), alive.in(ws), y.in(ws), r == sign_at);
    });
}

}  // namespace

void bind_max_pool(ProgramClass& cls) {
    operation(cls, "max_pool", &max_pool, "x"_a, "y"_a, "in_hwc"_a, "out_hwc"_a, "kernel"_a, "stride"_a,
              "padding"_a, "dilation"_a, "unsigned_words"_a = false);
    operation(cls, "max_pool_sums", &max_pool_sums, "sums"_a, "acc"_a, "in_hwc"_a, "out_hwc"_a, "kernel"_a,
              "stride"_a, "padding"_a, "dilation"_a);
    operation(cls, "max_pool_step", &max_pool_step, "x"_a, "alive"_a, "y"_a, "in_hwc"_a, "out_hwc"_a,
              "kernel"_a, "stride"_a, "padding"_a, "dilation"_a, "restart_at"_a, "sign_at"_a,
              "wide_words"_a = false, "unsigned_words"_a = false);
}

}  // namespace spikerun

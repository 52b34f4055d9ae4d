#include "maxpool.hpp"

#include <algorithm>
#include <limits>

namespace spikerun {

namespace {

size_t unsign(int64_t value) {
    return static_cast<size_t>(value);
}

size_t checked_candidates(const Geometry& g) {
    const int64_t area =
        (g.out.h * g.kernel.h) * (g.out.w * g.kernel.w);  // each factor is bounded by the taps
    const bool fits = area <= max_size && area * g.out.c <= max_size;
    return fits ? unsign(area * g.out.c) : 0;
}

SPIKERUN_CLONES void take_largest(const int16_t* SPIKERUN_RESTRICT x, int16_t* SPIKERUN_RESTRICT y,
                                  size_t n) noexcept {
    for (size_t c = 0; c < n; ++c) y[c] = std::max(x[c], y[c]);
}

}  // namespace

MaxPool::MaxPool(const Geometry& g) : geometry_(g), n_candidates_(0) {
    check_geometry(g, Rounding::either);
    require(g.in.c == g.out.c, "out_hwc", "a pool keeps the number of channels");
    rows_ = taps_of_outputs(g.in.h, g.out.h, g.kernel.h, g.stride.h, g.padding.h, g.dilation.h);
    columns_ = taps_of_outputs(g.in.w, g.out.w, g.kernel.w, g.stride.w, g.padding.w, g.dilation.w);
    check_windows_not_empty(g);
    n_candidates_ = checked_candidates(g);
}

void MaxPool::apply(const int16_t* x, int16_t* y) const noexcept {
    const size_t channels = unsign(geometry_.in.c);
    std::fill(y, y + n_out(), std::numeric_limits<int16_t>::min());
    for (size_t oy = 0; oy < unsign(geometry_.out.h); ++oy) {
        for (size_t ox = 0; ox < unsign(geometry_.out.w); ++ox, y += channels) {
            for (size_t a = rows_.begin[oy]; a < rows_.begin[oy + 1]; ++a) {
                for (size_t b = columns_.begin[ox]; b < columns_.begin[ox + 1]; ++b) {
                    const int64_t pixel = rows_.taps[a].position * geometry_.in.w + columns_.taps[b].position;
                    take_largest(x + unsign(pixel) * channels, y, channels);
                }
            }
        }
    }
}

void MaxPool::step(const int16_t* x, int16_t* alive, int16_t* y, ComparatorStep step) const noexcept {
    const size_t channels = unsign(geometry_.in.c);
    const auto window = unsign(geometry_.kernel.h * geometry_.kernel.w);
    if (step.restart) std::fill(alive, alive + n_candidates_, int16_t{1});
    for (size_t oy = 0; oy < unsign(geometry_.out.h); ++oy) {
        for (size_t ox = 0; ox < unsign(geometry_.out.w); ++ox) {
            for (size_t c = 0; c < channels; ++c, ++y, alive += window) {
                // Calls visit(candidate, its input) for the candidates inside the image.
                const auto for_each = [&](auto visit) {
                    for (size_t a = rows_.begin[oy]; a < rows_.begin[oy + 1]; ++a) {
                        for (size_t b = columns_.begin[ox]; b < columns_.begin[ox + 1]; ++b) {
                            const Tap row = rows_.taps[a];
                            const Tap column = columns_.taps[b];
                            visit(alive[row.kernel * geometry_.kernel.w + column.kernel],
                                  x[unsign(row.position * geometry_.in.w + column.position) * channels + c]);
                        }
                    }
                };
                bool found = false;
                int16_t best = 0;
                for_each([&](int16_t candidate, int16_t value) {
                    if (candidate == 0) return;
                    const bool wins = !found || (step.sign ? value < best : value > best);
                    best = wins ? value : best;
                    found = true;
                });
                for_each([&](int16_t& candidate, int16_t value) {
                    candidate = static_cast<int16_t>(candidate != 0 && value == best);
                });
                *y = best;
            }
        }
    }
}

}  // namespace spikerun

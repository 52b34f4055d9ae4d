#include "geometry.hpp"

#include <algorithm>
#include <string>

namespace spikerun {

namespace {

// Bound the tables of taps, and the time that it takes to make them.
constexpr int64_t max_taps = int64_t{1} << 22;
constexpr int64_t max_trials = int64_t{1} << 26;

void check_range(const char* name, int64_t value, int64_t low) {
    require(value >= low && value <= max_size, name,
            "expected " + std::to_string(low) + ".." + std::to_string(max_size) + ", got " +
                std::to_string(value));
}

void check_image(const char* name, const Image& image) {
    check_range(name, image.h, 1);
    check_range(name, image.w, 1);
    check_range(name, image.c, 1);
    // Two steps: the product of three sizes could overflow, the product of two cannot.
    check_range(name, image.h * image.w, 1);
    check_range(name, image.size(), 1);
}

void check_pair(const char* name, const Pair& pair, int64_t low) {
    check_range(name, pair.h, low);
    check_range(name, pair.w, low);
}

void check_axis(const char* axis, int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t padding,
                int64_t dilation, Rounding rounding) {
    require(out * kernel <= max_taps && std::max(in, out) * kernel <= max_trials, "kernel",
            std::string("too large for this image in ") + axis);
    const int64_t room = in + 2 * padding - dilation * (kernel - 1) - 1;
    require(room >= 0, "kernel", std::string("larger than the padded image in ") + axis);
    const int64_t down = room / stride + 1;
    const int64_t up = (room + stride - 1) / stride + 1;
    const bool fits = out == down || (rounding == Rounding::either && out == up);
    require(fits, "out_hwc",
            std::string(axis) + " is " + std::to_string(out) +
                ", but input, kernel, stride, padding and dilation give " + std::to_string(down));
}

Taps empty_taps(int64_t positions) {
    Taps result;
    result.begin.reserve(static_cast<size_t>(positions) + 1);
    result.begin.push_back(0);
    return result;
}

}  // namespace

void check_geometry(const Geometry& g, Rounding rounding) {
    check_image("in_hwc", g.in);
    check_image("out_hwc", g.out);
    check_pair("kernel", g.kernel, 1);
    check_pair("stride", g.stride, 1);
    check_pair("padding", g.padding, 0);
    check_pair("dilation", g.dilation, 1);
    check_axis("height", g.in.h, g.out.h, g.kernel.h, g.stride.h, g.padding.h, g.dilation.h, rounding);
    check_axis("width", g.in.w, g.out.w, g.kernel.w, g.stride.w, g.padding.w, g.dilation.w, rounding);
}

void check_windows_not_empty(const Geometry& g) {
    const auto check = [](const char* axis, const Taps& taps) {
        for (size_t i = 0; i + 1 < taps.begin.size(); ++i)
            require(
                taps.begin[i] != taps.begin[i + 1], "padding",
                std::string("a window lies outside the image in ") + axis + ", so that it has no maximum");
    };
    check("height", taps_of_outputs(g.in.h, g.out.h, g.kernel.h, g.stride.h, g.padding.h, g.dilation.h));
    check("width", taps_of_outputs(g.in.w, g.out.w, g.kernel.w, g.stride.w, g.padding.w, g.dilation.w));
}

Taps taps_of_inputs(int64_t n_in, int64_t n_out, int64_t kernel, int64_t stride, int64_t padding,
                    int64_t dilation) {
    Taps result = empty_taps(n_in);
    for (int64_t i = 0; i < n_in; ++i) {
        for (int64_t k = 0; k < kernel; ++k) {
            const int64_t scaled = i + padding - k * dilation;
            if (scaled < 0) break;
            if (scaled % stride == 0 && scaled / stride < n_out) result.taps.push_back({k, scaled / stride});
        }
        result.begin.push_back(result.taps.size());
    }
    return result;
}

Taps taps_of_outputs(int64_t n_in, int64_t n_out, int64_t kernel, int64_t stride, int64_t padding,
                     int64_t dilation) {
    Taps result = empty_taps(n_out);
    for (int64_t o = 0; o < n_out; ++o) {
        for (int64_t k = 0; k < kernel; ++k) {
            const int64_t i = o * stride - padding + k * dilation;
            if (i >= n_in) break;
            if (i >= 0) result.taps.push_back({k, i});
        }
        result.begin.push_back(result.taps.size());
    }
    return result;
}

}  // namespace spikerun

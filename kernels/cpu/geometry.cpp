// SPDX-License-Identifier: Apache-2.0
#include "geometry.hpp"

#include <algorithm>
#include <numeric>
#include <string>

namespace spikerun {

namespace {

// Bounds the time that it takes to find the first tap of each input.
constexpr int64_t max_trials = int64_t{1} << 26;

// a / b rounded up; b > 0.
int64_t divided_up(int64_t a, int64_t b) {
    return a / b + (a % b > 0);
}

Range range(int64_t kernel, int64_t position, int64_t count) {
    return {static_cast<uint32_t>(kernel), static_cast<uint32_t>(position), static_cast<uint32_t>(count)};
}

void check_size(const char* name, int64_t value) {
    require_range(name, value, 1, max_size);
}

void check_image(const char* name, const Image& image) {
    check_size(name, image.h);
    check_size(name, image.w);
    check_size(name, image.c);
    // Two steps: the product of three sizes could overflow, the product of two cannot.
    check_size(name, image.h * image.w);
    check_size(name, image.size());
}

void check_pair(const char* name, const Pair& pair, int64_t low) {
    require_range(name, pair.h, low, max_size);
    require_range(name, pair.w, low, max_size);
}

void check_axis(const char* name, const Axis& a, Rounding rounding) {
    const int64_t room = a.in + 2 * a.padding - a.dilation * (a.kernel - 1) - 1;
    require(room >= 0, "kernel", std::string("larger than the padded image in ") + name);
    const int64_t down = room / a.stride + 1;
    const int64_t up = divided_up(room, a.stride) + 1;
    require(a.out == down || (rounding == Rounding::either && a.out == up), "out_hwc",
            std::string(name) + " is " + text(a.out) +
                ", but input, kernel, stride, padding and dilation give " + text(down));
}

}  // namespace

void check_geometry(const Geometry& g, Rounding rounding) {
    check_image("in_hwc", g.in);
    check_image("out_hwc", g.out);
    check_pair("kernel", g.kernel, 1);
    check_pair("stride", g.stride, 1);
    check_pair("padding", g.padding, 0);
    check_pair("dilation", g.dilation, 1);
    check_axis("height", height(g), rounding);
    check_axis("width", width(g), rounding);
}

Taps taps_of_inputs(const Axis& a) {
    // Kernel positions k and outputs o with o * stride + k * dilation = i + padding: from one pair to the
    // next, k grows by stride / common, and o shrinks by dilation / common.
    const int64_t common = std::gcd(a.stride, a.dilation);
    const int64_t step = a.stride / common;
    require(a.in * std::min(a.kernel, step) <= max_trials, "kernel", "too large for this image");
    Taps result{unsign(step), unsign(-a.dilation / common), {}};
    result.ranges.reserve(unsign(a.in));
    for (int64_t i = a.padding; i < a.in + a.padding; ++i) {
        const int64_t end = std::min(a.kernel, i / a.dilation + 1);
        int64_t k = std::max<int64_t>(0, divided_up(i - (a.out - 1) * a.stride, a.dilation));
        const int64_t tried = std::min(end, k + step);
        while (k < tried && (i - k * a.dilation) % a.stride != 0) ++k;
        if (k < tried)
            result.ranges.push_back(range(k, (i - k * a.dilation) / a.stride, (end - 1 - k) / step + 1));
        else
            result.ranges.push_back({0, 0, 0});
    }
    return result;
}

Taps taps_of_outputs(const Axis& a) {
    Taps result{1, unsign(a.dilation), {}};
    result.ranges.reserve(unsign(a.out));
    for (int64_t o = 0; o < a.out; ++o) {
        const int64_t first = o * a.stride - a.padding;
        const int64_t k = std::max<int64_t>(0, divided_up(-first, a.dilation));
        const int64_t end = std::min(a.kernel, divided_up(a.in - first, a.dilation));
        if (k < end)
            result.ranges.push_back(range(k, first + k * a.dilation, end - k));
        else
            result.ranges.push_back({0, 0, 0});
    }
    return result;
}

}  // namespace spikerun

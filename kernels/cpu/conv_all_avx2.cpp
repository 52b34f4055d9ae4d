// SPDX-License-Identifier: Apache-2.0
// The kernel of conv_all.hpp, for AVX2. One instruction multiplies two words of 16 bits by the weights of
// eight channels and adds both products, which is exact: 2^15 * 2^7 * 2 < 2^31.
#include <algorithm>
#include <array>
#include <cstring>

#include "avx2.hpp"
#include "conv_all.hpp"

namespace spikerun {

#if defined(SPIKERUN_X86)

namespace {

constexpr size_t lanes = AllPlan::lanes;
constexpr size_t most_outputs = 4;  // at once

// Copies the part of the image that windows cover into one that has zeros where they leave it.
SPIKERUN_V3_INLINE void pad(const AllPlan& p, const int16_t* x, int16_t* to) {
    const size_t row = unsign(p.in.w * p.in.c), left = std::min(unsign(p.padding.w * p.in.c), p.width);
    const size_t inside = std::min(row, p.width - left), top = unsign(p.padding.h);
    const size_t rows = (p.n_padded - 1) / p.width;
    for (size_t y = 0; y < rows; ++y, to += p.width) {
        if (y < top || y >= top + unsign(p.in.h)) {
            std::fill_n(to, p.width, int16_t{0});
            continue;
        }
        std::fill_n(to, left, int16_t{0});
        std::copy_n(x + (y - top) * row, inside, to + left);
        std::fill_n(to + left + inside, p.width - left - inside, int16_t{0});
    }
    *to = 0;
}

// Outputs that lie side by side, and blocks of channels: their sums, and how to get them.
template <size_t Outputs, size_t Blocks>
struct Tile {
    // first: where the window of the first output begins; next: from there to the one of its neighbour.
    SPIKERUN_V3_INLINE static void run(const AllPlan& p, const int8_t* weight, const int16_t* first,
                                       size_t next, size_t channels, int32_t* out) {
        __m256i sums[Outputs * Blocks];
        SPIKERUN_UNROLLED
        for (size_t k = 0; k < Outputs * Blocks; ++k) sums[k] = _mm256_setzero_si256();
        const size_t of_block = p.block_weights();
        for (const size_t run : p.runs) {
            const int16_t* x = first + run;
            for (size_t pair = p.pairs; pair > 0; --pair, x += 2, weight += 2 * lanes) {
                __m256i weights[Blocks];
                SPIKERUN_UNROLLED
                for (size_t b = 0; b < Blocks; ++b)
                    weights[b] = _mm256_cvtepi8_epi16(load_half(weight + b * of_block));
                SPIKERUN_UNROLLED
                for (size_t k = 0; k < Outputs; ++k) {
                    int32_t two;
                    std::memcpy(&two, x + k * next, sizeof two);
                    const __m256i words = _mm256_set1_epi32(two);
                    SPIKERUN_UNROLLED
                    for (size_t b = 0; b < Blocks; ++b) {
                        __m256i& sum = sums[k * Blocks + b];
                        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(words, weights[b]));
                    }
                }
            }
        }
        SPIKERUN_UNROLLED
        for (size_t k = 0; k < Outputs; ++k) {
            SPIKERUN_UNROLLED
            for (size_t b = 0; b < Blocks; ++b)
                save(sums[k * Blocks + b], std::min(channels - b * lanes, lanes),
                     out + k * unsign(p.out.c) + b * lanes);
        }
    }

    SPIKERUN_V3_INLINE static void save(__m256i sums, size_t channels, int32_t* to) {
        if (channels == lanes) return add_to(to, sums);
        std::array<int32_t, lanes> all;
        store(all.data(), sums);
        for (size_t j = 0; j < channels; ++j) to[j] = wrapping_add(to[j], all[j]);
    }
};

// One row of outputs: as many at once as there are.
template <size_t Blocks>
SPIKERUN_V3 void run_row(const AllPlan& p, const int8_t* weight, const int16_t* x, size_t channels,
                         int32_t* out) {
    const size_t next = unsign(p.stride.w * p.in.c), to_next = unsign(p.out.c);
    auto left = unsign(p.out.w);
    for (; left >= most_outputs; left -= most_outputs) {
        Tile<most_outputs, Blocks>::run(p, weight, x, next, channels, out);
        x += most_outputs * next;
        out += most_outputs * to_next;
    }
    if (left >= 2) {
        Tile<2, Blocks>::run(p, weight, x, next, channels, out);
        x += 2 * next;
        out += 2 * to_next;
        left -= 2;
    }
    if (left > 0) Tile<1, Blocks>::run(p, weight, x, next, channels, out);
}

SPIKERUN_V3 void run_plan(const AllPlan& p, const int16_t* x, int32_t* acc, int16_t* padded) {
    pad(p, x, padded);
    const auto out_row = unsign(p.out.w * p.out.c);
    const size_t down = unsign(p.stride.h) * p.width;
    for (size_t channel = 0; channel < p.n_channel; channel += 2 * lanes) {
        const size_t channels = std::min(p.n_channel - channel, 2 * lanes);
        const int8_t* const weight = p.weight.data() + channel / lanes * p.block_weights();
        int32_t* const out = acc + p.offset + channel;
        for (size_t y = 0; y < unsign(p.out.h); ++y)
            if (channels > lanes)
                run_row<2>(p, weight, padded + y * down, channels, out + y * out_row);
            else
                run_row<1>(p, weight, padded + y * down, channels, out + y * out_row);
    }
}

}  // namespace

bool AllConv::apply(const int16_t* x, int32_t* acc, Scratch& scratch) const noexcept {
    if (!has_avx2()) return false;
    run_plan(plan_, x, acc, scratch.patch.data());
    return true;
}

void AllConv::need(ScratchSize& size) const noexcept {
    size.patch = std::max(size.patch, plan_.n_padded);
}

#else

bool AllConv::apply(const int16_t*, int32_t*, Scratch&) const noexcept {
    return false;
}
void AllConv::need(ScratchSize&) const noexcept {}

#endif

}  // namespace spikerun

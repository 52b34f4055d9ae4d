// SPDX-License-Identifier: Apache-2.0
// The kernel of conv_pairs.hpp, for AVX2. The bytes of two rows of weights are interleaved as [a0 b0 a1 b1
// ..]; one instruction multiplies them by the two words and adds both products: 127 * 128 * 2 < 2^15. Sums
// have 16 bits, and are added to those of 32 bits before they could overflow.
#include <algorithm>
#include <array>
#include <limits>

#include "conv_pairs_lists.hpp"

namespace spikerun {

#if defined(SPIKERUN_X86)

namespace {

// 32 channels in two registers: [0..7, 16..23] and [8..15, 24..31].
struct Wide {
    using Vector = __m256i;
    static constexpr size_t channels = 32;
    SPIKERUN_V3_INLINE static Vector zero() { return _mm256_setzero_si256(); }
    SPIKERUN_V3_INLINE static Vector both(uint64_t factor) { return repeated(static_cast<uint32_t>(factor)); }
    SPIKERUN_V3_INLINE static void add(const int8_t* a, const int8_t* b, Vector words, Vector& low,
                                       Vector& high) {
        Vector of_a = load(a);
        Vector of_b = load(b);
        SPIKERUN_IN_REGISTERS(of_a, of_b);
        low = _mm256_add_epi16(low, _mm256_maddubs_epi16(words, _mm256_unpacklo_epi8(of_a, of_b)));
        high = _mm256_add_epi16(high, _mm256_maddubs_epi16(words, _mm256_unpackhi_epi8(of_a, of_b)));
    }
    SPIKERUN_V3_INLINE static void save_eight(__m128i sums, int32_t* to) {
        add_to(to, _mm256_cvtepi16_epi32(sums));
    }
    SPIKERUN_V3_INLINE static void save(Vector low, Vector high, int32_t* to, size_t) {
        save_eight(_mm256_castsi256_si128(low), to);
        save_eight(_mm256_castsi256_si128(high), to + 8);
        save_eight(_mm256_extracti128_si256(low, 1), to + 16);
        save_eight(_mm256_extracti128_si256(high, 1), to + 24);
    }
};

// 16 channels in two registers, of which `count` are there.
struct Narrow {
    using Vector = __m128i;
    static constexpr size_t channels = 16;
    SPIKERUN_V3_INLINE static Vector zero() { return _mm_setzero_si128(); }
    SPIKERUN_V3_INLINE static Vector both(uint64_t factor) {
        return _mm_set1_epi32(static_cast<int>(factor));
    }
    SPIKERUN_V3_INLINE static void add(const int8_t* a, const int8_t* b, Vector words, Vector& low,
                                       Vector& high) {
        Vector of_a = load_half(a);
        Vector of_b = load_half(b);
        SPIKERUN_IN_REGISTERS(of_a, of_b);
        low = _mm_add_epi16(low, _mm_maddubs_epi16(words, _mm_unpacklo_epi8(of_a, of_b)));
        high = _mm_add_epi16(high, _mm_maddubs_epi16(words, _mm_unpackhi_epi8(of_a, of_b)));
    }
    SPIKERUN_V3_INLINE static void save(Vector low, Vector high, int32_t* to, size_t count) {
        if (count == channels) {
            Wide::save_eight(low, to);
            Wide::save_eight(high, to + 8);
            return;
        }
        std::array<int16_t, channels> sums;
        _mm_storeu_si128(reinterpret_cast<__m128i*>(sums.data()), low);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(sums.data() + 8), high);
        for (size_t j = 0; j < count; ++j) to[j] = wrapping_add(to[j], sums[j]);
    }
};

// One row of outputs, of one block of channels.
template <class Lane, size_t Reach, size_t Width>
struct Row {
    static constexpr size_t lanes = Width / Lane::channels;
    static constexpr size_t per_output = 2 * lanes;
    using Sums = typename Lane::Vector[Reach * per_output];

    SPIKERUN_V3_INLINE static void add(const int8_t* weight, const Lists& lists, size_t pair, Sums& sums) {
        const auto words = Lane::both(lists.factor[pair]);
        const int8_t* const a = weight + size_t{lists.place[2 * pair]} * (Width / 16);
        const int8_t* const b = weight + size_t{lists.place[2 * pair + 1]} * (Width / 16);
        SPIKERUN_UNROLLED
        for (size_t k = 0; k < Reach * lanes; ++k)
            Lane::add(a + k * Lane::channels, b + k * Lane::channels, words, sums[2 * k], sums[2 * k + 1]);
    }

    // Adds the sums of outputs first..first + n of those in reach, which begin at `output`, to the target.
    template <size_t N>
    SPIKERUN_V3_INLINE static void save(const PairPlan& p, const PairBlock& block, size_t output, Sums& sums,
                                        int32_t* out) {
        SPIKERUN_UNROLLED
        for (size_t k = 0; k < N; ++k) {
            if (output + k >= p.out_w) continue;  // left of the image, where it is a large number, or right
            int32_t* const to = out + (output + k) * p.out_c;
            SPIKERUN_UNROLLED
            for (size_t j = 0; j < lanes; ++j)
                Lane::save(sums[k * per_output + 2 * j], sums[k * per_output + 2 * j + 1],
                           to + j * Lane::channels, block.count);
        }
    }

    // Returns where the cuts of the next row are.
    SPIKERUN_V3 static const uint32_t* run(const PairPlan& p, const PairBlock& block, const Lists& lists,
                                           size_t pair, const Step* steps, const uint32_t* cut,
                                           int32_t* out) {
        const int8_t* const weight = p.weight.data() + block.at;
        Sums sums;
        SPIKERUN_UNROLLED
        for (size_t k = 0; k < Reach * per_output; ++k) sums[k] = Lane::zero();
        for (size_t step = 0; step < p.steps(); ++step) {
            const size_t oldest = step - (Reach - 1);
            const size_t end = steps[step].end;
            while (*cut < end) {
                for (; pair < *cut; ++pair) add(weight, lists, pair, sums);
                save<Reach>(p, block, oldest, sums, out);
                SPIKERUN_UNROLLED
                for (size_t k = 0; k < Reach * per_output; ++k) sums[k] = Lane::zero();
                ++cut;
            }
            for (; pair < end; ++pair) add(weight, lists, pair, sums);
            save<1>(p, block, oldest, sums, out);
            SPIKERUN_UNROLLED
            for (size_t k = 0; k < (Reach - 1) * per_output; ++k) sums[k] = sums[k + per_output];
            SPIKERUN_UNROLLED
            for (size_t k = (Reach - 1) * per_output; k < Reach * per_output; ++k) sums[k] = Lane::zero();
        }
        return cut;
    }
};

using RowKernel = decltype(&Row<Wide, 1, 32>::run);

// [reach - 1][width / 32]
constexpr RowKernel kernels[most_reach][3] = {
    {&Row<Narrow, 1, 16>::run, &Row<Wide, 1, 32>::run, &Row<Wide, 1, 64>::run},
    {&Row<Narrow, 2, 16>::run, &Row<Wide, 2, 32>::run, &Row<Wide, 2, 64>::run},
    {&Row<Narrow, 3, 16>::run, &Row<Wide, 3, 32>::run, &Row<Wide, 3, 64>::run},
    {&Row<Narrow, 4, 16>::run, &Row<Wide, 4, 32>::run, nullptr},
    {&Row<Narrow, 5, 16>::run, &Row<Wide, 5, 32>::run, nullptr},
    {&Row<Narrow, 6, 16>::run, &Row<Wide, 6, 32>::run, nullptr},
};

// Rows of outputs are prepared together, as long as their lists stay near; then each block of weights is read
// for all of them.
constexpr size_t near = size_t{1} << 15;

// How many packed inputs the lists of one row of outputs have room for, and of how many rows at a time.
size_t row_room(const PairPlan& p) {
    return p.kernel_h * p.in_c * p.in_w + p.steps();
}
size_t rows_at_once(const PairPlan& p) {
    return std::clamp(near / row_room(p), size_t{1}, p.out_h);
}

// Some rows of outputs, which begin with row y.
struct Tile {
    size_t y, rows;
    Step* steps;
    uint32_t* cuts;
};

SPIKERUN_V3 void run_tile(const PairPlan& p, const Tile& tile, const uint32_t* packed, const Before* begin,
                          const Lists& lists, int32_t* acc) {
    const size_t row_steps = p.steps(), row_out = p.out_w * p.out_c;
    size_t count = 0;
    for (size_t k = 0; k < tile.rows; ++k)
        count = merge_row(p, tile.y + k, packed, begin, lists.place, tile.steps + k * row_steps, count);
    unpack(lists, count);
    uint32_t* cut = tile.cuts;
    for (size_t k = 0, pair = 0; k < tile.rows; ++k) {
        const Step* const steps = tile.steps + k * row_steps;
        cut = cut_row(p, lists.factor, steps, pair, cut);
        pair = steps[row_steps - 1].end;
    }
    *cut = std::numeric_limits<uint32_t>::max();
    for (const PairBlock& block : p.blocks) {
        const RowKernel kernel = kernels[p.reach - 1][block.width / 32];
        int32_t* out = acc + tile.y * row_out + p.offset + block.first;
        const uint32_t* next = tile.cuts;
        size_t pair = 0;
        for (size_t k = 0; k < tile.rows; ++k, out += row_out) {
            const Step* const steps = tile.steps + k * row_steps;
            const size_t end = steps[row_steps - 1].end;
            if (end > pair) next = kernel(p, block, lists, pair, steps, next, out);
            pair = end;
        }
    }
}

SPIKERUN_V3 bool run_plan(const PairPlan& p, const int16_t* x, int32_t* acc, Scratch& scratch) {
    const size_t positions = p.in_h * p.in_w;
    uint32_t* const packed = scratch.places.data();
    auto* const begin = reinterpret_cast<Before*>(scratch.events.data());
    if (!pack_image(p, x, packed, begin)) return false;
    const Lists lists{packed + positions * p.in_c + piece, scratch.events.data() + positions + 1};
    const size_t most = rows_at_once(p);
    auto* const steps = reinterpret_cast<Step*>(lists.factor + (most * row_room(p) + 2 * piece) / 2);
    for (size_t y = 0; y < p.out_h; y += most)
        run_tile(p, {y, std::min(most, p.out_h - y), steps, scratch.lists.data()}, packed, begin, lists, acc);
    return true;
}

}  // namespace

bool PairConv::apply(const int16_t* x, int32_t* acc, Scratch& scratch) const noexcept {
    return has_avx2() && run_plan(plan_, x, acc, scratch);
}

void PairConv::need(ScratchSize& size) const noexcept {
    const size_t positions = plan_.in_h * plan_.in_w, tile = rows_at_once(plan_);
    const size_t inputs = tile * row_room(plan_) + 2 * piece;
    size.events = std::max(size.events, positions + 1 + inputs / 2 + tile * plan_.steps());
    size.places = std::max(size.places, positions * plan_.in_c + inputs);
    size.lists = std::max(size.lists, inputs / 2 + 1);
}

#else

bool PairConv::apply(const int16_t*, int32_t*, Scratch&) const noexcept {
    return false;
}
void PairConv::need(ScratchSize&) const noexcept {}

#endif

}  // namespace spikerun

// SPDX-License-Identifier: Apache-2.0
// The kernel of conv_pairs.hpp, for the instruction set of the file that includes this; its functions bear
// SPIKERUN_TARGET, and it calls a struct Set, which has
//
//   Seen: the bits of all words, and their sum: total(), and fit(): whether all words are in 0..127
//   pack(x, n, first, step, to, seen): appends the active ones of n channels to `to`, packed; the first has
//       row `first` of the weights, and the others are `step` apart. Returns their number; may write a piece.
//   unpack(lists, begin, end): what is packed becomes places and factors
//   kernel(reach, width): of a row of outputs
#pragma once

#include <array>
#include <limits>

#include "conv_pairs_lists.hpp"

namespace spikerun {
namespace {

// Lists the active inputs of some rows of the image, as they lie in memory; returns whether all of their
// words are in 0..127.
template <class Set>
SPIKERUN_TARGET_INLINE bool list_image(const PairPlan& p, const int16_t* x, Span rows, const Lists& lists) {
    typename Set::Seen seen;
    const auto step = static_cast<uint32_t>(p.reach) << word_bits;
    const auto of_row = static_cast<uint32_t>(p.in_c) * step;
    const auto of_phase = static_cast<uint32_t>(p.kernel_h) * of_row;
    const size_t n_strips = p.steps(), room = strip_room(p), to_next = p.in_h + 1;
    for (size_t strip = 0; strip < n_strips; ++strip)
        lists.before[strip * to_next + rows.begin] = {static_cast<uint32_t>(strip * room), 0};
    uint32_t sum = 0;
    for (size_t y = rows.begin; y < rows.end; ++y) {
        const int16_t* const row = x + y * p.in_w * p.pixel + p.first;
        Before* before = lists.before + y;
        for (size_t strip = 0; strip < n_strips; ++strip, before += to_next) {
            size_t count = before->count;
            const size_t first = p.columns[strip], last = p.columns_end[strip];
            uint32_t place = static_cast<uint32_t>(y) * of_row;
            if (p.phases > 1) place += static_cast<uint32_t>((first + p.padding) % p.stride) * of_phase;
            for (size_t column = first; column < last; ++column, place += of_phase)
                count += Set::pack(row + column * p.pixel, p.in_c, place, step, lists.place + count, seen);
            const uint32_t total = seen.total();
            before[1] = {static_cast<uint32_t>(count), before->sum + total - sum};
            sum = total;
        }
    }
    for (size_t strip = 0; strip < n_strips; ++strip) {
        const size_t end = lists.before[strip * to_next + rows.end].count;
        lists.place[end] = 0;
        Set::unpack(lists, strip * room, end);
    }
    return seen.fit();
}

// Lists the steps of row y of the outputs, and the cuts of them; returns where the next cuts go.
SPIKERUN_TARGET_INLINE uint32_t* list_steps(const PairPlan& p, size_t y, const Lists& lists, Step* steps,
                                            uint32_t* cut) {
    const Range rows = p.rows.ranges[y];
    const Before* before = lists.before + rows.position;
    // Of the steps before this one that share sums with it, since these were saved.
    const size_t shared = p.reach - 1, n_steps = p.steps();
    std::array<uint32_t, most_reach> of_steps{};
    uint32_t earlier = 0;
    for (size_t step = 0, slot = 0; step < n_steps; ++step, before += p.in_h + 1) {
        const Before first = before[0], last = before[rows.count];
        uint32_t own = last.sum - first.sum, cuts = 0;
        if (earlier + own > budget) {
            own = 0;
            for (uint32_t k = first.count; k < last.count; k += 2) {
                const uint32_t words = lists.factor[k];
                const uint32_t sum = (words & 0xFF) + (k + 1 < last.count ? words >> 8 & 0xFF : 0);
                if (earlier + own + sum > budget) {
                    *cut++ = k;
                    ++cuts;
                    of_steps = {};
                    earlier = own = 0;
                }
                own += sum;
            }
        }
        steps[step] = {first.count, last.count, cuts};
        if (shared == 0) continue;
        earlier += own - of_steps[slot];
        of_steps[slot] = own;
        if (++slot == shared) slot = 0;
    }
    return cut;
}

using RowKernel = const uint32_t* (*)(const PairPlan&, const ChannelBlock&, const Lists&, size_t, const Step*,
                                      const uint32_t*, int32_t*);

// What is left of a factor whose second input is none.
constexpr uint32_t first_alone = 0x00FF00FF;

// One row of outputs, of one block of channels. Lane: the channels that two registers of sums hold.
template <class Lane, size_t Reach, size_t Width>
struct Row {
    static constexpr size_t lanes = Width / Lane::channels;
    static constexpr size_t per_output = 2 * lanes;
    using Sums = typename Lane::Vector[Reach * per_output];

    SPIKERUN_TARGET_INLINE static void add(const int8_t* weight, size_t a, size_t b,
                                           typename Lane::Vector words, Sums& sums) {
        SPIKERUN_UNROLLED
        for (size_t k = 0; k < Reach * lanes; ++k)
            Lane::add(weight + a + k * Lane::channels, weight + b + k * Lane::channels, words, sums[2 * k],
                      sums[2 * k + 1]);
    }

    // Adds the sums of outputs first..first + n of those in reach, which begin at `output`, to the target.
    template <size_t N>
    SPIKERUN_TARGET_INLINE static void save(const PairPlan& p, const ChannelBlock& block, size_t output,
                                            Sums& sums, int32_t* out) {
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

    SPIKERUN_TARGET_INLINE static void fetch(const void* from) {
        _mm_prefetch(static_cast<const char*>(from), _MM_HINT_T0);
    }

    // at: where the weights would begin of which the first row of the image has the first, modulo 2^64.
    // Returns where the cuts of the next row are.
    SPIKERUN_TARGET static const uint32_t* run(const PairPlan& p, const ChannelBlock& block,
                                               const Lists& lists, size_t at, const Step* steps,
                                               const uint32_t* cut, int32_t* out) {
        const int8_t* const weight = p.weights.data;
        const auto place = [&](size_t k)
                               SPIKERUN_LAMBDA_INLINE { return at + size_t{lists.place[k]} * (Width / 16); };
        const size_t n_steps = p.steps();
        Sums sums;
        SPIKERUN_UNROLLED
        for (size_t k = 0; k < Reach * per_output; ++k) sums[k] = Lane::zero();
        for (size_t step = 0; step < n_steps; ++step) {
            const size_t oldest = step - (Reach - 1);
            size_t k = steps[step].begin;
            const size_t end = steps[step].end;
            // Lists lie apart, and what is listed first would be waited for.
            if (step + 2 < n_steps) {
                fetch(lists.place + steps[step + 2].begin);
                fetch(lists.factor + steps[step + 2].begin);
            }
            for (const uint32_t* const last = cut + steps[step].cuts; cut < last; ++cut) {
                for (; k < *cut; k += 2)
                    add(weight, place(k), place(k + 1), Lane::both(lists.factor + k), sums);
                save<Reach>(p, block, oldest, sums, out);
                SPIKERUN_UNROLLED
                for (size_t j = 0; j < Reach * per_output; ++j) sums[j] = Lane::zero();
            }
            for (; k + 2 < end; k += 2)
                add(weight, place(k), place(k + 1), Lane::both(lists.factor + k), sums);
            if (k < end) {  // the last two, or the last one, without a branch for which
                const size_t two = k + 1 < end;
                const uint32_t words = lists.factor[k] & (first_alone | -static_cast<uint32_t>(two));
                add(weight, place(k), place(k + two), Lane::both(&words), sums);
            }
            save<1>(p, block, oldest, sums, out);
            SPIKERUN_UNROLLED
            for (size_t j = 0; j < (Reach - 1) * per_output; ++j) sums[j] = sums[j + per_output];
            SPIKERUN_UNROLLED
            for (size_t j = (Reach - 1) * per_output; j < Reach * per_output; ++j) sums[j] = Lane::zero();
        }
        return cut;
    }
};

// The kernels of blocks of this width by their reach, up to Most.
template <class Lane, size_t Width, size_t... Reach>
constexpr std::array<RowKernel, sizeof...(Reach)> by_reach(std::index_sequence<Reach...>) {
    return {&Row<Lane, Reach + 1, Width>::run...};
}
template <class Lane, size_t Width, size_t Most>
constexpr auto row_kernels = by_reach<Lane, Width>(std::make_index_sequence<Most>{});

template <class Set>
SPIKERUN_TARGET_INLINE void run_tile(const PairPlan& p, Span rows, const Lists& lists, int32_t* acc) {
    const size_t row_steps = p.steps(), row_out = p.out_w * p.out_c;
    uint32_t* cut = lists.cuts;
    for (size_t y = rows.begin; y < rows.end; ++y)
        cut = list_steps(p, y, lists, lists.steps + (y - rows.begin) * row_steps, cut);
    for (const ChannelBlock& block : p.weights.blocks) {
        const RowKernel kernel = Set::kernel(p.reach, block.width);
        const size_t of_row = p.in_c * p.reach * block.width;
        int32_t* out = acc + rows.begin * row_out + p.offset + block.first;
        const uint32_t* next = lists.cuts;
        for (size_t y = rows.begin; y < rows.end; ++y, out += row_out) {
            const Range range = p.rows.ranges[y];
            const size_t at = block.at + (size_t{range.kernel} - size_t{range.position}) * of_row;
            next = kernel(p, block, lists, at, lists.steps + (y - rows.begin) * row_steps, next, out);
        }
    }
}

template <class Set>
SPIKERUN_TARGET_INLINE bool run_plan(const PairPlan& p, const int16_t* x, int32_t* acc, Scratch& scratch,
                                     Span rows) {
    const Lists lists = lists_in(p, scratch);
    if (!list_image<Set>(p, x, rows_read(p.rows, rows), lists)) return false;
    const size_t most = rows_at_once(p);
    for (size_t y = rows.begin; y < rows.end; y += most)
        run_tile<Set>(p, {y, std::min(y + most, rows.end)}, lists, acc);
    return true;
}

}  // namespace
}  // namespace spikerun

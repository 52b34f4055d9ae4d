// SPDX-License-Identifier: Apache-2.0
// How the kernel of conv_pairs.hpp lists active inputs, with AVX2: those of each position of the image are
// packed, those of a step are merged and become pairs, and sums are saved before they could overflow.
#pragma once

#include <algorithm>
#include <array>

#include "avx2.hpp"
#include "conv_pairs.hpp"

#if defined(SPIKERUN_X86)

namespace spikerun {

// An active input, packed: the number of its row of weights times `reach`, and its word in the low bits.
constexpr int word_bits = 7;
constexpr uint32_t largest_word = (1u << word_bits) - 1;
// Words of inputs that share a sum of 16 bits may add up to this: 256 * -128 = -2^15.
constexpr uint32_t budget = 256;
// Packed inputs are copied in pieces, without a branch for each; lists have as much room behind them.
constexpr size_t piece = 16;
// Before a list of inputs: how many active ones there are, and the sum of their words, modulo 2^32.
struct Before {
    uint32_t count, sum;
};

// Where the pairs of a step end, and the sum of its words.
struct Step {
    uint32_t end, sum;
};

// Pairs of active inputs. Where there is an odd number, a word is 0.
struct Lists {
    uint32_t* place;   // of both rows of weights, in blocks of 16 channels; at first: both inputs, packed
    uint64_t* factor;  // the words a and b as the bytes a b a b, and, in the high half, a + b
};

// [mask][k]: the place of the k-th lane whose bit in the mask is 0.
constexpr auto kept_lanes = [] {
    std::array<std::array<uint8_t, 8>, 256> table{};
    for (size_t mask = 0; mask < 256; ++mask)
        for (size_t lane = 0, k = 0; lane < 8; ++lane)
            if ((mask >> lane & 1) == 0) table[mask][k++] = static_cast<uint8_t>(lane);
    return table;
}();

// The bits of all words, and their sum modulo 2^32: of eight lanes, and of what is left.
struct Seen {
    __m256i bits, sum;
    uint32_t other_bits, other_sum;
    SPIKERUN_V3_INLINE uint32_t total() const {
        const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
        const __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
        return static_cast<uint32_t>(_mm_cvtsi128_si32(two) + _mm_extract_epi32(two, 1)) + other_sum;
    }
    SPIKERUN_V3_INLINE bool fit() const {
        const __m256i large = repeated(~largest_word);
        return _mm256_testz_si256(bits, large) != 0 && (other_bits & ~largest_word) == 0;
    }
};

// Appends the active ones of `n` channels to `to`, packed; they begin with row `first` of the weights, and
// may leave some numbers behind. Returns their number.
SPIKERUN_V3_INLINE size_t pack(const int16_t* x, size_t n, uint32_t first, uint32_t reach, uint32_t* to,
                               Seen& seen) {
    const uint32_t step = reach << word_bits;
    const __m256i zero = _mm256_setzero_si256();
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256i row = _mm256_add_epi32(repeated(first), _mm256_mullo_epi32(lanes, repeated(step)));
    const __m256i eight = repeated(8 * step);
    size_t count = 0, c = 0;
    for (; c + 8 <= n; c += 8) {
        const __m128i words = load_half(x + c);
        const __m256i wide = _mm256_cvtepu16_epi32(words);
        seen.bits = _mm256_or_si256(seen.bits, wide);
        seen.sum = _mm256_add_epi32(seen.sum, wide);
        const __m256i silent = _mm256_cmpeq_epi32(wide, zero);
        const auto mask = static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(silent)));
        const auto* const kept = reinterpret_cast<const __m128i*>(kept_lanes[mask].data());
        const __m256i order = _mm256_cvtepu8_epi32(_mm_loadl_epi64(kept));
        const __m256i packed = _mm256_permutevar8x32_epi32(_mm256_or_si256(row, wide), order);
        store(to + count, packed);
        count += 8 - static_cast<size_t>(__builtin_popcount(mask));
        row = _mm256_add_epi32(row, eight);
    }
    for (; c < n; ++c) {
        const auto word = static_cast<uint16_t>(x[c]);
        seen.other_bits |= word;
        seen.other_sum += word;
        to[count] = (first + static_cast<uint32_t>(c) * step) | word;
        count += word != 0;
    }
    return count;
}

// Lists the active inputs of each position: those of list i are packed[begin[i].count .. begin[i + 1].count).
// Returns whether all words are in 0..127.
SPIKERUN_V3_INLINE bool pack_image(const PairPlan& p, const int16_t* x, uint32_t* packed, Before* begin) {
    Seen seen{_mm256_setzero_si256(), _mm256_setzero_si256(), 0, 0};
    size_t count = 0;
    const auto reach = static_cast<uint32_t>(p.reach);
    const auto of_phase = static_cast<uint32_t>(p.kernel_h * p.in_c * p.reach) << word_bits;
    for (size_t y = 0; y < p.in_h; ++y) {
        size_t phase = p.padding % p.stride;
        for (size_t column = 0; column < p.in_w; ++column, x += p.in_c) {
            *begin++ = {static_cast<uint32_t>(count), seen.total()};
            count += pack(x, p.in_c, static_cast<uint32_t>(phase) * of_phase, reach, packed + count, seen);
            if (++phase == p.stride) phase = 0;
        }
    }
    *begin = {static_cast<uint32_t>(count), seen.total()};
    return seen.fit();
}

// Copies a list with its rows moved by `base`.
SPIKERUN_V3_INLINE void move_list(const uint32_t* from, size_t count, uint32_t base, uint32_t* to) {
    const __m256i bases = repeated(base);
    size_t k = 0;
    do {
        for (size_t i = k; i < k + piece; i += 8) {
            const __m256i eight = load(from + i);
            store(to + i, _mm256_add_epi32(eight, bases));
        }
        k += piece;
    } while (k < count);
}

// Merges the lists of all steps of row y of the outputs, behind the first `count` packed inputs; returns
// their new number.
SPIKERUN_V3_INLINE size_t merge_row(const PairPlan& p, size_t y, const uint32_t* packed, const Before* begin,
                                    uint32_t* to, Step* steps, size_t count) {
    const Range rows = p.rows.ranges[y];
    const auto of_row = static_cast<uint32_t>(p.in_c * p.reach) << word_bits;
    for (size_t step = 0; step < p.steps(); ++step) {
        const Before* first = begin + rows.position * p.in_w + p.columns[step];
        const Before* last = begin + rows.position * p.in_w + p.columns_end[step];
        uint32_t base = rows.kernel * of_row, sum = 0;
        for (size_t a = rows.count; a > 0; --a) {
            const size_t n = last->count - first->count;
            sum += last->sum - first->sum;
            move_list(packed + first->count, n, base, to + count);
            count += n;
            base += of_row;
            first += p.rows.position_step * p.in_w;
            last += p.rows.position_step * p.in_w;
        }
        to[count] = 0;
        count = (count + 1) / 2 * 2;
        steps[step] = {static_cast<uint32_t>(count / 2), sum};
    }
    return count;
}

// What is packed becomes places and factors.
SPIKERUN_V3_INLINE void unpack(const Lists& lists, size_t count) {
    const __m256i words = repeated(largest_word);
    const __m256i low = _mm256_set1_epi64x(0xFFFF);
    for (size_t k = 0; k < count; k += 8) {
        const __m256i packed = load(lists.place + k);
        const __m256i word = _mm256_and_si256(packed, words);  // [a, b]
        const __m256i pair = _mm256_and_si256(_mm256_or_si256(word, _mm256_srli_epi64(word, 24)), low);
        const __m256i twice = _mm256_or_si256(pair, _mm256_slli_epi64(pair, 16));
        const __m256i sum = _mm256_slli_epi64(_mm256_add_epi32(word, _mm256_srli_epi64(word, 32)), 32);
        store(lists.factor + k / 2, _mm256_or_si256(twice, sum));
        store(lists.place + k, _mm256_slli_epi32(_mm256_srli_epi32(packed, word_bits), 4));
    }
}

// Finds the pairs of a row of outputs before which the sums must be saved; returns where the next cuts go.
SPIKERUN_V3_INLINE uint32_t* cut_row(const PairPlan& p, const uint64_t* factor, const Step* steps,
                                     size_t pair, uint32_t* cut) {
    // Of the steps before this one that share sums with it, since these were saved.
    const size_t shared = p.reach - 1;
    std::array<uint32_t, most_reach> of_steps{};
    uint32_t before = 0;
    for (size_t step = 0, slot = 0; step < p.steps(); ++step) {
        const size_t end = steps[step].end;
        uint32_t own = steps[step].sum;
        if (before + own > budget) {
            for (own = 0; pair < end; ++pair) {
                const auto sum = static_cast<uint32_t>(factor[pair] >> 32);
                if (before + own + sum > budget) {
                    *cut++ = static_cast<uint32_t>(pair);
                    of_steps = {};
                    before = own = 0;
                }
                own += sum;
            }
        }
        pair = end;
        if (shared == 0) continue;
        before += own - of_steps[slot];
        of_steps[slot] = own;
        if (++slot == shared) slot = 0;
    }
    return cut;
}

}  // namespace spikerun

#endif

// SPDX-License-Identifier: Apache-2.0
// The kernel of conv_pairs.hpp, for AVX2. The bytes of two rows of weights are interleaved as [a0 b0 a1 b1
// ..]; one instruction multiplies them by the two words and adds both products: 127 * 128 * 2 < 2^15. Sums
// have 16 bits, and are added to those of 32 bits before they could overflow.
#include <algorithm>
#include <array>
#include <limits>

#include "avx2.hpp"
#include "conv_pairs.hpp"

namespace spikerun {

#if defined(SPIKERUN_X86)

namespace {

// An active input, packed: the number of its row of weights times `reach`, and its word in the low bits.
constexpr int word_bits = 7;
constexpr uint32_t largest_word = (1u << word_bits) - 1;
// Words of inputs that share a sum of 16 bits may add up to this: 256 * -128 = -2^15.
constexpr uint32_t budget = 256;
// Packed inputs are copied in pieces, without a branch for each; lists have as much room behind them.
constexpr size_t piece = 16;
// Rows of outputs are prepared together, as long as their lists stay near; then each block of weights is read
// for all of them.
constexpr size_t near = size_t{1} << 15;

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

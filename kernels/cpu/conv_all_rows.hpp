// SPDX-License-Identifier: Apache-2.0
// The kernel of conv_all.hpp, for the instruction set of the file that includes this; its functions bear
// SPIKERUN_TARGET, and it calls a struct Set with two lanes of channels: Bytes, which takes four words of a
// byte at a time if they are at most Bytes::largest, and Words, which takes two of 16 bits, whatever they
// are:
//
//   Vector; channels: of one vector of sums; outputs, vectors: whose sums are kept at once;
//   unit: channels that are interleaved together;
//   Method: how sums are made, Dots or Products
#pragma once

#include <algorithm>
#include <array>
#include <cstring>

#include "conv_all.hpp"
#include "sse4.hpp"

namespace spikerun {
namespace {

// Where some neighbouring outputs find their words and weights.
template <class Word>
struct Work {
    const AllPlan& plan;
    const Word* first;  // word of the window of the first output
    size_t next;        // from there to the window of its neighbour, in words
    const int8_t* weight;
    size_t of_step;        // bytes of the weights of one step
    uint32_t together;     // steps whose products fit into a sum of 16 bits; see Products
    const int32_t* start;  // of the sums of each channel
};

template <class Word>
SPIKERUN_TARGET_INLINE int32_t some_words(const Word* x) {
    int32_t words;
    std::memcpy(&words, x, sizeof words);
    return words;
}

// Sums of 32 bits of products that one instruction adds up.
template <class Lane, size_t Outputs, size_t Vectors>
struct Dots {
    using Sums = typename Lane::Vector[Outputs * Vectors];
    template <class Word>
    SPIKERUN_TARGET_INLINE static void run(const Work<Word>& work, Sums& sums) {
        constexpr size_t words = 4 / sizeof(Word);
        const size_t steps = work.plan.steps(words);
        const int8_t* weight = work.weight;
        for (const size_t run : work.plan.runs) {
            const Word* x = work.first + run;
            for (size_t step = steps; step > 0; --step, x += words, weight += work.of_step) {
                typename Lane::Vector weights[Vectors];
                SPIKERUN_UNROLLED
                for (size_t v = 0; v < Vectors; ++v) weights[v] = Lane::weights(weight + v * Lane::bytes);
                SPIKERUN_UNROLLED
                for (size_t k = 0; k < Outputs; ++k) {
                    const auto given = Lane::repeat(some_words(x + k * work.next));
                    SPIKERUN_UNROLLED
                    for (size_t v = 0; v < Vectors; ++v) Lane::add(sums[k * Vectors + v], given, weights[v]);
                }
            }
        }
    }
};

// The same through sums of 16 bits, of as many products as their words allow.
template <class Lane, size_t Outputs, size_t Vectors>
struct Products {
    using Vector = typename Lane::Vector;
    using Sums = Vector[Outputs * Vectors];
    SPIKERUN_TARGET_INLINE static void run(const Work<uint8_t>& work, Sums& sums) {
        if (work.together >= 4)
            add_runs<4>(work, sums);
        else if (work.together >= 2)
            add_runs<2>(work, sums);
        else
            add_runs<1>(work, sums);
    }
    template <size_t Together>
    SPIKERUN_TARGET_INLINE static void add_runs(const Work<uint8_t>& work, Sums& sums) {
        const size_t steps = work.plan.steps(4);
        const int8_t* weight = work.weight;
        for (const size_t run : work.plan.runs) {
            const uint8_t* x = work.first + run;
            size_t left = steps;
            for (; left >= Together; left -= Together) add_together<Together>(work, x, weight, sums);
            for (; left > 0; --left) add_together<1>(work, x, weight, sums);
        }
    }
    template <size_t Together>
    SPIKERUN_TARGET_INLINE static void add_together(const Work<uint8_t>& work, const uint8_t*& x,
                                                    const int8_t*& weight, Sums& sums) {
        Sums narrow;
        add<true>(work, x, weight, narrow);
        SPIKERUN_UNROLLED
        for (size_t step = 1; step < Together; ++step) add<false>(work, x, weight, narrow);
        SPIKERUN_UNROLLED
        for (size_t k = 0; k < Outputs * Vectors; ++k) Lane::widen(sums[k], narrow[k]);
    }
    template <bool First>
    SPIKERUN_TARGET_INLINE static void add(const Work<uint8_t>& work, const uint8_t*& x,
                                           const int8_t*& weight, Sums& narrow) {
        Vector weights[Vectors];
        SPIKERUN_UNROLLED
        for (size_t v = 0; v < Vectors; ++v) weights[v] = Lane::weights(weight + v * Lane::bytes);
        SPIKERUN_UNROLLED
        for (size_t k = 0; k < Outputs; ++k) {
            const Vector given = Lane::repeat(some_words(x + k * work.next));
            SPIKERUN_UNROLLED
            for (size_t v = 0; v < Vectors; ++v) {
                const Vector products = Lane::products(given, weights[v]);
                Vector& sum = narrow[k * Vectors + v];
                sum = First ? products : Lane::plus(sum, products);
                asm("" : "+v"(sum));  // one after the other: what GCC would do first has no registers
            }
        }
        x += 4;
        weight += work.of_step;
    }
};

// Some neighbouring outputs, and channels in some vectors: their sums are added to the target.
template <class Lane, size_t Outputs, size_t Vectors, class Word>
SPIKERUN_TARGET void run_outputs(const Work<Word>& work, size_t channels, int32_t* out) {
    typename Lane::Vector sums[Outputs * Vectors];
    SPIKERUN_UNROLLED
    for (size_t k = 0; k < Outputs * Vectors; ++k)
        std::memcpy(&sums[k], work.start + k % Vectors * Lane::channels, sizeof sums[k]);
    Lane::template Method<Lane, Outputs, Vectors>::run(work, sums);
    SPIKERUN_UNROLLED
    for (size_t k = 0; k < Outputs; ++k) {
        SPIKERUN_UNROLLED
        for (size_t v = 0; v < Vectors; ++v) {
            int32_t* const to = out + k * unsign(work.plan.out.c) + v * Lane::channels;
            if (channels >= (v + 1) * Lane::channels) {
                add_to(to, sums[k * Vectors + v]);
            } else if (channels > v * Lane::channels) {
                std::array<int32_t, Lane::channels> all;
                std::memcpy(all.data(), &sums[k * Vectors + v], sizeof all);
                for (size_t j = 0; j < channels - v * Lane::channels; ++j)
                    to[j] = wrapping_add(to[j], all[j]);
            }
        }
    }
}

template <class Word>
using Outputs = void (*)(const Work<Word>&, size_t, int32_t*);

// [number of outputs - 1], for so many vectors.
template <class Lane, size_t Vectors, class Word, size_t... Number>
constexpr std::array<Outputs<Word>, sizeof...(Number)> by_outputs(std::index_sequence<Number...>) {
    return {&run_outputs<Lane, Number + 1, Vectors, Word>...};
}

// [number of vectors - 1][number of outputs - 1]
template <class Lane, class Word, size_t... Number>
constexpr auto by_vectors(std::index_sequence<Number...>) {
    return std::array<std::array<Outputs<Word>, Lane::outputs>, sizeof...(Number)>{
        by_outputs<Lane, Number + 1, Word>(std::make_index_sequence<Lane::outputs>{})...};
}
template <class Lane, class Word>
constexpr auto all_outputs = by_vectors<Lane, Word>(std::make_index_sequence<Lane::vectors>{});

// The bits that are in any of some words, and in any of their magnitudes (of -k: k - 1).
struct Bits {
    uint16_t words, magnitudes;
};

// Copies the part of the image that windows of some rows of outputs cover, of one group of channels, into one
// that has zeros where they leave it; returns what bits its words have.
template <class Word>
SPIKERUN_TARGET_INLINE Bits pad(const AllPlan& p, size_t in_first, const int16_t* x, Span outputs, Word* to) {
    const size_t pixel = unsign(p.in.c), columns = p.width / p.in_c;
    const size_t left = std::min(unsign(p.padding.w), columns),
                 inside = std::min(unsign(p.in.w), columns - left);
    const size_t top = unsign(p.padding.h), first = outputs.begin * unsign(p.stride.h);
    const size_t last = (outputs.end - 1) * unsign(p.stride.h) + p.window_h;
    uint16_t bits = 0, magnitudes = 0;
    to += first * p.width;
    for (size_t y = first; y < last; ++y, to += p.width) {
        if (y < top || y >= top + unsign(p.in.h)) {
            std::fill_n(to, p.width, Word{0});
            continue;
        }
        std::fill_n(to, left * p.in_c, Word{0});
        const int16_t* from = x + (y - top) * unsign(p.in.w) * pixel + in_first;
        const bool whole = p.in_c == pixel;
        const size_t count = whole ? inside * p.in_c : p.in_c;
        Word* row = to + left * p.in_c;
        for (size_t k = 0; k < (whole ? 1 : inside); ++k, from += pixel, row += count)
            for (size_t c = 0; c < count; ++c) {
                bits = static_cast<uint16_t>(bits | static_cast<uint16_t>(from[c]));
                magnitudes = static_cast<uint16_t>(magnitudes | (from[c] ^ (from[c] >> 15)));
                row[c] = static_cast<Word>(from[c]);
            }
        const size_t before = (left + inside) * p.in_c;
        std::fill_n(to + before, p.width - before, Word{0});
    }
    std::fill_n(to, AllPlan::slack, Word{0});
    return {bits, magnitudes};
}

// Makes bytes 0.. of the words of both signs that lie in them, and of the zeros around.
SPIKERUN_TARGET_INLINE void raise(const AllPlan& p, Span outputs, uint32_t offset, uint8_t* padded) {
    const size_t first = outputs.begin * unsign(p.stride.h) * p.width;
    const size_t end = ((outputs.end - 1) * unsign(p.stride.h) + p.window_h) * p.width;
    for (size_t k = first; k < end; ++k) padded[k] = static_cast<uint8_t>(padded[k] + offset);
}

// What all that was added to the words comes to in the sums of `width` channels, taken from them beforehand.
SPIKERUN_TARGET_INLINE void start_sums(const AllPlan& p, const int8_t* weight, size_t width, uint32_t offset,
                                       int32_t* start) {
    std::fill_n(start, AllPlan::most_channels, 0);
    if (offset == 0) return;
    constexpr size_t words = 4;
    for (size_t step = p.runs.size() * p.steps(words); step > 0; --step)
        for (size_t j = 0; j < width; ++j, weight += words) {
            const int32_t sum = weight[0] + weight[1] + weight[2] + weight[3];
            start[j] = wrapping_multiply_add(start[j], -static_cast<int32_t>(offset), sum);
        }
}

// [channel][four words] of sixteen channels.
SPIKERUN_V2_INLINE void interleave(const int8_t* const (&rows)[4], size_t at, int8_t* to) {
    const __m128i a = load_half(rows[0] + at), b = load_half(rows[1] + at);
    const __m128i c = load_half(rows[2] + at), d = load_half(rows[3] + at);
    const __m128i low = _mm_unpacklo_epi8(a, b), high = _mm_unpackhi_epi8(a, b);
    const __m128i more_low = _mm_unpacklo_epi8(c, d), more_high = _mm_unpackhi_epi8(c, d);
    store_half(to, _mm_unpacklo_epi16(low, more_low));
    store_half(to + 16, _mm_unpackhi_epi16(low, more_low));
    store_half(to + 32, _mm_unpacklo_epi16(high, more_high));
    store_half(to + 48, _mm_unpackhi_epi16(high, more_high));
}
// [channel][two words].
SPIKERUN_V2_INLINE void interleave(const int8_t* const (&rows)[2], size_t at, int8_t* to) {
    const __m128i a = load_half(rows[0] + at), b = load_half(rows[1] + at);
    store_half(to, _mm_unpacklo_epi8(a, b));
    store_half(to + 16, _mm_unpackhi_epi8(a, b));
}

// The weights of `width` channels from `channel` of a block on: [run][step][channel][word].
template <size_t Words>
SPIKERUN_TARGET_INLINE void interleave_all(const AllPlan& p, const ConvWeights& weights,
                                           const ChannelBlock& block, size_t channel, size_t width,
                                           int8_t* to) {
    alignas(16) static constexpr int8_t none[AllPlan::most_channels] = {};
    const size_t step = weights.step(block);
    for (size_t run = 0; run < p.runs.size(); ++run) {
        size_t tap = run * p.run_taps, c = 0, left = p.run_words;
        const int8_t* next = weights.rows(block, tap) + channel;
        while (left > 0) {
            const int8_t* rows[Words];
            for (size_t k = 0; k < Words; ++k) {
                rows[k] = left > 0 ? next : none;
                if (left == 0) continue;
                --left;
                next += step;
                if (++c == p.in_c && left > 0) {
                    c = 0;
                    next = weights.rows(block, ++tap) + channel;
                }
            }
            for (size_t j = 0; j < width; j += 16, to += 16 * Words) interleave(rows, j, to);
        }
    }
}

// A part of the outputs.
template <class Lane, class Word>
SPIKERUN_TARGET_INLINE void run_rows(const AllPlan& p, const AllGroup& group, const Word* padded,
                                     uint32_t together, uint32_t offset, int8_t* interleaved, int32_t* acc,
                                     const AllPart& part) {
    alignas(64) int32_t start[AllPlan::most_channels];
    constexpr size_t words = 4 / sizeof(Word), most = Lane::outputs;
    const size_t next = unsign(p.stride.w) * p.in_c, down = unsign(p.stride.h) * p.width;
    const auto out_w = unsign(p.out.w), out_c = unsign(p.out.c);
    const size_t pieces = (out_w + most - 1) / most;
    for (const ChannelBlock& block : group.weights->blocks) {
        for (size_t channel = 0; channel < block.count; channel += Lane::unit) {
            if (block.first + channel < part.channels.begin || block.first + channel >= part.channels.end)
                continue;
            const size_t channels = std::min(Lane::unit, block.count - channel),
                         width = (channels + 15) / 16 * 16;
            interleave_all<words>(p, *group.weights, block, channel, width, interleaved);
            start_sums(p, interleaved, width, offset, start);
            for (size_t y = part.rows.begin; y < part.rows.end; ++y) {
                int32_t* out = acc + y * out_w * out_c + group.offset + block.first + channel;
                Work<Word> work{p, padded + y * down, next, interleaved, width * words, together, start};
                // As many outputs at once as there is room for, in pieces of about one size.
                for (size_t piece = 0, column = 0; piece < pieces; ++piece) {
                    const size_t number = (out_w - column + pieces - piece - 1) / (pieces - piece);
                    for (size_t c = 0; c < channels; c += Lane::vectors * Lane::channels) {
                        const size_t vectors = std::min(Lane::vectors, (width - c) / Lane::channels);
                        work.weight = interleaved + c * words;
                        work.start = start + c;
                        all_outputs<Lane, Word>[vectors - 1][number - 1](work, channels - c, out + c);
                    }
                    column += number;
                    work.first += number * next;
                    out += number * out_c;
                }
            }
        }
    }
}

template <class Set>
SPIKERUN_TARGET_INLINE void run_all(const AllPlan& p, const AllGroup& group, const int16_t* x, int32_t* acc,
                                    Scratch& scratch, const AllPart& part) {
    auto* const interleaved = reinterpret_cast<int8_t*>(scratch.places.data());
    auto* const bytes = reinterpret_cast<uint8_t*>(scratch.patch.data());
    const Bits bits = pad(p, group.in_first, x, part.rows, bytes);
    uint32_t offset = 0, largest = bits.words;
    if (largest > Set::Bytes::largest) {
        for (offset = 1; offset <= bits.magnitudes;) offset *= 2;
        largest = 2 * offset - 1;
    }
    if (largest <= Set::Bytes::largest) {
        if (offset > 0) raise(p, part.rows, offset, bytes);
        // 127 * 128 * 2, 63 * 128 * 4 and 31 * 128 * 8 fit into 16 bits.
        const uint32_t together = largest <= 31 ? 4 : largest <= 63 ? 2 : 1;
        run_rows<typename Set::Bytes>(p, group, bytes, together, offset, interleaved, acc, part);
        return;
    }
    int16_t* const words = scratch.patch.data();
    pad(p, group.in_first, x, part.rows, words);
    run_rows<typename Set::Words>(p, group, words, 0, 0, interleaved, acc, part);
}

}  // namespace
}  // namespace spikerun

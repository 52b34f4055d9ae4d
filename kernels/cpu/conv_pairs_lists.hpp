// SPDX-License-Identifier: Apache-2.0
// How the kernels of conv_pairs.hpp list active inputs: what lists consist of, and how much room they need.
//
// The columns of a step make up a strip of the image. A strip has a list, row by row, so that the inputs of a
// step, which are those of some rows, are a piece of it, without being copied for each row of outputs: what
// stands in it is a place in weights that would begin with the first row of the image, and only where they
// begin changes from one row of outputs to the next.
#pragma once

#include <algorithm>

#include "conv_pairs.hpp"

namespace spikerun {

// An active input, packed: the number of its row of weights times `reach`, and its word in the low bits.
constexpr int word_bits = 7;
constexpr uint32_t largest_word = (1u << word_bits) - 1;
// Words of inputs that share a sum of 16 bits may add up to this: 256 * -128 = -2^15.
constexpr uint32_t budget = 256;

// What is known of words that fill no register, and how one of them is packed, which belongs to this row.
// Returns how many are active.
struct Others {
    uint32_t bits = 0, sum = 0;
};
SPIKERUN_INLINE size_t pack_one(int16_t x, uint32_t row, uint32_t* to, Others& others) {
    const auto word = static_cast<uint16_t>(x);
    others.bits |= word;
    others.sum += word;
    *to = row | word;
    return word != 0;
}

// Lists are written and read in pieces, and have as much room behind them.
constexpr size_t piece = 16;

// Before a row of a strip: where its inputs begin, and the sum of the words before, modulo 2^32.
struct Before {
    uint32_t count, sum;
};

// Where the inputs of a step are, and how often the sums must be saved between them.
struct Step {
    uint32_t begin, end, cuts;
};

struct Lists {
    Before* before;    // [strip][row]
    uint32_t* place;   // of the weights of an input, in blocks of 16 channels; at first: it is packed
    uint32_t* factor;  // the words a and b of an input and the next one, as the bytes a b a b
    Step* steps;       // of some rows of outputs
    uint32_t* cuts;    // the inputs before which the sums must be saved, of the same
};

// Rows of outputs are prepared together, as long as their lists stay near; then each block of weights is read
// for all of them.
constexpr size_t near = size_t{1} << 17;

// How many inputs the steps of one row of outputs take, at most, and for how many rows there is room.
inline size_t row_inputs(const PairPlan& p) {
    return p.kernel_h * p.in_c * p.in_w;
}
inline size_t rows_at_once(const PairPlan& p) {
    return std::clamp(near / row_inputs(p), size_t{1}, p.out_h);
}

// Of a strip; odd in cache lines, so that strips do not share their places in the cache.
inline size_t strip_room(const PairPlan& p) {
    return (p.in_h * p.phases * p.in_c + piece - 1) / (2 * piece) * (2 * piece) + 3 * piece;
}

inline ScratchSize list_sizes(const PairPlan& p) {
    const size_t rows = rows_at_once(p);
    ScratchSize size;
    size.events = p.steps() * (p.in_h + 1);
    size.places = 2 * p.steps() * strip_room(p) + piece;
    // A cut is followed by a pair.
    size.lists = 3 * rows * p.steps() + (rows * (row_inputs(p) + p.steps())) / 2 + 1;
    return size;
}
inline Lists lists_in(const PairPlan& p, Scratch& scratch) {
    uint32_t* const place = scratch.places.data();
    auto* const steps = reinterpret_cast<Step*>(scratch.lists.data());
    const size_t inputs = p.steps() * strip_room(p);
    return {reinterpret_cast<Before*>(scratch.events.data()), place, place + inputs, steps,
            scratch.lists.data() + 3 * rows_at_once(p) * p.steps()};
}

}  // namespace spikerun

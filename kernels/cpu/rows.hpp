// SPDX-License-Identifier: Apache-2.0
// The inner loops of the kernels whose weights lie in rows of outputs: acc[j] += sum over events of value *
// row[j].
#pragma once

#include <algorithm>
#include <bitset>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "linear.hpp"

namespace spikerun {

// Sums of products in int16, with twice as many lanes as int32, are exact while the values of the events that
// they hold have magnitudes that add up to at most this: 255 * 128 < 2^15.
constexpr uint32_t narrow_budget = 255;

// How many events may share an int16 sum; 0 if the values are too large for four of them.
SPIKERUN_INLINE size_t narrow_rows(const int16_t* x, size_t n) {
    int16_t low = 0;
    int16_t high = 0;
    for (size_t i = 0; i < n; ++i) {
        low = std::min(low, x[i]);
        high = std::max(high, x[i]);
    }
    const auto magnitude = static_cast<uint32_t>(std::max<int32_t>({-int32_t{low}, high, 1}));
    return narrow_budget / magnitude / 4 * 4;
}

// sum[j] += sum over k < N of x[k] * rows[k][j]; |x * weight| <= 2^22.
template <int N, class Sum>
SPIKERUN_INLINE void add_rows(const int8_t* const (&rows)[N], const int32_t (&x)[N],
                              Sum* SPIKERUN_RESTRICT sum, size_t n) {
    for (size_t j = 0; j < n; ++j) {
        if constexpr (sizeof(Sum) == 2) {
            int16_t products = sum[j];
            for (int k = 0; k < N; ++k)
                products = static_cast<int16_t>(products + static_cast<int16_t>(x[k]) * rows[k][j]);
            sum[j] = products;
        } else {
            int32_t products = 0;
            for (int k = 0; k < N; ++k) products += x[k] * rows[k][j];
            sum[j] = wrapping_add(sum[j], products);
        }
    }
}

// The rows of listed events.
struct ListedRows {
    const int8_t* weight;
    const Event* events;
    SPIKERUN_INLINE const int8_t* row(size_t k) const { return weight + row_of(events[k]); }
    SPIKERUN_INLINE int32_t value(size_t k) const { return value_of(events[k]); }
};

// All rows, whether their input is zero or not.
struct AllRows {
    const int8_t* weight;
    size_t stride;
    const int16_t* x;
    SPIKERUN_INLINE const int8_t* row(size_t k) const { return weight + k * stride; }
    SPIKERUN_INLINE int32_t value(size_t k) const { return x[k]; }
};

template <int N, class Rows, class Sum>
SPIKERUN_INLINE void add_n_rows(const Rows& source, size_t k, size_t column, Sum* sum, size_t n) {
    const int8_t* rows[N];
    int32_t x[N];
    for (size_t i = 0; i < N; ++i) {
        rows[i] = source.row(k + i) + column;
        x[i] = source.value(k + i);
    }
    add_rows<N>(rows, x, sum, n);
}

// Adds rows begin..end: four share one pass over the sums, which are then loaded and stored less often.
template <class Rows, class Sum>
SPIKERUN_INLINE void add_range(const Rows& source, size_t begin, size_t end, size_t column, Sum* sum,
                               size_t n) {
    size_t k = begin;
    for (; k + 4 <= end; k += 4) add_n_rows<4>(source, k, column, sum, n);
    if (k + 2 <= end) {
        add_n_rows<2>(source, k, column, sum, n);
        k += 2;
    }
    if (k < end) add_n_rows<1>(source, k, column, sum, n);
}

// sum[j] += x * row[j], for j < Block; x has 16 bits. The sums of few have a place of their own meanwhile,
// which the row cannot share. GCC makes good vectors of 16 for every instruction set where their factors have
// 16 bits, and where a loop of int32 is not unrolled before; otherwise it takes up to seven times as long.
template <size_t Block, class Sum>
SPIKERUN_INLINE void add_row_block(const int8_t* SPIKERUN_RESTRICT row, int32_t x,
                                   Sum* SPIKERUN_RESTRICT sum) {
    const auto value = static_cast<int16_t>(x);
    if constexpr (Block < 16) {
        int32_t sums[Block];
        for (size_t j = 0; j < Block; ++j) sums[j] = wrapping_add(sum[j], value * row[j]);
        for (size_t j = 0; j < Block; ++j) sum[j] = sums[j];
    } else {
        int16_t wide[Block];
        for (size_t j = 0; j < Block; ++j) wide[j] = row[j];
        if constexpr (sizeof(Sum) == 2) {
            for (size_t j = 0; j < Block; ++j) sum[j] = static_cast<int16_t>(sum[j] + value * wide[j]);
        } else {
            SPIKERUN_ROLLED
            for (size_t j = 0; j < Block; ++j) sum[j] = wrapping_add(sum[j], value * wide[j]);
        }
    }
}

// Adds rows begin..end to the sums of a block of columns, in the way that is the fastest for its width.
template <size_t Block, class Rows, class Sum>
SPIKERUN_INLINE void add_to_block(const Rows& source, size_t begin, size_t end, size_t column, Sum* sum) {
    constexpr size_t width = 16;
    if constexpr (Block == width || (Block > width && sizeof(Sum) == 4)) {
        for (size_t k = begin; k < end; ++k)
            for (size_t j = 0; j < Block; j += width)
                add_row_block<width>(source.row(k) + column + j, source.value(k), sum + j);
    } else {
        add_range(source, begin, end, column, sum, Block);
    }
}

// One block of columns. `narrow` events share an int16 sum; 0: the sums are int32.
template <size_t Block, class Rows>
SPIKERUN_INLINE void add_block(const Rows& source, size_t count, size_t narrow, size_t column, int32_t* acc) {
    int32_t sum[Block];
    for (size_t j = 0; j < Block; ++j) sum[j] = acc[column + j];
    if (narrow == 0) add_to_block<Block>(source, 0, count, column, sum);
    for (size_t k = 0; narrow != 0 && k < count; k += narrow) {
        int16_t part[Block] = {};
        add_to_block<Block>(source, k, std::min(k + narrow, count), column, part);
        for (size_t j = 0; j < Block; ++j) sum[j] = wrapping_add(sum[j], part[j]);
    }
    for (size_t j = 0; j < Block; ++j) acc[column + j] = sum[j];
}

// acc[j] += sum over k < count of source.value(k) * source.row(k)[j], for j < n.
template <class Rows>
SPIKERUN_INLINE void add_all(const Rows& source, size_t count, size_t narrow, int32_t* SPIKERUN_RESTRICT acc,
                             size_t n) {
    size_t column = 0;
    // Long rows in longer pieces, whose reads the processor can foresee.
    for (; n > 512 && column + 256 <= n; column += 256) add_block<256>(source, count, narrow, column, acc);
    for (; column + 64 <= n; column += 64) add_block<64>(source, count, narrow, column, acc);
    if (n - column >= 32) {
        add_block<32>(source, count, narrow, column, acc);
        column += 32;
    }
    if (n - column >= 16) {
        add_block<16>(source, count, narrow, column, acc);
        column += 16;
    }
    if (n - column >= 8) {
        add_block<8>(source, count, narrow, column, acc);
        column += 8;
    }
    if (column < n) add_range(source, 0, count, column, acc + column, n - column);
}

// acc[j] += x * row[j], for j < n: one row, without the choices of add_all.
SPIKERUN_INLINE void add_row(const int8_t* row, int32_t x, int32_t* acc, size_t n) {
    size_t j = 0;
    for (; j + 16 <= n; j += 16) add_row_block<16>(row + j, x, acc + j);
    if (n - j >= 8) {
        add_row_block<8>(row + j, x, acc + j);
        j += 8;
    }
    for (; j < n; ++j) acc[j] = wrapping_add(acc[j], x * row[j]);
}

// Sums of 16 bits in scratch memory, of which the first begins a cache line.
constexpr size_t line_sums = 64 / sizeof(int16_t);
SPIKERUN_INLINE int16_t* aligned_sums(Scratch& scratch) {
    int16_t* const sums = scratch.patch.data();
    const auto past = reinterpret_cast<uintptr_t>(sums) / sizeof(int16_t) % line_sums;
    return sums + (line_sums - past) % line_sums;
}
SPIKERUN_INLINE void need_sums(ScratchSize& size, size_t n) {
    size.patch = std::max(size.patch, n + line_sums);
}

// Sums of 16 bits that are added to those of 32 bits, and begin anew, before they could overflow.
class NarrowSums {
  public:
    SPIKERUN_INLINE NarrowSums(int16_t* sums, int32_t* acc, size_t n) : sums_(sums), acc_(acc), n_(n) {
        std::fill_n(sums_, n_, int16_t{0});
    }
    // Whether products of these values, whose magnitudes add up to `magnitude`, can be added.
    SPIKERUN_INLINE bool take(uint32_t magnitude) {
        if (magnitude > narrow_budget) return false;
        if (held_ + magnitude > narrow_budget) {
            save();
            std::fill_n(sums_, n_, int16_t{0});
            held_ = 0;
        }
        held_ += magnitude;
        return true;
    }
    SPIKERUN_INLINE void save() {
        const int16_t* SPIKERUN_RESTRICT sums = sums_;
        int32_t* SPIKERUN_RESTRICT acc = acc_;
        for (size_t j = 0; j < n_; ++j) acc[j] = wrapping_add(acc[j], sums[j]);
    }

  private:
    int16_t* sums_;
    int32_t* acc_;
    size_t n_;
    uint32_t held_ = 0;
};

// How many inputs are not zero; piece by piece, so that the counts have the width of the inputs.
struct CountNonzero {
    SPIKERUN_INLINE static size_t run(const int16_t* x, size_t n) {
        constexpr size_t longest = 1 << 15;
        size_t count = 0;
        for (size_t begin = 0; begin < n; begin += longest) {
            const size_t end = std::min(begin + longest, n);
            uint16_t part = 0;
            for (size_t i = begin; i < end; ++i) part = static_cast<uint16_t>(part + (x[i] != 0));
            count += part;
        }
        return count;
    }
};

// Bit k says whether x[k] is not zero, for k < 64.
SPIKERUN_INLINE uint64_t nonzero_bits(const int16_t* x) {
    constexpr uint8_t bit[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    uint64_t bits = 0;
    std::memcpy(&bits, bit, sizeof bits);
    uint8_t ones[64];
    for (size_t k = 0; k < 64; ++k) ones[k] = static_cast<uint8_t>(-(x[k] != 0));
    uint64_t result = 0;
    for (size_t k = 0; k < 64; k += 8) {
        uint64_t eight = 0;
        std::memcpy(&eight, ones + k, sizeof eight);
        result |= (eight & bits) * 0x0101010101010101 >> 56 << k;  // the product adds the eight bytes up
    }
    return result;
}

// The events of the inputs begin..end, behind the first `count`; returns their new number. Without branches,
// which are hard to predict here: zeros are written too, and overwritten.
SPIKERUN_INLINE size_t append_events(const int16_t* x, size_t begin, size_t end, uint32_t first,
                                     uint32_t stride, Event* events, size_t count) {
    for (size_t k = begin; k < end; ++k) {
        events[count] = make_event(first + static_cast<uint32_t>(k) * stride, x[k]);
        count += x[k] != 0;
    }
    return count;
}

// Writes the nonzero inputs x[0..n) to `events`, which has room for n, and returns their number; input i has
// its weights at first + i * stride.
SPIKERUN_INLINE size_t collect_events(const int16_t* x, size_t n, uint32_t stride, Event* events,
                                      uint32_t first = 0) {
    constexpr size_t few = 20;
    size_t count = 0;
    size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        uint64_t bits = nonzero_bits(x + i);
        if (std::bitset<64>(bits).count() > few) {
            count = append_events(x, i, i + 64, first, stride, events, count);
            continue;
        }
        for (; bits != 0; bits &= bits - 1) {
            const size_t k = i + lowest_bit(bits);
            events[count++] = make_event(first + static_cast<uint32_t>(k) * stride, x[k]);
        }
    }
    for (; i + 4 <= n; i += 4)
        if ((x[i] | x[i + 1] | x[i + 2] | x[i + 3]) != 0)
            count = append_events(x, i, i + 4, first, stride, events, count);
    return append_events(x, i, n, first, stride, events, count);
}

}  // namespace spikerun

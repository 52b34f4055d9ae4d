// SPDX-License-Identifier: Apache-2.0
// The loops of dense_rows.hpp. A file that includes this compiles them for its instruction set:
// SPIKERUN_TARGET are the attributes of its functions, SPIKERUN_TARGET_INLINE those of inlined ones, and
// `Lists` its lists.
//
// `Lane` is how it adds rows to `Lane::sums` vectors, the sums of a block of columns.
#pragma once

#include <algorithm>

#include "avx2.hpp"
#include "dense_rows.hpp"

namespace spikerun {

namespace {

constexpr size_t most_pairs = 4;  // of a pass

// Blocks of columns that keep their sums in registers.
template <class Lane, size_t Blocks>
struct Tile {
    using Sums = typename Lane::Vector[Blocks][Lane::sums];

    SPIKERUN_TARGET_INLINE static void clear(Sums& sums) {
        SPIKERUN_UNROLLED
        for (size_t b = 0; b < Blocks; ++b) {
            SPIKERUN_UNROLLED
            for (size_t k = 0; k < Lane::sums; ++k) sums[b][k] = Lane::zero();
        }
    }
    SPIKERUN_TARGET_INLINE static void save(Sums& sums, size_t columns, int32_t* acc) {
        SPIKERUN_UNROLLED
        for (size_t b = 0; b < Blocks; ++b)
            Lane::save(sums[b], acc + b * DenseJob::block, columns - b * DenseJob::block);
    }

    SPIKERUN_TARGET static void run(const DenseRows& rows, const int8_t* weight, size_t columns,
                                    int32_t* acc) {
        Sums sums;
        clear(sums);
        uint32_t held = 0;
        for (size_t pair = 0; pair < rows.pairs; ++pair) {
            if constexpr (Lane::few) {
                const uint32_t more = Lane::sum_of(rows.factor[pair]);
                held += more;
                if (held > DenseJob::budget) {
                    save(sums, columns, acc);
                    clear(sums);
                    held = more;
                }
            }
            const auto words = Lane::words(rows.factor[pair]);
            const int8_t* const a = weight + rows.place[2 * pair];
            const int8_t* const b = weight + rows.place[2 * pair + 1];
            SPIKERUN_UNROLLED
            for (size_t k = 0; k < Blocks; ++k)
                Lane::add(a + k * DenseJob::block, b + k * DenseJob::block, words, sums[k]);
        }
        save(sums, columns, acc);
    }
};

// Some columns after the other.
template <class Lane>
SPIKERUN_TARGET void add_near(const DenseRows& rows, const DenseJob& job) {
    constexpr size_t block = DenseJob::block, most = Lane::most_blocks;
    size_t column = 0;
    for (; column + (most - 1) * block < job.columns; column += most * block)
        Tile<Lane, most>::run(rows, job.weight + column, job.columns - column, job.acc + column);
    if constexpr (most > 2) {
        for (; column + block < job.columns; column += 2 * block)
            Tile<Lane, 2>::run(rows, job.weight + column, job.columns - column, job.acc + column);
    }
    if (column < job.columns)
        Tile<Lane, 1>::run(rows, job.weight + column, job.columns - column, job.acc + column);
}

// One pass of 2 * Pairs rows over all columns; `Memory` is where their sums are.
template <class Lane, size_t Pairs>
SPIKERUN_TARGET void pass(const DenseRows& rows, const int8_t* weight, size_t columns,
                          typename Lane::Memory* memory) {
    const int8_t* row[2 * Pairs];
    const int8_t* next[2 * Pairs];
    typename Lane::Words words[Pairs];
    SPIKERUN_UNROLLED
    for (size_t k = 0; k < 2 * Pairs; ++k) {
        row[k] = weight + rows.place[k];
        next[k] = weight + rows.place[2 * Pairs + k];
    }
    SPIKERUN_UNROLLED
    for (size_t k = 0; k < Pairs; ++k) words[k] = Lane::words(rows.factor[k]);
    for (size_t column = 0; column < columns; column += DenseJob::block) {
        typename Lane::Vector sums[Lane::sums];
        Lane::load(memory + column, columns - column, sums);
        SPIKERUN_UNROLLED
        for (size_t k = 0; k < Pairs; ++k) {
            Lane::add(row[2 * k] + column, row[2 * k + 1] + column, words[k], sums);
            __builtin_prefetch(next[2 * k] + column, 0, 2);
            __builtin_prefetch(next[2 * k + 1] + column, 0, 2);
        }
        Lane::store(memory + column, columns - column, sums);
    }
}

template <class Lane>
SPIKERUN_TARGET_INLINE void pass_of(size_t pairs, const DenseRows& rows, const DenseJob& job,
                                    typename Lane::Memory* memory) {
    if (pairs == 4)
        pass<Lane, 4>(rows, job.weight, job.columns, memory);
    else if (pairs == 3)
        pass<Lane, 3>(rows, job.weight, job.columns, memory);
    else if (pairs == 2)
        pass<Lane, 2>(rows, job.weight, job.columns, memory);
    else
        pass<Lane, 1>(rows, job.weight, job.columns, memory);
}

// Adds the sums of 16 bits to those of 32, and begins anew.
template <class Lane>
SPIKERUN_TARGET void save_all(const DenseJob& job) {
    for (size_t column = 0; column < job.columns; column += DenseJob::block) {
        typename Lane::Vector sums[Lane::sums];
        Lane::load(job.sums + column, 0, sums);
        Lane::save(sums, job.acc + column, job.columns - column);
        SPIKERUN_UNROLLED
        for (size_t k = 0; k < Lane::sums; ++k) sums[k] = Lane::zero();
        Lane::store(job.sums + column, 0, sums);
    }
}

// Some rows after the other.
template <class Lane>
SPIKERUN_TARGET void add_far(DenseRows rows, const DenseJob& job) {
    uint32_t held = 0;
    if constexpr (Lane::few) {
        const size_t whole = (job.columns + DenseJob::block - 1) / DenseJob::block * DenseJob::block;
        std::fill_n(job.sums, whole, int16_t{0});
    }
    while (rows.pairs > 0) {
        size_t pairs = std::min(rows.pairs, most_pairs);
        if constexpr (Lane::few) {
            uint32_t sum = 0;
            size_t fit = 0;
            for (; fit < pairs && sum + Lane::sum_of(rows.factor[fit]) <= DenseJob::budget; ++fit)
                sum += Lane::sum_of(rows.factor[fit]);
            pairs = fit;
            if (held + sum > DenseJob::budget) {
                save_all<Lane>(job);
                held = 0;
            }
            held += sum;
            pass_of<Lane>(pairs, rows, job, job.sums);
        } else {
            pass_of<Lane>(pairs, rows, job, job.acc);
        }
        rows.place += 2 * pairs;
        rows.factor += pairs;
        rows.pairs -= pairs;
    }
    if constexpr (Lane::few) save_all<Lane>(job);
}

template <class Lane>
SPIKERUN_TARGET_INLINE void add_rows_of(const DenseRows& rows, const DenseJob& job) {
    if (job.near)
        add_near<Lane>(rows, job);
    else
        add_far<Lane>(rows, job);
}

}  // namespace

}  // namespace spikerun

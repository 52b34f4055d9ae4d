// SPDX-License-Identifier: Apache-2.0
// Dense projections: acc[j] += sum over rows i of x[i] * weight[i][j], two rows at a time.
//
// Their bytes are interleaved as [a0 b0 a1 b1 ..]; one instruction multiplies them by both words and adds the
// products. Sums of words of up to 7 bits have 16 bits, and are added to those of 32 bits before they could
// overflow. Where the weights are near, some columns keep their sums in registers while all rows pass by;
// else a few rows pass over all columns, whose sums stay in the nearest cache: whole rows come faster from
// afar, and the next ones are fetched meanwhile.
#pragma once

#include "linear.hpp"

namespace spikerun {

struct DenseJob {
    static constexpr size_t block = 64;  // columns
    // Behind the last weight that is used there are as many bytes more that can be read.
    static constexpr size_t behind = block;
    // Rows are listed with room for so many more.
    static constexpr size_t slack = 64;
    // Sums of 16 bits are exact while the words that they hold add up to this: 256 * -128 = -2^15.
    static constexpr uint32_t budget = 256;
    static constexpr uint32_t largest_few = 127;

    const int16_t* x;
    size_t n_in;
    bool active;           // lists the inputs that are not zero; else all
    const int8_t* weight;  // of the first column
    size_t stride;         // from row to row
    size_t columns;
    bool near;
    int32_t* acc;      // of the first column
    uint32_t* place;   // room for the places of n_in rows and `slack`
    uint32_t* factor;  // and for their words
    int16_t* sums;     // room for whole blocks of columns
};

// The rows that count, in pairs. Behind the last there are places of rows that may be fetched.
struct DenseRows {
    const uint32_t* place;
    const uint32_t* factor;  // of each pair
    size_t pairs;
};

// Returns false, having done nothing, if the instruction set in use has no such kernel.
bool add_dense_rows(const DenseJob& job) noexcept;

#if defined(__x86_64__) && defined(__GNUC__)
void add_dense_rows_avx2(const DenseJob& job) noexcept;
void add_dense_rows_avx512(const DenseJob& job, bool vnni) noexcept;
void add_dense_bytes_vnni(const DenseRows& rows, const DenseJob& job) noexcept;
#endif

}  // namespace spikerun

// SPDX-License-Identifier: Apache-2.0
// How the kernels of dense_rows.hpp in AVX-512 add sums of columns to those in memory.
#pragma once

#include "avx512.hpp"

#if defined(SPIKERUN_X86)

namespace spikerun {

// Which of 16 columns there are.
SPIKERUN_V4_INLINE __mmask16 of_columns(size_t columns) {
    return static_cast<__mmask16>(columns >= 16 ? 0xFFFF : (1u << columns) - 1);
}
// acc[j] += sums[j] for the first `columns`.
SPIKERUN_V4_INLINE void add_some(int32_t* acc, __m512i sums, size_t columns) {
    const __mmask16 some = of_columns(columns);
    _mm512_mask_storeu_epi32(acc, some, _mm512_add_epi32(_mm512_maskz_loadu_epi32(some, acc), sums));
}
// acc[j] += sums[j / 16][j % 16] for 64 columns, or the first `columns`.
SPIKERUN_V4_INLINE void add_64(int32_t* acc, const __m512i (&sums)[4], size_t columns) {
    SPIKERUN_UNROLLED
    for (size_t k = 0; k < 4; ++k) {
        if (columns >= 64)
            _mm512_storeu_si512(acc + 16 * k, _mm512_add_epi32(_mm512_loadu_si512(acc + 16 * k), sums[k]));
        else if (columns > 16 * k)
            add_some(acc + 16 * k, sums[k], columns - 16 * k);
    }
}

}  // namespace spikerun

#endif

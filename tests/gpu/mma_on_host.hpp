// SPDX-License-Identifier: Apache-2.0
// Instructions of mma.cuh on a processor, for tests; behind cuda_on_host.hpp.
#pragma once

#include <cstring>

inline unsigned __byte_perm(unsigned a, unsigned b, unsigned selected) {
    const word64 both = static_cast<word64>(b) << 32 | a;
    unsigned found = 0;
    for (int k = 0; k < 4; ++k)
        found |= static_cast<unsigned>(both >> 8 * (selected >> 4 * k & 7) & 255) << 8 * k;
    return found;
}

inline void transposed(const unsigned* r, unsigned* c) {
    for (int k = 0; k < 4; ++k) {
        c[k] = 0;
        for (int j = 0; j < 4; ++j) c[k] |= (r[j] >> 8 * k & 255) << 8 * j;
    }
}

template <int N>
void load_once(unsigned (&to)[N], const signed char* from) {
    std::memcpy(to, from, 4 * N);
}

// The lane of row g and columns 2 q has of `a` rows g and g + 8, of `b` column g; inputs 4 q to 4 q + 3, and
// 16 later.
template <bool is_signed>
void mma(int (&d)[4], const unsigned (&a)[4], unsigned low, unsigned high) {
    const unsigned g = threadIdx.x % 32 / 4, q = threadIdx.x % 4;
    for (unsigned lane = 0; lane < 4; ++lane)
        for (int half = 0; half < 2; ++half)
            for (int k = 0; k < 4; ++k) {
                const unsigned x = __shfl_sync(~0u, a[half * 2 + k / 2], g * 4 + lane);
                const unsigned y = __shfl_sync(~0u, half ? high : low, (2 * q + k % 2) * 4 + lane);
                for (int i = 0; i < 32; i += 8) {
                    const int byte_of_x = static_cast<int>(x >> i & 255);
                    const int of_x = is_signed ? static_cast<signed char>(byte_of_x) : byte_of_x;
                    d[k] += of_x * static_cast<signed char>(y >> i);
                }
            }
}

// SPDX-License-Identifier: Apache-2.0
// Philox-4x32-10 (Salmon et al., SC'11), as kernels/philox.py has it: four words of a key and a counter.
#pragma once

#define POISSON 1
#define SYNAPSE 2

struct Words {
    unsigned x, y, z, w;
};

__device__ __forceinline__ Words philox(word64 key, unsigned x, unsigned y, unsigned z, unsigned w) {
    unsigned left = (unsigned)key, right = (unsigned)(key >> 32);
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        const word64 a = 0xD2511F53ull * x, b = 0xCD9E8D57ull * z;
        x = (unsigned)(b >> 32) ^ y ^ left;
        y = (unsigned)b;
        z = (unsigned)(a >> 32) ^ w ^ right;
        w = (unsigned)a;
        left += 0x9E3779B9u;
        right += 0xBB67AE85u;
    }
    return {x, y, z, w};
}

// How many of the thresholds, which do not decrease and end with 2^32 - 1, are smaller than the word. guide:
// how many are smaller than each multiple of 2^24.
__device__ __forceinline__ unsigned looked_up(const unsigned* thresholds, const byte* guide, unsigned word) {
    unsigned k = guide[word >> 24];
    while (thresholds[k] < word) ++k;
    return k;
}

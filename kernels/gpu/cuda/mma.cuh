// SPDX-License-Identifier: Apache-2.0
// Instructions of a GPU that C++ has no words for. Behind device.cuh; tests/gpu has a host's.
#pragma once

#ifdef __CUDACC__

// Read what is read once, past the first cache: 4, 8 or 16 bytes.
__device__ __forceinline__ void load_once(unsigned (&to)[1], const signed char* from) {
    asm("ld.global.nc.L1::no_allocate.b32 %0, [%1];" : "=r"(to[0]) : "l"(from));
}
__device__ __forceinline__ void load_once(unsigned (&to)[2], const signed char* from) {
    asm("ld.global.nc.L1::no_allocate.v2.b32 {%0,%1}, [%2];" : "=r"(to[0]), "=r"(to[1]) : "l"(from));
}
__device__ __forceinline__ void load_once(unsigned (&to)[4], const signed char* from) {
    asm("ld.global.nc.L1::no_allocate.v4.b32 {%0,%1,%2,%3}, [%4];"
        : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
        : "l"(from));
}

// Turns 4 rows of 4 bytes into 4 columns.
__device__ __forceinline__ void transposed(const unsigned* r, unsigned* c) {
    const unsigned low01 = __byte_perm(r[0], r[1], 0x5140), low23 = __byte_perm(r[2], r[3], 0x5140);
    const unsigned high01 = __byte_perm(r[0], r[1], 0x7362), high23 = __byte_perm(r[2], r[3], 0x7362);
    c[0] = __byte_perm(low01, low23, 0x5410);
    c[1] = __byte_perm(low01, low23, 0x7632);
    c[2] = __byte_perm(high01, high23, 0x5410);
    c[3] = __byte_perm(high01, high23, 0x7632);
}

// d += a b, of a warp: a 16x32 bytes, signed or not, b 32x8 signed bytes, d 16x8 (PTX, mma.m16n8k32).
template <bool is_signed>
__device__ __forceinline__ void mma(int (&d)[4], const unsigned (&a)[4], unsigned low, unsigned high) {
    if (is_signed)
        asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
            "{%0,%1,%2,%3};"
            : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(low), "r"(high));
    else
        asm("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
            "{%0,%1,%2,%3};"
            : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(low), "r"(high));
}

#endif

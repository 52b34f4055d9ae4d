// SPDX-License-Identifier: Apache-2.0
// What a device does in one instruction, by name. A host that runs kernels for tests has its own
// (tests/kernels/gpu).
#pragma once

#ifdef __CUDACC__

typedef unsigned char byte;
typedef unsigned long long word64;

// Memory of a block, of the size that a launch gives.
#define SHARED_MEMORY(type, name) extern __shared__ type name[]

struct __align__(16) Message {
    unsigned x, y, z, w;
};

// 16 bytes that are read and written at once.
__device__ __forceinline__ Message load_message(const Message* from) {
    word64 low, high;
    asm volatile("{.reg .b128 q; ld.relaxed.gpu.global.b128 q, [%2]; mov.b128 {%0, %1}, q;}"
                 : "=l"(low), "=l"(high)
                 : "l"(from)
                 : "memory");
    return {(unsigned)low, (unsigned)(low >> 32), (unsigned)high, (unsigned)(high >> 32)};
}

__device__ __forceinline__ void store_message(Message* to, Message m) {
    const word64 low = m.x | (word64)m.y << 32, high = m.z | (word64)m.w << 32;
    asm volatile("{.reg .b128 q; mov.b128 q, {%0, %1}; st.relaxed.gpu.global.b128 [%2], q;}"
                 :
                 : "l"(low), "l"(high), "l"(to)
                 : "memory");
}

// Named barriers: some warps arrive, others wait for them; together they are so many threads.
__device__ __forceinline__ void barrier_arrive(int name, int threads) {
    asm volatile("bar.arrive %0, %1;" : : "r"(name), "r"(threads) : "memory");
}

__device__ __forceinline__ void barrier_wait(int name, int threads) {
    asm volatile("bar.sync %0, %1;" : : "r"(name), "r"(threads) : "memory");
}

// Has memory that will be read soon brought into the second level of the cache; bytes: a multiple of 16.
__device__ __forceinline__ void prefetch(const void* from, unsigned bytes) {
#if __CUDA_ARCH__ >= 900
    asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" : : "l"(from), "r"(bytes) : "memory");
#endif
}

__device__ __forceinline__ unsigned load_once(const unsigned* from) {
    return __ldcs(from);
}

__device__ __forceinline__ void wait_a_little() {}

#endif

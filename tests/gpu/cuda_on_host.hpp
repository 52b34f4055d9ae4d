// SPDX-License-Identifier: Apache-2.0
// CUDA C++ on a processor, for tests: a block is a thread of the system, its threads are fibers that take
// turns.
//
// Before the text of kernels; it stands for device.cuh. A kernel runs with `launch(grid, block, shared,
// call)`. Memory that a block shares is its thread's; what waits lets others go on. Names are CUDA's, for
// what our kernels use.
#pragma once

#include <ucontext.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

typedef unsigned char byte;
typedef unsigned long long word64;

struct uint2 {
    unsigned x, y;
};
struct Message {
    unsigned x, y, z, w;
};

namespace host {

constexpr int warp_size = 32;
constexpr size_t stack_bytes = 1 << 16;

struct Meeting {  // of so many threads; the last to arrive opens it
    int arrived = 0;
    unsigned opened = 0;
};

struct Fiber {
    ucontext_t context;
    std::unique_ptr<char[]> stack;
    unsigned index;
    bool done;
};

struct Block {
    unsigned index, blocks, size;
    std::vector<Fiber> fibers;
    ucontext_t outside;
    size_t current = 0, left = 0;
    Meeting all, named[16];
    std::vector<Meeting> warps;
    std::vector<unsigned> exchanged;
    std::function<void()> call;
};

inline thread_local Block* block = nullptr;

inline Fiber& self() {
    return block->fibers[block->current];
}

// Goes on with the next thread of the block that is not done.
inline void yield() {
    const size_t before = block->current;
    size_t next = before;
    do next = (next + 1) % block->size;
    while (block->fibers[next].done);
    if (next <= before) std::this_thread::yield();
    if (next == before) return;
    block->current = next;
    swapcontext(&block->fibers[before].context, &block->fibers[next].context);
}

inline void arrive(Meeting& m, int threads) {
    if (++m.arrived == threads) {
        m.arrived = 0;
        ++m.opened;
    }
}

inline void meet(Meeting& m, int threads) {
    const unsigned before = m.opened;
    arrive(m, threads);
    while (m.opened == before) yield();
}

inline void enter() {
    block->call();
    Fiber& own = self();
    own.done = true;
    if (--block->left == 0) {
        setcontext(&block->outside);
    }
    do block->current = (block->current + 1) % block->size;
    while (self().done);
    setcontext(&self().context);
}

inline void run_block(Block& b) {
    block = &b;
    b.left = b.size;
    b.fibers = std::vector<Fiber>(b.size);
    b.warps.resize(b.size / warp_size);
    b.exchanged.resize(b.size);
    for (unsigned k = 0; k < b.size; ++k) {
        Fiber& f = b.fibers[k];
        f.index = k;
        f.done = false;
        f.stack.reset(new char[stack_bytes]);
        getcontext(&f.context);
        f.context.uc_stack.ss_sp = f.stack.get();
        f.context.uc_stack.ss_size = stack_bytes;
        f.context.uc_link = nullptr;
        makecontext(&f.context, enter, 0);
    }
    swapcontext(&b.outside, &b.fibers[0].context);
}

// Every lane gives a value; all have been given when this returns, and are read before another exchange
// begins.
template <class Read>
auto exchange(unsigned value, Read read) {
    const unsigned warp = self().index / warp_size;
    unsigned* const values = &block->exchanged[warp * warp_size];
    values[self().index % warp_size] = value;
    meet(block->warps[warp], warp_size);
    const auto found = read(values);
    meet(block->warps[warp], warp_size);
    return found;
}

inline std::mutex messages;

}  // namespace host

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static thread_local

struct Index {
    unsigned x;
};
#define threadIdx (Index{host::self().index})
#define blockIdx (Index{host::block->index})
#define blockDim (Index{host::block->size})
#define gridDim (Index{host::block->blocks})

inline void __syncthreads() {
    host::meet(host::block->all, static_cast<int>(host::block->size));
}
inline void __syncwarp() {
    host::meet(host::block->warps[host::self().index / host::warp_size], host::warp_size);
}
inline unsigned __ballot_sync(unsigned, unsigned holds) {
    return host::exchange(holds, [](const unsigned* values) {
        unsigned bits = 0;
        for (int k = 0; k < host::warp_size; ++k) bits |= unsigned{values[k] != 0} << k;
        return bits;
    });
}
inline bool __any_sync(unsigned mask, unsigned holds) {
    return __ballot_sync(mask, holds) != 0;
}
inline unsigned __shfl_sync(unsigned, unsigned value, unsigned from) {
    return host::exchange(value, [from](const unsigned* values) { return values[from]; });
}
inline int __popc(unsigned x) {
    return __builtin_popcount(x);
}
inline int __ffs(unsigned x) {
    return __builtin_ffs(static_cast<int>(x));
}
inline unsigned __ldcg(const unsigned* from) {
    return *from;
}
inline void __threadfence() {
    std::atomic_thread_fence(std::memory_order_seq_cst);
}
template <class T>
T atomicAdd(T* to, T value) {
    return __atomic_fetch_add(to, value, __ATOMIC_RELAXED);
}
inline int atomicExch(int* to, int value) {
    return __atomic_exchange_n(to, value, __ATOMIC_RELAXED);
}

inline Message load_message(const Message* from) {
    const std::lock_guard<std::mutex> lock(host::messages);
    return *from;
}
inline void store_message(Message* to, Message m) {
    const std::lock_guard<std::mutex> lock(host::messages);
    *to = m;
}
inline void barrier_arrive(int name, int threads) {
    host::arrive(host::block->named[name], threads);
}
inline void barrier_wait(int name, int threads) {
    host::meet(host::block->named[name], threads);
}
inline void prefetch(const void*, unsigned) {}
inline unsigned load_once(const unsigned* from) {
    return *from;
}
inline void wait_a_little() {
    host::yield();
}

inline thread_local std::vector<int> dynamic_memory;
#define SHARED_MEMORY(type, name) type* const name = reinterpret_cast<type*>(dynamic_memory.data())

template <class Call>
void launch(unsigned grid, unsigned block, unsigned shared, Call call) {
    std::vector<std::thread> threads;
    for (unsigned k = 0; k < grid; ++k)
        threads.emplace_back([=] {
            dynamic_memory.assign(shared / sizeof(int) + 1, -1);
            host::Block b;
            b.index = k;
            b.blocks = grid;
            b.size = block;
            b.call = call;
            host::run_block(b);
        });
    for (std::thread& thread : threads) thread.join();
}

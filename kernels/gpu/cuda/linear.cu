// SPDX-License-Identifier: Apache-2.0
// An event-driven linear layer: the rows of silent inputs are not read, those of active ones once for all
// steps and samples; then its neurons, in one kernel.
//
// A block has 32 columns, or 64 or 128. It lists the active inputs (each block all of them: reading a list
// that another kernel made takes as long as making one), its warps gather 32 rows at a time, the bytes of its
// columns of each, and tensor cores add them up: a product of 8-bit integers, of spikes (16 rows: samples x
// steps) and weights. Sums are integers: their order, which varies from run to run, changes nothing.
//
// Given: N_IN, N_OUT, STRIDE (bytes of a row: a multiple of a block's columns), SAMPLES, STEPS (0: x are
// words, else temporal bytes), SIGNED (words), THREADS, WIDE (32 columns of a block), COUNTED (the lowest
// bits that are spikes; 0: a word is one), RULE and its constants.

constexpr int columns = 32 * WIDE, group = 32;
constexpr int steps = STEPS ? STEPS : 1, rows = SAMPLES * steps, warps = THREADS / 32;
constexpr int capacity = (N_IN + group - 1) / group * group;
constexpr int inputs = 4;  // of a thread at a time
constexpr int turns = (N_IN + inputs * THREADS - 1) / (inputs * THREADS);
static_assert(rows <= 16 && N_IN <= 65536 && THREADS >= 32);

// The bytes of four inputs of a sample, the first in the lowest bits.
__device__ __forceinline__ unsigned four(const byte* x, int first) {
    if (N_IN % inputs == 0) return first < N_IN ? *reinterpret_cast<const unsigned*>(x + first) : 0;
    unsigned found = 0;
    for (int k = 0; k < inputs; ++k)
        if (first + k < N_IN) found |= unsigned{x[first + k]} << 8 * k;
    return found;
}

// Lists the active inputs and their bytes; returns how many there are, the same to all threads.
__device__ __forceinline__ int list_active(const byte* x, unsigned short* index, byte* bytes, int* count) {
    unsigned seen[turns][SAMPLES], votes[turns][inputs];
    int found = 0;
#pragma unroll
    for (int k = 0; k < turns; ++k) {
        const int first = (k * THREADS + static_cast<int>(threadIdx.x)) * inputs;
        unsigned any = 0;
#pragma unroll
        for (int b = 0; b < SAMPLES; ++b) any |= seen[k][b] = four(x + b * N_IN, first);
#pragma unroll
        for (int j = 0; j < inputs; ++j) {
            votes[k][j] = __ballot_sync(~0u, (any >> 8 * j & 255) != 0);
            found += __popc(votes[k][j]);
        }
    }
    const unsigned lane = threadIdx.x % 32, below = (1u << lane) - 1;
    int place = 0;
    if (lane == 0 && found) place = atomicAdd(count, found);
    place = static_cast<int>(__shfl_sync(~0u, static_cast<unsigned>(place), 0));
#pragma unroll
    for (int k = 0; k < turns; ++k) {
#pragma unroll
        for (int j = 0; j < inputs; ++j) {
            if (votes[k][j] >> lane & 1) {
                const int at = place + __popc(votes[k][j] & below);
                index[at] =
                    static_cast<unsigned short>((k * THREADS + static_cast<int>(threadIdx.x)) * inputs + j);
#pragma unroll
                for (int b = 0; b < SAMPLES; ++b)
                    bytes[b * capacity + at] = static_cast<byte>(seen[k][b] >> 8 * j);
            }
            place += __popc(votes[k][j]);
        }
    }
    __syncthreads();
    return *count;
}

// Of 8 rows of a group, those that this lane has, the bytes of its 4, 8 or 16 columns, four at a time.
struct Rows {
    unsigned byte4[WIDE][8];
};

__device__ __forceinline__ Rows gather(const signed char* w, const unsigned short* index, int base, int n) {
    const int lane = static_cast<int>(threadIdx.x % 32), column = lane / 4 * 4 * WIDE, quad = lane % 4 * 4;
    Rows found;
#pragma unroll
    for (int k = 0; k < 8; ++k) {
        const int at = base + k / 4 * 16 + quad + k % 4;
        const long long row = index[at < n ? at : 0];
        unsigned loaded[WIDE];
        load_once(loaded, w + row * STRIDE + column);
#pragma unroll
        for (int part = 0; part < WIDE; ++part) found.byte4[part][k] = loaded[part];
    }
    return found;
}

// What row r of the product has for the 4 inputs from `at` on: 0 or 1 of a step, or words.
__device__ __forceinline__ unsigned spikes(const byte* bytes, int r, int at, int n) {
    if (r >= rows) return 0;
    const unsigned found = *reinterpret_cast<const unsigned*>(bytes + r / steps * capacity + at);
    const unsigned known = n - at >= 4 ? ~0u : n > at ? (1u << 8 * (n - at)) - 1 : 0;
    return STEPS ? found >> r % steps & 0x01010101u & known : found & known;
}

__device__ __forceinline__ void add(int (&sums)[WIDE][4][4], const Rows& r, const byte* bytes, int base,
                                    int n) {
    const int lane = static_cast<int>(threadIdx.x % 32), g = lane / 4, quad = base + lane % 4 * 4;
    const unsigned a[4] = {spikes(bytes, g, quad, n), rows > 8 ? spikes(bytes, g + 8, quad, n) : 0,
                           spikes(bytes, g, quad + 16, n), rows > 8 ? spikes(bytes, g + 8, quad + 16, n) : 0};
#pragma unroll
    for (int part = 0; part < WIDE; ++part) {
        unsigned low[4], high[4];
        transposed(r.byte4[part], low);
        transposed(r.byte4[part] + 4, high);
#pragma unroll
        for (int j = 0; j < 4; ++j) mma<SIGNED>(sums[part][j], a, low[j], high[j]);
    }
}

__device__ __forceinline__ int value(const int* values, int count, int column) {
    return values[column % count];
}

#if RULE == FIRE
__device__ __forceinline__ unsigned fired(int v, int threshold) {
    int q = v / threshold;
    if (v % threshold < 0) --q;
    q = q < LOW ? LOW : q > HIGH ? HIGH : q;
    unsigned word = static_cast<unsigned>(q) & ((1u << BITS) - 1);
    if (MAX_SPIKES < BITS) {
        int left = MAX_SPIKES;
        for (int k = BITS - 1; k >= 0; --k)
            if (word >> k & 1 && --left < 0) word &= ~(1u << k);
    }
    return (LOW < 0 && word >> (BITS - 1) ? word | ~0u << BITS : word) & 255;
}
#endif

// cut: of active inputs; it does nothing where there are more. counters: of spikes, and of what they reach.
// seen: runs, those that it did, and the active inputs of all.
extern "C" __global__ void __launch_bounds__(THREADS)
    event_linear(const byte* x, const signed char* w, int* active, const int* fill, const int* threshold,
                 const int* bias, const int* v_min, int* kept, void* out, unsigned cut, const int* fan_out,
                 word64* counters, word64* seen) {
    SHARED_MEMORY(int, memory);
    int* const count = memory;
    int* const sums = memory + 4;  // [rows][columns]
    byte* const bytes = reinterpret_cast<byte*>(sums + rows * columns);
    unsigned short* const index = reinterpret_cast<unsigned short*>(bytes + SAMPLES * capacity);
    const int first = static_cast<int>(blockIdx.x) * columns;
    __shared__ word64 counted[2];
    if (threadIdx.x == 0) *count = 0;
    if (threadIdx.x < 2) counted[threadIdx.x] = 0;
    for (int k = static_cast<int>(threadIdx.x); k < rows * columns; k += THREADS) sums[k] = 0;
    __syncthreads();
    const int n = list_active(x, index, bytes, count);
    if (blockIdx.x == 0 && threadIdx.x == 0) {
        *active = n;
        // Atomic, because nothing waits for what is not asked for: to read a sum first took half a
        // microsecond.
        atomicAdd(seen, word64{1});
        atomicAdd(seen + 1, static_cast<word64>(static_cast<unsigned>(n) <= cut));
        atomicAdd(seen + 2, static_cast<word64>(n));
    }
    if (static_cast<unsigned>(n) > cut) return;

    const int warp = static_cast<int>(threadIdx.x / 32);
    if (warp * group < n) {
        int found[WIDE][4][4] = {};
        for (int base = warp * group; base < n; base += 2 * warps * group) {
            const int other = base + warps * group;
            const Rows one = gather(w + first, index, base, n);
            if (other < n) {  // two groups are under way at a time
                const Rows two = gather(w + first, index, other, n);
                add(found, one, bytes, base, n);
                add(found, two, bytes, other, n);
            } else {
                add(found, one, bytes, base, n);
            }
        }
        const int g = static_cast<int>(threadIdx.x % 32) / 4, q = static_cast<int>(threadIdx.x % 4);
#pragma unroll
        for (int part = 0; part < WIDE; ++part)
#pragma unroll
            for (int k = 0; k < 16; ++k) {
                const int row = g + k % 4 / 2 * 8, column = ((2 * q + k % 2) * WIDE + part) * 4 + k / 4;
                if (row < rows) atomicAdd(sums + row * columns + column, found[part][k / 4][k % 4]);
            }
    }
    __syncthreads();

    for (int k = static_cast<int>(threadIdx.x); k < SAMPLES * columns; k += THREADS) {
        const int sample = k / columns, column = first + k % columns;
        if (column >= N_OUT) continue;
        const unsigned begin = static_cast<unsigned>(value(fill, N_FILL, column));
        const long long place = static_cast<long long>(sample) * N_OUT + column;
        const int* const own = sums + sample * steps * columns + k % columns;
#if RULE == SUMS
        for (int t = 0; t < steps; ++t)
            static_cast<int*>(out)[static_cast<long long>(t) * SAMPLES * N_OUT + place] =
                static_cast<int>(begin + static_cast<unsigned>(own[t * columns]));
#else
#if RULE == FIRE
        const int v = static_cast<int>(begin + static_cast<unsigned>(own[0]));
        const unsigned word = fired(v, value(threshold, N_THRESHOLD, column));
#else
        Neuron neuron{0, kept ? kept[place] : 0, 0, 0};
        const If p{value(threshold, N_THRESHOLD, column), value(bias, N_BIAS, column),
                   value(v_min, N_V_MIN, column), ZERO ? RESET_ZERO : RESET_SUBTRACT};
        unsigned word = 0;
#pragma unroll
        for (int t = 0; t < steps; ++t) {
            const int i = static_cast<int>(begin + static_cast<unsigned>(own[t * columns]));
            word |= static_cast<unsigned>(if_step(p, i, neuron)) << t;
        }
        if (kept) kept[place] = neuron.v;
#endif
        static_cast<byte*>(out)[place] = static_cast<byte>(word);
        const int spikes = COUNTED ? __popc(word & ((1u << COUNTED) - 1)) : word != 0;
        if (counters && spikes) {
            atomicAdd(counted, static_cast<word64>(spikes));
            atomicAdd(counted + 1,
                      static_cast<word64>(spikes) * static_cast<word64>(value(fan_out, N_FAN_OUT, column)));
        }
#endif
    }
    if (!counters) return;
    __syncthreads();
    if (threadIdx.x < 2 && counted[threadIdx.x]) atomicAdd(counters + threadIdx.x, counted[threadIdx.x]);
}

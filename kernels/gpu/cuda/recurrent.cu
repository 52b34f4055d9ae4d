// SPDX-License-Identifier: Apache-2.0
// All passes of a network of spiking neurons that reach each other ROUND passes later or more: one persistent
// kernel.
//
// Block b of BLOCKS owns the neurons b, b + BLOCKS, ...; PER at most, each of them has a local number. It
// holds what is under way to them, currents of the next SLOTS passes (`ring`: slot t % SLOTS arrives at pass
// t), in shared memory where they fit, and all synapses onto them. A round is ROUND passes, fewer at the end:
//   update: warps 0..UPDATE_WARPS - 1 take what arrives, step their neurons, pass by pass, and name those
//   that spike; speak: one message of 16 bytes says which neurons of this block did; listen: the other warps
//   wait for the messages of all blocks, and add the synapses of each neuron named.
// So blocks wait for each other once a round, and nothing but messages goes between them. Sums are of
// integers: their order changes nothing.
//
// A message: x = tag << 8 | last << 3 | count, tag: the round; last: stop after it; count: of the spikes
// named in y, z and w, two numbers of 16 bits each, local neuron * ROUND + pass of the round; NAMED + 1:
// there are more, y of them in `list`. There are two messages of each block, for even and odd rounds: a block
// speaks again only after it heard all others. Each is written COPIES times, for some of the listening blocks
// each: many that look at one place keep it busy.
//
// A synapse: (delay PER + local target) << 8 | weight; 0 is none. Row of local neuron l of block c, its
// synapses onto block b: table[l].y words from 4 table[l].x + (c BLOCKS + b) table[l].y.
//
// Constants that are printed before this text: BLOCKS, PER, SLOTS, NEURONS, ROUND (1, 2 or 4), UPDATE_WARPS,
// LISTEN_WARPS, EACH (neurons of a thread), DRIVES (Poisson sources of a neuron), HISTORY (whether past
// spikes are kept), COPIES, RING_IN_SHARED, TABLE_IN_SHARED, LIST (spikes named in a round by a block, at
// most); after it: `step_neuron`.

#define NAMED 6
#define MORE 7
#define LAST 8
#define HEARD (32 * NAMED)  // by a warp

struct Drive {  // a Poisson source: current gain s, `delay` passes later
    word64 seed;
    const unsigned* thresholds;
    const byte* guide;
    unsigned first;  // the neuron that is number 0 of the source
    int gain, delay;
};

struct Arguments {
    const unsigned* rows;
    const uint2* table;           // PER
    int* ring;                    // BLOCKS, SLOTS, PER
    int *u, *v, *wait, *pending;  // NEURONS, as all below: the state
    int *current, *spike;         // of the last pass
    unsigned* spikes;             // how many so far
    word64* history;              // bit b: of the pass b + 1 ago
    Message* mail;                // 2, COPIES, BLOCKS
    unsigned* list;               // 2, BLOCKS, LIST
    unsigned *log, *logged;       // BLOCKS, log_size: spikes, pass << 16 | local neuron; how many
    const unsigned short* drive;  // NEURONS, DRIVES: which drives
    const Drive* drives;
    const int* values;  // parameters that neurons do not share, (.., NEURONS)
    unsigned* done;     // passes
};

__device__ __forceinline__ int step_neuron(const Arguments& a, unsigned j, long long t, int i, Neuron& q);

__device__ __forceinline__ unsigned drawn(const Drive& d, unsigned neuron, long long block) {
    const Words word = philox(d.seed, neuron - d.first, (unsigned)block, (unsigned)(block >> 32), POISSON);
    return looked_up(d.thresholds, d.guide, word.x) | looked_up(d.thresholds, d.guide, word.y) << 8 |
           looked_up(d.thresholds, d.guide, word.z) << 16 | looked_up(d.thresholds, d.guide, word.w) << 24;
}

// The counts of a source for four passes, and for the four after them, which are drawn while others are
// waited for.
struct Drawn {
    unsigned now, next;
    int gain, delay;

    __device__ __forceinline__ void begin(const Drive& d, unsigned neuron, long long pass) {
        gain = d.gain;
        delay = d.delay;
        const long long t = pass - delay;
        now = t >= 0 ? drawn(d, neuron, t >> 2) : 0;
        next = t >= -4 ? drawn(d, neuron, (t >> 2) + 1) : 0;
    }

    __device__ __forceinline__ int current(long long pass) const {
        return gain * (int)(now >> 8 * (((int)pass - delay) & 3) & 255u);
    }

    // Before a pass.
    __device__ __forceinline__ void go_on(long long pass) {
        if ((((int)pass - delay) & 3) == 0) now = next;
    }

    // Before a round that begins with a pass: each warp draws once in four passes, in turns.
    __device__ __forceinline__ void draw(const Drive* drives, const unsigned short* drive, unsigned neuron,
                                         long long pass, int turn) {
        const long long t = pass - delay;
        if (gain != 0 && ((t ^ turn) & 3 & -ROUND) == 0)
            next = t >= -4 ? drawn(drives[*drive], neuron, (t >> 2) + 1) : 0;
    }
};

struct Speech {  // of the neurons of this block in a round, even or odd
    unsigned count[2];
    unsigned short named[2][NAMED];
    unsigned logged, last[2];
};

// The slot of some passes later, ROUND at most.
__device__ __forceinline__ int later(int slot, unsigned passes) {
    const int place = slot + (int)passes * PER;
    return place >= SLOTS * PER ? place - SLOTS * PER : place;
}

// What arrives now, which then is 0; of memory that other warps have added to without a cache.
__device__ __forceinline__ int taken(int* place) {
    if (!RING_IN_SHARED) return atomicExch(place, 0);
    const int current = *place;
    *place = 0;
    return current;
}

// slot: of the pass of the spike.
__device__ __forceinline__ void deliver(int* ring, int slot, unsigned synapse) {
    if (synapse == 0) return;
    int place = slot + (int)(synapse >> 8);
    if (place >= SLOTS * PER) place -= SLOTS * PER;
    atomicAdd(&ring[place], (int)(synapse << 24) >> 24);
}

struct Row {
    const unsigned* words;
    unsigned size;
    int slot;
};

// What a spike of another block means to this one. slot: of the first pass of the round.
__device__ __forceinline__ Row row_of(const Arguments& a, const uint2* table, unsigned block, unsigned spike,
                                      int slot) {
    const uint2 row = table[spike / ROUND];
    return {a.rows + 4 * (word64)row.x + (word64)(block * BLOCKS + blockIdx.x) * row.y, row.y,
            later(slot, spike % ROUND)};
}

__device__ __forceinline__ unsigned word_of(const Row& row, unsigned at) {
    return at < row.size ? load_once(row.words + at) : 0;
}

__device__ __forceinline__ void deliver_row(const Row& row, unsigned from, int lane, int* ring) {
    for (unsigned at = from + lane; at < row.size; at += 32)
        deliver(ring, row.slot, load_once(row.words + at));
}

// Says which neurons of this block spike, by one warp.
__device__ __forceinline__ void speak(const Arguments& a, const Speech& speech, unsigned tag, unsigned last,
                                      int lane) {
    const int parity = tag & 1;
    const unsigned count = speech.count[parity];
    if (count > NAMED) __threadfence();  // the list is read by other blocks
    Message m = {tag << 8 | last | (count > NAMED ? MORE : count), count, 0, 0};
    if (count != 0 && count <= NAMED) {
        const unsigned short* const named = speech.named[parity];
        m.y = named[0] | (unsigned)named[1] << 16;
        m.z = named[2] | (unsigned)named[3] << 16;
        m.w = named[4] | (unsigned)named[5] << 16;
    }
    for (int copy = lane; copy < COPIES; copy += 32)
        store_message(&a.mail[(parity * COPIES + copy) * BLOCKS + blockIdx.x], m);
}

// Waits for the messages of some blocks, first + lane each, and delivers what they name. heard: of this warp.
__device__ __forceinline__ unsigned listen(const Arguments& a, const uint2* table, int* ring, int slot,
                                           unsigned tag, unsigned first, unsigned end, int lane,
                                           unsigned* heard) {
    const unsigned block = first + lane, parity = tag & 1, before = (1u << lane) - 1;
    Message m = {0, 0, 0, 0};
    bool waits = block < end;
    while (__any_sync(~0u, waits)) {
        if (waits) {
            m = load_message(&a.mail[(parity * COPIES + blockIdx.x % COPIES) * BLOCKS + block]);
            waits = m.x >> 8 != (tag & 0xFFFFFFu);
        }
        wait_a_little();
    }
    const unsigned last = __any_sync(~0u, (m.x & LAST) != 0);
    unsigned count = m.x & 7;
    unsigned more = __ballot_sync(~0u, count == MORE);
    if (count == MORE) count = 0;
    const unsigned ones = __ballot_sync(~0u, count & 1), twos = __ballot_sync(~0u, count & 2),
                   fours = __ballot_sync(~0u, count & 4);
    const unsigned total = __popc(ones) + 2 * __popc(twos) + 4 * __popc(fours);
    if (total != 0) {
        unsigned at = __popc(ones & before) + 2 * __popc(twos & before) + 4 * __popc(fours & before);
        const unsigned named[3] = {m.y, m.z, m.w};
#pragma unroll
        for (unsigned k = 0; k < NAMED; ++k)
            if (k < count) heard[at++] = block << 16 | (named[k / 2] >> 16 * (k & 1) & 0xFFFFu);
        __syncwarp();
        for (unsigned k = 0; k < total; k += 4) {
            Row row[4];
            unsigned word[4][2];
#pragma unroll
            for (unsigned n = 0; n < 4; ++n) {
                row[n] = {a.rows, 0, slot};
                if (k + n < total)
                    row[n] = row_of(a, table, heard[k + n] >> 16, heard[k + n] & 0xFFFFu, slot);
                word[n][0] = word_of(row[n], lane);
                word[n][1] = word_of(row[n], lane + 32);
            }
#pragma unroll
            for (unsigned n = 0; n < 4; ++n) {
                deliver(ring, row[n].slot, word[n][0]);
                deliver(ring, row[n].slot, word[n][1]);
                if (row[n].size > 64) deliver_row(row[n], 64, lane, ring);
            }
        }
        __syncwarp();
    }
    if (more != 0) __threadfence();
    while (more != 0) {
        const unsigned from = __ffs(more) - 1;
        more &= more - 1;
        const unsigned size = __shfl_sync(~0u, m.y, from);
        const unsigned* const list = a.list + ((word64)parity * BLOCKS + first + from) * LIST;
        for (unsigned k = 0; k < size; ++k)
            deliver_row(row_of(a, table, first + from, __ldcg(&list[k]), slot), 0, lane, ring);
    }
    return last;
}

// The neurons of a thread.
struct Own {
    Neuron state[EACH];
    int current[EACH], spike[EACH];
    unsigned spikes[EACH];
    word64 history[EACH];
    Drawn draws[EACH][DRIVES > 0 ? DRIVES : 1];
};

// k: which one of a thread; local: in its block; j: of all.
template <class Act>
__device__ __forceinline__ void for_each_neuron(Act act) {
#pragma unroll
    for (int k = 0; k < EACH; ++k) {
        const unsigned local = threadIdx.x + 32 * UPDATE_WARPS * k, j = local * BLOCKS + blockIdx.x;
        if (local < PER && j < NEURONS) act(k, local, j);
    }
}

__device__ __forceinline__ void take_state(const Arguments& a, Own& own, long long t) {
    for_each_neuron([&](int k, unsigned, unsigned j) {
        own.state[k] = {a.u[j], a.v[j], a.wait[j], a.pending[j]};
        own.current[k] = a.current[j];
        own.spike[k] = a.spike[j];
        if (HISTORY) own.history[k] = a.history[j];
        for (int n = 0; n < DRIVES; ++n)
            own.draws[k][n].begin(a.drives[a.drive[(word64)j * DRIVES + n]], j, t);
    });
}

__device__ __forceinline__ void leave_state(const Arguments& a, const Own& own) {
    for_each_neuron([&](int k, unsigned, unsigned j) {
        a.u[j] = own.state[k].u;
        a.v[j] = own.state[k].v;
        a.wait[j] = own.state[k].wait;
        a.pending[j] = own.state[k].pending;
        a.current[j] = own.current[k];
        a.spike[j] = own.spike[k];
        a.spikes[j] += own.spikes[k];
        if (HISTORY) a.history[j] = own.history[k];
    });
}

// Names a spike for the message, and has the synapses brought nearer.
__device__ __forceinline__ void name(const Arguments& a, const uint2* table, Speech& speech, unsigned parity,
                                     unsigned local, unsigned within, unsigned times) {
    const uint2 row = table[local];
    if (row.y != 0)
        prefetch(a.rows + 4 * (word64)row.x + (word64)blockIdx.x * BLOCKS * row.y, 4 * BLOCKS * row.y);
    const unsigned at = atomicAdd(&speech.count[parity], times), spike = local * ROUND + within;
    for (unsigned n = at; n < at + times; ++n) {
        if (n < NAMED) speech.named[parity][n] = (unsigned short)spike;
        a.list[((word64)parity * BLOCKS + blockIdx.x) * LIST + n] = spike;
    }
}

extern "C" __global__ void __launch_bounds__(32 * (UPDATE_WARPS + LISTEN_WARPS), 1)
    recurrent(const Arguments* arguments, long long t, unsigned epoch, unsigned passes, unsigned log_size) {
    SHARED_MEMORY(int, memory);
    __shared__ uint2 near_table[TABLE_IN_SHARED ? PER : 1];
    __shared__ Speech speech;
    __shared__ unsigned heard[LISTEN_WARPS][HEARD];
    const Arguments a = *arguments;
    const int thread = threadIdx.x, lane = thread & 31, warp = thread >> 5, threads = blockDim.x;
    int* const kept_ring = a.ring + (word64)blockIdx.x * SLOTS * PER;
    int* const ring = RING_IN_SHARED ? memory : kept_ring;
    if (RING_IN_SHARED)
        for (int k = thread; k < SLOTS * PER; k += threads) ring[k] = kept_ring[k];
    const uint2* const table = TABLE_IN_SHARED ? near_table : a.table;
    if (TABLE_IN_SHARED)
        for (int k = thread; k < PER; k += threads) near_table[k] = a.table[k];
    if (thread == 0) {
        speech.count[0] = speech.count[1] = speech.last[0] = speech.last[1] = 0;
        speech.logged = a.logged[blockIdx.x];
    }
    __syncthreads();

    int slot = (int)(t % SLOTS) * PER;
    unsigned tag = epoch, done = 0;
    if (warp < UPDATE_WARPS) {
        Own own = {};
        take_state(a, own, t);
        for (bool last = false; done < passes && !last; ++tag) {
            const unsigned round = passes - done < ROUND ? passes - done : ROUND;
            for (unsigned within = 0; within < round; ++within) {
                for_each_neuron([&](int k, unsigned local, unsigned j) {
                    int current = taken(&ring[slot + local]);
                    for (int n = 0; n < DRIVES; ++n) {
                        if (ROUND > 1 && within > 0) own.draws[k][n].go_on(t);
                        current += own.draws[k][n].current(t);
                    }
                    const int spike = step_neuron(a, j, t, current, own.state[k]);
                    own.current[k] = current;
                    own.spike[k] = spike;
                    if (HISTORY) own.history[k] = own.history[k] << 1 | (spike != 0);
                    if (spike == 0) return;
                    name(a, table, speech, tag & 1, local, within, spike);
                    ++own.spikes[k];
                    if (log_size != 0)
                        a.log[(word64)blockIdx.x * log_size + atomicAdd(&speech.logged, 1u)] =
                            done << 16 | local;
                });
                slot = later(slot, 1);
                ++done;
                ++t;
            }
            __syncwarp();
            barrier_arrive(1, 32 * (UPDATE_WARPS + 1));
            for_each_neuron([&](int k, unsigned, unsigned j) {
                for (int n = 0; n < DRIVES; ++n) {
                    own.draws[k][n].go_on(t);
                    own.draws[k][n].draw(a.drives, &a.drive[(word64)j * DRIVES + n], j, t, warp);
                }
            });
            __syncthreads();
            last = *(volatile unsigned*)&speech.last[tag & 1];
        }
        leave_state(a, own);
    } else {
        const unsigned mine = warp - UPDATE_WARPS, share = (BLOCKS + LISTEN_WARPS - 1) / LISTEN_WARPS;
        const unsigned first = mine * share, end = first + share < BLOCKS ? first + share : BLOCKS;
        for (bool last = false; done < passes && !last; ++tag) {
            const unsigned round = passes - done < ROUND ? passes - done : ROUND;
            if (mine == 0) {
                barrier_wait(1, 32 * (UPDATE_WARPS + 1));
                const bool full = log_size != 0 && speech.logged + ROUND * PER > log_size;
                speak(a, speech, tag, full ? LAST : 0, lane);
                __syncwarp();
                if (lane == 0) speech.count[tag & 1] = 0;
            }
            if (listen(a, table, ring, slot, tag, first, end, lane, heard[mine]) && lane == 0)
                speech.last[tag & 1] = 1;
            slot = later(slot, round);
            done += round;
            __syncthreads();
            last = *(volatile unsigned*)&speech.last[tag & 1];
        }
    }
    __syncthreads();
    if (RING_IN_SHARED)
        for (int k = thread; k < SLOTS * PER; k += threads) kept_ring[k] = ring[k];
    if (thread == 0) {
        a.logged[blockIdx.x] = speech.logged;
        if (blockIdx.x == 0) *a.done = done;
    }
}

// counts[n] += in how many passes first <= t < last the neurons begin <= n < end of a Poisson source send
// something.
extern "C" __global__ void count_events(const Drive* drive, unsigned begin, unsigned end, long long first,
                                        long long last, unsigned* counts) {
    const Drive d = *drive;
    for (unsigned n = begin + blockIdx.x * blockDim.x + threadIdx.x; n < end; n += gridDim.x * blockDim.x) {
        unsigned found = 0, four = 0;
        for (long long t = first; t < last; ++t) {
            if (t == first || (t & 3) == 0) four = drawn(d, n, t >> 2);
            found += (four >> 8 * (int)(t & 3) & 255u) != 0;
        }
        counts[n] += found;
    }
}

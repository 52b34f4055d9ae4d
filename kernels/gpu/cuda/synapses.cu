// SPDX-License-Identifier: Apache-2.0
// From synapses, drawn or listed, to the rows of recurrent.cu: once they are counted, then they are put in
// place.
//
// A segment holds what one neuron sends to one block: (local source, block of the source, block of the
// target).

struct Rule {
    word64 seed, synapses;
    const unsigned *weight_thresholds, *delay_thresholds;  // each ends with 2^32 - 1
    const signed char* weights;
    const byte *delays, *weight_guide, *delay_guide;
    unsigned sources, targets, first_source, first_target;  // numbers of neurons, and the first of them
    int delay;                                              // of all
};

struct Place {
    unsigned* counts;    // of each segment
    unsigned* rows;      // nullptr: count only
    const uint2* table;  // recurrent.cu
};

__device__ __forceinline__ void put(const Place& p, unsigned source, unsigned target, int weight, int delay) {
    if (weight == 0) return;
    const unsigned local = source / BLOCKS;
    const unsigned within = source % BLOCKS * BLOCKS + target % BLOCKS;
    const unsigned at = atomicAdd(&p.counts[(word64)local * BLOCKS * BLOCKS + within], 1u);
    if (p.rows == nullptr) return;
    const uint2 row = p.table[local];
    const unsigned place = (unsigned)delay * PER + target / BLOCKS;
    p.rows[4 * (word64)row.x + (word64)within * row.y + at] = place << 8 | ((unsigned)weight & 255u);
}

extern "C" __global__ void drawn_synapses(const Rule* rule, const Place* place) {
    const Rule r = *rule;
    const Place p = *place;
    for (word64 k = blockIdx.x * (word64)blockDim.x + threadIdx.x; k < r.synapses;
         k += (word64)gridDim.x * blockDim.x) {
        const Words word = philox(r.seed, (unsigned)k, (unsigned)(k >> 32), 0, SYNAPSE);
        const unsigned source = r.first_source + (unsigned)((word64)word.x * r.sources >> 32);
        const unsigned target = r.first_target + (unsigned)((word64)word.y * r.targets >> 32);
        put(p, source, target, r.weights[looked_up(r.weight_thresholds, r.weight_guide, word.z)],
            r.delay + r.delays[looked_up(r.delay_thresholds, r.delay_guide, word.w)]);
    }
}

extern "C" __global__ void listed_synapses(const unsigned* sources, const unsigned* targets,
                                           const signed char* weights, const int* delays, word64 synapses,
                                           const Place* place) {
    const Place p = *place;
    for (word64 k = blockIdx.x * (word64)blockDim.x + threadIdx.x; k < synapses;
         k += (word64)gridDim.x * blockDim.x)
        put(p, sources[k], targets[k], weights[k], delays[k]);
}
